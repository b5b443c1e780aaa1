//! The half of a session that v9 and IPFIX share: layouts of flows, announcements and when they are due.

use super::{
    announce::{Announcement, Announcements},
    config::{ExportTransport, ExportVersion, SessionConfig, SessionStats},
    layout::RecordLayout,
    options::OptionsData,
    packet::PacketBuilder,
    scheduler::TemplateScheduler,
    template::ExportTemplate,
    times::{FlowTimes, SELECTOR_ID},
};
use crate::{
    element::ElementId,
    error::EncodeError,
    flow::FlowRecord,
    template::{FieldSpecifier, Protocol},
    time::Timestamp,
};

/// Template ids of a session, from its first one on.
const SAMPLING_TEMPLATE: u16 = 0;
const INIT_TIME_TEMPLATE: u16 = 1;
const STATISTICS_TEMPLATE: u16 = 2;
const FLOW_TEMPLATES: u16 = 4;
/// The first id of templates, and the last one from which all of a session's have room.
const FIRST_TEMPLATES: core::ops::RangeInclusive<u16> = 256..=u16::MAX - 7;
/// MPLS labels of the layouts that have them.
const MPLS_DEPTH: u16 = 10;
/// The selector that a session has unless it is told otherwise.
const SELECTOR: u32 = 1;
/// Flow labels have 20 bits.
const MAX_FLOW_LABEL: u32 = 0xf_ffff;

/// What is to be sent, and what is being written.
#[derive(Debug)]
pub(super) struct Templated {
    pub(super) builder: PacketBuilder,
    pub(super) scheduler: TemplateScheduler,
    layouts: [RecordLayout; 4],
    /// Whether the user's templates stand for them.
    is_replaced: bool,
    announcements: Announcements,
    /// The selector of flows that name none themselves; `None` when flows have no field for it.
    selector: Option<u32>,
    /// Whether templates are sent only once.
    in_stream: bool,
}

impl Templated {
    pub(super) fn new(config: &SessionConfig) -> Result<Self, EncodeError> {
        let protocol = match config.version {
            ExportVersion::Ipfix => Protocol::Ipfix,
            ExportVersion::V5 | ExportVersion::V9 => Protocol::NetFlow9,
        };
        let selector = config.selector_id.or_else(|| config.sampling.map(|_| SELECTOR));
        let selector = selector.filter(|_| protocol == Protocol::Ipfix);
        let shaped = |layout: RecordLayout| {
            let layout = match config.times {
                FlowTimes::Uptime => layout,
                FlowTimes::Milliseconds => layout.with_absolute_times()?,
            };
            if selector.is_some() {
                layout.with_field(FieldSpecifier::new(SELECTOR_ID, 4))
            } else {
                Ok(layout)
            }
        };
        if !FIRST_TEMPLATES.contains(&config.first_template) {
            return Err(EncodeError::TemplateId(config.first_template));
        }
        let flows = config.first_template + FLOW_TEMPLATES;
        let v4 = shaped(RecordLayout::ipv4(flows)?)?;
        let v6 = shaped(RecordLayout::ipv6(flows + 1)?)?;
        let v4_mpls = v4.with_mpls(flows + 2, MPLS_DEPTH)?;
        let v6_mpls = v6.with_mpls(flows + 3, MPLS_DEPTH)?;
        let naming = |layout: RecordLayout| match selector {
            Some(selector) => layout.naming(selector),
            None => layout,
        };
        let (packets, time) = match config.transport {
            ExportTransport::Datagrams => (config.template_refresh_packets, config.template_refresh),
            ExportTransport::Stream => (None, None),
        };
        let mut templated = Self {
            builder: PacketBuilder::with_protocol(protocol, config.max_datagram),
            scheduler: TemplateScheduler::new(packets, time),
            layouts: [v4, v6, v4_mpls, v6_mpls].map(naming),
            is_replaced: !config.templates.is_empty(),
            announcements: Announcements::default(),
            selector,
            in_stream: config.transport == ExportTransport::Stream,
        };
        templated.fill(protocol, config)?;
        Ok(templated)
    }

