//! A datagram being decoded.

use alloc::sync::Arc;

use super::{
    Decoder,
    batch::Batch,
    header::DatagramHeader,
    sets::{Context, Sets, tally},
};
use crate::{
    cache::TemplateCache,
    element::Elements,
    error::DecodeError,
    fixed::FixedRecords,
    flow::FlowRecord,
    quirk::{Quirk, Quirks},
    record::DataRecord,
    restart::Restart,
    sampling::{SampledUnit, SamplingInfo, SamplingQuery},
    template::Template,
    v9::{self, padding::Tally},
};

/// A datagram being decoded: an iterator of its parts.
///
/// The order is that of the datagram; templates are in force for what follows them.
#[derive(Debug)]
pub struct Decoded<'d, 'a, E> {
    pub(super) decoder: &'d mut Decoder<E>,
    pub(super) context: Context<'a>,
    pub(super) content: Content<'a, E>,
}

/// A v9 header whose count is not that of the packet's records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CountMismatch {
    /// What the header says.
    pub announced: u16,
    /// Records in the packet: templates, options templates and data.
    pub records: usize,
}

/// A question about sampling and its answer, with the quirks that acted.
pub(super) type Asked = (SamplingQuery, Option<(SamplingInfo, Quirks)>);

#[derive(Debug)]
pub(super) enum Content<'a, E> {
    Fixed(FixedRecords<'a>),
    Missing(DecodeError),
    Sets(Sets<'a, E>),
    Done,
}

impl<E: Clone + Ord> Decoded<'_, '_, E> {
    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> &DatagramHeader {
        &self.context.header
    }

    /// Whether this datagram completes the evidence that its exporter was restarted, or its clock set (v9 and IPFIX over
    /// UDP), see [`OnRestart`](super::OnRestart). Of the other versions, a [`RestartDetector`](crate::RestartDetector)
    /// of one's own tells.
    #[must_use]
    pub const fn restart(&self) -> Option<&Restart> {
        self.decoder.restart.as_ref()
    }

    /// The quirks of the exporter.
    #[must_use]
    pub const fn quirks(&self) -> Quirks {
        self.decoder.cache.quirks.active
    }

    /// As [`Decoder::count_quirk`].
    pub fn count_quirk(&mut self, quirk: Quirk) {
        self.decoder.count_quirk(quirk);
    }

    /// How many datagrams the decoder had been given before this one.
    #[must_use]
    pub const fn ordinal(&self) -> u64 {
        self.context.ordinal
    }

    /// Which set of the datagram, from 0, the last batch came from.
    #[must_use]
    pub const fn set_index(&self) -> usize {
        match &self.content {
            Content::Sets(sets) => sets.current,
            _ => 0,
        }
    }

    /// Octets from the start of the datagram to the template record or the set that the last batch came from.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match &self.content {
            Content::Sets(sets) => sets.offset,
            _ => 0,
        }
    }

    /// The decoder's template cache, as it is after the last batch.
    #[must_use]
    pub const fn cache(&self) -> &TemplateCache<E> {
        &self.decoder.cache
    }

    /// The template that the datagram means by an id, as it is after the last batch: what a
    /// [`SubTemplateList`](crate::SubTemplateList) is read with.
    #[must_use]
    pub fn template(&self, template_id: u16) -> Option<&Arc<Template>> {
        match &self.content {
            Content::Sets(sets) => self.decoder.cache.get(&sets.key.scope, template_id),
            _ => None,
        }
    }

    /// What is known of the elements in this datagram, see [`Decoder::elements`].
    #[must_use]
    pub fn elements(&self) -> Elements<'_> {
        match &self.content {
            Content::Sets(sets) => self.decoder.elements(&sets.key.exporter),
            _ => self.decoder.defined_elements(),
        }
    }

    /// By how much the count in a v9 header and the packet differ, as far as its templates are known after the last
    /// batch. The count bounds nothing (RFC 5655 appendix B.1.1): some exporters count FlowSets.
    ///
    /// The packet is walked again for it. `None` when they agree, when not all of the packet can be counted, and for other
    /// versions.
    #[must_use]
    pub fn count_mismatch(&self) -> Option<CountMismatch> {
        let Content::Sets(Sets { slot, .. }) = &self.content else { return None };
        if self.context.header.version != v9::VERSION {
            return None;
        }
        let Tally { records, doubtful, .. } = tally(self.context.datagram, *slot, &self.decoder.cache)?;
        let announced = self.context.header.count;
        let differs = !(records - doubtful..=records).contains(&usize::from(announced));
        differs.then_some(CountMismatch { announced, records })
    }

    /// One packet in how many was metered for this flow, as far as the exporter has said by now.
    ///
    /// Of what the data record itself may say, a typed flow has samplingInterval (34) and samplerRandomInterval (50)
    /// only; see [`Self::sampling_of`]. `None` is unknown, which is not 1.
    #[must_use]
    pub fn sampling(&mut self, flow: &FlowRecord) -> Option<SamplingInfo> {
        let Content::Sets(sets) = &self.content else { return self.context.header.sampling };
        let quirks = self.decoder.cache.quirks.active;
        let found = SamplingInfo::of_flow(flow, quirks)
            .or_else(|| self.resolve(&SamplingQuery::of(flow, sets.template_id), quirks));
        self.note(found)
    }

    /// As [`Self::sampling`], with all that the data record says of its rate, its sampler (48, 302 of any length) and its
    /// chain of selectors (301). `flow` is the same record, typed.
    #[must_use]
    pub fn sampling_of(&mut self, record: &DataRecord<'_, '_>, flow: &FlowRecord) -> Option<SamplingInfo> {
        self.sampling_of_unit(record, flow, SampledUnit::Packets)
    }

    /// One flow in how many was kept after metering, where flows were selected (RFC 7014: elements 390 and 396 to 399).
    /// Unlike that of packets, this rate does not multiply the counters of a flow.
    #[must_use]
    pub fn flow_sampling_of(
        &mut self,
        record: &DataRecord<'_, '_>,
        flow: &FlowRecord,
    ) -> Option<SamplingInfo> {
        self.sampling_of_unit(record, flow, SampledUnit::Flows)
    }

    fn sampling_of_unit(
        &mut self,
        record: &DataRecord<'_, '_>,
        flow: &FlowRecord,
        unit: SampledUnit,
    ) -> Option<SamplingInfo> {
        let quirks = self.decoder.cache.quirks.active;
        let found = SamplingInfo::of_record(record, unit, quirks).or_else(|| {
            let query = SamplingQuery::of(flow, None).with_record(record).of_unit(unit);
            match &self.decoder.asked {
                Some((asked, answer)) if *asked == query => *answer,
                _ => {
                    let answer = self.resolve(&query, quirks);
                    self.decoder.asked = Some((query, answer));
                    answer
                }
            }
        });
        self.note(found)
    }

    /// By what options said: of the domain, else of the exporter's other domains.
    fn resolve(&self, query: &SamplingQuery, quirks: Quirks) -> Option<(SamplingInfo, Quirks)> {
        let Content::Sets(sets) = &self.content else { return None };
        let (slot, cache) = (sets.slot?, &self.decoder.cache);
        let own = cache.sampling(slot).and_then(|table| table.resolve(query, quirks));
        if own.is_some() || !quirks.contains(Quirk::SamplingOfOtherDomains) {
            return own;
        }
        let (info, acted) = cache.fallback_sampling(slot)?.resolve(&query.elsewhere(), quirks)?;
        Some((SamplingInfo { elsewhere: true, ..info }, acted.with(Quirk::SamplingOfOtherDomains)))
    }

    /// Counts the quirks that an answer took.
    fn note(&mut self, found: Option<(SamplingInfo, Quirks)>) -> Option<SamplingInfo> {
        let (info, acted) = found?;
        self.decoder.cache.quirks.counts.add(acted);
        Some(info)
    }
}

