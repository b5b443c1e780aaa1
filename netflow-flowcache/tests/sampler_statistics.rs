//! Whether chance is what samplers promise.
//!
//! Every test has a fixed seed, so that it passes always or never. With a seed at random, a test of one number against
//! `LIMIT` standard deviations would fail by chance once in a million times, and so would a chi-square test against it:
//! its statistic is turned into a normal deviate by the approximation of Wilson and Hilferty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    missing_docs
)]

mod common;

use common::{at, packet};
use netflow_flowcache::sample::{
    Confidence, Estimate, HorvitzThompson, IndependentSampler, Junos, JunosParameters, NonUniform,
    Probabilistic, Probability, Quality, RandomOneInN, RandomOutOf, SampledTotals, Sampler, SamplerSeed,
    Selector, SystematicCount, flow_seen_probability,
};

/// Two-sided, a probability of 1e-6.
const LIMIT: f64 = 4.89;

fn picks(sampler: &mut impl IndependentSampler, packets: u32) -> Vec<u32> {
    (0..packets).filter(|_| sampler.decide(at(0))).collect()
}

fn gaps(picks: &[u32]) -> Vec<f64> {
    picks.windows(2).map(|pair| f64::from(pair[1] - pair[0])).collect()
}

fn probabilistic(p: f64, seed: u64) -> Probabilistic {
    Probabilistic::new(Probability::new(p).unwrap(), seed)
}

/// Chi-square of counts against what is expected, as a normal deviate.
fn chi_square(counts: &[f64], expected: &[f64], freedom: usize) -> f64 {
    assert!(expected.iter().all(|count| *count >= 20.0), "{expected:?}");
    let chi: f64 =
        counts.iter().zip(expected).map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    let freedom = freedom as f64;
    ((chi / freedom).cbrt() - (1.0 - 2.0 / (9.0 * freedom))) / (2.0 / (9.0 * freedom)).sqrt()
}

fn even(counts: &[f64]) -> f64 {
    let expected = counts.iter().sum::<f64>() / counts.len() as f64;
    chi_square(counts, &vec![expected; counts.len()], counts.len() - 1)
}

/// The correlation of a series with itself one place on, times the root of its length: a normal deviate if there is
/// none.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let covariance: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    covariance / variance * (values.len() as f64).sqrt()
}

/// Whether gaps are distributed geometrically: up to 20 cells of about the same probability.
fn geometric(gaps: &[f64], p: f64) -> f64 {
    let tail = |gap: f64| (1.0 - p).powf(gap); // a gap is longer than that
    let mut bounds: Vec<f64> =
        (0..20).map(|cell| ((1.0 - f64::from(cell) / 20.0).ln() / (1.0 - p).ln()).round()).collect();
    bounds.dedup();
    let cell = |gap: f64| bounds.iter().rposition(|bound| gap > *bound).unwrap();
    let mut counts = vec![0.0; bounds.len()];
    for gap in gaps {
        counts[cell(*gap)] += 1.0;
    }
    let expected: Vec<f64> = (0..bounds.len())
        .map(|cell| {
            let end = bounds.get(cell + 1).map_or(0.0, |bound| tail(*bound));
            (tail(bounds[cell]) - end) * gaps.len() as f64
        })
        .collect();
    chi_square(&counts, &expected, bounds.len() - 1)
}

// S5 (ST7): several probabilities, on both sides of where the way to draw changes.
#[test]
fn probabilistic_sampling_selects_the_expected_number() {
    for (seed, p) in
        (1_u64..).zip([0.5_f64.powi(20), 1.0 / 1000.0, 1.0 / 64.0, 0.0625, 0.07, 0.3, 0.5, 0.9, 0.999])
    {
        let packets = 2_000_000_u32;
        let count = picks(&mut probabilistic(p, seed), packets).len() as f64;
        let expected = f64::from(packets) * p;
        let deviate = (count - expected) / (expected * (1.0 - p)).sqrt();
        assert!(deviate.abs() < LIMIT, "{p}: {count}");
    }
}

