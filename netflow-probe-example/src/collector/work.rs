//! What becomes of the sets and records of a datagram.

use std::io;

use netflow_codec::{
    Batch, DataRecord, DataRecords, DecodeError, DecodeErrorKind, Decoded, ExportClock, FlowColumns,
    FlowRecord, Learned, Origin, Quirk, SamplingInfo,
};

use core::net::SocketAddr;

use super::faults::Faults;
use crate::{
    account::{Counts, Names, Statements, Stream, What},
    flow::{Context, Countries, Envelope, Flow, Layout, Layouts, Record, RecordFields},
    output::FlowSink,
    policy::Sampling,
};

/// One datagram on its way through.
pub(super) struct Work<'c, 'a, S> {
    pub(super) decoded: Decoded<'c, 'a, SocketAddr>,
    pub(super) envelope: Envelope,
    pub(super) sink: &'c mut S,
    pub(super) layouts: &'c mut Layouts,
    pub(super) columns: &'c mut FlowColumns,
    pub(super) splits_biflows: bool,
    pub(super) faults: Faults<'c>,
    pub(super) counts: Counts,
    pub(super) sampling: Option<SamplingInfo>,
    /// What the user says of sampling.
    pub(super) rule: Option<Sampling>,
    pub(super) origin: Stream,
    /// Structures that could not be decoded.
    pub(super) malformed: u32,
    /// Whether records of the datagram may not have been decoded, nobody knows how many.
    pub(super) is_incomplete: bool,
    /// Whether a template took the place of another one.
    pub(super) redefines_templates: bool,
    /// Flow records of earlier datagrams that had waited for their template.
    pub(super) recovered_flows: u64,
    /// Fixed layouts: records that strict decoding refused, because of what the header announces.
    pub(super) undecoded: u64,
}

/// The place of a set.
#[derive(Clone, Copy)]
struct Place {
    datagram: u64,
    set: usize,
    /// What to add to the offsets of its records.
    correction: usize,
}

