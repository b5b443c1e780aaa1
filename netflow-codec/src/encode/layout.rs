//! The layout of a data record, compiled for encoding: a program of steps, see [`super::program`].

use alloc::{boxed::Box, vec::Vec};

use super::{
    program::{Program, ROOM},
    straight::Straight,
    times::SELECTOR_ID,
    words::{Family, Word, word},
};
use crate::{
    element::ElementId, error::EncodeError, flow::FlowRecord, template::FieldSpecifier, time::Timestamp,
};

/// What a template's data records look like, for the encoder.
///
/// ```
/// use netflow_codec::{ElementId, FieldSpecifier, RecordLayout};
///
/// let layout = RecordLayout::new(300, &[
///     FieldSpecifier::new(ElementId::SOURCE_IPV4_ADDRESS, 4),
///     FieldSpecifier::new(ElementId::OCTET_DELTA_COUNT, 8),
/// ])?;
/// assert_eq!(layout.record_len(), 12);
/// // Templates need an id of at least 256.
/// assert!(RecordLayout::new(255, layout.fields()).is_err());
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordLayout {
    template_id: u16,
    fields: Box<[FieldSpecifier]>,
    program: Program,
    /// For the default layouts: the way that is written out.
    straight: Option<Straight>,
    record_len: usize,
    family: Family,
    /// What records name whose flow has no `sampler_id`, and where.
    selector: Option<(usize, [u8; 4])>,
}

/// Elements of the default layouts, with their lengths.
pub(super) const IPV4_FIELDS: &[(ElementId, u16)] = &[
    (ElementId::SOURCE_IPV4_ADDRESS, 4),
    (ElementId::DESTINATION_IPV4_ADDRESS, 4),
    (ElementId::IP_NEXT_HOP_IPV4_ADDRESS, 4),
];
pub(super) const IPV6_FIELDS: &[(ElementId, u16)] = &[
    (ElementId::SOURCE_IPV6_ADDRESS, 16),
    (ElementId::DESTINATION_IPV6_ADDRESS, 16),
    (ElementId::IP_NEXT_HOP_IPV6_ADDRESS, 16),
    (ElementId::FLOW_LABEL_IPV6, 3),
];
pub(super) const COMMON_FIELDS: &[(ElementId, u16)] = &[
    (ElementId::PACKET_DELTA_COUNT, 8),
    (ElementId::OCTET_DELTA_COUNT, 8),
    (ElementId::FLOW_START_SYS_UP_TIME, 4),
    (ElementId::FLOW_END_SYS_UP_TIME, 4),
    (ElementId::INGRESS_INTERFACE, 4),
    (ElementId::EGRESS_INTERFACE, 4),
    (ElementId::BGP_SOURCE_AS_NUMBER, 4),
    (ElementId::BGP_DESTINATION_AS_NUMBER, 4),
    (ElementId::SOURCE_TRANSPORT_PORT, 2),
    (ElementId::DESTINATION_TRANSPORT_PORT, 2),
    (ElementId::VLAN_ID, 2),
    (ElementId::PROTOCOL_IDENTIFIER, 1),
    (ElementId::IP_CLASS_OF_SERVICE, 1),
    (ElementId::TCP_CONTROL_BITS, 1),
    (ElementId::IP_VERSION, 1),
    (ElementId::FLOW_END_REASON, 1),
];
pub(super) const IPV4_TAIL: &[(ElementId, u16)] = &[
    (ElementId::ICMP_TYPE_CODE_IPV4, 2),
    (ElementId::SOURCE_IPV4_PREFIX_LENGTH, 1),
    (ElementId::DESTINATION_IPV4_PREFIX_LENGTH, 1),
];
pub(super) const IPV6_TAIL: &[(ElementId, u16)] = &[
    (ElementId::ICMP_TYPE_CODE_IPV6, 2),
    (ElementId::SOURCE_IPV6_PREFIX_LENGTH, 1),
    (ElementId::DESTINATION_IPV6_PREFIX_LENGTH, 1),
];

impl RecordLayout {
    /// A layout of these fields, in this order.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256; [`EncodeError::UnknownElement`] for an element that no member of
    /// [`FlowRecord`] stands for; [`EncodeError::FieldLength`] for a length that the element cannot have (variable
    /// length among them, which v9 does not know); [`EncodeError::LayoutLength`] when the record would have no
    /// octets or more than 255.
    pub fn new(template_id: u16, fields: &[FieldSpecifier]) -> Result<Self, EncodeError> {
        if template_id < 256 {
            return Err(EncodeError::TemplateId(template_id));
        }
        let (mut words, mut record_len) = (Vec::new(), 0);
        let (mut has_v4, mut has_v6) = (false, false);
        for field in fields {
            let word = Word::of(*field)?;
            has_v4 |= word.family == Family::V4;
            has_v6 |= word.family == Family::V6;
            words.extend(word.parts(field.length.into()));
            record_len += usize::from(field.length);
        }
        let program = Program::compile(&words).filter(|_| record_len > 0);
        let Some(program) = program else { return Err(EncodeError::LayoutLength(record_len)) };
        let family = match (has_v4, has_v6) {
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            _ => Family::Any,
        };
        let straight = Straight::of(fields);
        Ok(Self { template_id, fields: fields.into(), program, straight, record_len, family, selector: None })
    }

