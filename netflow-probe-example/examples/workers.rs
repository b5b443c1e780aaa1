//! How much more two workers do than one, without the kernel: `workers [ROUNDS]`. A few datagrams of several exporters, which
//! the caches of a processor hold, come again and again, numbered on; each worker decodes those that would come to it, with an
//! account and a writer of its own, as `listen --workers` does. One worker and two take turns; the medians are compared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "it ends when it cannot go on"
)]

use core::net::{IpAddr, SocketAddr};
use std::{env, io, thread, time::Instant};

use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};
use netflow_probe_example::{
    collector::Collector,
    flow::Flow,
    output::{CsvSink, FlowSink},
    receive::receiver_of,
    store::{Store, StoreConfig},
};

const EXPORTERS: u8 = 8;
/// Flows of an exporter's datagrams, and how often they come.
const FLOWS: u32 = 600;
const TIMES: u32 = 400;
const NOW: Timestamp = Timestamp::from_secs(1_772_323_200);

/// Takes flows, and forgets them.
#[derive(Default)]
struct Count(u64);

impl FlowSink for Count {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.0 += flow.record.octets & 1;
        Ok(())
    }
}

/// Numbers that look like chance.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// The datagrams of an exporter.
fn datagrams(exporter: u8) -> Vec<Vec<u8>> {
    let boot = Timestamp::from_secs(NOW.as_secs() - 1_000);
    let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V9, boot)).unwrap();
    let mut datagrams = Vec::new();
    for number in 0..FLOWS {
        let chance = mixed(u64::from(number) << 8 | u64::from(exporter));
        let octets = chance.to_be_bytes();
        let mut flow = FlowRecord::default();
        flow.source = [10, exporter, octets[0] & 15, octets[1]].into();
        flow.destination = [45, octets[2] & 7, octets[3], octets[4]].into();
        flow.source_port = u16::from_be_bytes([octets[5] | 0x80, octets[6]]);
        flow.destination_port = [443, 80, 53, 22][usize::from(octets[7] & 3)];
        flow.protocol = 6;
        flow.packets = 1 + u64::from(octets[0]);
        flow.octets = flow.packets * (60 + u64::from(octets[1]) * 5);
        flow.start = Timestamp::from_millis(NOW.as_millis() - 60_000 + u64::from(octets[2]) * 200);
        flow.end = Timestamp::from_millis(NOW.as_millis() - u64::from(octets[3]) * 30);
        session.handle_flow(&flow, NOW).unwrap();
        if number + 1 == FLOWS {
            session.flush(NOW);
        }
        let mut datagram = Vec::new();
        while session.poll_transmit(&mut datagram).is_some() {
            datagrams.push(core::mem::take(&mut datagram));
        }
    }
    datagrams
}

/// What comes to one worker.
fn feed<S: FlowSink>(sink: S, of_worker: Vec<(SocketAddr, Vec<u8>)>, of_exporter: u32) -> S {
    let mut collector = Collector::new(sink);
    let mut of_worker = of_worker;
    for time in 0..TIMES {
        for (exporter, datagram) in &mut of_worker {
            // Version, count, uptime, seconds, then the number.
            let number: [u8; 4] = datagram[12..16].try_into().unwrap();
            let number = u32::from_be_bytes(number) + if time == 0 { 0 } else { of_exporter };
            datagram[12..16].copy_from_slice(&number.to_be_bytes());
            collector.handle_datagram(*exporter, datagram, NOW).unwrap();
        }
    }
    let [_, packets, _] = collector.account().sequence();
    assert_eq!((packets.lost, packets.duplicates), (0, 0));
    collector.finish().unwrap();
    collector.into_sink()
}

/// Flows in a second of so many workers.
fn measure<S: FlowSink + Send>(
    workers: usize,
    all: &[(IpAddr, Vec<Vec<u8>>)],
    sinks: impl Fn(usize) -> Vec<S>,
) -> f64 {
    let mut inputs = vec![Vec::new(); workers];
    // In turns, as they come from a network.
    let of_exporter = all.iter().map(|(_, datagrams)| datagrams.len()).max().unwrap_or(0);
    for number in 0..of_exporter {
        for (exporter, datagrams) in all {
            if let Some(datagram) = datagrams.get(number) {
                let input: &mut Vec<(SocketAddr, Vec<u8>)> = &mut inputs[receiver_of(*exporter, workers)];
                input.push((SocketAddr::new(*exporter, 2_055), datagram.clone()));
            }
        }
    }
    let of_exporter = u32::try_from(of_exporter).unwrap();
    let sinks = sinks(workers);
    let start = Instant::now();
    thread::scope(|scope| {
        for (input, sink) in inputs.into_iter().zip(sinks) {
            scope.spawn(move || feed(sink, input, of_exporter));
        }
    });
    f64::from(FLOWS) * f64::from(TIMES) * f64::from(EXPORTERS) / start.elapsed().as_secs_f64()
}

fn main() {
    let rounds: usize = env::args().nth(1).map_or(5, |text| text.parse().expect("a number of rounds"));
    // Addresses that two workers share equally.
    let (mut shares, mut all) = ([0, 0], Vec::new());
    for host in 1..=u8::MAX {
        let address = IpAddr::from([192, 0, 2, host]);
        let share = &mut shares[receiver_of(address, 2)];
        if *share < EXPORTERS / 2 {
            *share += 1;
            all.push((address, datagrams(host)));
        }
    }
    let folder = env::temp_dir().join(format!("netflow-workers-{}", std::process::id()));
    let stores = |workers: usize| {
        let _ = std::fs::remove_dir_all(&folder);
        let first = Store::open(StoreConfig::new(&folder)).unwrap();
        let others: Vec<_> = (1..workers).map(|_| first.another().unwrap()).collect();
        core::iter::once(first).chain(others).collect::<Vec<_>>()
    };
    let counts = |workers: usize| (0..workers).map(|_| Count::default()).collect::<Vec<_>>();
    let printers = |workers: usize| (0..workers).map(|_| CsvSink::new(io::sink())).collect::<Vec<_>>();
    let mut results = [[const { Vec::new() }; 2], [const { Vec::new() }; 2], [const { Vec::new() }; 2]];
    for _ in 0..rounds {
        for workers in [1, 2] {
            results[0][workers - 1].push(measure(workers, &all, counts));
            results[1][workers - 1].push(measure(workers, &all, printers));
            results[2][workers - 1].push(measure(workers, &all, stores));
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    let median = |results: &mut Vec<f64>| {
        results.sort_by(f64::total_cmp);
        results[results.len() / 2]
    };
    for (what, [one, two]) in
        ["decoding and accounting", "and printing CSV", "and storing, in a thread beside each"]
            .into_iter()
            .zip(&mut results)
    {
        let (one, two) = (median(one), median(two));
        println!(
            "{what}: one worker {:.2} M flows/s, two {:.2} M flows/s: {:.2} times",
            one / 1e6,
            two / 1e6,
            two / one
        );
    }
}
