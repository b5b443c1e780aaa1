//! The flow table of a meter, whatever its key is.

use netflow_codec::FlowRecord;
use netflow_flowcache::{
    Biflow, BiflowKey, Config, ConfigError, ExpireReason, ExpiredFlow, FieldsKey, FirstPacket, FlowTable,
    KeyFields, ObservedPacket, SevenTuple, Stats, Timestamp,
};

use super::MeteredFlow;

/// What makes packets one flow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Key {
    /// Addresses, ports, protocol, type of service, input interface.
    #[default]
    SevenTuple,
    /// These fields.
    Fields(super::KeySpec),
    /// Addresses, ports and protocol, in either direction. Both directions end together, as records of their own: that of
    /// the initiator first.
    Biflow,
}

/// A flow table that gives flow records.
///
/// Keys of chosen fields come in three sizes, in words of IPv4 and IPv6.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is that of nearly all, and there is one table")]
pub(super) enum Table {
    Seven(FlowTable<SevenTuple, FirstPacket>),
    Small(Box<FlowTable<FieldsKey<2, 5>>>),
    Middle(Box<FlowTable<FieldsKey<5, 8>>>),
    Large(Box<FlowTable<FieldsKey<11, 14>>>),
    /// With the other direction of the flow that was polled last.
    Biflow(Box<FlowTable<BiflowKey, Biflow>>, Option<Box<MeteredFlow>>),
}

/// The same of every table.
macro_rules! each {
    ($table:expr, $name:ident => $body:expr) => {
        match $table {
            Table::Seven($name) => $body,
            Table::Small($name) => $body,
            Table::Middle($name) => $body,
            Table::Large($name) => $body,
            Table::Biflow($name, _) => $body,
        }
    };
}

impl Table {
    pub(super) fn new(config: &Config, key: &Key) -> Result<Self, ConfigError> {
        let fields = match key {
            Key::SevenTuple => return FlowTable::new(config).map(Self::Seven),
            Key::Biflow => return Ok(Self::Biflow(Box::new(FlowTable::new(config)?), None)),
            Key::Fields(spec) => spec.fields(),
        };
        let fits = |ipv4, ipv6| fields.ipv4_words() <= ipv4 && fields.ipv6_words() <= ipv6;
        Ok(if fits(2, 5) {
            Self::Small(Box::new(FlowTable::with_fields(config, fields)?))
        } else if fits(5, 8) {
            Self::Middle(Box::new(FlowTable::with_fields(config, fields)?))
        } else {
            Self::Large(Box::new(FlowTable::with_fields(config, fields)?))
        })
    }

    #[inline]
    pub(super) fn handle_packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        if let Self::Seven(table) = self {
            table.handle_packet(packet, now);
        } else {
            self.handle_packet_of_other(packet, now);
        }
    }

    #[inline(never)]
    fn handle_packet_of_other(&mut self, packet: &ObservedPacket, now: Timestamp) {
        each!(self, table => table.handle_packet(packet, now));
    }

    pub(super) fn handle_packets(&mut self, packets: &[(ObservedPacket, Timestamp)]) -> usize {
        each!(self, table => table.handle_packets(packets))
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        each!(self, table => table.handle_timeout(now));
    }

    pub(super) fn flush(&mut self, reason: ExpireReason) {
        each!(self, table => table.flush(reason));
    }

    #[inline]
    pub(super) fn poll(&mut self) -> Option<MeteredFlow> {
        if let Self::Seven(table) = self {
            table.poll_expired().map(|expired| of_seven(&expired))
        } else {
            self.poll_other()
        }
    }

    #[inline(never)]
    fn poll_other(&mut self) -> Option<MeteredFlow> {
        match self {
            Self::Seven(table) => table.poll_expired().map(|expired| of_seven(&expired)),
            Self::Small(table) => poll_fields(table),
            Self::Middle(table) => poll_fields(table),
            Self::Large(table) => poll_fields(table),
            Self::Biflow(table, other) => {
                if let Some(other) = other.take() {
                    return Some(*other);
                }
                let expired = table.poll_expired()?;
                let directions = expired.directions();
                let mut records = directions.flow_records(expired.reason);
                let halves = [&directions.forward, &directions.reverse];
                let mut flows = halves
                    .into_iter()
                    .filter(|counters| counters.packets > 0)
                    .map_while(|counters| Some(MeteredFlow::counted(records.next()?, counters)));
                let first = flows.next();
                *other = flows.next().map(Box::new);
                first
            }
        }
    }

    /// Hands out flows that have ended, `limit` at most; how many.
    pub(super) fn poll_batch(&mut self, limit: usize, mut visit: impl FnMut(&mut MeteredFlow)) -> usize {
        if let Self::Seven(table) = self {
            return table.poll_expired_batch(limit, |expired| visit(&mut of_seven(expired)));
        }
        let mut polled = 0;
        while polled < limit
            && let Some(mut flow) = self.poll_other()
        {
            visit(&mut flow);
            polled += 1;
        }
        polled
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let clock = if let Self::Biflow(table, Some(_)) = self { Some(table.clock()) } else { None };
        clock.or_else(|| each!(self, table => table.poll_timeout()))
    }

    pub(super) fn is_empty(&self) -> bool {
        each!(self, table => table.is_empty())
    }

    pub(super) const fn clock(&self) -> Timestamp {
        each!(self, table => table.clock())
    }

    pub(super) fn stats(&self) -> Stats {
        each!(self, table => table.stats())
    }
}

#[inline]
fn of_seven(expired: &ExpiredFlow<SevenTuple, FirstPacket>) -> MeteredFlow {
    MeteredFlow::counted(FlowRecord::from(expired), &expired.counters)
}

fn poll_fields<const NARROW: usize, const WIDE: usize>(
    table: &mut FlowTable<FieldsKey<NARROW, WIDE>>,
) -> Option<MeteredFlow> {
    let fields: KeyFields = *table.fields();
    let expired = table.poll_expired()?;
    let flow = MeteredFlow::counted(fields.flow_record(&expired), &expired.counters);
    Some(flow.keyed(&fields.values(&expired.key)))
}
