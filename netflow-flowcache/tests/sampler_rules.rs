//! Which packets samplers select: rules that hold exactly.
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

use core::time::Duration;

use common::{at, packet, packet_v6};
use netflow_flowcache::{
    Fragment, ObservedPacket, Timestamp,
    sample::{
        AnySampler, Chain, HashFunction, HashParameters, IndependentSampler, Junos, JunosParameters,
        NonUniform, PacketsPerSecond, Probabilistic, Probability, Property, PropertyMatch, RandomOneInN,
        RandomOutOf, Sampler, SamplerError, SamplerSeed, Sampling, Secrets, SelectedRanges,
        SelectionSequence, Selector, SystematicCount, SystematicTime, Unsampled,
    },
};
use proptest::prelude::*;

/// The positions selected of so many packets, one a microsecond.
fn picks(sampler: &mut impl Sampler, packets: u32) -> Vec<u32> {
    let time = |number: u32| at(0).saturating_add(Duration::from_micros(number.into()));
    (0..packets).filter(|number| sampler.select(&packet(*number), time(*number))).collect()
}

// S2 (ST3): an interval has its first nanosecond and not its last.
#[test]
fn time_intervals_begin_and_end_at_the_nanosecond() {
    let start = at(0);
    let after = |micros: u64, nanos: i64| {
        Timestamp::from_nanos((start.as_nanos() + micros * 1000).checked_add_signed(nanos).unwrap())
    };
    let new = || SystematicTime::new(100, 900).unwrap().starting_at(start);
    for (time, selected) in [
        (after(0, 0), true),
        (after(100, -1), true),
        (after(100, 0), false),
        (after(1000, -1), false),
        (after(1000, 0), true),
        (after(1100, -1), true),
        (after(1100, 0), false),
        // Forward over several intervals at once.
        (after(1_000_000, 0), true),
        (after(1_000_100, -1), true),
        (after(1_000_100, 0), false),
    ] {
        // By itself, and after all that came before.
        assert_eq!(new().select(&packet(0), time), selected, "{time:?}");
    }
    let mut sampler = new();
    let mut reference = |micros: u64, nanos: i64| sampler.select(&packet(0), after(micros, nanos));
    assert!(reference(0, 0) && reference(100, -1) && !reference(100, 0) && !reference(1000, -1));
    assert!(reference(1000, 0) && !reference(5_100, 0) && reference(1_000_050, 0));
    // Back a little or a lot: the grid stays where it was.
    assert!(!reference(999_900, 0) && reference(99, 0) && !reference(101, 0));
}

