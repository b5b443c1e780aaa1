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
    flow::{FlowRecord, MplsLabels},
    member::{Member, Target, TimeCoding},
    template::{FieldSpecifier, LEAD, WINDOW},
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
    /// From the last field to the first.
    stores: Box<[Store]>,
    checks: Box<[Check]>,
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
    word: u8,
    /// Where the field ends, which is where the store begins in a window that starts 8 octets before the record.
    end: u8,
}

/// A field that is shorter than the values its member can have.
#[derive(Clone, Copy, Debug)]
struct Check {
    /// Bits of the word that must be zero for the value to fit.
    overflow: u64,
    word: u8,
}

/// Words of the members that the default layouts have: [`core_words`] lists them in this order.
const CORE: usize = 32;
/// With the words of the other members behind them.
const ALL: usize = 64;
const OCTETS: usize = 0;
const PACKETS: usize = 1;
const START_UPTIME: usize = 2;
const END_UPTIME: usize = 3;
const START: usize = 4;
const END: usize = 5;
const INGRESS: usize = 6;
const EGRESS: usize = 7;
const SOURCE_AS: usize = 8;
const DESTINATION_AS: usize = 9;
const SOURCE_PORT: usize = 10;
const DESTINATION_PORT: usize = 11;
const TCP_FLAGS: usize = 12;
const PROTOCOL: usize = 13;
const TOS: usize = 14;
const SOURCE_PREFIX: usize = 15;
const DESTINATION_PREFIX: usize = 16;
const DIRECTION: usize = 17;
const IP_VERSION: usize = 18;
const VLAN: usize = 19;
const ICMP: usize = 20;
const END_REASON: usize = 21;
const FLOW_LABEL: usize = 22;
/// The IPv4 address, then the halves of the IPv6 address.
const SOURCE: usize = 23;
const DESTINATION: usize = 26;
const NEXT_HOP: usize = 29;
const START_SECONDS: usize = 32;
const END_SECONDS: usize = 33;
const BGP_NEXT_HOP: usize = 34;
const SAMPLER_ID: usize = 37;
const SAMPLING_INTERVAL: usize = 38;
const FRAGMENT: usize = 39;
const POST_VLAN: usize = 40;
const MINIMUM_TTL: usize = 41;
const MAXIMUM_TTL: usize = 42;
const FORWARDING: usize = 43;
const SOURCE_MAC: usize = 44;
const DESTINATION_MAC: usize = 45;
const LABELS: usize = 46;
/// With the nonce bit, for which one octet has no place.
const TCP_FLAGS_WIDE: usize = 56;
const _: () =
    assert!(NEXT_HOP + 3 == CORE && LABELS + MplsLabels::MAX_LEN <= TCP_FLAGS_WIDE && TCP_FLAGS_WIDE < ALL);

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
        let (mut stores, mut checks) = (Vec::new(), Vec::new());
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
                offset += width;
                stores.push(Store { word: octet(index)?, end: octet(offset)? });
                if width < word.width {
                    checks.push(Check { overflow: u64::MAX << (8 * width), word: octet(index)? });
                }
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
            stores: stores.into_iter().rev().collect(),
            checks: checks.into(),
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

    /// Writes a record that starts [`LEAD`] octets behind the start of the window.
    #[inline]
    pub(crate) fn encode(
        &self,
        flow: &FlowRecord,
        boot: Timestamp,
        window: &mut [u8; WINDOW],
    ) -> Result<(), EncodeError> {
        let families = (flow.source.is_ipv6(), flow.destination.is_ipv6());
        match (self.family, families) {
            (Family::Any, _) | (Family::V4, (false, false)) | (Family::V6, (true, true)) => {}
            _ => return Err(EncodeError::AddressFamily),
        }
        let core = core_words(flow, boot);
        if self.gathers_rare {
            let mut words = [0; ALL];
            words.iter_mut().zip(core).for_each(|(to, from)| *to = from);
            gather_rare(flow, &mut words);
            self.store(&words, window)
        } else {
            self.store(&core, window)
        }
    }

    /// `N` is a power of two, above all words of the layout.
    #[inline]
    fn store<const N: usize>(&self, words: &[u64; N], window: &mut [u8; WINDOW]) -> Result<(), EncodeError> {
        let mut overflow = 0;
        #[expect(clippy::indexing_slicing, reason = "masked below the array's length")]
        for check in &self.checks {
            overflow |= words[usize::from(check.word) & (N - 1)] & check.overflow;
        }
        if overflow != 0 {
            return Err(self.overflown(words));
        }
        // Each field spills zeros over what is before it, which is stored after it; before the first field are
        // octets of others.
        let before = window.first_chunk::<LEAD>().copied();
        for store in &self.stores {
            #[expect(clippy::indexing_slicing, reason = "masked below the array's length")]
            let word = words[usize::from(store.word) & (N - 1)];
            if let Some(place) = window.split_at_mut(usize::from(store.end)).1.first_chunk_mut() {
                *place = word.to_be_bytes();
            }
        }
        if let (Some(place), Some(before)) = (window.first_chunk_mut(), before) {
            *place = before;
        }
        Ok(())
    }

    /// Which field it was.
    #[cold]
    fn overflown(&self, words: &[u64]) -> EncodeError {
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
    /// Octets of the widest value.
    width: usize,
}

