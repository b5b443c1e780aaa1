//! The flow table on two traces of two million packets, beside a plain map that only counts.
//!
//! Everything that an exporter does but the sending: packets are taken apart, metered, expired exactly and encoded as
//! v5. All cases of a trace take turns; a time is the median of the rounds, a ratio the median of the ratios of single
//! rounds. `NETFLOW_TRACE_ROUNDS` sets their number, `NETFLOW_TRACE_ONLY="A, one by one"` picks one trace and case, to
//! be looked at with a profiler.

#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

use core::hint::black_box;
use std::{env, thread, time::Instant};

use hashbrown::HashMap;
use netflow_benches::traces::{self, Lines, Metering, Sums, Trace};
use netflow_flowcache::{HashSeed, ObservedPacket, Spreader, Timestamp};
use nix::time::{ClockId, clock_gettime};

const PACKETS: f64 = 2_000_000.0;
const ROUNDS: usize = 7;
/// Enough for the flows alive at once.
const CAPACITY: usize = 1 << 19;
const SMALL_CAPACITY: usize = 1 << 17;

/// A trace, and what comes out of it.
struct Kind {
    name: &'static str,
    sums: Sums,
    /// Flow records.
    records: u64,
    /// Flows alive at once.
    live: usize,
    /// Packets for each flow.
    packets: u64,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "A",
        sums: Sums { packets: 2_000_000, octets: 1_111_981_622, records: 100_000 },
        records: 100_080,
        live: 6_000,
        packets: 20,
    },
    Kind {
        name: "B",
        sums: Sums { packets: 2_000_000, octets: 128_912_200, records: 1_000_000 },
        records: 1_000_000,
        live: 268_000,
        packets: 2,
    },
];

impl Kind {
    fn lines(&self, shards: usize) -> Lines {
        Lines::new(CAPACITY / shards, self.live / shards, self.packets)
    }
}

/// Seconds that this thread has been running.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 * 1e-9
}

type Work<'a> = Box<dyn FnMut() -> Sums + 'a>;

struct Case<'a> {
    name: &'static str,
    work: Work<'a>,
    nanos: Vec<f64>,
    sums: Sums,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(title: &str, trace: &Trace, kind: &Kind, rounds: usize) {
    let mut map = HashMap::with_capacity(CAPACITY);
    let (mut single, mut batched) = (Metering::new(CAPACITY), Metering::new(CAPACITY));
    let mut small = Metering::new(SMALL_CAPACITY);
    let mut lines = kind.lines(1);
    let memory = single.table().memory_octets();
    let mut cases = [
        Case::new("taken apart only", || traces::parse_only(trace)),
        Case::new("floor: the same lines only", || traces::lines_only(trace, &mut lines)),
        Case::new("plain map, counts only", || traces::count_only(trace, &mut map)),
        Case::new("flow table, one by one", || single.one_by_one(trace)),
        Case::new("flow table, batches of 64", || batched.in_batches(trace)),
        Case::new("same, room for 131,072", || small.in_batches(trace)),
    ];
    let only = env::var("NETFLOW_TRACE_ONLY").unwrap_or_default();
    let only = only.split_once(", ").map_or("", |(_, case)| case);
    for round in 0..=rounds {
        for case in cases.iter_mut().filter(|case| case.name.contains(only)) {
            let start = thread_seconds();
            case.sums = (case.work)();
            // The first round fills memory and caches.
            if round > 0 {
                case.nanos.push((thread_seconds() - start) * 1e9 / PACKETS);
            }
        }
    }
    if !only.is_empty() {
        let nanos = cases.iter().flat_map(|case| &case.nanos).copied().collect();
        println!("{title}, {only}: {:.1} ns/packet", median(nanos));
        return;
    }
    println!("\n{title:<28} ns/packet   x map    records    ({memory} octets of memory)");
    let [_, _, map_case, ..] = &cases;
    for case in &cases {
        let ratios = case.nanos.iter().zip(&map_case.nanos).map(|(ours, map)| ours / map).collect();
        let (time, ratio) = (median(case.nanos.clone()), median(ratios));
        println!("  {:<26} {time:>9.1} {ratio:>7.2} {:>10}", case.name, case.sums.records);
        let sums = (case.sums.packets, case.sums.octets);
        assert_eq!(sums, (kind.sums.packets, kind.sums.octets), "{}", case.name);
    }
    for case in &cases[3..5] {
        assert_eq!(case.sums.records, kind.records, "{}", case.name);
    }
}

impl<'a> Case<'a> {
    fn new(name: &'static str, work: impl FnMut() -> Sums + 'a) -> Self {
        Self { name, work: Box::new(work), nanos: Vec::new(), sums: Sums::default() }
    }
}

/// Two threads with a table each, against one thread with one: the same packets, taken apart before. And the same of the
/// floor, which only touches the lines of memory: more than that the machine does not give.
fn two_threads(title: &str, trace: &Trace, kind: &Kind, rounds: usize) {
    let spreader = Spreader::new(2, HashSeed::from_u64(1));
    let mut shares: [Vec<(ObservedPacket, Timestamp)>; 2] = [Vec::new(), Vec::new()];
    trace.for_each(|packet, time| shares[spreader.shard_of(packet)].push((*packet, time)));
    let mut lines = [kind.lines(2), kind.lines(2)];
    let (mut metering, mut floor) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let tables = &mut [traces::table(CAPACITY / 2), traces::table(CAPACITY / 2)];
        one_and_two(&mut metering, &shares, tables, meter);
        one_and_two(&mut floor, &shares, &mut lines, |share, lines| {
            for batch in share.chunks(traces::BATCH) {
                lines.touch(batch);
            }
            black_box(lines.take());
        });
    }
    for (what, seconds) in [("metering only", metering), ("floor", floor)] {
        let ratios = seconds[0].iter().zip(&seconds[1]).map(|(one, two)| one / two).collect();
        let [one, two] = seconds.map(|seconds| PACKETS / median(seconds) / 1e6);
        let ratio: f64 = median(ratios);
        println!(
            "{title}, {what:<14} one thread {one:>5.1} M packets/s, two {two:>5.1}: {ratio:.2} times, median of rounds"
        );
    }
}