impl<'a, E: Clone + Ord> Iterator for Decoded<'_, 'a, E> {
    type Item = Batch<'a>;

    #[inline]
    fn next(&mut self) -> Option<Batch<'a>> {
        self.decoder.asked = None;
        match &mut self.content {
            // Nearly every datagram has one or two sets: to be told at once that there are no more.
            Content::Sets(sets) if sets.is_at_end() => None,
            Content::Sets(sets) => {
                let Decoder { cache, taught, .. } = &mut *self.decoder;
                sets.step(cache, taught, &self.context)
            }
            Content::Done => None,
            _ => self.next_of_fixed(),
        }
    }
}

impl<'a, E: Clone + Ord> Decoded<'_, 'a, E> {
    fn next_of_fixed(&mut self) -> Option<Batch<'a>> {
        match core::mem::replace(&mut self.content, Content::Done) {
            Content::Fixed(records) => {
                if self.context.strict
                    && let Some(error) = records.fault()
                {
                    return Some(Batch::Malformed(error));
                }
                self.content = records.missing_records().map_or(Content::Done, Content::Missing);
                Some(Batch::Fixed(records))
            }
            Content::Missing(error) => Some(Batch::Malformed(error)),
            Content::Sets(_) | Content::Done => None,
        }
    }
}