// S2 (ST3), S28
#[test]
fn a_clock_that_goes_back_behind_the_start_begins_anew() {
    let mut sampler = SystematicTime::new(10, 90).unwrap();
    let micros = |micros: u64| Timestamp::from_nanos(micros * 1000);
    assert!(sampler.select(&packet(0), micros(1_000)));
    assert!(!sampler.select(&packet(0), micros(1_010)));
    assert!(sampler.select(&packet(0), micros(505)));
    assert!(sampler.select(&packet(0), micros(514)));
    assert!(!sampler.select(&packet(0), micros(515)));
    // The ends of time.
    assert!(sampler.select(&packet(0), Timestamp::ZERO));
    for time in [Timestamp::MAX, Timestamp::ZERO, Timestamp::MAX] {
        let _ = sampler.select(&packet(0), time);
    }
    let mut widest = SystematicTime::new(u32::MAX, u32::MAX).unwrap();
    assert!(widest.select(&packet(0), Timestamp::MAX));
    assert!(widest.select(&packet(0), Timestamp::ZERO));
    assert!(!widest.select(&packet(0), Timestamp::from_secs(4_295)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    // S2: whatever the times and their order, as long as none is before the start.
    #[test]
    fn time_based_sampling_follows_the_formula(
        interval in 1..2000_u32,
        space in 0..2000_u32,
        times in prop::collection::vec(0..100_000_000_u64, 1..100),
    ) {
        let start = at(0);
        let mut sampler = SystematicTime::new(interval, space).unwrap().starting_at(start);
        for nanos in times {
            let expected = nanos % (u64::from(interval + space) * 1000) < u64::from(interval) * 1000;
            let time = start.saturating_add(Duration::from_nanos(nanos));
            prop_assert_eq!(sampler.select(&packet(0), time), expected);
        }
    }

    // S3 (ST4)
    #[test]
    fn every_full_population_has_its_sample(n in 1..40_u32, more in 0..60_u32, seed in any::<u64>()) {
        let population = n + more;
        let picks = picks(&mut RandomOutOf::new(n, population, seed).unwrap(), population * 20);
        for block in 0..20 {
            let inside = picks.iter().filter(|pick| **pick / population == block).count();
            prop_assert_eq!(inside, n as usize);
        }
    }

    // S28: nothing panics, whatever the parameters; what is refused is refused by both ways to make a sampler.
    #[test]
    fn any_parameters_make_a_sampler_or_an_error(
        a in edge(), b in edge(), value in any::<f64>(), run_length in any::<u8>(), limit in proptest::option::of(edge()),
        systematic in any::<bool>(), seed in any::<u64>(), times in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        let mut junos = JunosParameters::new(a);
        junos.run_length = run_length;
        junos.max_packets_per_second = limit;
        junos.systematic = systematic;
        let mut all = vec![
            Sampling::Unsampled,
            Sampling::SystematicCount { interval: a, space: b },
            Sampling::SystematicTime { interval: a, space: b },
            Sampling::RandomOutOf { size: a, population: b },
            Sampling::RandomOutOf { size: 1, population: b },
            Sampling::Junos(junos),
            Sampling::PacketsPerSecond { limit: a },
        ];
        all.extend(Probability::new(value).ok().map(Sampling::Probabilistic));
        all.push(Sampling::Composite(all.clone().into()));
        for sampling in all {
            let fraction = sampling.fraction();
            prop_assert!(fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction)), "{:?} {:?}", sampling, fraction);
            let _ = (sampling.v5(), sampling.v9(), sampling.parameters(Secrets::default()), sampling.v9_sampler(1, "a"));
            let Ok(mut sampler) = sampling.sampler(seed) else { continue };
            prop_assert_eq!(sampler.describe(), sampling);
            for time in &times {
                sampler.select(&packet(1), Timestamp::from_nanos(*time));
            }
        }
    }
}

fn edge() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, any::<u32>(), (u32::MAX - 3)..=u32::MAX, Just(16_000_000), Just(65_535)]
}

// S21 (ST17): a rate of 1 selects everything; runs have 1 + run length packets, whatever triggers them.
#[test]
fn junos_runs_are_as_long_as_told() {
    for systematic in [false, true] {
        let mut parameters = JunosParameters::new(1);
        parameters.systematic = systematic;
        assert_eq!(picks(&mut Junos::new(parameters, 1).unwrap(), 1000).len(), 1000);

        let mut parameters = JunosParameters::new(100);
        parameters.run_length = 20;
        parameters.systematic = systematic;
        let packets = 100_000;
        let picks = picks(&mut Junos::new(parameters, 7).unwrap(), packets);
        let runs: Vec<Vec<u32>> = runs(&picks);
        assert!(runs.len() > 500);
        for run in &runs {
            // Two runs may touch where chance triggers the second at once.
            let whole = run.len() % 21 == 0 || run.last() == Some(&(packets - 1));
            assert!(whole && (!systematic || run.len() <= 21), "{run:?}");
        }
        if systematic {
            // The cycle is the rate and the rest of the run.
            assert!(runs.windows(2).all(|pair| pair[1][0] - pair[0][0] == 120));
        }
    }
}

fn runs(picks: &[u32]) -> Vec<Vec<u32>> {
    let mut runs: Vec<Vec<u32>> = Vec::new();
    for pick in picks {
        match runs.last_mut() {
            Some(run) if run.last() == Some(&(pick - 1)) => run.push(*pick),
            _ => runs.push(vec![*pick]),
        }
    }
    runs
}

