//! Long flows, spread over the bins of time that they span.

use core::time::Duration;
use std::io;

use netflow_codec::{FlowFields, Timestamp};

use super::CountingStats;
use crate::{
    flow::{COLUMNS, Cell, Flow, RecordFields, StoredCells},
    output::FlowSink,
};

/// Makes of a flow one for each bin that it was in.
///
/// Bins are whole multiples of their length since 1970. A part begins and ends with its bin, the first and the last part
/// with the flow, and has as much of the octets and packets as it has of the flow's time: sums are exact, since what a part
/// gets is what is due up to its end less what is due up to its beginning, both rounded down. A flow that begins and ends in
/// one bin, that ends before it begins, or whose times are not known, stays as it is; so does one that would have more than
/// [`Bins::PARTS`] parts, which is counted.
#[derive(Debug)]
pub struct Bins {
    length: u64,
}

impl Bins {
    /// Parts of a flow at most: its times are what somebody sent.
    pub const PARTS: u64 = 1_000;

    /// Bins of this length; shorter than a millisecond there are none.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        Self { length: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1_000_000) }
    }

    pub(super) fn spread(
        &self,
        flow: &Flow<'_>,
        stats: &mut CountingStats,
        sink: &mut impl FlowSink,
    ) -> io::Result<()> {
        let (start, end) = (flow.record.start.as_nanos(), flow.record.end.as_nanos());
        let is_timed = flow.record.has(FlowFields::START | FlowFields::END) && start < end;
        // The end of a flow is its last packet's: the last instant of it, not the first one behind.
        let bins = (end / self.length).saturating_sub(start / self.length);
        if !is_timed || bins == 0 {
            return sink.flow(flow);
        }
        if bins >= Self::PARTS {
            stats.unspread_flows += 1;
            return sink.flow(flow);
        }
        stats.spread_flows += 1;
        let share = |amount: u64, until: u64| {
            let due = u128::from(amount) * u128::from(until - start) / u128::from(end - start);
            u64::try_from(due).unwrap_or(u64::MAX)
        };
        let mut from = start;
        while from < end {
            let next = (from / self.length + 1).saturating_mul(self.length);
            let until = next.min(end);
            let part = |amount| share(amount, until) - share(amount, from);
            let mut record = flow.record;
            record.octets = part(record.octets);
            record.packets = part(record.packets);
            record.start = Timestamp::from_nanos(from);
            record.end = Timestamp::from_nanos(until);
            stats.spread_parts += 1;
            let part = Flow { record, ..*flow };
            match flow.stored() {
                None => sink.flow(&part)?,
                Some(stored) => {
                    let cells = restored(&part);
                    let fields = RecordFields::Stored(StoredCells::new(&cells, stored.fields()));
                    sink.flow(&Flow { fields, ..part })?;
                }
            }
            from = until;
        }
        Ok(())
    }
}

/// The cells of a stored flow whose record has changed.
fn restored(part: &Flow<'_>) -> Vec<Cell> {
    part.cells()
        .map(|(column, cell)| match column.name {
            _ if cell == Cell::Absent => cell,
            "time_flow_start_ns" => Cell::Unsigned(part.record.start.as_nanos()),
            "time_flow_end_ns" => Cell::Unsigned(part.record.end.as_nanos()),
            "duration_ms" => part.duration_millis().map_or(Cell::Absent, Cell::Signed),
            "bytes" => Cell::Unsigned(part.record.octets),
            "packets" => Cell::Unsigned(part.record.packets),
            _ => cell,
        })
        .take(COLUMNS.len())
        .collect()
}
