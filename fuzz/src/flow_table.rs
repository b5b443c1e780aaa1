//! Any sequence of calls to a flow table: packets and octets are conserved, limits hold.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use netflow_flowcache::{
    Biflow, BiflowKey, CacheKind, Config, Emergency, ExpireReason, ExpiredFlow, FieldsKey, FlowTable,
    HashSeed, Inactive, KeyFields, ObservedPacket, SevenTuple, ShortFlows, Timestamp, Totals, WhenFull,
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
    more: More,
    operations: Vec<Operation>,
}

/// Settings that most tables leave as they are.
#[derive(Arbitrary, Debug)]
struct More {
    ipv6_capacity: u8,
    kind: u8,
    when_full: u8,
    reset_millis: Option<u16>,
    lifetime_millis: Option<u16>,
    udp_millis: Option<u16>,
    short: Option<(u8, u16)>,
    emergency: Option<(u8, u8, u16)>,
    counter_limit: Option<u32>,
}

impl More {
    fn apply(&self, config: &mut Config) {
        let millis = |millis: u16| Duration::from_millis(millis.into());
        config.ipv6_capacity = self.ipv6_capacity.into();
        config.kind =
            [CacheKind::Normal, CacheKind::Immediate, CacheKind::Permanent][usize::from(self.kind % 3)];
        config.when_full = [WhenFull::EvictLongestIdle, WhenFull::EvictOldest, WhenFull::RefuseNew]
            [usize::from(self.when_full % 3)];
        config.timeouts.tcp_reset = self.reset_millis.map(millis);
        config.timeouts.lifetime = self.lifetime_millis.map(millis);
        config.timeouts.inactive_udp =
            self.udp_millis.map_or(Inactive::AsOthers, |udp| Inactive::After(millis(udp)));
        config.timeouts.short_flows = self
            .short
            .map(|(packets, silence)| ShortFlows { fewer_than: packets.into(), inactive: millis(silence) });
        config.emergency =
            self.emergency.map(|(high, low, silence)| Emergency { high, low, inactive: millis(silence) });
        config.counter_limit = self.counter_limit.map(u64::from);
    }
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
    /// Packets of neighbouring flows, handed in together.
    Batch {
        flow: u8,
        packets: u8,
        later_millis: u8,
    },
    PollBatch {
        limit: u8,
    },
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

/// Tables with other keys, which get the same packets.
struct Others {
    biflows: FlowTable<BiflowKey, (Biflow, Totals)>,
    aggregates: FlowTable<FieldsKey<2, 5>>,
}

impl Others {
    fn finish(&mut self) {
        self.biflows.flush(ExpireReason::FORCED_END);
        self.aggregates.flush(ExpireReason::FORCED_END);
        let (mut biflows, mut aggregates) = (0, 0);
        while self.biflows.poll_timeout().is_some() {
            self.biflows.poll_expired_batch(usize::MAX, |flow| {
                let halves = flow.directions();
                assert_eq!(halves.forward.packets + halves.reverse.packets, flow.counters.packets);
                assert!(flow.extra.1.packets >= flow.counters.packets);
                biflows += flow.counters.packets;
            });
        }
        while self.aggregates.poll_timeout().is_some() {
            self.aggregates.poll_expired_batch(usize::MAX, |flow| aggregates += flow.counters.packets);
        }
        for (stats, polled) in [(self.biflows.stats(), biflows), (self.aggregates.stats(), aggregates)] {
            assert_eq!(stats.packets, polled + stats.ignored_packets);
        }
    }
}

struct Metering {
    table: FlowTable,
    others: Others,
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
        input.more.apply(&mut config);
        // What makes no table is refused; that is all there is to see.
        let Ok(table) = FlowTable::new(&config) else { return };
        let fields = KeyFields::FIVE_TUPLE.with_source_prefix(24, 64);
        let others = Others {
            biflows: FlowTable::new(&config).unwrap(),
            aggregates: FlowTable::with_fields(&config, fields).unwrap(),
        };
        let mut metering = Self {
            table,
            others,
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
        metering.others.finish();
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
            Operation::Batch { flow, packets, later_millis } => {
                self.now += u64::from(later_millis);
                self.batch(flow, packets);
            }
            Operation::PollBatch { limit } => {
                let mut flows = Vec::new();
                self.table.poll_expired_batch(limit.into(), |flow| flows.push(*flow));
                assert!(flows.len() <= usize::from(limit));
                for flow in &flows {
                    self.take(flow);
                }
            }
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
        self.also(packet);
    }

    /// The other tables get the packet, and room for the next one.
    fn also(&mut self, packet: &ObservedPacket) {
        let time = self.time();
        self.others.biflows.handle_packet(packet, time);
        self.others.aggregates.handle_packet(packet, time);
    }

    fn batch(&mut self, flow: u8, packets: u8) {
        let batch: Vec<_> = (0..packets)
            .map(|number| {
                let flow = u32::from(flow) + u32::from(number % 16);
                (packet(flow, number % 5 == 4, 17, number.into()), self.time())
            })
            .collect();
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let handled = self.table.handle_packets(rest);
            assert!(handled > 0 && handled <= rest.len(), "each call makes progress");
            for (packet, _) in &rest[..handled] {
                self.packets_in += 1;
                self.octets_in += u64::from(packet.octets);
                self.also(packet);
            }
            rest = &rest[handled..];
            self.poll();
        }
    }

    fn poll(&mut self) -> bool {
        let Some(flow) = self.table.poll_expired() else { return false };
        self.take(&flow);
        true
    }

    /// One poll looks at a limited number of timers, so that `None` may only mean "not yet".
    fn poll_all(&mut self) {
        let mut idle = 0;
        // A table of a few hundred flows has nothing left to look at then.
        while idle < 64 || self.table.poll_timeout().is_some_and(|time| time <= self.table.clock()) {
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
        assert!(stats.records_begun >= self.flows_out && stats.records_begun >= stats.observed_flows);
        assert_eq!(stats.probe_lengths.iter().sum::<u64>(), self.table.len() as u64);
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