// S21 (ST17): the limit holds in every second, and what it drops is counted.
#[test]
fn junos_drops_and_counts_what_is_beyond_the_limit() {
    let mut parameters = JunosParameters::new(2);
    parameters.max_packets_per_second = Some(0);
    let mut sampler = Junos::new(parameters, 1).unwrap();
    assert!(picks(&mut sampler, 10_000).is_empty());
    // Half of 10,000, within 4.89 deviations of 50.
    assert!(sampler.dropped().abs_diff(5_000) < 245, "{}", sampler.dropped());

    for limit in [1, 7, 1000] {
        parameters.max_packets_per_second = Some(limit);
        let mut limited = Junos::new(parameters, 9).unwrap();
        parameters.max_packets_per_second = None;
        let mut unlimited = Junos::new(parameters, 9).unwrap();
        let mut in_second = [0; 11];
        let mut all = 0;
        for number in 0..20_000_u64 {
            // 2,000 packets a second, then a silence of some seconds.
            let time =
                at(0).saturating_add(Duration::from_micros(number * 500 + number / 10_000 * 1_000_000));
            all += u64::from(unlimited.select(&packet(0), time));
            if limited.select(&packet(0), time) {
                in_second[time.saturating_since(at(0)).as_secs() as usize] += 1;
            }
        }
        assert!(in_second.iter().all(|count| *count <= limit), "{in_second:?}");
        let selected: u32 = in_second.iter().sum();
        assert_eq!(u64::from(selected) + limited.dropped(), all);
        assert!(limit == 1000 || in_second.iter().filter(|count| **count == limit).count() >= 10);
    }
}

// S21, S28: a clock that jumps neither lets more through nor blocks for longer than a second.
#[test]
fn limits_survive_any_clock() {
    let mut limit = PacketsPerSecond::new(2);
    let mut passes = |time| limit.decide(time);
    assert!(passes(at(100)) && passes(at(100)) && !passes(at(100)));
    assert!(!passes(at(50)), "back: no more in addition");
    assert!(passes(at(51)) && passes(at(51)) && !passes(at(51)));
    assert!(passes(at(1_000_000)));
    assert!(!passes(Timestamp::ZERO) || !passes(Timestamp::ZERO));
    assert!(passes(Timestamp::MAX) && passes(Timestamp::MAX) && !passes(Timestamp::MAX));
    assert_eq!(limit.dropped(), 5);
}

#[test]
fn parameters_of_junos_are_those_it_takes() {
    let new = |rate, run_length, limit| {
        let mut parameters = JunosParameters::new(rate);
        parameters.run_length = run_length;
        parameters.max_packets_per_second = limit;
        Junos::new(parameters, 1).map(|_| ())
    };
    // S21, S28
    assert_eq!(new(0, 0, None), Err(SamplerError::SelectsNothing));
    assert_eq!(new(16_000_001, 0, None), Err(SamplerError::RateTooLarge));
    assert_eq!(new(10, 21, None), Err(SamplerError::RunLengthTooLarge));
    assert_eq!(new(10, 20, Some(65_536)), Err(SamplerError::PacketRateTooLarge));
    assert_eq!(new(16_000_000, 20, Some(65_535)), Ok(()));
}

fn dns() -> ObservedPacket {
    let mut packet = packet(1);
    packet.protocol = 17;
    packet.source_port = 40_000;
    packet.destination_port = 53;
    packet.ingress_interface = 3;
    packet
}

// S14 (ST15): all of them, in whatever order; what a packet does not tell is not found, and yet observed.
#[test]
fn properties_have_to_match_all_in_any_order() {
    let wanted = [Property::Protocol(17), Property::DestinationPort(53), Property::IngressInterface(3)];
    let packets: Vec<ObservedPacket> = (0..8)
        .map(|bits| {
            let mut packet = dns();
            packet.protocol = if bits & 1 == 0 { 17 } else { 6 };
            packet.destination_port = if bits & 2 == 0 { 53 } else { 54 };
            packet.ingress_interface = if bits & 4 == 0 { 3 } else { 4 };
            packet
        })
        .collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut filter = PropertyMatch::new(&order.map(|place| wanted[place])).unwrap();
        let selected: Vec<bool> = packets.iter().map(|packet| filter.select(packet, at(0))).collect();
        assert_eq!(selected, [true, false, false, false, false, false, false, false]);
        assert_eq!(filter.unavailable(), 0);
    }
}

// S14
#[test]
fn encrypted_packets_are_observed_and_not_selected() {
    let filter = PropertyMatch::new(&[Property::DestinationPort(0)]).unwrap();
    let mut selector = Selector::new(1, filter);
    let mut esp = dns();
    esp.protocol = 50;
    esp.destination_port = 0;
    let mut later = dns();
    later.fragment = Fragment::Later;
    later.destination_port = 0;
    for packet in [esp, later] {
        assert!(!selector.select(&packet, at(0)));
    }
    let mut plain = dns();
    plain.destination_port = 0;
    assert!(selector.select(&plain, at(0)));
    assert_eq!((selector.statistics().observed, selector.statistics().selected), (3, 1));
    assert_eq!(selector.sampler().unavailable(), 2);
}

