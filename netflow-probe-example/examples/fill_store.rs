//! Fills a store with flows made up, as many as wanted over as many days as wanted, always the same ones:
//! `fill_store DIR FLOWS DAYS [FROM TO [ADDR:PORT RATE]]`. FROM and TO choose a part of the time, in thousandths; with an
//! address the same datagrams are sent there, too, so many flows a second.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it ends when it cannot go on"
)]

use core::time::Duration;
use std::{env, net::UdpSocket, thread, time::Instant};

use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};
use netflow_probe_example::{
    collector::Collector,
    store::{Store, StoreConfig},
};

/// 2026-03-01T00:00:00Z
const BEGIN: u64 = 1_772_323_200;
const INTERVAL: u64 = 300;

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap()
    }

    /// Small numbers much more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let bits = 64 - bound.leading_zeros();
        let bits = 1 + self.below(bits.into());
        self.below(bound.min(1 << bits))
    }
}

fn flow(chance: &mut Chance, interval: u64) -> FlowRecord {
    let mut flow = FlowRecord::default();
    let [.., a, b] = u16::try_from(chance.skewed(20_000)).unwrap().to_be_bytes();
    let outside = u32::try_from(chance.skewed(500_000)).unwrap();
    let (inside, outside) = ([10, 1, a, b].into(), (0x2d00_0000 + outside * 37).to_be_bytes().into());
    let (port, is_out) = (
        [443, 443, 443, 80, 53, 22, 123, 8_080][usize::try_from(chance.below(8)).unwrap()],
        chance.below(2) == 0,
    );
    let high = 32_768 + u16::try_from(chance.below(28_000)).unwrap();
    (flow.source, flow.destination) = if is_out { (inside, outside) } else { (outside, inside) };
    (flow.source_port, flow.destination_port) = if is_out { (high, port) } else { (port, high) };
    flow.protocol = if matches!(port, 53 | 123) { 17 } else { 6 };
    flow.packets = 1 + chance.skewed(2_000);
    flow.octets = flow.packets * (60 + chance.below(1_400));
    flow.tcp_flags = if flow.protocol == 6 { 0x1b } else { 0 };
    flow.ingress_interface = 1 + u32::from(is_out);
    flow.egress_interface = 2 - u32::from(is_out);
    flow.source_as = 64_496 + u32::try_from(chance.skewed(500)).unwrap();
    flow.destination_as = 64_496 + u32::try_from(chance.skewed(500)).unwrap();
    let start = interval * 1_000 + chance.below(240_000);
    flow.start = Timestamp::from_millis(start);
    flow.end = Timestamp::from_millis(start + chance.skewed(59_000));
    flow
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).map(|text| text.parse::<u64>().expect("a number"));
    let [folder, ..] = arguments.as_slice() else {
        panic!("fill_store DIR FLOWS DAYS [FROM TO [ADDR:PORT RATE]]")
    };
    let (flows, days) = (number(1).unwrap_or(1_000_000), number(2).unwrap_or(30));
    let (from, to) = (number(3).unwrap_or(0), number(4).unwrap_or(1_000));
    let socket = arguments.get(5).map(|address| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket
    });
    let rate = number(6).unwrap_or(100_000);
    let intervals = days * 86_400 / INTERVAL;
    let mut collector = Collector::new(Store::open(StoreConfig::new(folder)).unwrap());
    let boot = Timestamp::from_secs(BEGIN - 1_000);
    let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V9, boot)).unwrap();
    let (mut datagram, mut sent, began) = (Vec::new(), 0_u64, Instant::now());
    for number in intervals * from / 1_000..intervals * to / 1_000 {
        let interval = BEGIN + number * INTERVAL;
        let mut chance = Chance(number);
        let now = Timestamp::from_secs(interval + INTERVAL - 1);
        let count = flows * (number + 1) / intervals - flows * number / intervals;
        for place in 0..count {
            let mut flow = flow(&mut chance, interval);
            // One address that is there at a few times only.
            if number % 1_000 < 8 && place % 50 == 0 {
                flow.source = [198, 18, 7, 7].into();
            }
            session.handle_flow(&flow, now).unwrap();
            sent += 1;
            if place + 1 == count {
                session.flush(now);
            }
            while session.poll_transmit(&mut datagram).is_some() {
                collector.handle_datagram("192.0.2.1:40000".parse().unwrap(), &datagram, now).unwrap();
                if let Some(socket) = &socket {
                    socket.send(&datagram).unwrap();
                }
                datagram.clear();
            }
            if socket.is_some() && sent % 1_000 == 0 {
                let due = Duration::from_micros(sent * 1_000_000 / rate);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
    }
    collector.finish().unwrap();
    println!("{sent} flows in {:.1} s", began.elapsed().as_secs_f64());
}
