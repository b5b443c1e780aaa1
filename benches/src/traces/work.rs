//! What is done with a trace.

use core::{hash::BuildHasher, hint::black_box, time::Duration};

use hashbrown::HashMap;
use netflow_codec::{ExportClock, FlowRecord, SysUptime, v5};
use netflow_flowcache::{Config, ExpireReason, ExpiredFlow, FlowTable, HashSeed, SevenTuple, Timestamp};

use super::{Lines, Trace};

/// What came out of a trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Packets, or those of all records.
    pub packets: u64,
    /// Layer 3 octets.
    pub octets: u64,
    /// Flow records, or entries of a map.
    pub records: u64,
}

/// A table for this many flows with an active timeout of 60 seconds and an inactive one of 15.
#[must_use]
pub fn table(capacity: usize) -> FlowTable {
    let mut config = Config::new(capacity, HashSeed::from_u64(42));
    config.timeouts.active = Some(Duration::from_secs(60));
    config.timeouts.inactive = Some(Duration::from_secs(15));
    (config.timeouts.tcp_end, config.timeouts.tcp_reset) = (None, None);
    FlowTable::new(&config).unwrap()
}

/// Takes the packets apart and adds up their octets.
#[must_use]
pub fn parse_only(trace: &Trace) -> Sums {
    let mut sums = Sums::default();
    trace.for_each(|packet, time| {
        black_box((packet, time));
        sums.packets += 1;
        sums.octets += u64::from(packet.octets);
    });
    sums
}

/// Counts packets and octets by flow in a plain map: no times, no expiry, no bound, no export.
#[must_use]
pub fn count_only(trace: &Trace, map: &mut HashMap<SevenTuple, (u64, u64), impl BuildHasher>) -> Sums {
    map.clear();
    trace.for_each(|packet, _| {
        let (packets, octets) = map.entry(SevenTuple::of(packet)).or_default();
        *packets += 1;
        *octets += u64::from(packet.octets);
    });
    let mut sums = Sums { records: map.len() as u64, ..Sums::default() };
    for (packets, octets) in map.values() {
        sums.packets += packets;
        sums.octets += octets;
    }
    sums
}

/// Takes the packets apart and touches the lines of memory that metering them touches: the floor.
#[must_use]
pub fn lines_only(trace: &Trace, lines: &mut Lines) -> Sums {
    trace.for_each_batch(|batch| lines.touch(batch));
    lines.take()
}

fn finish(table: &mut FlowTable, mut sink: impl FnMut(&ExpiredFlow)) {
    table.flush(ExpireReason::FORCED_END);
    while table.poll_timeout().is_some() {
        table.poll_expired_batch(usize::MAX, &mut sink);
    }
}

/// A table that meters a trace, and an encoder of v5 datagrams behind it.
#[derive(Debug)]
pub struct Metering {
    table: FlowTable,
    exporter: Exporter,
}

#[derive(Debug)]
struct Exporter {
    builder: v5::PacketBuilder,
    datagram: Vec<u8>,
    sums: Sums,
}

impl Metering {
    /// With a table for so many flows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let boot = Timestamp::from_secs(1_749_999_900).into();
        Self {
            table: table(capacity),
            exporter: Exporter {
                builder: v5::PacketBuilder::new(v5::MAX_RECORDS, boot),
                datagram: Vec::with_capacity(2_048),
                sums: Sums::default(),
            },
        }
    }

    /// Meters and encodes the trace, packet by packet.
    pub fn one_by_one(&mut self, trace: &Trace) -> Sums {
        let Self { table, exporter } = self;
        exporter.sums = Sums::default();
        trace.for_each(|packet, time| {
            table.handle_packet(packet, time);
            while let Some(flow) = table.poll_expired() {
                exporter.export(&flow);
            }
        });
        finish(table, |flow| exporter.export(flow));
        exporter.sums
    }

    /// Meters and encodes the trace in batches.
    pub fn in_batches(&mut self, trace: &Trace) -> Sums {
        let Self { table, exporter } = self;
        exporter.sums = Sums::default();
        trace.for_each_batch(|batch| {
            let mut rest = batch;
            while !rest.is_empty() {
                let handled = table.handle_packets(rest);
                rest = rest.get(handled..).unwrap_or(&[]);
                table.poll_expired_batch(usize::MAX, |flow| exporter.export(flow));
            }
        });
        finish(table, |flow| exporter.export(flow));
        exporter.sums
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &FlowTable {
        &self.table
    }
}

impl Exporter {
    /// Into a v5 record; an IPv6 flow is counted only, v5 has no room for it.
    #[inline]
    fn export(&mut self, flow: &ExpiredFlow) {
        self.sums.packets += flow.counters.packets;
        self.sums.octets += flow.counters.octets;
        self.sums.records += 1;
        if !flow.key.is_ipv4() {
            return;
        }
        let record = FlowRecord::from(flow);
        if self.builder.push_flow(&record, 0).is_err() {
            self.send();
            let _counted = self.builder.push_flow(&record, 0);
        }
    }

    fn send(&mut self) {
        self.datagram.clear();
        let time = Timestamp::from_secs(1_750_000_300).into();
        let clock = ExportClock::new(time, SysUptime::from_millis(400_000));
        self.builder.finish(&v5::HeaderFields::new(clock, 0), &mut self.datagram);
        black_box(&self.datagram);
    }
}