// S5 (ST8, ST9): gaps are geometric, and none follows from the one before.
#[test]
fn gaps_of_probabilistic_sampling_are_geometric_and_independent() {
    for (seed, p) in [(1, 1.0 / 64.0), (2, 1.0 / 16.0), (3, 1.0 / 500.0)] {
        let gaps = gaps(&picks(&mut probabilistic(p, seed), 2_000_000));
        assert!(geometric(&gaps, p) < LIMIT, "{p}: {}", geometric(&gaps, p));
        assert!(correlation(&gaps).abs() < LIMIT, "{p}");
    }
    // Where each packet is drawn for itself, runs are long enough to count instead.
    let decisions: Vec<f64> = {
        let mut sampler = probabilistic(0.3, 4);
        (0..1_000_000).map(|_| f64::from(u8::from(sampler.decide(at(0))))).collect()
    };
    assert!(correlation(&decisions).abs() < LIMIT);
}

// S3 (ST5): every position is as likely as every other, and every pair. Numbers drawn without putting back vary a little
// less than chi-square assumes, which makes false alarms rarer than stated.
#[test]
fn positions_of_n_out_of_n_are_even() {
    for (seed, size, population) in [(1, 1, 64), (2, 5, 64), (3, 63, 64), (4, 10, 200)] {
        let mut counts = vec![0.0; population as usize];
        for pick in picks(&mut RandomOutOf::new(size, population, seed).unwrap(), 1_280_000) {
            counts[(pick % population) as usize] += 1.0;
        }
        // Where most are selected, those left out are the ones whose number varies.
        let blocks = f64::from(1_280_000 / population);
        let varying: Vec<f64> =
            if size * 2 > population { counts.iter().map(|c| blocks - c).collect() } else { counts };
        assert!(even(&varying) < LIMIT, "{size} of {population}: {}", even(&varying));
    }
    let mut pairs = [0.0; 36];
    for pair in picks(&mut RandomOutOf::new(2, 6, 9).unwrap(), 600_000).chunks(2) {
        pairs[(pair[0] % 6 * 6 + pair[1] % 6) as usize] += 1.0;
    }
    let subsets: Vec<f64> = pairs.into_iter().filter(|count| *count > 0.0).collect();
    assert_eq!(subsets.len(), 15);
    assert!(even(&subsets) < LIMIT);
}

// S3, S4 (ST9): positions in one population do not follow from those in the one before.
#[test]
fn positions_of_n_out_of_n_are_independent() {
    let first_of_each = |picks: Vec<u32>, size: usize| -> Vec<f64> {
        picks.chunks(size).map(|block| f64::from(block[0] % 100)).collect()
    };
    let one = first_of_each(picks(&mut RandomOneInN::new(100, 1).unwrap(), 2_000_000), 1);
    let five = first_of_each(picks(&mut RandomOutOf::new(5, 100, 2).unwrap(), 2_000_000), 5);
    assert!(correlation(&one).abs() < LIMIT && correlation(&five).abs() < LIMIT);
}

// S6 (ST10): the sample has each class of packets in the share that the traffic has it in.
#[test]
fn samples_have_the_shares_of_the_population() {
    let packets = 1_000_000_u32;
    // Classes of very different size, in bursts of 37 packets.
    let class = |number: u32| ((number / 37).wrapping_mul(0x9E37_79B9).leading_zeros() as usize).min(9);
    let mut population = [0.0; 10];
    for number in 0..packets {
        population[class(number)] += 1.0;
    }
    let check = |name: &str, picks: Vec<u32>| {
        let mut sample = [0.0; 10];
        for pick in &picks {
            sample[class(*pick)] += 1.0;
        }
        let expected = population.map(|count| count * picks.len() as f64 / f64::from(packets));
        let deviate = chi_square(&sample, &expected, 9);
        assert!(deviate < LIMIT, "{name}: {deviate}");
    };
    check("one in n", picks(&mut RandomOneInN::new(50, 1).unwrap(), packets));
    check("n out of n", picks(&mut RandomOutOf::new(10, 500, 2).unwrap(), packets));
    check("probabilistic", picks(&mut probabilistic(0.02, 3), packets));
    check("junos", picks(&mut Junos::new(JunosParameters::new(50), 4).unwrap(), packets));
}

/// Gaps evenly from 1 to 127: the right mean and the wrong distribution.
struct UniformGaps(RandomOneInN, u32);

impl UniformGaps {
    fn gaps(&mut self, count: usize) -> Vec<f64> {
        let mut position = || {
            let start = self.1;
            while !self.0.decide(at(0)) {
                self.1 += 1;
            }
            self.1 += 1;
            f64::from((self.1 - start) % 127 + 1)
        };
        (0..count).map(|_| position()).collect()
    }
}

