//! The sets of a datagram, one step at a time.

use alloc::sync::Arc;

use super::{DatagramHeader, Transport, batch::Batch};
use crate::{
    cache::{Learned, Origin, Reception, RecoveredRecords, ScopeKey, ScopeSlot, TemplateCache},
    error::{DecodeError, DecodeErrorKind},
    ipfix,
    record::DataRecords,
    set::{RawSets, Set},
    taught::TaughtElements,
    template::{Protocol, Template, TemplateRecord, TemplateRecords, WireTemplate},
    time::{ExportClock, Timestamp},
    v9::{
        self,
        padding::{self, Tally, Verdict},
    },
};

/// Where the iteration over sets stands.
#[derive(Debug)]
pub(super) struct Sets<'a, E> {
    pub(super) raw: RawSets<'a>,
    pub(super) key: ScopeKey<E>,
    /// Until something of the scope must be stored, a datagram makes no scope.
    pub(super) slot: Option<ScopeSlot>,
    /// The set of the last batch.
    pub(super) current: usize,
    /// Octets from the start of the datagram to that set, or to the template record in it.
    pub(super) offset: usize,
    /// The template of the last data set that was decoded.
    pub(super) template_id: Option<u16>,
    started: bool,
    /// Whether any of what follows but the tally may be there.
    waits: bool,
    templates: Option<TemplateRecords<'a>>,
    /// A template that came just now: data may have waited for it.
    arrived: Option<Arc<Template>>,
    /// What is wrong with the template of the last batch.
    template_fault: Option<DecodeError>,
    /// What is wrong with the set at hand, reported behind what is sound of it.
    fault: Option<DecodeError>,
    /// v9: how many records there are, counted when that was first in doubt; an error when they cannot be.
    tally: Option<Result<Tally, ()>>,
}

/// What a step of the iteration needs to know of the datagram.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) datagram: &'a [u8],
    pub(super) header: DatagramHeader,
    pub(super) strict: bool,
    pub(super) transport: Transport,
    pub(super) ordinal: u64,
    pub(super) now: Timestamp,
}

impl Context<'_> {
    const fn reception(&self) -> Reception {
        let ordered = !matches!(self.transport, Transport::Udp);
        Reception { received: self.now, exported: self.header.clock.unix(), ordered }
    }
}

impl<'a, E: Clone + Ord> Sets<'a, E> {
    #[inline]
    pub(super) const fn new(raw: RawSets<'a>, key: ScopeKey<E>, slot: Option<ScopeSlot>) -> Self {
        Self {
            raw,
            key,
            slot,
            current: 0,
            offset: v9::HEADER_LEN,
            template_id: None,
            started: false,
            waits: false,
            templates: None,
            arrived: None,
            template_fault: None,
            fault: None,
            tally: None,
        }
    }

    fn open(&mut self, cache: &mut TemplateCache<E>, now: Timestamp) -> ScopeSlot {
        *self.slot.get_or_insert_with(|| cache.open(&self.key, now))
    }

    /// Whether nothing is left, for certain.
    #[inline]
    pub(super) const fn is_at_end(&self) -> bool {
        !self.waits && self.raw.is_at_end()
    }