    /// The default layout for IPv4: what v5 carries, with wide counters, AS numbers and interface indexes, and
    /// ICMP type, VLAN, flow end reason.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn ipv4(template_id: u16) -> Result<Self, EncodeError> {
        Self::of_parts(template_id, &[IPV4_FIELDS, COMMON_FIELDS, IPV4_TAIL])
    }

    /// The default layout for IPv6; the flow label besides.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn ipv6(template_id: u16) -> Result<Self, EncodeError> {
        Self::of_parts(template_id, &[IPV6_FIELDS, COMMON_FIELDS, IPV6_TAIL])
    }

    fn of_parts(template_id: u16, parts: &[&[(ElementId, u16)]]) -> Result<Self, EncodeError> {
        let fields: Vec<_> = parts
            .iter()
            .copied()
            .flatten()
            .map(|(element, length)| FieldSpecifier::new(*element, *length))
            .collect();
        Self::new(template_id, &fields)
    }

    /// This layout with the outermost `depth` MPLS labels (at most 10) behind its fields.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_mpls(&self, template_id: u16, depth: u16) -> Result<Self, EncodeError> {
        let mut fields = self.fields.to_vec();
        let top = ElementId::MPLS_TOP_LABEL_STACK_SECTION.number();
        fields.extend((top..top + depth.min(10)).map(|label| FieldSpecifier::new(ElementId::iana(label), 3)));
        Self::new(template_id, &fields)
    }

    /// The template's id.
    #[must_use]
    pub const fn template_id(&self) -> u16 {
        self.template_id
    }

    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> &[FieldSpecifier] {
        &self.fields
    }

    /// Octets of a record.
    #[must_use]
    pub const fn record_len(&self) -> usize {
        self.record_len
    }

    /// This layout, whose records name a selector in selectorId (302) when their flow names none: for layouts with that
    /// field in four octets.
    pub(super) fn naming(mut self, selector: u32) -> Self {
        let is_selector = |field: &FieldSpecifier| *field == FieldSpecifier::new(SELECTOR_ID, 4);
        let place = self.fields.iter().position(is_selector);
        let before = place
            .and_then(|place| self.fields.get(..place))
            .map(|fields| fields.iter().map(|field| usize::from(field.length)).sum());
        self.selector = before.map(|at| (at, selector.to_be_bytes()));
        self
    }

    /// Octets of the template record.
    pub(crate) const fn template_len(&self) -> usize {
        4 + 4 * self.fields.len()
    }

    /// Writes a record and, behind it, up to 7 octets of zeros.
    #[inline]
    pub(crate) fn encode(
        &self,
        flow: &FlowRecord,
        boot: Timestamp,
        room: &mut [u8; ROOM],
    ) -> Result<(), EncodeError> {
        let families = (flow.source.is_ipv6(), flow.destination.is_ipv6());
        match (self.family, families) {
            (Family::Any, _) | (Family::V4, (false, false)) | (Family::V6, (true, true)) => {}
            _ => return Err(EncodeError::AddressFamily),
        }
        let fits = match self.straight {
            Some(straight) => straight.encode(flow, boot, room),
            None => self.program.run(flow, boot, room),
        };
        if !fits {
            return Err(self.overflown(flow, boot));
        }
        if let Some((at, selector)) = self.selector
            && flow.sampler_id == 0
            && let Some(place) = room.get_mut(at..at + 4)
        {
            place.copy_from_slice(&selector);
        }
        Ok(())
    }

    /// Which field it was.
    #[cold]
    fn overflown(&self, flow: &FlowRecord, boot: Timestamp) -> EncodeError {
        let too_short = |field: &&FieldSpecifier| {
            let mut parts = Word::of(**field).into_iter().flat_map(|word| word.parts(field.length.into()));
            parts.any(|(index, width)| width < 8 && word(flow, boot, index) >> (8 * width) != 0)
        };
        let field = self.fields.iter().find(too_short);
        let (element, length) = field.map_or((0, 0), |field| (field.element.number(), field.length));
        EncodeError::ValueTooLarge { element, length }
    }
}
