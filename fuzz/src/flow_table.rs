//! Any sequence of calls to a flow table: packets and octets are conserved, limits hold.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use netflow_flowcache::{
    Config, ExpireReason, ExpiredFlow, FlowTable, HashSeed, ObservedPacket, SevenTuple, Timestamp,
};

/// What the fuzzer chooses.
#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    capacity: u8,
    pending: u8,
    active_millis: Option<u16>,
    inactive_millis: Option<u16>,
    tcp_end_millis: Option<u16>,
    reorder_millis: u16,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Packet {
        flow: u8,
        octets: u16,
        tcp_flags: u8,
        later_millis: u8,
    },
    /// A packet of a flow that nobody else has.
    NewFlow {
        later_millis: u8,
    },
    Timeout {
        later_millis: u32,
    },
    Poll {
        times: u8,
    },
    PollAll,
    Flush,
    /// The clock goes back, a little or a lot.
    Earlier {
        millis: u32,
    },
}

/// Makes a table and a list of operations from the input and runs them.
pub fn run(input: &[u8]) {
    if let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) {
        Metering::run(&input);
    }
}

struct Metering {
    table: FlowTable,
    now: u64,
    new_flows: u32,
    packets_in: u64,
    octets_in: u64,
    packets_out: u64,
    octets_out: u64,
    flows_out: u64,
}

impl Metering {
    fn run(input: &Input) {
        let millis = |millis: Option<u16>| millis.map(|millis| Duration::from_millis(millis.into()));
        let mut config = Config::new(usize::from(input.capacity).max(1), HashSeed::from_u64(input.seed));
        config.pending = usize::from(input.pending).max(1);
        config.timeouts.active = millis(input.active_millis);
        config.timeouts.inactive = millis(input.inactive_millis);
        config.timeouts.tcp_end = millis(input.tcp_end_millis);
        config.reorder = Duration::from_millis(input.reorder_millis.into());
        let mut metering = Self {
            table: FlowTable::new(&config).unwrap(),
            now: 1_700_000_000_000,
            new_flows: 0,
            packets_in: 0,
            octets_in: 0,
            packets_out: 0,
            octets_out: 0,
            flows_out: 0,
        };
        let memory = metering.table.memory_octets();
        for operation in &input.operations {
            metering.operation(operation);
            metering.check();
        }
        metering.table.flush(ExpireReason::FORCED_END);
        metering.poll_all();
        assert!(metering.table.is_empty(), "a flush leaves nothing");
        metering.check();
        let stats = metering.table.stats();
        assert_eq!(metering.packets_in, metering.packets_out + stats.ignored_packets);
        assert_eq!(metering.octets_in, metering.octets_out + stats.ignored_octets);
        assert_eq!(stats.records_begun, metering.flows_out);
        assert_eq!(metering.table.memory_octets(), memory, "all memory is taken at the start");
    }

    fn operation(&mut self, operation: &Operation) {
        match *operation {
            Operation::Packet { flow, octets, tcp_flags, later_millis } => {
                self.now += u64::from(later_millis);
                let protocol = if flow % 2 == 0 { 6 } else { 17 };
                let mut packet = packet(flow.into(), flow % 4 == 3, protocol, octets.into());
                packet.tcp_flags = if protocol == 6 { tcp_flags.into() } else { 0 };
                self.packet(&packet);
            }
            Operation::NewFlow { later_millis } => {
                self.now += u64::from(later_millis);
                self.new_flows += 1;
                self.packet(&packet(1_000 + self.new_flows, false, 17, 100));
            }
            Operation::Timeout { later_millis } => {
                self.now += u64::from(later_millis);
                self.table.handle_timeout(self.time());
            }
            Operation::Poll { times } => {
                for _ in 0..times {
                    self.poll();
                }
            }
            Operation::PollAll => self.poll_all(),
            Operation::Flush => self.table.flush(ExpireReason::FORCED_END),
            Operation::Earlier { millis } => {
                self.now = self.now.saturating_sub(millis.into());
                self.table.handle_timeout(self.time());
            }
        }
    }

    const fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn packet(&mut self, packet: &ObservedPacket) {
        self.packets_in += 1;
        self.octets_in += u64::from(packet.octets);
        self.table.handle_packet(packet, self.time());
    }

    fn poll(&mut self) -> bool {
        let Some(flow) = self.table.poll_expired() else { return false };
        self.take(&flow);
        true
    }

    /// One poll looks at a limited number of timers, so that `None` may only mean "not yet".
    fn poll_all(&mut self) {
        let mut idle = 0;
        while idle < 64 {
            idle = if self.poll() { 0 } else { idle + 1 };
        }
    }

    fn take(&mut self, flow: &ExpiredFlow<SevenTuple>) {
        let counters = &flow.counters;
        assert!(counters.packets > 0);
        assert!(counters.first <= counters.last);
        assert!(counters.minimum_length <= counters.maximum_length);
        assert!(counters.octets >= u64::from(counters.maximum_length));
        let reasons = BTreeSet::from([1, 2, 3, 4, 5]);
        assert!(reasons.contains(&flow.reason.code()));
        self.packets_out += counters.packets;
        self.octets_out += counters.octets;
        self.flows_out += 1;
    }

    fn check(&self) {
        let stats = self.table.stats();
        assert!(self.table.len() <= self.table.capacity());
        assert_eq!((stats.packets, stats.octets), (self.packets_in, self.octets_in));
        assert!(stats.expired_total() >= self.flows_out);
        assert!(self.packets_out + stats.ignored_packets <= self.packets_in);
        assert!(stats.records_begun >= self.flows_out + self.table.len() as u64);
    }
}

fn packet(flow: u32, ipv6: bool, protocol: u8, octets: u32) -> ObservedPacket {
    let (source, destination) = if ipv6 {
        let net = 0x2001_0db8_u128 << 96;
        let source = Ipv6Addr::from_bits(net | u128::from(flow));
        (IpAddr::V6(source), IpAddr::V6(Ipv6Addr::LOCALHOST))
    } else {
        (IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 | flow)), IpAddr::V4(Ipv4Addr::LOCALHOST))
    };
    let mut packet = ObservedPacket::new(source, destination, protocol, octets);
    packet.source_port = 40_000;
    packet.destination_port = 443;
    packet.ttl = 64;
    packet
}