    pub(super) fn step(
        &mut self,
        cache: &mut TemplateCache<E>,
        taught: &mut TaughtElements<E>,
        context: &Context<'a>,
    ) -> Option<Batch<'a>> {
        loop {
            if self.waits {
                if let Some(batch) = self.what_waits(cache, taught, context) {
                    return Some(batch);
                }
                self.waits = false;
            }
            let set = self.raw.next();
            cache.quirks.counts.add(self.raw.take_acted());
            let set = set?;
            self.current += usize::from(self.started);
            self.started = true;
            match set {
                Err(error) => return Some(Batch::Malformed(error)),
                Ok(set) => {
                    self.offset = set.offset;
                    if set.fault.is_some() {
                        self.report(set.fault);
                    }
                    if let Some(batch) = self.enter(set, cache, taught, context) {
                        return Some(batch);
                    }
                }
            }
        }
    }

    /// Reports what is wrong with the set at hand, behind what is sound of it.
    pub(super) fn report(&mut self, fault: Option<DecodeError>) {
        self.fault = fault;
        self.waits |= fault.is_some();
    }

    /// The next part of the template set at hand, and what follows from it; what is wrong with any set.
    #[inline(never)]
    fn what_waits(
        &mut self,
        cache: &mut TemplateCache<E>,
        taught: &mut TaughtElements<E>,
        context: &Context<'a>,
    ) -> Option<Batch<'a>> {
        if let Some(fault) = self.template_fault.take() {
            return Some(Batch::Malformed(fault));
        }
        if let Some(recovered) = self.recover(cache, taught, context.now) {
            return Some(Batch::Recovered(recovered));
        }
        self.learn(cache, context).or_else(|| self.fault.take().map(Batch::Malformed))
    }

    fn recover(
        &mut self,
        cache: &mut TemplateCache<E>,
        taught: &mut TaughtElements<E>,
        now: Timestamp,
    ) -> Option<RecoveredRecords> {
        let slot = self.slot?;
        let Some(recovered) = cache.recover(&self.key, self.arrived.as_ref()?, now) else {
            self.arrived = None;
            return None;
        };
        if recovered.records().template().is_options() {
            cache.learn_options(slot, &recovered.records(), now);
            taught.learn(&self.key.exporter, &recovered.records());
        }
        self.template_id = Some(recovered.records().template().id());
        Some(recovered)
    }

    /// The next template of the template set at hand.
    fn learn(&mut self, cache: &mut TemplateCache<E>, context: &Context<'a>) -> Option<Batch<'a>> {
        let record = self.templates.as_mut()?.next();
        let Some(record) = record else {
            self.templates = None;
            return None;
        };
        let learned = match record {
            Ok(TemplateRecord::Withdrawal { id, offset }) => {
                self.offset = offset;
                let obeyed = context.transport != Transport::Udp && self.withdraw(id, cache);
                if !obeyed {
                    cache.ignore_withdrawal();
                }
                return Some(Batch::Withdrawal { template_id: id, obeyed });
            }
            Ok(TemplateRecord::Template(wire)) => {
                self.offset = wire.offset;
                let slot = self.open(cache, context.now);
                let learned = cache.learn(slot, &self.key, &wire, context.strict, &context.reception());
                self.note(&wire, learned.as_ref().ok(), context.transport);
                learned
            }
            Err(error) => {
                cache.count_refused(&error);
                Err(error)
            }
        };
        Some(match learned {
            Ok((learned, template)) => Batch::Template(template, learned),
            Err(error) => Batch::Malformed(error),
        })
    }

    /// What follows a template that was taken: data that waited for it, and what is wrong with it.
    fn note(
        &mut self,
        wire: &WireTemplate<'_>,
        learned: Option<&(Learned, Arc<Template>)>,
        transport: Transport,
    ) {
        self.template_fault = None;
        let Some((learned, template)) = learned else { return };
        // A lenient cache takes it all the same; data that waited is not wasted on a template that decodes to nothing.
        self.template_fault = wire.check(false).err();
        if self.template_fault.is_none() && *learned != Learned::Late {
            self.arrived = Some(Arc::clone(template));
        }
        if *learned == Learned::Replaced && transport == Transport::Stream {
            let fault = DecodeError::new(wire.offset, DecodeErrorKind::NotWithdrawn(wire.id));
            self.template_fault.get_or_insert(fault);
        }
    }

    fn withdraw(&self, id: u16, cache: &mut TemplateCache<E>) -> bool {
        let Some(slot) = self.slot else { return false };
        match id {
            ipfix::TEMPLATE_SET => cache.withdraw_all(slot, false),
            ipfix::OPTIONS_TEMPLATE_SET => cache.withdraw_all(slot, true),
            template_id => cache.withdraw(slot, template_id),
        }
    }

    fn enter(
        &mut self,
        set: Set<'a>,
        cache: &mut TemplateCache<E>,
        taught: &mut TaughtElements<E>,
        context: &Context<'a>,
    ) -> Option<Batch<'a>> {
        if let Some(options) = template_set(self.key.scope.protocol, set.id) {
            let (protocol, offset) = (self.key.scope.protocol, set.body_offset());
            self.waits = true;
            self.templates = Some(
                TemplateRecords::new(protocol, set.body, offset, options).with_quirks(cache.quirks.active),
            );
            return None;
        }
        Some(match set.id {
            0..=255 => Batch::Reserved { id: set.id, offset: set.offset, octets: set.body },
            template_id => self.data(template_id, &set, cache, taught, context),
        })
    }

    fn data(
        &mut self,
        template_id: u16,
        set: &Set<'a>,
        cache: &mut TemplateCache<E>,
        taught: &mut TaughtElements<E>,
        context: &Context<'a>,
    ) -> Batch<'a> {
        let known = self.slot.and_then(|slot| cache.lookup(slot, template_id, &context.reception()));
        let Some(template) = known else {
            let origin = Origin {
                datagram: context.ordinal,
                set: self.current,
                offset: set.offset,
                received: context.now,
                sequence: context.header.sequence,
            };
            let clock = self.clock(cache, context);
            let kept = cache.keep_pending(&self.key, template_id, set.body, clock, origin);
            return Batch::TemplateMissing { template_id, offset: set.offset, octets: set.body, kept };
        };
        self.template_id = Some(template_id);
        let start = set.body_offset();
        let clock = self.clock(cache, context);
        if template.is_always_sound() {
            // Nearly every set: made where it is handed out.
            let end = start + set.body.len();
            return Batch::Data(DataRecords::new(template, context.datagram, start, end, clock));
        }
        let mut records = DataRecords::new(template, context.datagram, start, start + set.body.len(), clock);
        if records.template().has_doubtful_padding() {
            self.settle_padding(&mut records, cache, context);
        }
        if self.fault.is_none() {
            self.report(records.fault());
        }
        if !records.template().is_options() {
            // RFC 5103 section 4: such records are to be dropped; who is lenient may still look at their fields.
            return match self.fault {
                Some(DecodeError { kind: DecodeErrorKind::ReverseWithoutKey(_), .. }) if context.strict => {
                    self.fault.take().map_or(Batch::Data(records), Batch::Malformed)
                }
                _ => Batch::Data(records),
            };
        }
        if let Some(slot) = self.slot {
            cache.learn_options(slot, &records, context.now);
        }
        taught.learn(&self.key.exporter, &records);
        Batch::Options(records)
    }

    /// Takes records that are padding away, as far as the header's count settles it.
    fn settle_padding(
        &mut self,
        records: &mut DataRecords<'a>,
        cache: &TemplateCache<E>,
        context: &Context<'a>,
    ) {
        let own = padding::doubtful(records.body().len(), records.template().minimum_length());
        if own == 0 {
            return;
        }
        // Once a datagram: the work stays linear in its length.
        let tally = *self.tally.get_or_insert_with(|| tally(context.datagram, self.slot, cache).ok_or(()));
        match tally.map(|tally| tally.settle(context.header.count, own)) {
            Ok(Verdict::Padding(padding)) => records.shorten(padding),
            _ => records.doubt(),
        }
    }

    /// The header's clock; in IPFIX the uptime follows from what options said of the time of boot.
    fn clock(&self, cache: &TemplateCache<E>, context: &Context<'a>) -> ExportClock {
        let clock = context.header.clock;
        if clock.has_uptime() {
            return clock;
        }
        let boot = self.slot.and_then(|slot| cache.boot(slot));
        boot.map_or(clock, |boot| ExportClock::since_boot(clock.unix(), boot))
    }
}

/// Counts the records of a v9 packet, by its own templates and those that are known.
pub(super) fn tally<E: Clone + Ord>(
    packet: &[u8],
    slot: Option<ScopeSlot>,
    cache: &TemplateCache<E>,
) -> Option<Tally> {
    padding::tally(RawSets::new(packet, v9::HEADER_LEN, true), |id| {
        let template = cache.peek(slot?, id)?;
        (!template.is_variable_length()).then(|| template.minimum_length())
    })
}

/// Whether a set holds templates, and if so, whether they are options templates.
pub(super) const fn template_set(protocol: Protocol, id: u16) -> Option<bool> {
    match (protocol, id) {
        (Protocol::NetFlow9, v9::TEMPLATE_FLOWSET) | (Protocol::Ipfix, ipfix::TEMPLATE_SET) => Some(false),
        (Protocol::NetFlow9, v9::OPTIONS_TEMPLATE_FLOWSET)
        | (Protocol::Ipfix, ipfix::OPTIONS_TEMPLATE_SET) => Some(true),
        _ => None,
    }
}