// S14: every property finds its packet, not another one, and 0 where 0 is "not present" finds nothing.
#[test]
fn each_property_matches_what_it_says() {
    let mut full = dns();
    full.protocol = 6;
    full.tos = 0xB8;
    full.ttl = 63;
    full.tcp_flags = 0x12;
    full.egress_interface = 9;
    full.vlan = 100;
    full.inner_vlan = 200;
    full.source_mac = [2, 0, 0, 0, 0, 1];
    full.destination_mac = [2, 0, 0, 0, 0, 2];
    let mut v6 = packet_v6(5);
    v6.ipv6_flow_label = 77;
    v6.protocol = 58;
    v6.destination_port = 0x8700;
    let mut icmp = packet(1);
    icmp.protocol = 1;
    icmp.destination_port = 0x0800;
    let other = {
        let mut packet = packet(99);
        packet.protocol = 6;
        packet.destination_port = 1;
        packet.octets = 1;
        packet
    };
    let other_v6 = packet_v6(6);
    let cases = [
        (Property::IpVersion(4), full, other_v6),
        (Property::Source(full.source), full, other),
        (Property::Destination("192.0.2.1".parse().unwrap()), full, v6),
        (Property::Source(v6.source), v6, other_v6),
        (Property::Destination(v6.destination), v6, other),
        (Property::Protocol(6), full, icmp),
        (Property::Tos(0xB8), full, other),
        (Property::Ttl(63), full, other),
        (Property::Octets(100), full, other),
        (Property::Ipv6FlowLabel(77), v6, other_v6),
        (Property::SourcePort(40_000), full, other),
        (Property::DestinationPort(53), full, other),
        (Property::TcpFlags(0x12), full, other),
        (Property::IcmpTypeCode(0x0800), icmp, v6),
        (Property::Icmpv6TypeCode(0x8700), v6, icmp),
        (Property::IngressInterface(3), full, other),
        (Property::EgressInterface(9), full, other),
        (Property::Vlan(100), full, other),
        (Property::InnerVlan(200), full, other),
        (Property::SourceMac([2, 0, 0, 0, 0, 1]), full, other),
        (Property::DestinationMac([2, 0, 0, 0, 0, 2]), full, other),
    ];
    for (property, yes, no) in cases {
        let mut filter = PropertyMatch::new(&[property]).unwrap();
        assert!(filter.select(&yes, at(0)), "{property:?}");
        assert!(!filter.select(&no, at(0)), "{property:?}");
    }
    let elements: std::collections::BTreeSet<u16> =
        cases.iter().map(|(property, ..)| property.element()).collect();
    assert_eq!(elements.len(), cases.len());
    for absent in [
        Property::Vlan(0),
        Property::InnerVlan(0),
        Property::IngressInterface(0),
        Property::EgressInterface(0),
        Property::SourceMac([0; 6]),
        Property::DestinationMac([0; 6]),
        Property::Ipv6FlowLabel(0),
        Property::TcpFlags(0),
    ] {
        let mut udp = packet(1);
        udp.protocol = 17;
        assert!(!PropertyMatch::new(&[absent]).unwrap().select(&udp, at(0)), "{absent:?}");
    }
}

fn sequence(id: u64, parts: &[Sampling]) -> SelectionSequence {
    SelectionSequence::new(id, parts.iter().map(|part| part.sampler(5).unwrap())).unwrap()
}

// S15 (ST16): the order is kept, counters chain, and the other order selects other packets.
#[test]
fn sequences_keep_their_order_and_count_at_each_step() {
    let filter = Sampling::PropertyMatch([Property::Protocol(17)].into());
    let tenth = Sampling::SystematicCount { interval: 1, space: 9 };
    let run = |parts: [Sampling; 2]| {
        let mut sequence = sequence(1, &parts);
        assert_eq!(sequence.describe(), Sampling::Composite(parts.into()));
        let picks: Vec<u32> = (0..10_000)
            .filter(|number| {
                let mut packet = packet(*number);
                packet.protocol = if number % 4 == 0 { 17 } else { 6 };
                sequence.select(&packet, at(0))
            })
            .collect();
        let counts: Vec<(u64, u64)> = sequence
            .selectors()
            .iter()
            .map(|selector| (selector.statistics().observed, selector.statistics().selected))
            .collect();
        assert_eq!(counts[0].0, 10_000);
        assert_eq!(counts[1].0, counts[0].1);
        assert_eq!(counts[1].1, picks.len() as u64);
        let whole = sequence.statistics();
        assert_eq!((whole.observed, whole.selected), (10_000, picks.len() as u64));
        (counts, picks)
    };
    let (filter_first, filtered) = run([filter.clone(), tenth.clone()]);
    let (sampler_first, sampled) = run([tenth, filter]);
    assert_eq!(filter_first, [(10_000, 2_500), (2_500, 250)]);
    assert_eq!(sampler_first[0], (10_000, 1_000));
    assert_ne!(filtered, sampled);
    assert!(filtered.iter().chain(&sampled).all(|pick| pick % 4 == 0));
}