// S7 (ST11): each test fails for the samplers that it is to tell apart.
#[test]
fn tests_tell_the_samplers_apart() {
    let packets = 1_000_000;
    let p = 1.0 / 64.0;
    let systematic = picks(&mut SystematicCount::one_in(64, 1).unwrap(), packets);
    let one_in_n = picks(&mut RandomOneInN::new(64, 1).unwrap(), packets);
    let uniform = UniformGaps(RandomOneInN::new(127, 1).unwrap(), 0).gaps(15_000);
    for (name, gaps) in
        [("systematic", gaps(&systematic)), ("one in n", gaps(&one_in_n)), ("uniform gaps", uniform)]
    {
        assert!(geometric(&gaps, p) > 10.0, "{name}: {}", geometric(&gaps, p));
    }
    let positions = |picks: &[u32]| {
        let mut counts = [0.0; 64];
        for pick in picks {
            counts[(pick % 64) as usize] += 1.0;
        }
        even(&counts)
    };
    assert!(positions(&systematic) > 100.0);
    assert!(positions(&one_in_n) < LIMIT);
    // A population is not independent of the one before if the generator repeats itself.
    let mut repeating: Vec<f64> = (0..2000).map(|number| f64::from(number % 7)).collect();
    assert!(correlation(&repeating).abs() > 10.0);
    repeating.reverse();
    assert!(correlation(&repeating).abs() > 10.0);
}

// S7 (ST12): a probability that is wrong by 5 % is found nearly always, so the tests of numbers are sharp enough.
#[test]
fn a_probability_wrong_by_a_twentieth_is_found() {
    let (packets, p) = (1_000_000_u32, 1.0 / 64.0);
    let found = (0..50_u64)
        .filter(|seed| {
            let count = picks(&mut probabilistic(p * 1.05, *seed), packets).len() as f64;
            let expected = f64::from(packets) * p;
            ((count - expected) / (expected * (1.0 - p)).sqrt()).abs() > LIMIT
        })
        .count();
    // 0.92 of 50, less 4.89 deviations.
    assert!(found >= 37, "{found}");
}

// S21, S20: (1 + run length) of (rate + run length), by either way to trigger; the attained fraction says what it was.
#[test]
fn junos_attains_the_fraction_that_is_documented() {
    for (rate, run_length, fraction) in
        [(10, 2, 0.25), (100, 0, 0.01), (100, 9, 10.0 / 109.0), (1000, 20, 21.0 / 1020.0)]
    {
        for systematic in [false, true] {
            let mut parameters = JunosParameters::new(rate);
            parameters.run_length = run_length;
            parameters.systematic = systematic;
            let mut selector = Selector::new(1, Junos::new(parameters, 3).unwrap());
            assert!((selector.describe().fraction().unwrap() - fraction).abs() < 1e-12);
            let packets = 2_000_000;
            for number in 0..packets {
                selector.select(&packet(number % 1000), at(0));
            }
            let attained = selector.statistics().attained_fraction().unwrap();
            // Cycles vary as the gaps between triggers do: the deviation is that of the number of triggers.
            let cycles = f64::from(packets) / f64::from(rate + u32::from(run_length));
            let limit = if systematic { fraction / cycles } else { LIMIT * fraction / cycles.sqrt() };
            assert!((attained - fraction).abs() <= limit, "{rate} {run_length} {systematic}: {attained}");
        }
    }
}

// S20: scaled by the attained fraction, the sample gives back the packets that there were; by the configured one, not.
#[test]
fn scaling_by_the_attained_fraction_is_exact_for_all_packets() {
    let mut parameters = JunosParameters::new(100);
    parameters.run_length = 9;
    parameters.max_packets_per_second = Some(500);
    let mut selector = Selector::new(1, Junos::new(parameters, 5).unwrap());
    let mut totals = SampledTotals::new();
    let packets = 100_000_u32;
    for number in 0..packets {
        // 10,000 packets a second: about 900 sampled, of which 500 stay.
        let time = at(0).saturating_add(core::time::Duration::from_micros(u64::from(number) * 100));
        if selector.select(&packet(number), time) {
            totals.add(100);
        }
    }
    let attained = selector.statistics().attained_fraction().unwrap();
    let configured = selector.describe().fraction().unwrap();
    let scaled = |fraction| totals.estimate_packets(fraction).unwrap().value;
    assert!((scaled(attained) - f64::from(packets)).abs() < 1e-6);
    assert!(scaled(configured) < 0.6 * f64::from(packets));
    assert!(selector.sampler().dropped() > 1000);
}