    /// What every session announces: options first, so that they are known before the flows.
    fn fill(&mut self, protocol: Protocol, config: &SessionConfig) -> Result<(), EncodeError> {
        let first = config.first_template;
        let list = &mut self.announcements;
        if let Some(sampling) = config.sampling {
            let selector = self.selector.unwrap_or(SELECTOR);
            let id = first + SAMPLING_TEMPLATE;
            let options = OptionsData::sampling(protocol, id, selector.into(), sampling.into())?;
            list.push(Announcement::Options(options));
        }
        if protocol == Protocol::Ipfix && config.times == FlowTimes::Uptime {
            let domain = config.source_id;
            let id = first + INIT_TIME_TEMPLATE;
            let options = OptionsData::system_init_time(protocol, id, domain, config.boot)?;
            list.push(Announcement::Options(options));
        }
        if config.statistics {
            let mut options = OptionsData::statistics(protocol, first + STATISTICS_TEMPLATE)?;
            options.replace_statistics(config.source_id, 0, 0, 0)?;
            list.push(Announcement::Options(options));
        }
        let options = config.options.iter().cloned().map(Announcement::Options);
        let templates = config.templates.iter().cloned().map(Announcement::Template);
        for announcement in options.chain(templates) {
            let id = announcement.template_id(&self.layouts);
            let taken = list.iter().any(|known| known.template_id(&self.layouts) == id);
            if taken || (!self.is_replaced && self.layouts.iter().any(|layout| layout.template_id() == id)) {
                return Err(EncodeError::TemplateInUse(id));
            }
            list.push(announcement);
        }
        if !self.is_replaced {
            (0..self.layouts.len()).for_each(|index| list.push(Announcement::Layout(index)));
        }
        // They are due with the first flow, all of them.
        list.settle();
        for announcement in self.announcements.iter() {
            self.check(announcement)?;
        }
        Ok(())
    }

    /// Announces a template of the user's, or options: with the next packet, and with every round from then on.
    pub(super) fn add(&mut self, announcement: Announcement) -> Result<(), EncodeError> {
        let id = announcement.template_id(&self.layouts);
        if let Announcement::Options(options) = &announcement
            && let Some(known) = self.announcements.options_mut(id)
        {
            if known.template().template_record() != options.template().template_record() {
                return Err(EncodeError::TemplateInUse(id));
            }
            *known = options.clone();
            self.announcements.announce_options(id, self.in_stream);
            return Ok(());
        }
        if self.announcements.iter().any(|known| known.template_id(&self.layouts) == id) {
            return Err(EncodeError::TemplateInUse(id));
        }
        self.check(&announcement)?;
        self.announcements.push(announcement);
        Ok(())
    }

    pub(super) const fn layouts(&self) -> &[RecordLayout] {
        if self.is_replaced { &[] } else { &self.layouts }
    }

    pub(super) fn withdraw(&mut self, template_id: u16) -> Result<(), EncodeError> {
        self.announcements.withdraw(template_id)
    }

    pub(super) fn template(&self, template_id: u16) -> Result<&ExportTemplate, EncodeError> {
        self.announcements.template(template_id).ok_or(EncodeError::UnknownTemplate(template_id))
    }

    /// A packet must have room for each template and each record.
    fn check(&self, announcement: &Announcement) -> Result<(), EncodeError> {
        let protocol = self.builder.protocol();
        match announcement {
            Announcement::Layout(index) => {
                let Some(layout) = self.layouts.get(*index) else { return Ok(()) };
                self.builder.check_room(layout.template_len())?;
                self.builder.check_room(layout.record_len())
            }
            Announcement::Template(template) if template.protocol() != protocol => {
                Err(EncodeError::UnknownTemplate(template.id()))
            }
            Announcement::Template(template) => self.builder.check_room(template.template_record().len()),
            Announcement::Options(options) => {
                let template = options.template();
                if template.protocol() != protocol {
                    return Err(EncodeError::UnknownTemplate(template.id()));
                }
                self.builder.check_room(template.template_record().len())?;
                options.records().try_for_each(|record| self.builder.check_room(record.len()))
            }
        }
    }