// S15
#[test]
fn chains_known_at_compile_time_do_the_same() {
    let new = || (SystematicCount::new(1, 3, 0).unwrap(), SystematicCount::new(1, 4, 2).unwrap());
    let (first, second) = new();
    let mut chain = Chain::new(Selector::new(1, first), Selector::new(2, second));
    let mut sequence =
        SelectionSequence::new(1, [AnySampler::from(new().0), AnySampler::from(new().1)]).unwrap();
    assert_eq!(picks(&mut chain, 1000), picks(&mut sequence, 1000));
    let (first, second) = chain.parts();
    assert_eq!((first.statistics().observed, first.statistics().selected), (1000, 250));
    assert_eq!((second.statistics().observed, second.statistics().selected), (250, 50));
    assert_eq!(chain.describe(), sequence.describe());
    assert!(!chain.needs_content());
}

// S16
#[test]
fn one_selector_in_two_sequences_has_two_states_and_two_statistics() {
    let shared = Sampling::SystematicCount { interval: 1, space: 9 };
    let mut first = sequence(1, core::slice::from_ref(&shared));
    let mut second = sequence(2, &[Sampling::SystematicCount { interval: 1, space: 1 }, shared]);
    let alone = picks(&mut first.clone(), 100);
    let mut together = Vec::new();
    for number in 0..100 {
        if first.select(&packet(number), at(0)) {
            together.push(number);
        }
        for _ in 0..3 {
            second.select(&packet(number), at(0));
        }
    }
    assert_eq!(alone, together, "the other sequence does not move this one's state");
    assert_eq!(first.statistics().observed, 100);
    assert_eq!(second.statistics().observed, 300);
    assert_eq!(second.selectors()[1].statistics().observed, 150);
    assert_eq!(second.selectors()[1].statistics().selected, 15);
}

// S27: the same seed, the same picks; two defaults, different picks.
#[test]
fn seeds_repeat_and_defaults_differ() {
    let all = [
        Sampling::RandomOutOf { size: 1, population: 50 },
        Sampling::RandomOutOf { size: 3, population: 50 },
        Sampling::Probabilistic(Probability::new(0.02).unwrap()),
        Sampling::Probabilistic(Probability::new(0.4).unwrap()),
        Sampling::Junos(JunosParameters::new(50)),
    ];
    for sampling in all {
        let run = |seed: SamplerSeed| picks(&mut sampling.sampler(seed).unwrap(), 10_000);
        assert_eq!(run(1.into()), run(1.into()));
        assert_ne!(run(1.into()), run(2.into()));
        #[cfg(feature = "std")]
        assert_ne!(run(SamplerSeed::random()), run(SamplerSeed::random()));
    }
    let systematic = Sampling::SystematicCount { interval: 2, space: 98 };
    let phases: std::collections::BTreeSet<u32> =
        (0..1000_u64).map(|seed| picks(&mut systematic.sampler(seed).unwrap(), 100)[0]).collect();
    assert!(phases.len() > 90, "{}", phases.len());
}