impl Word {
    fn of(field: FieldSpecifier) -> Result<Self, EncodeError> {
        let number = field.element.number();
        let length = usize::from(field.length);
        let wrong_length = Err(EncodeError::FieldLength { element: number, length: field.length });
        if field.element == ElementId::IP_VERSION {
            return if length == 1 { Ok(Self { width: 1, ..Self::core(IP_VERSION) }) } else { wrong_length };
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
            (Member::TcpFlags, _) if length > 1 => Self::core(TCP_FLAGS_WIDE),
            (member, _) => Self::of_member(member),
        };
        // Times have one length each.
        let fixed = match (target.member, target.coding) {
            (Member::Start | Member::End, TimeCoding::Milliseconds) => 8,
            (Member::Start | Member::End, _) => 4,
            _ => length,
        };
        let width = match target.coding {
            _ if target.member == Member::TcpFlags && length == 1 => 1,
            TimeCoding::Uptime if matches!(target.member, Member::Start | Member::End) => 4,
            _ => target.member.width().min(8),
        };
        if fixed == length { Ok(Self { width, ..word }) } else { wrong_length }
    }

    const fn core(index: usize) -> Self {
        Self { index, low: None, family: Family::Any, is_rare: index >= CORE, width: 8 }
    }

    fn of_member(member: Member) -> Self {
        use Member as M;
        let of_family = |index: usize, family: Family, is_rare: bool| match family {
            Family::V6 => Self { index: index + 1, low: Some(index + 2), family, is_rare, width: 8 },
            _ => Self { index, low: None, family, is_rare, width: 4 },
        };
        let any = |word: Self| Self { family: Family::Any, ..word };
        Self::core(match member {
            M::Octets => OCTETS,
            M::Packets => PACKETS,
            M::Start => START,
            M::End => END,
            M::IngressInterface => INGRESS,
            M::EgressInterface => EGRESS,
            M::SourceAs => SOURCE_AS,
            M::DestinationAs => DESTINATION_AS,
            M::SourcePort => SOURCE_PORT,
            M::DestinationPort => DESTINATION_PORT,
            M::TcpFlags => TCP_FLAGS,
            M::Protocol => PROTOCOL,
            M::Tos => TOS,
            M::SourcePrefixLength | M::SourcePrefixLength6 => SOURCE_PREFIX,
            M::DestinationPrefixLength | M::DestinationPrefixLength6 => DESTINATION_PREFIX,
            M::Direction => DIRECTION,
            M::Vlan => VLAN,
            M::IcmpTypeCode => ICMP,
            M::FlowEndReason => END_REASON,
            M::Ipv6FlowLabel => FLOW_LABEL,
            M::SamplerId => SAMPLER_ID,
            M::SamplingInterval => SAMPLING_INTERVAL,
            M::FragmentIdentification => FRAGMENT,
            M::PostVlan => POST_VLAN,
            M::MinimumTtl => MINIMUM_TTL,
            M::MaximumTtl => MAXIMUM_TTL,
            M::ForwardingStatus => FORWARDING,
            M::SourceMac => SOURCE_MAC,
            M::DestinationMac => DESTINATION_MAC,
            M::MplsLabel(position) => LABELS + usize::from(position).min(MplsLabels::MAX_LEN - 1),
            M::Source4 => return of_family(SOURCE, Family::V4, false),
            M::Source6 => return of_family(SOURCE, Family::V6, false),
            M::Destination4 => return of_family(DESTINATION, Family::V4, false),
            M::Destination6 => return of_family(DESTINATION, Family::V6, false),
            M::NextHop4 => return any(of_family(NEXT_HOP, Family::V4, false)),
            M::NextHop6 => return any(of_family(NEXT_HOP, Family::V6, false)),
            M::BgpNextHop4 => return any(of_family(BGP_NEXT_HOP, Family::V4, true)),
            M::BgpNextHop6 => return any(of_family(BGP_NEXT_HOP, Family::V6, true)),
        })
    }

