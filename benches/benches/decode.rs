//! Decoding, in records a second: netflow-codec, the floor, the peers.

#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, reason = "a bench")]

mod peers;

use core::net::SocketAddr;

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement,
};
use netflow_benches::{
    datagrams::{
        self, IPV4_FIELDS, IPV4_RECORDS, IPV6_FIELDS, IPV6_RECORDS, V5_RECORDS, v9_data,
        v9_data_with_template, v9_template,
    },
    floor, ours,
};
use peers::{netflow_parser, netgauze};

const PACKETS: usize = 128;
const EXPORTERS: u32 = 1_000;

fn bench(
    group: &mut BenchmarkGroup<'_, measurement::WallTime>,
    name: &str,
    datagrams: &[Vec<u8>],
    mut decode: impl FnMut(&[u8]) -> u64,
) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| datagrams.iter().fold(0, |sum: u64, datagram| sum.wrapping_add(decode(datagram))));
    });
}

fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    records: usize,
) -> BenchmarkGroup<'c, measurement::WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((records * PACKETS) as u64));
    group
}

fn v5(criterion: &mut Criterion) {
    let datagrams = datagrams::v5(PACKETS);
    let mut group = group(criterion, "decode v5", V5_RECORDS);
    let mut decoder = ours::decoder();
    bench(&mut group, "flows", &datagrams, |datagram| ours::flows(&mut decoder, datagram));
    bench(&mut group, "record views", &datagrams, ours::v5_views);
    bench(&mut group, "floor", &datagrams, floor::v5);
    let mut parser = netflow_parser::parser(None);
    bench(&mut group, "netflow_parser", &datagrams, |datagram| netflow_parser::decode(&mut parser, datagram));
    group.finish();
}

fn v9(
    criterion: &mut Criterion,
    name: &str,
    fields: &[(u16, u16)],
    records: usize,
    datagrams: &[Vec<u8>],
    floor: Option<fn(&[u8]) -> u64>,
) {
    let template = v9_template(fields);
    let mut group = group(criterion, name, records);
    let mut decoder = ours::decoder();
    ours::flows(&mut decoder, &template);
    bench(&mut group, "flows", datagrams, |datagram| ours::flows(&mut decoder, datagram));
    bench(&mut group, "record views", datagrams, |datagram| ours::record_views(&mut decoder, datagram));
    if let Some(floor) = floor {
        bench(&mut group, "floor", datagrams, floor);
    }
    let mut parser = netflow_parser::parser(Some(&template));
    bench(&mut group, "netflow_parser", datagrams, |datagram| netflow_parser::decode(&mut parser, datagram));
    let mut templates = netgauze::templates(Some(&template));
    bench(&mut group, "netgauze", datagrams, |datagram| netgauze::decode(&mut templates, datagram));
    group.finish();
}

fn v9_ipv4(criterion: &mut Criterion) {
    let data = v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
    v9(criterion, "decode v9, 20 fields", &IPV4_FIELDS, IPV4_RECORDS, &data, Some(floor::v9_ipv4));
    let data = v9_data_with_template(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
    v9(criterion, "decode v9, template in each packet", &IPV4_FIELDS, IPV4_RECORDS, &data, None);
}

fn v9_ipv6(criterion: &mut Criterion) {
    let data = v9_data(&IPV6_FIELDS, IPV6_RECORDS, PACKETS);
    v9(criterion, "decode v9, IPv6 and MPLS", &IPV6_FIELDS, IPV6_RECORDS, &data, Some(floor::v9_ipv6));
}

/// One datagram of each of 1,000 exporters in turn.
fn exporters(criterion: &mut Criterion) {
    let template = v9_template(&IPV4_FIELDS);
    let data = v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
    let turns = || (0..EXPORTERS).zip(data.iter().cycle());
    let mut group = criterion.benchmark_group("decode v9, 1000 exporters");
    group.throughput(Throughput::Elements(IPV4_RECORDS as u64 * u64::from(EXPORTERS)));

    let mut decoder = ours::decoder();
    for exporter in 0..EXPORTERS {
        ours::flows_of(&mut decoder, &exporter, &template);
    }
    group.bench_function("flows", |bencher| {
        bencher.iter_batched(
            turns,
            |turns| {
                turns.fold(0u64, |sum, (exporter, datagram)| {
                    sum.wrapping_add(ours::flows_of(&mut decoder, &exporter, datagram))
                })
            },
            BatchSize::SmallInput,
        );
    });
    let addresses: Vec<_> =
        (0..EXPORTERS).map(|exporter| SocketAddr::from((exporter.to_be_bytes(), 2_055))).collect();
    let mut parser = netflow_parser::scoped(&addresses, &template);
    group.bench_function("netflow_parser", |bencher| {
        bencher.iter_batched(
            turns,
            |turns| {
                turns.zip(&addresses).fold(0u64, |sum, ((_, datagram), exporter)| {
                    sum.wrapping_add(netflow_parser::decode_scoped(&mut parser, *exporter, datagram))
                })
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, v5, v9_ipv4, v9_ipv6, exporters);
criterion_main!(benches);