// S28
#[test]
fn degenerate_parameters_are_refused_with_the_reason() {
    let refused = |sampling: Sampling| sampling.sampler(1).map(|_| ()).unwrap_err();
    let parameters =
        |function, ranges: &[(u32, u32)]| HashParameters::new(function, SelectedRanges::new(ranges).unwrap());
    for (sampling, error) in [
        (Sampling::SystematicCount { interval: 0, space: 5 }, SamplerError::SelectsNothing),
        (Sampling::SystematicTime { interval: 0, space: 5 }, SamplerError::SelectsNothing),
        (Sampling::RandomOutOf { size: 0, population: 5 }, SamplerError::SelectsNothing),
        (Sampling::RandomOutOf { size: 6, population: 5 }, SamplerError::SampleAbovePopulation),
        (Sampling::RandomOutOf { size: 1, population: 0 }, SamplerError::SelectsNothing),
        (Sampling::RandomOutOf { size: 0, population: 0 }, SamplerError::SelectsNothing),
        (Sampling::Junos(JunosParameters::new(0)), SamplerError::SelectsNothing),
        (Sampling::NonUniform, SamplerError::Incomplete),
        (Sampling::PropertyMatch([].into()), SamplerError::NoProperty),
        (
            Sampling::PropertyMatch([Property::Protocol(6), Property::Protocol(17)].into()),
            SamplerError::RepeatedProperty,
        ),
        (Sampling::Hash(parameters(HashFunction::Ipsx, &[(0, 65_536)])), SamplerError::RangeOutOfBounds),
        (Sampling::Composite([].into()), SamplerError::NoSelector),
    ] {
        assert_eq!(refused(sampling.clone()), error, "{sampling:?}");
        assert!(!error.to_string().is_empty());
    }
    let mut digest = parameters(HashFunction::Ipsx, &[(0, 1)]);
    digest.digest = true;
    assert_eq!(refused(Sampling::Hash(digest)), SamplerError::NoDigest);
    let mut far = parameters(HashFunction::Bob, &[(0, 1)]);
    far.offset = 1501;
    assert_eq!(refused(Sampling::Hash(far)), SamplerError::PayloadSection);
    let nested = (0..20).fold(Sampling::Unsampled, |inner, _| Sampling::Composite([inner].into()));
    assert_eq!(refused(nested), SamplerError::TooDeep);
}

// S28
#[test]
fn degenerate_parameters_that_mean_something_do_that() {
    let all = |sampling: Sampling| picks(&mut sampling.sampler(3).unwrap(), 1000).len();
    assert_eq!(all(Sampling::RandomOutOf { size: 1, population: 1 }), 1000);
    assert_eq!(all(Sampling::RandomOutOf { size: 7, population: 7 }), 1000);
    assert_eq!(all(Sampling::SystematicCount { interval: 3, space: 0 }), 1000);
    assert_eq!(all(Sampling::SystematicTime { interval: 3, space: 0 }), 1000);
    assert_eq!(all(Sampling::Probabilistic(Probability::ONE)), 1000);
    assert_eq!(all(Sampling::Probabilistic(Probability::ZERO)), 0);
    assert_eq!(all(Sampling::PacketsPerSecond { limit: 0 }), 0);
    assert_eq!(picks(&mut Unsampled::new(), 1000).len(), 1000);
    let tiny = Probability::new(0.5_f64.powi(64)).unwrap();
    assert!(picks(&mut Probabilistic::new(tiny, 3), 1000).is_empty());
    let largest = RandomOutOf::new(u32::MAX, u32::MAX, 1);
    assert_eq!(picks(&mut largest.unwrap(), 1000).len(), 1000);
    assert!(picks(&mut RandomOneInN::new(u32::MAX, 1).unwrap(), 1000).len() <= 1);
    for (value, selected) in [(f64::NAN, 0), (-1.0, 0), (2.0, 1000), (f64::INFINITY, 1000)] {
        assert_eq!(picks(&mut NonUniform::new(move |_: &ObservedPacket| value, 1), 1000).len(), selected);
    }
}

// S6: by type, the samplers of these methods do not get to see a packet.
#[test]
fn sampling_takes_no_notice_of_packets() {
    fn same<S: IndependentSampler + Clone>(sampler: &S) {
        let (mut with, mut without) = (sampler.clone(), sampler.clone());
        for number in 0..5_000_u32 {
            let time = at(0).saturating_add(Duration::from_micros(number.into()));
            let mut packet = packet(number * 77);
            packet.octets = number;
            assert_eq!(with.select(&packet, time), without.decide(time));
        }
    }
    same(&SystematicCount::new(2, 5, 1).unwrap());
    same(&SystematicTime::new(20, 50).unwrap());
    same(&RandomOneInN::new(10, 1).unwrap());
    same(&RandomOutOf::new(3, 10, 1).unwrap());
    same(&Probabilistic::new(Probability::new(0.01).unwrap(), 1));
    same(&Probabilistic::new(Probability::new(0.3).unwrap(), 1));
    same(&Junos::new(JunosParameters::new(10), 1).unwrap());
}
