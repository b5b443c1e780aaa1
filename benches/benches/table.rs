//! The flow table, in packets a second: few flows that stay, and many that come and go.

#![allow(missing_docs, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netflow_benches::table::Trace;

const PACKETS: u16 = 10_000;

fn table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow table");
    group.throughput(Throughput::Elements(PACKETS.into()));
    for (name, mut trace) in [("hot", Trace::hot()), ("half new", Trace::misses())] {
        group.bench_function(name, |bencher| bencher.iter(|| trace.run(PACKETS.into())));
    }
    group.finish();
}

criterion_group!(benches, table);
criterion_main!(benches);