// S24: the numbers of the definition.
#[test]
fn estimates_are_those_of_the_formulas() {
    let class = Estimate::of_class(1_000_000, 2_500, 1_000).unwrap();
    assert_eq!(class.value, 400_000.0);
    let interval = class.interval(Confidence::P95);
    assert!((interval.upper - 419_208.0).abs() < 1.0 && (interval.lower - 380_792.0).abs() < 1.0);

    // Relative errors at 95 %: 196 percent times the root of 1 over the samples, with the factor of the sampled share.
    for (samples, percent) in
        [(10, 62.0), (100, 19.6), (385, 10.0), (1000, 6.2), (1537, 5.0), (10_000, 1.96), (38_416, 1.0)]
    {
        let estimate = Estimate::of_packets(samples, 1e-6).unwrap();
        let relative = 100.0 * 1.959_964 * estimate.relative_error().unwrap();
        assert!((relative - percent).abs() < 0.03, "{samples}: {relative}");
    }
    assert_eq!(Estimate::of_packets(50, 0.5).unwrap().standard_error, 10.0);
    assert_eq!(
        [9, 10, 99, 100].map(|n| Estimate::of_packets(n, 0.1).unwrap().quality()),
        [Quality::Seen, Quality::Rough, Quality::Rough, Quality::Reliable]
    );
    // Packets of 40, 576 and 1500 octets as 50, 20 and 30 %: octets are known 1.47 times worse than packets.
    let mut totals = SampledTotals::new();
    for number in 0..1000 {
        totals.add(match number % 10 {
            0..5 => 40,
            5..7 => 576,
            _ => 1500,
        });
    }
    let packets = totals.estimate_packets(0.001).unwrap().relative_error().unwrap();
    let octets = totals.estimate_octets(0.001).unwrap().relative_error().unwrap();
    assert!((octets / packets - 1.47).abs() < 0.01, "{}", octets / packets);
    for refused in [0.0, -1.0, 1.1, f64::NAN] {
        assert!(Estimate::of_packets(1, refused).is_none() && totals.estimate_octets(refused).is_none());
    }
    assert!(Estimate::of_class(10, 11, 1).is_none() && Estimate::of_class(10, 5, 6).is_none());
    assert!(Estimate::of_class(10, 1, 1).is_none());
    for (packets, fraction, seen) in
        [(10, 0.01, 0.0956), (100, 0.01, 0.634), (1000, 0.001, 0.632), (5, 1.0, 1.0), (0, 0.5, 0.0)]
    {
        assert!((flow_seen_probability(packets, fraction) - seen).abs() < 0.001);
    }
}

