//! Any samplers in a row, offered any packets at any time: counters chain, what is described is what was asked for, and
//! the same seed selects the same packets; each method keeps its own promise.

use core::net::{IpAddr, Ipv4Addr};

use arbitrary::{Arbitrary, Unstructured};
use netflow_flowcache::{
    ObservedPacket, Timestamp,
    sample::{
        Announced, AnySampler, HashFilter, HashFunction, HashParameters, JunosParameters, PacketContent,
        Probability, Property, Sampler, Sampling, Secrets, SelectedRanges, SelectionSequence,
    },
};

/// What the fuzzer chooses.
#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    stages: Vec<Stage>,
    ranges: Vec<(u32, u32)>,
    probes: Vec<u32>,
    packets: Vec<Packet>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Stage {
    Unsampled,
    Count {
        interval: u32,
        space: u32,
    },
    SmallCount {
        interval: u8,
        space: u8,
    },
    Time {
        interval: u32,
        space: u32,
    },
    OutOf {
        size: u32,
        population: u32,
    },
    SmallOutOf {
        size: u8,
        population: u8,
    },
    Probability(f64),
    OneOver(u16),
    Junos {
        rate: u32,
        run_length: u8,
        limit: Option<u32>,
        systematic: bool,
    },
    SmallJunos {
        rate: u8,
        run_length: u8,
        limit: Option<u8>,
        systematic: bool,
    },
    Limit(u16),
    Match(Vec<Field>),
    Hash {
        function: u8,
        ranges: Vec<(u32, u32)>,
        offset: u16,
        size: u16,
        initialiser: Option<u32>,
        digest: bool,
    },
    Nested(Vec<Self>),
}

#[derive(Arbitrary, Clone, Debug)]
enum Field {
    Protocol(u8),
    SourcePort(u16),
    DestinationPort(u16),
    Octets(u8),
    Vlan(u16),
    TcpFlags(u16),
}

#[derive(Arbitrary, Debug)]
struct Packet {
    protocol: u8,
    port: u16,
    octets: u8,
    vlan: u16,
    later_nanos: u32,
    /// The clock goes there instead.
    clock: Option<u64>,
    content: Option<Vec<u8>>,
}

/// Makes samplers and packets from the input and runs them.
pub fn run(input: &[u8]) {
    if let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) {
        ranges(&input.ranges, &input.probes);
        let parts: Vec<Sampling> = input.stages.iter().filter_map(|stage| sampling(stage, 0)).collect();
        parts.iter().for_each(announcements);
        let whole = Sampling::Composite(parts.clone().into());
        announcements(&whole);
        let (parts, samplers): (Vec<Sampling>, Vec<AnySampler>) = parts
            .into_iter()
            .filter_map(|part| part.sampler(input.seed).ok().map(|sampler| (part, sampler)))
            .unzip();
        let Ok(sequence) = SelectionSequence::new(7, samplers) else { return };
        selection(sequence, &parts, &input.packets);
    }
}

