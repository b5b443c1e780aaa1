//! Where a record came from.

use super::decoded::Decoded;
use crate::{cache::RecoveredRecords, fixed::FixedRecord, record::DataRecord};

/// Where a record came from: enough to find it again in a capture, or to blame its exporter.
///
/// Made when asked for: a record carries no more than its octets, its place and its template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Provenance<'e, E> {
    /// The exporter, as it was given to [`Decoder::decode`](crate::Decoder::decode).
    pub exporter: &'e E,
    /// The version: 1, 5 to 10.
    pub version: u16,
    /// As in [`DatagramHeader`](crate::DatagramHeader).
    pub observation_domain: u32,
    /// The template's id; `None` for the versions with a fixed layout.
    pub template_id: Option<u16>,
    /// How many datagrams the decoder had been given before the record's.
    pub datagram: u64,
    /// How many sets stand before the record's in its datagram; 0 for the versions without sets.
    pub set: usize,
    /// Octets from the start of its datagram to the record.
    pub offset: usize,
}

/// A record with a place in its datagram.
pub trait Located {
    /// Octets from the start of the datagram to the record.
    fn offset(&self) -> usize;

    /// The id of its template, when it has one.
    fn template_id(&self) -> Option<u16>;
}

impl Located for DataRecord<'_, '_> {
    fn offset(&self) -> usize {
        self.offset()
    }

    fn template_id(&self) -> Option<u16> {
        Some(self.template().id())
    }
}

impl Located for FixedRecord<'_> {
    fn offset(&self) -> usize {
        self.offset()
    }

    fn template_id(&self) -> Option<u16> {
        None
    }
}

impl<E: Clone + Ord> Decoded<'_, '_, E> {
    /// Where a record of the last batch came from. The exporter is what the datagram was given to the decoder with.
    ///
    /// ```
    /// # use netflow_codec::{Batch, Decoder, Timestamp};
    /// # let datagram = [&[0, 5, 0, 2][..], &[0; 20], &[0; 96]].concat();
    /// let mut decoder = Decoder::new();
    /// let exporter = "192.0.2.254";
    /// let mut decoded = decoder.decode(&exporter, &datagram, Timestamp::ZERO)?;
    /// while let Some(batch) = decoded.next() {
    ///     if let Batch::Fixed(records) = batch {
    ///         let second = records.iter().nth(1).unwrap();
    ///         let provenance = decoded.provenance(&exporter, &second);
    ///         assert_eq!((*provenance.exporter, provenance.version, provenance.offset), (exporter, 5, 72));
    ///     }
    /// }
    /// # Ok::<(), netflow_codec::DecodeError>(())
    /// ```
    #[must_use]
    pub fn provenance<'e>(&self, exporter: &'e E, record: &impl Located) -> Provenance<'e, E> {
        Provenance {
            exporter,
            version: self.context.header.version,
            observation_domain: self.context.header.observation_domain,
            template_id: record.template_id(),
            datagram: self.context.ordinal,
            set: self.set_index(),
            offset: record.offset(),
        }
    }

    /// Where a record came from that waited for its template: the datagram, the set and the offset are those of the
    /// datagram it came in.
    #[must_use]
    pub fn recovered_provenance<'e>(
        &self,
        exporter: &'e E,
        recovered: &RecoveredRecords,
        record: &DataRecord<'_, '_>,
    ) -> Provenance<'e, E> {
        let origin = recovered.origin();
        let offset = record.offset() + recovered.offset_correction();
        Provenance { datagram: origin.datagram, set: origin.set, offset, ..self.provenance(exporter, record) }
    }
}
