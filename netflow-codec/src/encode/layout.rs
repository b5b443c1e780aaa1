//! The layout of a data record, compiled for encoding.
//!
//! The mirror of the decoding plan. The members of a flow are gathered as 64-bit words; each field is then one
//! word, shifted to its width and stored as 8 big-endian octets. Fields are stored in ascending order, so that
//! each store overwrites what the one before spilled: no branch per field.

use alloc::{boxed::Box, vec::Vec};
use core::net::IpAddr;

use crate::{
    element::ElementId,
    error::EncodeError,
    flow::FlowRecord,
    member::{MEMBERS, Member, Target, TimeCoding},
    template::{FieldSpecifier, WINDOW},
    time::Timestamp,
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
    stores: Box<[Store]>,
    record_len: usize,
    family: Family,
    gathers_rare: bool,
}

/// The address family that a layout can carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    Any,
    V4,
    V6,
}

/// One store of 8 octets.
#[derive(Clone, Copy, Debug)]
struct Store {
    /// Bits of the word that must be zero for the value to fit.
    overflow: u64,
    word: u8,
    offset: u8,
    shift: u8,
}

/// Words by [`Member::index`], then the words that are not members of their own.
const WORDS: usize = 64;
const SOURCE6_LOW: usize = MEMBERS;
const DESTINATION6_LOW: usize = MEMBERS + 1;
const NEXT_HOP6_LOW: usize = MEMBERS + 2;
const BGP_NEXT_HOP6_LOW: usize = MEMBERS + 3;
const START_UPTIME: usize = MEMBERS + 4;
const END_UPTIME: usize = MEMBERS + 5;
const START_SECONDS: usize = MEMBERS + 6;
const END_SECONDS: usize = MEMBERS + 7;
const IP_VERSION: usize = MEMBERS + 8;
/// TCP flags without the nonce bit, for which one octet has no place.
const TCP_FLAGS_LOW: usize = MEMBERS + 9;
/// A store's word is masked with this, so that it is always in range.
const WORD_MASK: usize = WORDS - 1;
const _: () = assert!(TCP_FLAGS_LOW < WORDS && WORDS.is_power_of_two());

/// Elements of the default layouts, with their lengths.
const IPV4_FIELDS: &[(ElementId, u16)] = &[
    (ElementId::SOURCE_IPV4_ADDRESS, 4),
    (ElementId::DESTINATION_IPV4_ADDRESS, 4),
    (ElementId::IP_NEXT_HOP_IPV4_ADDRESS, 4),
];
const IPV6_FIELDS: &[(ElementId, u16)] = &[
    (ElementId::SOURCE_IPV6_ADDRESS, 16),
    (ElementId::DESTINATION_IPV6_ADDRESS, 16),
    (ElementId::IP_NEXT_HOP_IPV6_ADDRESS, 16),
    (ElementId::FLOW_LABEL_IPV6, 3),
];
const COMMON_FIELDS: &[(ElementId, u16)] = &[
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
        let mut stores = Vec::new();
        let mut offset = 0;
        let (mut has_v4, mut has_v6, mut gathers_rare) = (false, false, false);
        for field in fields {
            let word = Word::of(*field)?;
            has_v4 |= word.family == Family::V4;
            has_v6 |= word.family == Family::V6;
            gathers_rare |= word.is_rare;
            let length = usize::from(field.length);
            let octet = |value: usize| u8::try_from(value).map_err(|_| EncodeError::LayoutLength(value));
            for (index, width) in word.parts(length) {
                stores.push(Store {
                    overflow: if width == 8 { 0 } else { u64::MAX << (8 * width) },
                    word: octet(index)?,
                    offset: octet(offset)?,
                    shift: octet(64 - 8 * width)?,
                });
                offset += width;
            }
        }
        if offset == 0 || offset > usize::from(u8::MAX) {
            return Err(EncodeError::LayoutLength(offset));
        }
        let family = match (has_v4, has_v6) {
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            _ => Family::Any,
        };
        Ok(Self {
            template_id,
            fields: fields.into(),
            stores: stores.into(),
            record_len: offset,
            family,
            gathers_rare,
        })
    }

    /// The default layout for IPv4: what v5 carries, with wide counters, AS numbers and interface indexes, and
    /// ICMP type, VLAN, flow end reason.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn ipv4(template_id: u16) -> Result<Self, EncodeError> {
        let tail = [
            (ElementId::ICMP_TYPE_CODE_IPV4, 2),
            (ElementId::SOURCE_IPV4_PREFIX_LENGTH, 1),
            (ElementId::DESTINATION_IPV4_PREFIX_LENGTH, 1),
        ];
        Self::of_parts(template_id, &[IPV4_FIELDS, COMMON_FIELDS, &tail])
    }

    /// The default layout for IPv6; the flow label besides.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn ipv6(template_id: u16) -> Result<Self, EncodeError> {
        let tail = [
            (ElementId::ICMP_TYPE_CODE_IPV6, 2),
            (ElementId::SOURCE_IPV6_PREFIX_LENGTH, 1),
            (ElementId::DESTINATION_IPV6_PREFIX_LENGTH, 1),
        ];
        Self::of_parts(template_id, &[IPV6_FIELDS, COMMON_FIELDS, &tail])
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

    /// Octets of the template record.
    pub(crate) const fn template_len(&self) -> usize {
        4 + 4 * self.fields.len()
    }

    /// Writes a record to the start of the window; octets behind it are undefined afterwards.
    #[inline]
    pub(crate) fn encode(
        &self,
        flow: &FlowRecord,
        boot: Timestamp,
        window: &mut [u8; WINDOW],
    ) -> Result<(), EncodeError> {
        let mut words = [0; WORDS];
        gather(flow, boot, &mut words);
        let families = (flow.source.is_ipv6(), flow.destination.is_ipv6());
        match (self.family, families) {
            (Family::Any, _) | (Family::V4, (false, false)) | (Family::V6, (true, true)) => {
                gather_addresses(flow, &mut words);
            }
            _ => return Err(EncodeError::AddressFamily),
        }
        if self.gathers_rare {
            gather_rare(flow, &mut words);
        }
        let mut overflow = 0;
        for store in &self.stores {
            #[expect(clippy::indexing_slicing, reason = "masked below the array's length")]
            let word = words[usize::from(store.word) & WORD_MASK];
            overflow |= word & store.overflow;
            let octets = (word << (store.shift & 63)).to_be_bytes();
            if let Some(place) = window.split_at_mut(usize::from(store.offset)).1.first_chunk_mut() {
                *place = octets;
            }
        }
        if overflow == 0 { Ok(()) } else { Err(self.overflown(&words)) }
    }

    /// Which field it was.
    #[cold]
    fn overflown(&self, words: &[u64; WORDS]) -> EncodeError {
        let value = |index: usize| words.get(index).copied().unwrap_or(0);
        let too_short = |field: &&FieldSpecifier| {
            Word::of(**field).is_ok_and(|word| {
                word.parts(field.length.into())
                    .any(|(index, width)| width < 8 && value(index) >> (8 * width) != 0)
            })
        };
        let field = self.fields.iter().find(too_short);
        let (element, length) = field.map_or((0, 0), |field| (field.element.number(), field.length));
        EncodeError::ValueTooLarge { element, length }
    }
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug)]
struct Word {
    index: usize,
    /// The second word of an IPv6 address.
    low: Option<usize>,
    family: Family,
    is_rare: bool,
}