fn sampling(stage: &Stage, depth: u8) -> Option<Sampling> {
    Some(match stage.clone() {
        Stage::Unsampled => Sampling::Unsampled,
        Stage::Count { interval, space } => Sampling::SystematicCount { interval, space },
        Stage::SmallCount { interval, space } => {
            Sampling::SystematicCount { interval: interval.into(), space: space.into() }
        }
        Stage::Time { interval, space } => Sampling::SystematicTime { interval, space },
        Stage::OutOf { size, population } => Sampling::RandomOutOf { size, population },
        Stage::SmallOutOf { size, population } => {
            Sampling::RandomOutOf { size: size.into(), population: population.into() }
        }
        Stage::Probability(value) => Sampling::Probabilistic(Probability::new(value).ok()?),
        Stage::OneOver(value) => {
            Sampling::Probabilistic(Probability::new(f64::from(value.max(1)).recip()).ok()?)
        }
        Stage::Junos { rate, run_length, limit, systematic } => junos(rate, run_length, limit, systematic),
        Stage::SmallJunos { rate, run_length, limit, systematic } => {
            junos(rate.into(), run_length % 22, limit.map(u32::from), systematic)
        }
        Stage::Limit(limit) => Sampling::PacketsPerSecond { limit: limit.into() },
        Stage::Match(fields) => {
            let property = |field: &Field| match *field {
                Field::Protocol(value) => Property::Protocol(value),
                Field::SourcePort(value) => Property::SourcePort(value),
                Field::DestinationPort(value) => Property::DestinationPort(value),
                Field::Octets(value) => Property::Octets(value.into()),
                Field::Vlan(value) => Property::Vlan(value),
                Field::TcpFlags(value) => Property::TcpFlags(value),
            };
            Sampling::PropertyMatch(fields.iter().map(property).collect())
        }
        Stage::Hash { function, ranges, offset, size, initialiser, digest } => {
            let function =
                [HashFunction::Bob, HashFunction::Ipsx, HashFunction::Crc][usize::from(function % 3)];
            let mut parameters = HashParameters::new(function, SelectedRanges::new(&ranges).ok()?);
            parameters.offset = offset % 2000;
            parameters.size = size % 2000;
            parameters.initialiser = initialiser;
            parameters.digest = digest;
            Sampling::Hash(parameters)
        }
        Stage::Nested(stages) if depth < 12 => {
            Sampling::Composite(stages.iter().filter_map(|stage| sampling(stage, depth + 1)).collect())
        }
        Stage::Nested(_) => return None,
    })
}

fn junos(rate: u32, run_length: u8, limit: Option<u32>, systematic: bool) -> Sampling {
    let mut parameters = JunosParameters::new(rate);
    parameters.run_length = run_length;
    parameters.max_packets_per_second = limit;
    parameters.systematic = systematic;
    Sampling::Junos(parameters)
}

/// Ranges select what is in one of them, and are refused exactly when they overlap.
fn ranges(pairs: &[(u32, u32)], probes: &[u32]) {
    let within = |(a, b): &(u32, u32), value: u32| (*a.min(b)..=*a.max(b)).contains(&value);
    let overlap = pairs.iter().enumerate().any(|(place, first)| {
        pairs[place + 1..].iter().any(|second| {
            within(first, second.0)
                || within(first, second.1)
                || within(second, first.0)
                || within(second, first.1)
        })
    });
    match SelectedRanges::new(pairs) {
        Ok(ranges) => {
            assert!(!pairs.is_empty() && !overlap);
            let bounds = pairs.iter().flat_map(|pair| [pair.0, pair.1]);
            for probe in probes.iter().copied().chain(bounds) {
                assert_eq!(ranges.contains(probe), pairs.iter().any(|pair| within(pair, probe)));
            }
            let (minima, maxima): (Vec<u32>, Vec<u32>) = ranges.as_slice().iter().rev().copied().unzip();
            assert_eq!(SelectedRanges::from_bounds(&minima, &maxima).as_ref(), Ok(&ranges));
        }
        Err(_) => assert!(pairs.is_empty() || overlap),
    }
}

fn announcements(sampling: &Sampling) {
    assert!(sampling.fraction().is_none_or(|fraction| (0.0..=1.0).contains(&fraction)), "{sampling:?}");
    if let Announced::Exactly(rate) | Announced::Rounded(rate) = sampling.v5() {
        assert!(rate.interval <= Sampling::V5_MAX_INTERVAL && matches!(rate.algorithm, 1 | 2));
        assert_eq!(sampling.v9().rate(), Some(rate), "v9 can tell what v5 can");
    }
    let told = sampling.v5_header_field().is_some();
    assert!(!told || sampling.one_in().is_some());
    let fields = sampling.parameters(Secrets::Keep);
    assert!(fields.iter().all(|field| field.element != 334));
    if let Some(algorithm) = sampling.selector_algorithm() {
        assert_eq!(
            fields.first().map(|field| (field.element, field.value.as_unsigned())),
            Some((304, Some(algorithm.into())))
        );
    }
    for field in sampling.parameters(Secrets::Tell) {
        let mut octets = Vec::new();
        field.value.write(&mut octets);
        assert_eq!(octets.len(), usize::from(field.value.field_length()));
    }
}

