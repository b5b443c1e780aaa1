//! Whether the last records of a Data FlowSet are padding (RFC 3954 section 5.3).
//!
//! FlowSets are padded to a multiple of 4 octets. Records of 1 to 3 octets may be as short as the padding: then only
//! the count in the packet's header tells one from the other, and only if all FlowSets of the packet can be counted.

use alloc::collections::BTreeMap;

use super::{OPTIONS_TEMPLATE_FLOWSET, TEMPLATE_FLOWSET};
use crate::{
    set::RawSets,
    template::{Protocol, TemplateRecord, TemplateRecords},
};

/// What a packet holds when nothing that may be a record is padding.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Records, those of templates included.
    pub(crate) records: usize,
    /// How many of them may be padding.
    pub(crate) doubtful: usize,
    flowsets: usize,
}

/// What becomes of the records at the end of a FlowSet that may be padding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// So many are padding, the others are records.
    Padding(usize),
    /// Nothing says which.
    Doubtful,
}

/// How many records at the end of a body may be padding.
pub(crate) const fn doubtful(body: usize, record_len: usize) -> usize {
    match body.checked_rem(record_len) {
        Some(rest) if record_len < 4 && body.is_multiple_of(4) => (3 - rest) / record_len,
        _ => 0,
    }
}

/// How many of those are all zeros, as padding should be.
pub(crate) fn zeros(body: &[u8], record_len: usize) -> usize {
    let tail = body.iter().rev().take_while(|octet| **octet == 0).count();
    let rest = body.len().checked_rem(record_len).unwrap_or(0);
    let records = tail.saturating_sub(rest).checked_div(record_len).unwrap_or(0);
    doubtful(body.len(), record_len).min(records)
}

/// Counts a packet. `known` gives the length of records by templates of earlier packets. `None` when a FlowSet cannot
/// be counted: it is malformed, or nobody knows the length of its records.
pub(crate) fn tally(sets: RawSets<'_>, mut known: impl FnMut(u16) -> Option<usize>) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut own: BTreeMap<u16, Option<usize>> = BTreeMap::new();
    for set in sets {
        let set = set.ok().filter(|set| set.fault.is_none())?;
        tally.flowsets += 1;
        match set.id {
            TEMPLATE_FLOWSET | OPTIONS_TEMPLATE_FLOWSET => {
                let options = set.id == OPTIONS_TEMPLATE_FLOWSET;
                for record in TemplateRecords::new(Protocol::NetFlow9, set.body, set.body_offset(), options) {
                    tally.records += 1;
                    if let TemplateRecord::Template(wire) = record.ok()? {
                        let fields = wire.fields().map(|field| usize::from(field.length));
                        let is_fixed = wire.fields().all(|field| !field.is_variable_length());
                        own.insert(wire.id, is_fixed.then(|| fields.sum()));
                    }
                }
            }
            0..=255 => return None,
            id => {
                let record_len = own.get(&id).copied().unwrap_or_else(|| known(id))?;
                tally.records += set.body.len().checked_div(record_len)?;
                tally.doubtful += doubtful(set.body.len(), record_len);
            }
        }
    }
    Some(tally)
}

impl Tally {
    /// What the header's count says of a FlowSet with `own` records that may be padding.
    ///
    /// Some exporters count FlowSets instead of records: such a count settles nothing.
    pub(crate) fn settle(&self, count: u16, own: usize) -> Verdict {
        let count = usize::from(count);
        match self.records.checked_sub(count) {
            Some(0) => Verdict::Padding(0),
            Some(_) if count == self.flowsets => Verdict::Doubtful,
            Some(missing) if missing == self.doubtful => Verdict::Padding(own),
            Some(missing) if self.doubtful == own && missing <= own => Verdict::Padding(missing),
            _ => Verdict::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_records_may_be_padding_as_reach_the_next_multiple_of_four() {
        // D27
        let seen = |record_len| [4, 8, 12, 16].map(|body| doubtful(body, record_len));
        assert_eq!((seen(1), seen(2)), ([3; 4], [1; 4]));
        assert_eq!((seen(3), seen(4)), ([0, 0, 1, 0], [0; 4]));
        assert_eq!((doubtful(5, 1), doubtful(6, 2), doubtful(8, 0)), (0, 0, 0), "not padded");
        assert_eq!((zeros(&[6, 0, 0, 0], 1), zeros(&[6, 6, 0, 0], 1), zeros(&[6, 6, 6, 6], 1)), (3, 2, 0));
        assert_eq!((zeros(&[0, 6, 0, 0], 2), zeros(&[0, 6, 0, 1], 2)), (1, 0));
    }

    #[test]
    fn the_count_settles_it_only_when_it_can_mean_nothing_else() {
        // D27
        let tally = Tally { records: 9, doubtful: 4, flowsets: 3 };
        assert_eq!(tally.settle(9, 3), Verdict::Padding(0));
        assert_eq!(tally.settle(5, 3), Verdict::Padding(3), "all that may be padding is");
        assert_eq!(tally.settle(8, 3), Verdict::Doubtful, "of which FlowSet?");
        assert_eq!(tally.settle(3, 3), Verdict::Doubtful, "FlowSets are counted");
        assert_eq!(tally.settle(10, 3), Verdict::Doubtful);
        let tally = Tally { records: 5, doubtful: 3, flowsets: 2 };
        assert_eq!(tally.settle(4, 3), Verdict::Padding(1));
        assert_eq!(tally.settle(2, 3), Verdict::Doubtful);
    }
}