impl Word {
    fn of(field: FieldSpecifier) -> Result<Self, EncodeError> {
        let number = field.element.number();
        let length = usize::from(field.length);
        let wrong_length = Err(EncodeError::FieldLength { element: number, length: field.length });
        if field.element == ElementId::IP_VERSION {
            return if length == 1 { Ok(Self::core(IP_VERSION)) } else { wrong_length };
        }
        let Some(target) = Target::of(field.element) else {
            return Err(EncodeError::UnknownElement(number));
        };
        if !target.reads(length) {
            return wrong_length;
        }
        let word = match (target.member, target.coding) {
            (Member::Start, TimeCoding::Uptime) => Self::core(START_UPTIME),
            (Member::End, TimeCoding::Uptime) => Self::core(END_UPTIME),
            (Member::Start, TimeCoding::Seconds) => Self::core(START_SECONDS),
            (Member::End, TimeCoding::Seconds) => Self::core(END_SECONDS),
            (
                Member::Start | Member::End,
                TimeCoding::Microseconds | TimeCoding::Nanoseconds | TimeCoding::Delta,
            ) => {
                return Err(EncodeError::UnknownElement(number));
            }
            (Member::TcpFlags, _) if length == 1 => Self::core(TCP_FLAGS_LOW),
            (member, _) => Self::of_member(member),
        };
        // Times have one length each.
        let fixed = match (target.member, target.coding) {
            (Member::Start | Member::End, TimeCoding::Milliseconds) => 8,
            (Member::Start | Member::End, _) => 4,
            _ => length,
        };
        if fixed == length { Ok(word) } else { wrong_length }
    }

    const fn core(index: usize) -> Self {
        Self { index, low: None, family: Family::Any, is_rare: false }
    }

    fn of_member(member: Member) -> Self {
        let index = member.index();
        let low = match member {
            Member::Source6 => Some(SOURCE6_LOW),
            Member::Destination6 => Some(DESTINATION6_LOW),
            Member::NextHop6 => Some(NEXT_HOP6_LOW),
            Member::BgpNextHop6 => Some(BGP_NEXT_HOP6_LOW),
            _ => None,
        };
        let family = match member {
            Member::Source4 | Member::Destination4 => Family::V4,
            Member::Source6 | Member::Destination6 => Family::V6,
            _ => Family::Any,
        };
        let is_rare = index > Member::Direction.index() && !member.is_address()
            || matches!(member, Member::BgpNextHop4 | Member::BgpNextHop6);
        Self { index, low, family, is_rare }
    }

