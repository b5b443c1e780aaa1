//! Flows handed on by whole sets, where nobody wants each by itself.
//!
//! A set is read column by column. What its flows have in common is looked at once; sampling, which may depend on the
//! interfaces of a flow, once for neighbours that do not differ in them.

use std::io;

use netflow_codec::{DataRecords, FixedRecords, FlowFields, FlowRecord, SamplingInfo};

use super::work::Work;
use crate::{
    flow::{Envelope, FlowSet, KnownTemplate},
    output::FlowSink,
};

impl<S: FlowSink> Work<'_, '_, S> {
    /// Hands on the flows of a data set at once; `false` when they have to be handed on one by one, and nothing was done.
    pub(super) fn data_set(
        &mut self,
        records: &DataRecords<'_>,
        envelope: &Envelope,
        known: &mut KnownTemplate,
    ) -> io::Result<bool> {
        let template = records.template();
        if self.splits_biflows || template.is_reverse_only() || !self.sink.takes_sets() {
            return Ok(false);
        }
        let (columns, layout) = known.columns(records);
        let Some(set) = FlowSet::of(columns, envelope, Some(template.id())) else { return Ok(false) };
        if layout.is_some_and(|layout| !set.shows_all(layout, records.iter().map(|record| record.octets()))) {
            return Ok(false);
        }
        let (mut rest, mut next) = (records.iter(), 0);
        self.sampled(&set, |work, row| {
            let record = rest.nth(row - next)?;
            next = row + 1;
            work.sampling(&columns.row(row)?, Some(&record))
        })?;
        Ok(true)
    }

    /// As [`Self::data_set`], for the records of a fixed layout.
    pub(super) fn fixed_set(&mut self, records: &FixedRecords<'_>, envelope: &Envelope) -> io::Result<bool> {
        // A record of v8 has something that no column shows.
        if envelope.version == 8 || !self.sink.takes_sets() {
            return Ok(false);
        }
        let mut columns = core::mem::take(self.columns);
        columns.clear();
        records.iter().for_each(|record| columns.push(&record.to_flow()));
        let set = FlowSet::of(&columns, envelope, None);
        let result = set.map(|set| {
            let sampling = self.sampling(&FlowRecord::EMPTY, None);
            self.hand_on(&FlowSet { sampling, ..set })
        });
        *self.columns = columns;
        result.transpose().map(|done| done.is_some())
    }

    /// Hands on a set, in parts that have their sampling in common.
    fn sampled(
        &mut self,
        set: &FlowSet<'_>,
        mut sampling: impl FnMut(&mut Self, usize) -> Option<SamplingInfo>,
    ) -> io::Result<()> {
        use FlowFields as F;
        let columns = set.columns;
        let ingress = set.column(F::INGRESS_INTERFACE, columns.ingress_interface());
        let egress = set.column(F::EGRESS_INTERFACE, columns.egress_interface());
        let direction = set.column(F::DIRECTION, columns.direction());
        let key = |row: usize| (ingress.get(row), egress.get(row), direction.get(row));
        let mut part = FlowSet { rows: 0..0, ..set.clone() };
        let mut needs_no_quirk = true;
        let are_alike = is_one(ingress) && is_one(egress) && is_one(direction);
        for row in set.rows.clone() {
            // Quirks are counted flow by flow.
            if row > 0 && needs_no_quirk {
                if are_alike {
                    break;
                }
                if key(row) == key(row - 1) {
                    continue;
                }
            }
            let before = self.decoded.cache().quirk_counts().clone();
            let found = sampling(self, row);
            needs_no_quirk = *self.decoded.cache().quirk_counts() == before;
            if row > 0 && found != part.sampling {
                part.rows.end = row;
                self.hand_on(&part)?;
                part.rows.start = row;
            }
            part.sampling = found;
        }
        part.rows.end = set.rows.end;
        self.hand_on(&part)
    }

    fn hand_on(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        self.sink.set(set)?;
        self.counts.data_records += set.len() as u64;
        self.counts.flows(set);
        Ok(())
    }
}

/// Whether all values of a column are the same, if there are any.
fn is_one<T: PartialEq>(column: &[T]) -> bool {
    column.first().is_none_or(|first| column.iter().all(|value| value == first))
}