    /// The words of the field and the octets each of them fills.
    fn parts(self, length: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = (self.index, if self.low.is_some() { 8 } else { length });
        [Some(first), self.low.map(|low| (low, 8))].into_iter().flatten()
    }
}

/// The members that the default layouts have, in the order of their indices.
#[inline]
fn core_words(flow: &FlowRecord, boot: Timestamp) -> [u64; CORE] {
    let (start, end, boot) = (flow.start.as_millis(), flow.end.as_millis(), boot.as_millis());
    let [source4, source_high, source_low] = address_words(flow.source);
    let [destination4, destination_high, destination_low] = address_words(flow.destination);
    let [next_hop4, next_hop_high, next_hop_low] = address_words(flow.next_hop);
    [
        flow.octets,
        flow.packets,
        start.wrapping_sub(boot) & 0xffff_ffff,
        end.wrapping_sub(boot) & 0xffff_ffff,
        start,
        end,
        flow.ingress_interface.into(),
        flow.egress_interface.into(),
        flow.source_as.into(),
        flow.destination_as.into(),
        flow.source_port.into(),
        flow.destination_port.into(),
        // The nonce bit has no place in one octet.
        (flow.tcp_flags & 0xff).into(),
        flow.protocol.into(),
        flow.tos.into(),
        flow.source_prefix_length.into(),
        flow.destination_prefix_length.into(),
        flow.direction.into(),
        if flow.is_ipv6() { 6 } else { 4 },
        flow.vlan.into(),
        flow.icmp_type_code.into(),
        flow.flow_end_reason.into(),
        flow.ipv6_flow_label.into(),
        source4,
        source_high,
        source_low,
        destination4,
        destination_high,
        destination_low,
        next_hop4,
        next_hop_high,
        next_hop_low,
    ]
}

/// The word of an IPv4 address, the two words of an IPv6 address; those of the other family are 0.
#[inline]
fn address_words(address: IpAddr) -> [u64; 3] {
    match address {
        IpAddr::V4(address) => [address.to_bits().into(), 0, 0],
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        IpAddr::V6(address) => [0, (address.to_bits() >> 64) as u64, address.to_bits() as u64],
    }
}

/// Stores words by their place; the index is a constant everywhere.
macro_rules! set {
    ($words:ident, $($index:expr => $value:expr,)*) => {
        $(if let Some(word) = $words.get_mut($index) { *word = $value; })*
    };
}

/// The other members.
fn gather_rare(flow: &FlowRecord, words: &mut [u64; ALL]) {
    let mac = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let [bgp4, bgp_high, bgp_low] = address_words(flow.bgp_next_hop);
    set! { words,
        START_SECONDS => flow.start.as_secs(),
        END_SECONDS => flow.end.as_secs(),
        BGP_NEXT_HOP => bgp4,
        BGP_NEXT_HOP + 1 => bgp_high,
        BGP_NEXT_HOP + 2 => bgp_low,
        SAMPLER_ID => flow.sampler_id.into(),
        SAMPLING_INTERVAL => flow.sampling_interval.into(),
        FRAGMENT => flow.fragment_identification.into(),
        POST_VLAN => flow.post_vlan.into(),
        MINIMUM_TTL => flow.minimum_ttl.into(),
        MAXIMUM_TTL => flow.maximum_ttl.into(),
        FORWARDING => flow.forwarding_status.into(),
        SOURCE_MAC => mac(flow.source_mac),
        DESTINATION_MAC => mac(flow.destination_mac),
        TCP_FLAGS_WIDE => flow.tcp_flags.into(),
    }
    for (position, label) in flow.mpls_labels.iter().enumerate() {
        let [a, b, c] = label.octets();
        set! { words, LABELS + position => u32::from_be_bytes([0, a, b, c]).into(), }
    }
}