impl<S: FlowSink> Work<'_, '_, S> {
    /// Takes it apart.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut evicted = self.evicted();
        while let Some(batch) = self.decoded.next() {
            let set = self.decoded.set_index();
            let now = self.evicted();
            if now != evicted {
                let (templates, domains) = (now.0 - evicted.0, now.1 - evicted.1);
                self.faults
                    .add(Some(set), What::CacheFull { templates, domains, offset: self.decoded.offset() });
                evicted = now;
            }
            let place = Place { datagram: self.envelope.ordinal, set, correction: 0 };
            match batch {
                Batch::Fixed(records) => {
                    let envelope = self.envelope;
                    if self.fixed_set(&records, &envelope)? {
                        continue;
                    }
                    let clock = self.decoded.header().clock;
                    for record in records.iter() {
                        let fields = RecordFields::Fixed(record);
                        let template = Described { template_id: None, is_options: false, scope_fields: 0 };
                        let sampling = self.sampling(&FlowRecord::EMPTY, None);
                        let context = Context::new(&self.decoded, clock);
                        self.sink.record(&template.record(
                            &envelope,
                            place,
                            record.offset(),
                            fields,
                            context,
                        ))?;
                        let record = record.to_flow();
                        let flow = Flow {
                            record,
                            envelope: &envelope,
                            template_id: None,
                            sampling,
                            fields,
                            context,
                            layout: None,
                            countries: Countries::default(),
                        };
                        self.sink.flow(&flow)?;
                        self.counts.data_records += 1;
                        self.counts.flow(&record, sampling.as_ref());
                    }
                }
                Batch::Data(records) => self.data(&records, place, self.envelope)?,
                Batch::Options(records) => self.options(&records, place)?,
                Batch::Template(template, learned) => {
                    let is_other = learned == Learned::Replaced;
                    self.redefines_templates |= is_other;
                    self.faults.account.learned(self.origin, template.id(), is_other);
                    if template.is_options() {
                        self.counts.options_template_records += 1;
                    } else {
                        self.counts.template_records += 1;
                    }
                }
                Batch::Withdrawal { .. } => self.counts.withdrawals += 1,
                Batch::Recovered(recovered) => {
                    let origin = recovered.origin();
                    let place = Place {
                        datagram: origin.datagram,
                        set: origin.set,
                        correction: recovered.offset_correction(),
                    };
                    let before = self.counts;
                    let records = recovered.records();
                    if records.template().is_options() {
                        self.options(&records, place)?;
                    } else {
                        let Origin { datagram: ordinal, received, sequence, .. } = origin;
                        let envelope = Envelope { ordinal, received, sequence, ..self.envelope };
                        self.data(&records, place, envelope)?;
                    }
                    self.counts.sets_recovered += 1;
                    self.recovered_flows += self.counts.data_records - before.data_records;
                    self.counts.records_recovered += self.counts.data_records - before.data_records
                        + (self.counts.options_records - before.options_records);
                }
                Batch::TemplateMissing { template_id, offset, octets, kept } => {
                    self.counts.sets_without_template += 1;
                    self.is_incomplete = true;
                    let octets = octets.len();
                    self.faults.account.missed(self.origin, template_id, octets);
                    self.faults.add(Some(set), What::TemplateMissing { template_id, offset, octets, kept });
                }
                Batch::Reserved { id, offset, .. } => {
                    self.counts.reserved_sets += 1;
                    self.faults.add(Some(set), What::ReservedSet { id, offset });
                }
                Batch::Malformed(error) => self.malformed(set, error),
                _ => {}
            }
        }
        Ok(())
    }

    /// By how much the datagram advances the sequence number of its stream; unknown when records of an IPFIX message
    /// could not be decoded. v5 to v8 count the flows that are there, whatever their header
    /// announces.
    pub(super) fn units(&mut self, counts_templates: bool) -> Option<u32> {
        let Counts { data_records, options_records, records_recovered, .. } = self.counts;
        let records = data_records + options_records + self.undecoded - records_recovered;
        match self.envelope.version {
            9 => Some(1),
            10 if self.is_incomplete => None,
            10 if counts_templates => {
                let Counts { template_records, options_template_records, withdrawals, .. } = self.counts;
                let templates = template_records + options_template_records + withdrawals;
                if templates > 0 {
                    self.decoded.count_quirk(Quirk::SequenceCountsTemplates);
                }
                u32::try_from(records + templates).ok()
            }
            _ => u32::try_from(records).ok(),
        }
    }

    /// Flow records that the datagram brought, if all are known.
    pub(super) fn flows(&self) -> Option<u32> {
        let flows = self.counts.data_records.checked_sub(self.recovered_flows)?;
        u32::try_from(flows).ok().filter(|_| !self.is_incomplete)
    }

    fn malformed(&mut self, set: usize, error: DecodeError) {
        self.is_incomplete = true;
        self.malformed = self.malformed.saturating_add(1);
        match error.kind {
            DecodeErrorKind::RecordCount { available, .. } if self.counts.data_records == 0 => {
                self.undecoded = available.into();
            }
            DecodeErrorKind::TooManyRecords { announced, .. } => self.undecoded = announced.into(),
            _ => {}
        }
        let set = matches!(self.envelope.version, 9 | 10).then_some(set);
        self.faults.add(set, What::Malformed(error));
    }

    /// Templates and domains that had to make room so far.
    const fn evicted(&self) -> (u64, u64) {
        let stats = self.decoded.cache().stats();
        (stats.evicted_templates, stats.evicted_scopes)
    }

    pub(super) fn sampling(
        &mut self,
        flow: &FlowRecord,
        record: Option<&DataRecord<'_, '_>>,
    ) -> Option<SamplingInfo> {
        let sampling = match record {
            Some(record) => self.decoded.sampling_of(record, flow),
            None => self.decoded.sampling(flow),
        };
        let sampling = self.rule.map_or(sampling, |rule| rule.over(sampling));
        self.sampling = sampling.or(self.sampling);
        sampling
    }

    fn data(&mut self, records: &DataRecords<'_>, place: Place, envelope: Envelope) -> io::Result<()> {
        let template = Described::by(records);
        // The layout borrows from the cache of layouts, the rest of `self` is needed besides.
        let mut layouts = core::mem::take(self.layouts);
        let mut known = layouts.of(records.template());
        let result = match known.as_mut().map_or(Ok(false), |known| self.data_set(records, &envelope, known))
        {
            Ok(false) => {
                let (clock, layout) = (*records.clock(), known.as_ref().and_then(|known| known.layout()));
                let source = Source { template, clock, place, envelope: &envelope, layout };
                let mut both = records.iter().zip(records.flows());
                both.try_for_each(|(record, flow)| self.flow(&source, &record, flow))
            }
            done => done.map(drop),
        };
        *self.layouts = layouts;
        result
    }

    fn flow(&mut self, source: &Source<'_>, record: &DataRecord<'_, '_>, flow: FlowRecord) -> io::Result<()> {
        let Source { template, clock, place, envelope, layout } = *source;
        let fields = RecordFields::Data(*record);
        let sampling = self.sampling(&flow, Some(record));
        let context = Context::new(&self.decoded, clock);
        self.sink.record(&template.record(envelope, place, record.offset(), fields, context))?;
        self.counts.data_records += 1;
        // RFC 5103 section 4: what has reverse values but no direction is no flow; that it came is told.
        if record.template().is_reverse_only() {
            return Ok(());
        }
        let template_id = template.template_id;
        self.counts.flow(&flow, sampling.as_ref());
        let countries = Countries::default();
        let flow = Flow { record: flow, envelope, template_id, sampling, countries, fields, context, layout };
        self.sink.flow(&flow)?;
        if self.splits_biflows
            && let Some(reverse) = record.to_biflow(&clock).reverse
        {
            // What has no column stands in the forward flow.
            self.sink.flow(&Flow { record: reverse, layout: None, ..flow })?;
        }
        Ok(())
    }

    /// Takes what an exporter says of its own work.
    fn stated(&mut self, record: &DataRecord<'_, '_>, set: usize) {
        self.faults.account.stated(self.origin, record);
        let Some(keys) = Statements::flow_keys_of(record) else { return };
        let template = self.decoded.template(keys.0).map(|template| &**template);
        if let Err(fault) = self.faults.account.marked(self.origin, keys, template) {
            self.faults.add(Some(set), What::FlowKeys { template_id: keys.0, fault });
        }
    }

    fn options(&mut self, records: &DataRecords<'_>, place: Place) -> io::Result<()> {
        let template = Described::by(records);
        let envelope = self.envelope;
        let are_naming = Names::are_in(records.template());
        let are_statements = Statements::are_in(records.template());
        for record in records {
            if are_naming {
                self.faults.account.named(self.faults.exporter, &record);
            }
            if are_statements {
                self.stated(&record, place.set);
            }
            let fields = RecordFields::Data(record);
            let context = Context::new(&self.decoded, *records.clock());
            self.sink.record(&template.record(&envelope, place, record.offset(), fields, context))?;
            self.counts.options_records += 1;
        }
        Ok(())
    }
}

/// What the records of a set have in common.
#[derive(Clone, Copy)]
struct Source<'s> {
    template: Described,
    clock: ExportClock,
    place: Place,
    envelope: &'s Envelope,
    layout: Option<&'s Layout>,
}

/// What describes the records of a set.
#[derive(Clone, Copy)]
struct Described {
    template_id: Option<u16>,
    is_options: bool,
    scope_fields: usize,
}

impl Described {
    fn by(records: &DataRecords<'_>) -> Self {
        let template = records.template();
        Self {
            template_id: Some(template.id()),
            is_options: template.is_options(),
            scope_fields: template.scope_count(),
        }
    }

    const fn record<'r>(
        self,
        envelope: &'r Envelope,
        place: Place,
        offset: usize,
        fields: RecordFields<'r>,
        context: Context<'r>,
    ) -> Record<'r> {
        let Self { template_id, is_options, scope_fields } = self;
        let Place { datagram, set, correction } = place;
        let offset = offset + correction;
        Record { envelope, datagram, set, template_id, is_options, scope_fields, offset, fields, context }
    }
}