/// Mean and coverage of estimates over many repetitions, against the truth.
fn judge(name: &str, truth: f64, estimates: &[Estimate]) {
    let count = estimates.len() as f64;
    let mean = estimates.iter().map(|estimate| estimate.value).sum::<f64>() / count;
    let variance =
        estimates.iter().map(|estimate| (estimate.value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    assert!((mean - truth).abs() <= LIMIT * (variance / count).sqrt(), "{name}: mean {mean} of {truth}");
    let held = estimates
        .iter()
        .filter(|estimate| {
            let interval = estimate.interval(Confidence::P95);
            interval.lower <= truth && truth <= interval.upper
        })
        .count() as f64
        / count;
    // 93.5 to 96.5 percent, as 5,000 repetitions and more can tell; fewer scatter more.
    let limit = (LIMIT * (0.95 * 0.05 / count).sqrt()).max(0.015);
    assert!((held - 0.95).abs() <= limit, "{name}: {held}");
}

// S24 (ST18): over 5,000 samples of the same traffic, estimates are right on average and intervals hold as often as
// they claim, at about 150 samples of the class.
#[test]
fn estimates_are_unbiased_and_intervals_hold() {
    let (packets, rate, repetitions) = (2_500_u32, 5_u32, 5_000_u64);
    // Of the class or not, without any order.
    let in_class: Vec<bool> =
        (0..packets).map(|number| number.wrapping_mul(0x9E37_79B9).rotate_left(11) % 10 < 3).collect();
    let truth = in_class.iter().filter(|class| **class).count() as f64;
    let run = |sampler: &mut dyn FnMut() -> bool| {
        let (mut sample, mut class) = (0, 0);
        for of_class in &in_class {
            if sampler() {
                sample += 1;
                class += u64::from(*of_class);
            }
        }
        (sample, class)
    };
    let estimate = |number: u64, method: u8| {
        let seed = SamplerSeed::from_u64(number);
        match method {
            0 => {
                let mut sampler = RandomOneInN::new(rate, seed).unwrap();
                let (sample, class) = run(&mut || sampler.decide(at(0)));
                Estimate::of_class(packets.into(), sample, class).unwrap()
            }
            1 => {
                let mut sampler = RandomOutOf::new(10, 10 * rate, seed).unwrap();
                let (sample, class) = run(&mut || sampler.decide(at(0)));
                Estimate::of_class(packets.into(), sample, class).unwrap()
            }
            _ => {
                let p = 1.0 / f64::from(rate);
                let mut sampler = Probabilistic::new(Probability::new(p).unwrap(), seed);
                // Packets of other classes take no part.
                let class = in_class.iter().filter(|class| **class && sampler.decide(at(0))).count();
                Estimate::of_packets(class as u64, p).unwrap()
            }
        }
    };
    for (method, name) in [(0, "one in n"), (1, "n out of n"), (2, "probabilistic")] {
        let estimates: Vec<Estimate> = (0..repetitions).map(|number| estimate(number, method)).collect();
        if method == 2 {
            judge(name, truth, &estimates);
        } else {
            // The finite population makes these better than their formula says: what is in the sample is known.
            let better: Vec<Estimate> = estimates
                .into_iter()
                .map(|mut estimate| {
                    estimate.standard_error *= (1.0 - 1.0 / f64::from(rate)).sqrt();
                    estimate
                })
                .collect();
            judge(name, truth, &better);
        }
    }
    // Systematic sampling with a phase at random: every packet is in one of the samples.
    let mean: f64 = (0..rate)
        .map(|phase| {
            let mut sampler = SystematicCount::new(1, rate - 1, phase.into()).unwrap();
            let (sample, class) = run(&mut || sampler.decide(at(0)));
            Estimate::of_class(packets.into(), sample, class).unwrap().value
        })
        .sum::<f64>()
        / f64::from(rate);
    assert!((mean - truth).abs() < 1e-6);
}

// S24: octets, with packets of different size and with probabilities that follow the size.
#[test]
fn estimates_of_octets_are_unbiased_for_equal_and_for_unequal_probabilities() {
    let sizes: Vec<u32> = (0..2_500_u32)
        .map(|number| match number.wrapping_mul(0x9E37_79B9) >> 24 {
            0..128 => 40,
            128..192 => 576,
            _ => 1500,
        })
        .collect();
    let truth = sizes.iter().map(|size| f64::from(*size)).sum::<f64>();
    let equal: Vec<Estimate> = (0..2_000)
        .map(|seed| {
            let mut sampler = probabilistic(0.12, seed);
            let mut totals = SampledTotals::new();
            sizes.iter().filter(|_| sampler.decide(at(0))).for_each(|size| totals.add(*size));
            totals.estimate_octets(0.12).unwrap()
        })
        .collect();
    judge("equal", truth, &equal);
    let unequal: Vec<Estimate> = (0..2_000_u64)
        .map(|seed| {
            let weight = |packet: &netflow_flowcache::ObservedPacket| f64::from(packet.octets) / 4_500.0;
            let mut sampler = NonUniform::new(weight, seed);
            let mut totals = HorvitzThompson::new();
            for size in &sizes {
                let mut packet = packet(0);
                packet.octets = *size;
                if sampler.select(&packet, at(0)) {
                    totals.add(f64::from(*size), sampler.last_probability());
                }
            }
            totals.estimate()
        })
        .collect();
    judge("unequal", truth, &unequal);
    // Which is what it is good for: less error with about as many packets.
    let error = |estimates: &[Estimate]| estimates.iter().map(|e| e.standard_error).sum::<f64>();
    let samples = |estimates: &[Estimate]| estimates.iter().map(|e| e.samples as f64).sum::<f64>();
    assert!(samples(&unequal) < 1.05 * samples(&equal) && error(&unequal) < 0.9 * error(&equal));
    assert_eq!(HorvitzThompson::new().estimate().value, 0.0);
}