/// Seconds for both shares: one after the other, and at once.
fn one_and_two<S, T: Send>(
    seconds: &mut [Vec<f64>; 2],
    shares: &[Vec<S>; 2],
    places: &mut [T; 2],
    work: impl Fn(&[S], &mut T) + Sync,
) where
    S: Sync,
{
    let start = Instant::now();
    for (share, place) in shares.iter().zip(places.iter_mut()) {
        work(share, place);
    }
    seconds[0].push(start.elapsed().as_secs_f64());
    let start = Instant::now();
    thread::scope(|scope| {
        for (share, place) in shares.iter().zip(places) {
            scope.spawn(|| work(share, place));
        }
    });
    seconds[1].push(start.elapsed().as_secs_f64());
}

/// How much two threads do in the time of one on this machine: counting only, and reading at random from 16 MiB each.
fn two_threads_at_best() {
    const READS: u64 = 20_000_000;
    let next = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let count = |_: &[u32]| (0..10 * READS).fold(1, |state, _| next(black_box(state)));
    let read = |memory: &[u32]| {
        let length = memory.len() as u64;
        let read = |(state, sum): (u64, u64), _| {
            let number = memory[((state >> 33) % length) as usize];
            (next(state), sum.wrapping_add(number.into()))
        };
        (0..READS).fold((1, 0), read).1
    };
    let memory = [vec![1_u32; 1 << 22], vec![2; 1 << 22]];
    for (title, work) in
        [("counting only", &count as &(dyn Fn(&[u32]) -> u64 + Sync)), ("random reads", &read)]
    {
        let mut ratios = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            black_box(work(&memory[0]));
            let one = start.elapsed().as_secs_f64();
            let start = Instant::now();
            thread::scope(|scope| {
                for memory in &memory {
                    scope.spawn(|| black_box(work(memory)));
                }
            });
            ratios.push(2.0 * one / start.elapsed().as_secs_f64());
        }
        println!("two threads at best, {title}: {:.2} times", median(ratios));
    }
}

fn meter(share: &[(ObservedPacket, Timestamp)], table: &mut netflow_flowcache::FlowTable) {
    let mut rest = share;
    while !rest.is_empty() {
        let handled = table.handle_packets(rest.get(..traces::BATCH).unwrap_or(rest));
        rest = rest.get(handled..).unwrap_or(&[]);
        table.poll_expired_batch(usize::MAX, |flow| {
            black_box(flow);
        });
    }
    table.flush(netflow_flowcache::ExpireReason::FORCED_END);
    while table.poll_timeout().is_some() {
        table.poll_expired_batch(usize::MAX, |flow| {
            black_box(flow);
        });
    }
}

fn main() {
    let rounds = env::var("NETFLOW_TRACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let only = env::var("NETFLOW_TRACE_ONLY").unwrap_or_default();
    for kind in &KINDS {
        if !only.is_empty() && !only.starts_with(kind.name) {
            continue;
        }
        match traces::generate(kind.name) {
            Ok(trace) => {
                let title = format!("trace {}", kind.name);
                measure(&title, &trace, kind, rounds);
                if !only.is_empty() {
                    return;
                }
                two_threads(&title, &trace, kind, rounds);
            }
            Err(missing) => println!("skipped: {missing}"),
        }
    }
    two_threads_at_best();
    single_calls();
    floods(rounds);
}

/// Single calls at a million flows. In the shortest of several runs: what interrupts a call interrupts another one in the
/// next.
fn single_calls() {
    println!("\none call at 1,000,000 flows, ns       p50    p99.9   p99.99  p99.999     most");
    for (title, every, runs) in [
        ("flows time out, one run", 20_600, 1),
        ("same, shortest of 5 runs", 20_600, 5),
        ("flows are evicted, one run", 12_000, 1),
        ("same, shortest of 5 runs", 12_000, 5),
    ] {
        let times = traces::single_calls(1_000_000, every, runs);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
        println!(
            "  {title:<30} {:>8} {:>8} {:>8} {:>8} {:>8}",
            at(0.5),
            at(0.999),
            at(0.9999),
            at(0.99999),
            times.last().copied().unwrap_or(0),
        );
    }
}

/// New flows that were chosen to collide, beside ordinary ones.
fn floods(rounds: usize) {
    println!("\nflood of {} flows         ns/packet   x ordinary  made room", traces::FLOOD);
    let floods = traces::floods();
    let mut nanos = vec![Vec::new(); floods.len()];
    let mut evictions = vec![0; floods.len()];
    for _ in 0..rounds {
        for (index, flood) in floods.iter().enumerate() {
            let (took, evicted) = flood.run();
            nanos[index].push(took);
            evictions[index] = evicted;
        }
    }
    let ordinary = nanos[0].clone();
    for ((flood, nanos), evicted) in floods.iter().zip(nanos).zip(evictions) {
        let ratios = nanos.iter().zip(&ordinary).map(|(took, ordinary)| took / ordinary).collect();
        println!("  {:<26} {:>9.1} {:>10.2} {evicted:>12}", flood.name, median(nanos), median(ratios));
    }
}
