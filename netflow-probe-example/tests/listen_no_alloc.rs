//! In steady state nothing is allocated for a datagram or a flow on its way from the socket into the queue of what is
//! printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;
#[path = "../../netflow-codec/tests/common/counting.rs"]
mod counting;

use core::{net::SocketAddr, time::Duration};
use std::{io, net::UdpSocket};

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use common::peers::wait_until;
use netflow_probe_example::{
    collector::Collector,
    output::{CsvSink, FlowSink, JsonSink, OutputQueue, QueuedOutput, WhenFull},
    receive::{Receiver, Sockets, now},
};

/// A message of IPFIX with these sets.
fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = [&[0, 10][..], &length.to_be_bytes()].concat();
    for word in [1_700_000_000, sequence, 3] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets);
    message
}

/// Fetches all of so many datagrams.
fn take<S: FlowSink>(receiver: &mut Receiver, collector: &mut Collector<S>, datagrams: u64) {
    let wanted = collector.account().datagrams() + datagrams;
    loop {
        for datagram in receiver.receive().unwrap() {
            collector.handle_datagram(datagram.source, datagram.payload, datagram.received).unwrap();
        }
        collector.tick(now()).unwrap();
        if collector.account().datagrams() >= wanted {
            break;
        }
        receiver.wait(Duration::from_millis(10)).unwrap();
    }
    collector.flush().unwrap();
}

/// A datagram, where its sequence number stands, and by how much it counts.
type Numbered = (Vec<u8>, usize, u32);

fn check<S: FlowSink>(name: &str, datagrams: &[Numbered], sink: impl FnOnce(QueuedOutput) -> S) {
    /// Rounds until every buffer has its size, and rounds that count.
    const ROUNDS: [u32; 2] = [30, 50];
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let sockets = Sockets::bind(&[any], 1 << 20).unwrap();
    let to = sockets.addresses().next().unwrap();
    let mut receiver = sockets.into_receiver();
    let queue = OutputQueue::start(io::sink(), 64 << 20, WhenFull::Wait).unwrap();
    let mut collector = Collector::new(sink(queue.output()));
    let exporters: Vec<_> = (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let (mut counted, mut sequence) = (0, 0_u32);
    for round in 0..ROUNDS[0] + ROUNDS[1] {
        for (datagram, place, units) in datagrams {
            let mut datagram = datagram.clone();
            datagram[*place..place + 4].copy_from_slice(&sequence.to_be_bytes());
            sequence += units;
            for exporter in &exporters {
                exporter.send_to(&datagram, to).unwrap();
            }
        }
        let before = counting::so_far();
        take(&mut receiver, &mut collector, (datagrams.len() * exporters.len()) as u64);
        if round >= ROUNDS[0] {
            counted += counting::so_far() - before;
        }
        // What was written comes back to be filled again.
        wait_until("writing", || queue.stats().waiting_octets == 0);
    }
    let of_round = (datagrams.len() * exporters.len()) as u64;
    let flows =
        collector.account().counts().data_records * u64::from(ROUNDS[1]) / u64::from(ROUNDS[0] + ROUNDS[1]);
    assert!(flows > 4 * u64::from(ROUNDS[1]) * of_round, "{name}: {flows} flows");
    assert_eq!(collector.account().counts().sets_without_template, 0, "{name}");
    assert!(
        collector.account().sequence().iter().all(|counts| counts.lost + counts.duplicates == 0),
        "{name}"
    );
    // Not one for a datagram, let alone a flow: a block of the queue may still grow, and who waits makes a list of what for.
    assert!(counted < u64::from(ROUNDS[1]), "{name}: {counted} allocations for {flows} flows");
}

#[test]
fn nothing_is_allocated_for_a_flow_between_socket_and_queue() {
    let fields: Vec<(u16, u16)> = [8, 12, 15, 10, 14, 2, 1, 22, 21, 16, 17]
        .map(|element| (element, 4))
        .into_iter()
        .chain([(7, 2), (11, 2), (4, 1), (6, 1), (5, 1), (61, 1)])
        .collect();
    let octets: usize = fields.iter().map(|(_, length)| usize::from(*length)).sum();
    let wide = set(300, &vec![1; octets * 20]);
    let announced = set(2, &[&[1, 0, 0, 4][..], &[0, 8, 0, 4, 0, 12, 0, 4, 0, 4, 0, 1, 0, 1, 0, 4]].concat());
    let cases: [(&str, Vec<Numbered>); 3] = [
        ("v5", (0..8).map(|_| (v5(0, 30), 16, 30)).collect()),
        (
            "v9",
            vec![
                (v9(3, 0, &[template(256, &PLAIN), template(300, &fields)]), 12, 1),
                (v9(3, 0, &[set(256, &plain(1, 7).repeat(30)), wide]), 12, 1),
                (v9(3, 0, &[set(256, &plain(2, 7).repeat(40))]), 12, 1),
            ],
        ),
        ("IPFIX", vec![(ipfix(0, &[announced, set(256, &plain(1, 7).repeat(40))]), 8, 40); 8]),
    ];
    for (name, datagrams) in &cases {
        check(&format!("{name} as JSON"), datagrams, JsonSink::new);
        check(&format!("{name} as CSV"), datagrams, CsvSink::new);
    }
}
