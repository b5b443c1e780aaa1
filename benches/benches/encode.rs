//! Encoding, in records a second: netflow-codec, the floor, the peers.
//!
//! The peers encode packets that they decoded before, their own types all through.

#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, reason = "a bench")]

mod peers;

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netflow_benches::{
    datagrams::{self, IPV4_FIELDS, IPV4_RECORDS, V5_RECORDS, v9_data, v9_template},
    floor, ours,
};
use netflow_codec::{ExportVersion, FlowRecord};
use peers::{netflow_parser, netgauze};

const PACKETS: usize = 128;

/// Encodes packet after packet into one buffer.
fn packets(
    flows: &[FlowRecord],
    records: usize,
    datagram: &mut Vec<u8>,
    mut encode: impl FnMut(&[FlowRecord], &mut Vec<u8>),
) {
    for flows in flows.chunks(records) {
        datagram.clear();
        encode(flows, datagram);
        black_box(datagram.as_slice());
    }
}

fn v5(criterion: &mut Criterion) {
    let flows = datagrams::flows(V5_RECORDS * PACKETS, false);
    let mut group = criterion.benchmark_group("encode v5");
    group.throughput(Throughput::Elements(flows.len() as u64));
    let mut buffer = Vec::with_capacity(2_048);
    let mut encoder = ours::V5Encoder::new();
    group.bench_function("builder", |bencher| {
        bencher.iter(|| packets(&flows, V5_RECORDS, &mut buffer, |flows, to| encoder.encode(flows, to)));
    });
    let mut session = ours::session(ExportVersion::V5);
    group.bench_function("session", |bencher| {
        bencher.iter(|| ours::export(&mut session, &flows, &mut buffer));
    });
    group.bench_function("floor", |bencher| {
        bencher.iter(|| packets(&flows, V5_RECORDS, &mut buffer, floor::encode_v5));
    });
    let parsed = netflow_parser::packets(&mut netflow_parser::parser(None), &datagrams::v5(PACKETS));
    group.bench_function("netflow_parser", |bencher| {
        bencher.iter(|| parsed.iter().for_each(|packet| drop(black_box(netflow_parser::encode(packet)))));
    });
    group.finish();
}

fn v9(criterion: &mut Criterion) {
    let flows = datagrams::flows(IPV4_RECORDS * PACKETS, false);
    let (template, data) = (v9_template(&IPV4_FIELDS), v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS));
    let mut group = criterion.benchmark_group("encode v9, 20 fields");
    group.throughput(Throughput::Elements(flows.len() as u64));
    let mut buffer = Vec::with_capacity(2_048);
    let mut encoder = ours::TemplateEncoder::new();
    group.bench_function("builder", |bencher| {
        bencher.iter(|| packets(&flows, IPV4_RECORDS, &mut buffer, |flows, to| encoder.encode(flows, to)));
    });
    let mut session = ours::session(ExportVersion::V9);
    group.bench_function("session", |bencher| {
        bencher.iter(|| ours::export(&mut session, &flows, &mut buffer));
    });
    group.bench_function("floor", |bencher| {
        bencher.iter(|| packets(&flows, IPV4_RECORDS, &mut buffer, floor::encode_v9));
    });
    let parsed = netflow_parser::packets(&mut netflow_parser::parser(Some(&template)), &data);
    group.bench_function("netflow_parser", |bencher| {
        bencher.iter(|| parsed.iter().for_each(|packet| drop(black_box(netflow_parser::encode(packet)))));
    });
    let mut templates = netgauze::templates(Some(&template));
    let parsed: Vec<_> = data.iter().map(|datagram| netgauze::packet(&mut templates, datagram)).collect();
    group.bench_function("netgauze", |bencher| {
        bencher.iter(|| {
            for packet in &parsed {
                buffer.clear();
                netgauze::encode(packet, &templates, &mut buffer);
                black_box(buffer.as_slice());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, v5, v9);
criterion_main!(benches);
