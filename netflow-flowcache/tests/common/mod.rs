//! What several tests need.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::unnecessary_wraps,
    clippy::unwrap_used
)]

pub mod model;
pub mod operation;

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use netflow_flowcache::{
    Config, ExpiredFlow, Extra, FlowTable, HashSeed, ObservedPacket, TableKey, Timestamp,
};

pub const FIN: u16 = 0x01;
pub const SYN: u16 = 0x02;
pub const RST: u16 = 0x04;
pub const ACK: u16 = 0x10;

/// A TCP packet of 100 octets of flow number `flow`.
pub fn packet(flow: u32) -> ObservedPacket {
    let source = IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + flow));
    ObservedPacket::new(source, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 6, 100)
}

pub fn packet_v6(flow: u32) -> ObservedPacket {
    let source = IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, (flow >> 16) as u16, flow as u16));
    ObservedPacket::new(source, IpAddr::V6(Ipv6Addr::LOCALHOST), 17, 100)
}

pub fn with_flags(flow: u32, flags: u16) -> ObservedPacket {
    let mut packet = packet(flow);
    packet.tcp_flags = flags;
    packet
}

pub fn at(secs: u64) -> Timestamp {
    at_millis(secs * 1000)
}

/// Counted from some day in 2023.
pub fn at_millis(millis: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000).saturating_add(Duration::from_millis(millis))
}

pub const fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

pub fn config(capacity: usize) -> Config {
    Config::new(capacity, HashSeed::from_u64(0x5EED))
}

pub fn table(config: &Config) -> FlowTable {
    FlowTable::new(config).unwrap()
}

/// Polls until `None`.
pub fn drain<K: TableKey, X: Extra>(table: &mut FlowTable<K, X>) -> Vec<ExpiredFlow<K, X>> {
    core::iter::from_fn(|| table.poll_expired()).collect()
}

/// Polls until nothing is due.
pub fn drain_due<K: TableKey, X: Extra>(
    table: &mut FlowTable<K, X>,
    now: Timestamp,
) -> Vec<ExpiredFlow<K, X>> {
    table.handle_timeout(now);
    let mut flows = drain(table);
    while table.poll_timeout().is_some_and(|time| time <= now) {
        flows.extend(drain(table));
    }
    flows
}