    /// Whether something must be sent, flows or not.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.announcements.is_pending() || self.scheduler.next().is_some_and(|next| next <= now)
    }

    pub(super) const fn is_pending(&self) -> bool {
        self.announcements.is_pending()
    }

    /// Writes what of the announcements is due; says whether a round of all of them was completed by that.
    #[inline]
    pub(super) fn announce(
        &mut self,
        config: &SessionConfig,
        stats: &SessionStats,
        now: Timestamp,
    ) -> Result<bool, EncodeError> {
        let due = self.scheduler.is_due(now);
        if !due && !self.announcements.is_pending() {
            return Ok(false);
        }
        self.announce_what_is_due(due, config, stats, now)
    }

    #[cold]
    fn announce_what_is_due(
        &mut self,
        due: bool,
        config: &SessionConfig,
        stats: &SessionStats,
        now: Timestamp,
    ) -> Result<bool, EncodeError> {
        if due
            && self.announcements.begin()
            && config.statistics
            && let Some(options) = self.announcements.options_mut(config.first_template + STATISTICS_TEMPLATE)
        {
            options.replace_statistics(config.source_id, stats.datagrams, stats.records, stats.octets)?;
        }
        let whole = self.announcements.write(&self.layouts, &mut self.builder)?;
        if whole {
            self.scheduler.templates_sent(now);
        }
        Ok(whole)
    }

    /// Whether IPFIX may export the flow (RFC 7012 section 2.1): known before anything is written for it.
    #[inline]
    pub(super) fn check_flow(&self, flow: &FlowRecord) -> Result<(), EncodeError> {
        if self.builder.protocol() == Protocol::Ipfix && !is_in_range(flow) {
            return Err(EncodeError::ValueRange { element: out_of_range(flow) });
        }
        Ok(())
    }

    /// Writes a flow in the layout that has its addresses and, if it has any, MPLS labels.
    #[inline]
    pub(super) fn push_flow(&mut self, flow: &FlowRecord, boot: Timestamp) -> Result<(), EncodeError> {
        if self.is_replaced {
            return Err(EncodeError::UnknownTemplate(0));
        }
        let [v4, v6, v4_mpls, v6_mpls] = &self.layouts;
        let layout = match (flow.is_ipv6(), flow.mpls_labels.is_empty()) {
            (false, true) => v4,
            (true, true) => v6,
            (false, false) => v4_mpls,
            (true, false) => v6_mpls,
        };
        self.builder.push_flow(layout, flow, boot)
    }

    /// Writes a record that a template of the user's encoded.
    pub(super) fn push_encoded(&mut self, template_id: u16, record: &[u8]) -> Result<(), EncodeError> {
        let template = self.announcements.template(template_id);
        let template = template.ok_or(EncodeError::UnknownTemplate(template_id))?;
        self.builder.push_encoded(template, record)
    }
}

/// Whether the members have values that their elements are registered with (RFC 7012 section 2.1).
#[inline]
fn is_in_range(flow: &FlowRecord) -> bool {
    let longest = if flow.is_ipv6() { 128 } else { 32 };
    flow.source_prefix_length.max(flow.destination_prefix_length) <= longest
        && flow.ipv6_flow_label <= MAX_FLOW_LABEL
}

/// The element whose range the flow leaves.
#[cold]
fn out_of_range(flow: &FlowRecord) -> u16 {
    let longest = if flow.is_ipv6() { 128 } else { 32 };
    let element = match (flow.is_ipv6(), flow.source_prefix_length > longest) {
        _ if flow.ipv6_flow_label > MAX_FLOW_LABEL => ElementId::FLOW_LABEL_IPV6,
        (false, true) => ElementId::SOURCE_IPV4_PREFIX_LENGTH,
        (false, false) => ElementId::DESTINATION_IPV4_PREFIX_LENGTH,
        (true, true) => ElementId::SOURCE_IPV6_PREFIX_LENGTH,
        (true, false) => ElementId::DESTINATION_IPV6_PREFIX_LENGTH,
    };
    element.number()
}