/// A composite of one is described as that one.
fn plain(sampling: &Sampling) -> Sampling {
    match sampling {
        Sampling::Composite(parts) if parts.len() == 1 => plain(&parts[0]),
        Sampling::Composite(parts) => Sampling::Composite(parts.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn selection(mut sequence: SelectionSequence, parts: &[Sampling], packets: &[Packet]) {
    for (selector, part) in sequence.selectors().iter().zip(parts) {
        assert_eq!(selector.describe(), plain(part));
    }
    let mut twin = sequence.clone();
    let mut now = 1_700_000_000_000_000_000_u64;
    for packet in packets {
        now = packet.clock.unwrap_or_else(|| now.saturating_add(packet.later_nanos.into()));
        let time = Timestamp::from_nanos(now);
        let observed = observed(packet);
        let content = packet.content.as_deref().and_then(PacketContent::parse);
        let decide = |sampler: &mut SelectionSequence| match &content {
            Some(content) => sampler.select_with(&observed, content, time),
            None => sampler.select(&observed, time),
        };
        let selected = decide(&mut sequence);
        assert_eq!(selected, decide(&mut twin));
        if let Some(content) = &content {
            hashes(content);
        }
    }
    let mut before = packets.len() as u64;
    for (selector, part) in sequence.selectors().iter().zip(parts) {
        let statistics = selector.statistics();
        assert_eq!(statistics.observed, before);
        assert!(statistics.selected <= statistics.observed);
        let sampler = selector.sampler();
        assert!(
            sampler.unavailable() + sampler.dropped() + statistics.selected <= statistics.observed
                || matches!(part, Sampling::Composite(_))
        );
        promise(part, statistics.observed, statistics.selected);
        before = statistics.selected;
    }
    assert_eq!(sequence.statistics().selected, before);
    assert_eq!(sequence.statistics_report().fields.len(), 2 * parts.len());
}

/// What must have been selected of so many packets, whatever chance did.
fn promise(sampling: &Sampling, observed: u64, selected: u64) {
    let none = matches!(
        *sampling,
        Sampling::Probabilistic(Probability::ZERO)
            | Sampling::PacketsPerSecond { limit: 0 }
            | Sampling::Junos(JunosParameters { max_packets_per_second: Some(0), .. })
    );
    let all = matches!(
        *sampling,
        Sampling::Unsampled
            | Sampling::Probabilistic(Probability::ONE)
            | Sampling::Junos(JunosParameters { rate: 1, max_packets_per_second: None, .. })
    );
    assert!(!none || selected == 0);
    assert!(!all || selected == observed);
    match *sampling {
        Sampling::SystematicCount { interval, space } => {
            // A phase that is not known: any stretch of so many packets.
            let period = u64::from(interval) + u64::from(space);
            let (whole, rest) = (observed / period, observed % period);
            let least = whole * u64::from(interval);
            assert!(selected >= least && selected - least <= rest.min(interval.into()));
        }
        Sampling::RandomOutOf { size, population } => {
            let (whole, rest) = (observed / u64::from(population), observed % u64::from(population));
            let least = whole * u64::from(size);
            assert!(selected >= least && selected - least <= rest.min(size.into()));
        }
        _ => {}
    }
}

/// Every function hashes every packet that it can, always the same.
fn hashes(content: &PacketContent<'_>) {
    for function in [HashFunction::Bob, HashFunction::Ipsx, HashFunction::Crc] {
        let ranges = SelectedRanges::new(&[(0, function.output_maximum())]).expect("one range");
        let filter = HashFilter::new(HashParameters::new(function, ranges)).expect("the defaults are sound");
        let hash = filter.hash(content);
        assert_eq!(hash.is_some(), content.is_ipv4() || function != HashFunction::Ipsx);
        assert_eq!(hash, filter.hash(content));
        assert!(hash.is_none_or(|hash| hash <= function.output_maximum()));
    }
}

fn observed(packet: &Packet) -> ObservedPacket {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut observed = ObservedPacket::new(address, address, packet.protocol, packet.octets.into());
    observed.source_port = packet.port;
    observed.destination_port = packet.port;
    observed.vlan = packet.vlan;
    observed.tcp_flags = packet.port & 0x1FF;
    observed
}
