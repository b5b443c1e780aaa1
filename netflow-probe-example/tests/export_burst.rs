//! Many flows that expire at once, and a collector with a socket buffer of the usual size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{net::UdpSocket, sync::Arc, thread};

use common::{exporting, frames};
use netflow_codec::{ExportVersion, v9};
use netflow_flowcache::Timestamp;
use netflow_probe_example::{
    exporter::{Exporter, ExporterAccount},
    pcap::{Frame, LinkType},
    send::{SendConfig, Target, WhenFull},
};

/// Meters so many flows, ends all of them at once, and exports them while packets do not wait; the account, and the
/// sequence numbers of what arrived.
fn burst(flows: u32, rate: u32, queue_octets: usize) -> (ExporterAccount, Vec<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let collector = socket.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let receiver = thread::spawn(move || {
        let mut sequences = Vec::new();
        let mut buffer = [0; 2_000];
        loop {
            match socket.recv(&mut buffer) {
                Ok(octets) => {
                    sequences.push(v9::Packet::parse(&buffer[..octets]).unwrap().header().sequence());
                }
                Err(_) if until.load(Ordering::Relaxed) => return sequences,
                Err(_) => {}
            }
        }
    });
    let mut send = SendConfig::default();
    send.when_full = WhenFull::Drop;
    (send.rate_limit, send.queue_octets, send.drain) = (rate, queue_octets, Duration::from_secs(120));
    let mut config = exporting::to(Target::Collector(collector.into()), ExportVersion::V9);
    config.meter.max_flows = usize::try_from(flows).unwrap() + 1;
    config.send = send;
    let mut exporter = Exporter::new(config).unwrap();
    let mut data = frames::ipv4(17, &frames::udp(1_000, 53, &[0; 40]));
    for flow in 0..flows {
        data[12..16].copy_from_slice(&(0x0A00_0000 + flow).to_be_bytes());
        let frame = Frame {
            timestamp: Timestamp::from_secs(1_700_000_000),
            link_type: LinkType::RAW,
            original_length: u32::try_from(data.len()).unwrap(),
            data: &data,
            interface: 0,
        };
        exporter.handle_frame(&frame).unwrap();
    }
    exporter.finish().unwrap();
    stop.store(true, Ordering::Relaxed);
    (exporter.account(), receiver.join().unwrap())
}

fn assert_nothing_lost(flows: u32, (account, sequences): &(ExporterAccount, Vec<u32>)) {
    let [destination] = &account.destinations[..] else { panic!() };
    assert_eq!(account.meter.flows(), u64::from(flows));
    assert_eq!(destination.session.flows, u64::from(flows));
    assert_eq!(destination.send.sent, destination.session.datagrams, "{destination:?}");
    assert_eq!(sequences.len() as u64, destination.send.sent, "the collector got all of them");
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_burst_waits_in_the_table_for_room_and_does_not_overrun_the_collector() {
    // X24, X33: the queue has room for a fiftieth of it.
    let flows = 10_000;
    assert_nothing_lost(flows, &burst(flows, 300, 20_000));
}

#[test]
#[ignore = "takes a minute, and wants the machine for itself: --release"]
fn a_million_flows_at_once_reach_a_collector_with_the_usual_buffer() {
    let flows = 1_000_000;
    let config = SendConfig::default();
    let started = std::time::Instant::now();
    let outcome = burst(flows, config.rate_limit, config.queue_octets);
    println!(
        "{flows} flows in {} datagrams: {} arrived, {:.1} s",
        outcome.0.destinations[0].session.datagrams,
        outcome.1.len(),
        started.elapsed().as_secs_f64()
    );
    assert_nothing_lost(flows, &outcome);
}
