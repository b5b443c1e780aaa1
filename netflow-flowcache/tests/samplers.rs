//! Which packets samplers select.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs
)]

mod common;

use common::packet;
use netflow_flowcache::{
    Timestamp,
    sample::{RandomOneInN, Sampler, SamplerError, Sampling, SystematicCount, Unsampled},
};
use proptest::prelude::*;

/// The positions selected of so many packets.
fn picks(sampler: &mut impl Sampler, packets: u32) -> Vec<u32> {
    (0..packets).filter(|number| sampler.select(&packet(*number), Timestamp::ZERO)).collect()
}

fn gaps(picks: &[u32]) -> Vec<f64> {
    picks.windows(2).map(|pair| f64::from(pair[1] - pair[0])).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

// S1 (ST1)
#[test]
fn systematic_sampling_selects_by_the_formula_at_every_phase() {
    for (interval, space) in [(1, 0), (1, 1), (1, 9), (2, 3), (3, 1), (5, 0)] {
        let period = interval + space;
        for phase in 0..period {
            let mut sampler = SystematicCount::new(interval, space, phase.into()).unwrap();
            let packets = 10 * period + period / 2;
            let expected: Vec<u32> = (0..packets).filter(|k| (k + phase) % period < interval).collect();
            assert_eq!(picks(&mut sampler, packets), expected, "{interval}, {space}, {phase}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    // S1 (ST2)
    #[test]
    fn systematic_sampling_selects_the_interval_of_every_window(
        interval in 1..50_u32,
        space in 0..50_u32,
        phase in 0..1000_u64,
    ) {
        let period = interval + space;
        let mut sampler = SystematicCount::new(interval, space, phase % u64::from(period)).unwrap();
        let selected: Vec<bool> =
            (0..period * 4).map(|_| sampler.select(&packet(0), Timestamp::ZERO)).collect();
        for window in selected.windows(period as usize) {
            prop_assert_eq!(window.iter().filter(|selected| **selected).count(), interval as usize);
        }
    }

    // S4: exactly one of each window.
    #[test]
    fn random_sampling_selects_one_of_every_window(n in 1..200_u32, seed in any::<u64>()) {
        let picks = picks(&mut RandomOneInN::new(n, seed).unwrap(), n * 20);
        let windows: Vec<u32> = picks.iter().map(|pick| pick / n).collect();
        prop_assert_eq!(windows, (0..20).collect::<Vec<u32>>());
    }
}

// S4 (ST6)
#[test]
fn gaps_of_random_sampling_are_within_bounds_and_of_the_right_mean() {
    let n = 64;
    let gaps = gaps(&picks(&mut RandomOneInN::new(n, 20_261_123).unwrap(), 1_000_000));
    assert!(gaps.iter().all(|gap| (1.0..=127.0).contains(gap)));
    assert!(gaps.iter().any(|gap| *gap < 8.0) && gaps.iter().any(|gap| *gap > 120.0));
    let deviation = (f64::from(n * n - 1) / 6.0).sqrt();
    let limit = 4.89 * deviation / (gaps.len() as f64).sqrt();
    assert!((mean(&gaps) - f64::from(n)).abs() < limit, "{}", mean(&gaps));
}

/// Chi-square of the positions within the windows of `n` against the even distribution, as a normal deviate.
fn unevenness(picks: &[u32], n: u32) -> f64 {
    let mut cells = vec![0.0; n as usize];
    for pick in picks {
        cells[(pick % n) as usize] += 1.0;
    }
    let expected = picks.len() as f64 / f64::from(n);
    assert!(expected >= 50.0);
    let chi: f64 = cells.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum();
    // The cube root of chi-square over its degrees of freedom is close to normal (Wilson and Hilferty).
    let freedom = f64::from(n - 1);
    ((chi / freedom).cbrt() - (1.0 - 2.0 / (9.0 * freedom))) / (2.0 / (9.0 * freedom)).sqrt()
}

// ST5 and ST9 for n = 1, S7 (ST11: the test finds what is not random)
#[test]
fn every_position_is_equally_likely_and_does_not_follow_from_the_last() {
    let n = 64;
    let selected = picks(&mut RandomOneInN::new(n, 7).unwrap(), 1_000_000);
    assert!(unevenness(&selected, n).abs() < 4.89);
    assert!(unevenness(&picks(&mut SystematicCount::one_in(n, 7).unwrap(), 1_000_000), n) > 100.0);

    let positions: Vec<f64> = selected.iter().map(|pick| f64::from(pick % n)).collect();
    let mean = mean(&positions);
    let covariance: f64 = positions.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let variance: f64 = positions.iter().map(|position| (position - mean).powi(2)).sum();
    assert!((covariance / variance).abs() * (positions.len() as f64).sqrt() < 4.89);
}

// S6
#[test]
fn decisions_do_not_depend_on_the_packet() {
    let numbers = |sampler: &mut dyn Sampler, flip: bool| -> Vec<bool> {
        (0..10_000)
            .map(|number| {
                let mut packet = packet(if flip { 77 } else { number });
                packet.octets = if flip { 1500 } else { number };
                sampler.select(&packet, Timestamp::from_secs(u64::from(number) * u64::from(flip)))
            })
            .collect()
    };
    let random = || RandomOneInN::new(10, 3).unwrap();
    let systematic = || SystematicCount::one_in(10, 3).unwrap();
    assert_eq!(numbers(&mut random(), false), numbers(&mut random(), true));
    assert_eq!(numbers(&mut systematic(), false), numbers(&mut systematic(), true));
}

// Traffic with the period of a systematic sampler is seen wholly or not at all; at random, about its share.
#[test]
fn random_sampling_does_not_fall_into_step_with_periodic_traffic() {
    let every_hundredth = |picks: Vec<u32>| picks.iter().filter(|pick| *pick % 100 == 0).count();
    let systematic = every_hundredth(picks(&mut SystematicCount::one_in(100, 5).unwrap(), 1_000_000));
    assert!(systematic == 0 || systematic == 10_000);
    let random = every_hundredth(picks(&mut RandomOneInN::new(100, 5).unwrap(), 1_000_000));
    assert!((60..150).contains(&random), "{random}");
}

#[test]
fn seeds_decide_and_repeat() {
    let run = |seed| picks(&mut RandomOneInN::new(50, seed).unwrap(), 10_000);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let phases: std::collections::BTreeSet<u32> =
        (0..200).map(|seed| picks(&mut SystematicCount::one_in(10, seed).unwrap(), 10)[0]).collect();
    assert_eq!(phases.len(), 10);
}

// S28
#[test]
fn degenerate_parameters_are_refused_or_select_everything() {
    assert_eq!(RandomOneInN::new(0, 1).unwrap_err(), SamplerError::SelectsNothing);
    assert_eq!(SystematicCount::one_in(0, 1).unwrap_err(), SamplerError::SelectsNothing);
    assert_eq!(SystematicCount::new(0, 5, 0).unwrap_err(), SamplerError::SelectsNothing);
    assert_eq!(SystematicCount::new(2, 3, 5).unwrap_err(), SamplerError::PhaseOutOfRange);
    assert!(SystematicCount::new(2, 3, 4).is_ok());
    assert_eq!(picks(&mut RandomOneInN::new(1, 1).unwrap(), 100).len(), 100);
    assert_eq!(picks(&mut SystematicCount::one_in(1, 1).unwrap(), 100).len(), 100);
    assert_eq!(picks(&mut SystematicCount::new(7, 0, 3).unwrap(), 100).len(), 100);
    assert_eq!(picks(&mut Unsampled::new(), 100).len(), 100);
    // The largest parameters neither overflow nor select more than they should.
    let mut largest = SystematicCount::new(1, u32::MAX, u64::from(u32::MAX)).unwrap();
    assert_eq!(picks(&mut largest, 100), [1]);
    assert!(picks(&mut RandomOneInN::new(u32::MAX, 1).unwrap(), 100).len() <= 1);
}

#[test]
fn samplers_describe_themselves() {
    let systematic = Sampling::SystematicCount { interval: 1, space: 99 };
    assert_eq!(SystematicCount::one_in(100, 1).unwrap().describe(), systematic);
    let random = Sampling::RandomOutOf { size: 1, population: 100 };
    assert_eq!(RandomOneInN::new(100, 1).unwrap().describe(), random);
    assert_eq!(Unsampled::new().describe(), Sampling::Unsampled);
}