    /// The words of the field and the octets each of them fills.
    fn parts(self, length: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = (self.index, if self.low.is_some() { 8 } else { length });
        [Some(first), self.low.map(|low| (low, 8))].into_iter().flatten()
    }
}

/// Stores words by their place; the index is a constant everywhere.
macro_rules! set {
    ($words:ident, $($index:expr => $value:expr,)*) => {
        $(if let Some(word) = $words.get_mut($index) { *word = $value; })*
    };
}

/// The members that nearly every layout has.
#[inline]
fn gather(flow: &FlowRecord, boot: Timestamp, words: &mut [u64; WORDS]) {
    use Member as M;
    let (start, end, boot) = (flow.start.as_millis(), flow.end.as_millis(), boot.as_millis());
    set! { words,
        M::Octets.index() => flow.octets,
        M::Packets.index() => flow.packets,
        M::Start.index() => start,
        M::End.index() => end,
        START_UPTIME => start.wrapping_sub(boot) & 0xffff_ffff,
        END_UPTIME => end.wrapping_sub(boot) & 0xffff_ffff,
        START_SECONDS => start / 1_000,
        END_SECONDS => end / 1_000,
        M::IngressInterface.index() => flow.ingress_interface.into(),
        M::EgressInterface.index() => flow.egress_interface.into(),
        M::SourceAs.index() => flow.source_as.into(),
        M::DestinationAs.index() => flow.destination_as.into(),
        M::SourcePort.index() => flow.source_port.into(),
        M::DestinationPort.index() => flow.destination_port.into(),
        M::TcpFlags.index() => flow.tcp_flags.into(),
        TCP_FLAGS_LOW => (flow.tcp_flags & 0xff).into(),
        M::Protocol.index() => flow.protocol.into(),
        M::Tos.index() => flow.tos.into(),
        M::SourcePrefixLength.index() => flow.source_prefix_length.into(),
        M::DestinationPrefixLength.index() => flow.destination_prefix_length.into(),
        M::Direction.index() => flow.direction.into(),
        IP_VERSION => if flow.is_ipv6() { 6 } else { 4 },
    }
}

#[inline]
fn gather_addresses(flow: &FlowRecord, words: &mut [u64; WORDS]) {
    use Member as M;
    gather_address(flow.source, words, M::Source4, M::Source6, SOURCE6_LOW);
    gather_address(flow.destination, words, M::Destination4, M::Destination6, DESTINATION6_LOW);
    gather_address(flow.next_hop, words, M::NextHop4, M::NextHop6, NEXT_HOP6_LOW);
}

#[inline]
fn gather_address(address: IpAddr, words: &mut [u64; WORDS], v4: Member, v6: Member, low: usize) {
    match address {
        IpAddr::V4(address) => set! { words, v4.index() => address.to_bits().into(), },
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            {
                set! { words, v6.index() => (bits >> 64) as u64, low => bits as u64, }
            }
        }
    }
}

/// The other members.
fn gather_rare(flow: &FlowRecord, words: &mut [u64; WORDS]) {
    use Member as M;
    let mac = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    gather_address(flow.bgp_next_hop, words, M::BgpNextHop4, M::BgpNextHop6, BGP_NEXT_HOP6_LOW);
    set! { words,
        M::SourcePrefixLength6.index() => flow.source_prefix_length.into(),
        M::DestinationPrefixLength6.index() => flow.destination_prefix_length.into(),
        M::Ipv6FlowLabel.index() => flow.ipv6_flow_label.into(),
        M::SamplerId.index() => flow.sampler_id.into(),
        M::SamplingInterval.index() => flow.sampling_interval.into(),
        M::FragmentIdentification.index() => flow.fragment_identification.into(),
        M::Vlan.index() => flow.vlan.into(),
        M::PostVlan.index() => flow.post_vlan.into(),
        M::IcmpTypeCode.index() => flow.icmp_type_code.into(),
        M::FlowEndReason.index() => flow.flow_end_reason.into(),
        M::MinimumTtl.index() => flow.minimum_ttl.into(),
        M::MaximumTtl.index() => flow.maximum_ttl.into(),
        M::ForwardingStatus.index() => flow.forwarding_status.into(),
        M::SourceMac.index() => mac(flow.source_mac),
        M::DestinationMac.index() => mac(flow.destination_mac),
    }
    for (position, label) in (0u8..).zip(flow.mpls_labels.iter()) {
        let [a, b, c] = label.octets();
        set! { words, M::MplsLabel(position).index() => u32::from_be_bytes([0, a, b, c]).into(), }
    }
}
