//! What a sampler costs a packet.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use core::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netflow_flowcache::{
    ObservedPacket, Timestamp,
    sample::{
        HashFunction, HashParameters, JunosParameters, PacketContent, Probability, Property, Sampler,
        Sampling, SelectedRanges,
    },
};

const PACKETS: u64 = 10_000;

/// An IPv4 UDP packet of 60 octets.
fn octets() -> Vec<u8> {
    let mut octets = vec![0x45, 0, 0, 60, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7];
    octets.extend(0..40);
    octets
}

fn samplings() -> Vec<(&'static str, Sampling)> {
    let probability = |value| Sampling::Probabilistic(Probability::new(value).unwrap());
    let hash = |function| {
        let ranges = SelectedRanges::one_in(100, function, 1).unwrap();
        Sampling::Hash(HashParameters::new(function, ranges))
    };
    let tenth = Sampling::RandomOutOf { size: 1, population: 10 };
    let filter = Sampling::PropertyMatch([Property::Protocol(17), Property::DestinationPort(53)].into());
    let mut junos = JunosParameters::new(100);
    junos.run_length = 4;
    junos.max_packets_per_second = Some(1_000);
    vec![
        ("every packet", Sampling::Unsampled),
        ("1 in 100", Sampling::SystematicCount { interval: 1, space: 99 }),
        ("1 ms of 10 ms", Sampling::SystematicTime { interval: 1_000, space: 9_000 }),
        ("random 1 of 100", Sampling::RandomOutOf { size: 1, population: 100 }),
        ("random 10 of 1000", Sampling::RandomOutOf { size: 10, population: 1_000 }),
        ("probability 0.01", probability(0.01)),
        ("probability 0.5", probability(0.5)),
        ("junos", Sampling::Junos(junos)),
        ("properties", filter.clone()),
        ("BOB", hash(HashFunction::Bob)),
        ("IPSX", hash(HashFunction::Ipsx)),
        ("CRC-32", hash(HashFunction::Crc)),
        ("properties, then random 1 of 10", Sampling::Composite([filter, tenth].into())),
    ]
}

fn samplers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("samplers");
    group.throughput(Throughput::Elements(PACKETS));
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let mut packet = ObservedPacket::new(address(1), address(2), 17, 60);
    packet.destination_port = 53;
    let octets = octets();
    for (name, sampling) in samplings() {
        let mut sampler = sampling.sampler(1).unwrap();
        let mut now = Timestamp::from_secs(1_700_000_000);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut selected = 0;
                for _ in 0..PACKETS {
                    now = now.saturating_add(Duration::from_nanos(500));
                    let picked = if sampler.needs_content() {
                        let content = PacketContent::parse(black_box(&octets)).unwrap();
                        sampler.select_with(&packet, &content, now)
                    } else {
                        sampler.select(black_box(&packet), now)
                    };
                    selected += u64::from(picked);
                }
                selected
            });
        });
    }
    group.finish();
}

criterion_group!(benches, samplers);
criterion_main!(benches);
