//! What can be wrong with a datagram, and where.

use thiserror::Error;

/// A structure of a datagram that cannot be decoded.
///
/// `offset` counts octets from the start of the datagram to the *structure* that is wrong (a header, a FlowSet,
/// a template record), not to the octet where reading stopped.
///
/// ```
/// use netflow_codec::{DecodeErrorKind, v5};
///
/// let error = v5::Packet::parse(&[0, 5, 0, 1]).unwrap_err();
/// assert_eq!(error.offset, 0);
/// assert_eq!(error.kind, DecodeErrorKind::Truncated { needed: 24, available: 4 });
/// assert_eq!(error.to_string(), "24 octets needed, 4 available, at octet 0");
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[error("{kind}, at octet {offset}")]
#[non_exhaustive]
pub struct DecodeError {
    /// Octets from the start of the datagram to the structure that is wrong.
    pub offset: u32,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

impl DecodeError {
    pub(crate) fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self { offset: saturating_u32(offset), kind }
    }

    pub(crate) fn truncated(offset: usize, needed: usize, available: usize) -> Self {
        Self::new(
            offset,
            DecodeErrorKind::Truncated {
                needed: saturating_u32(needed),
                available: saturating_u32(available),
            },
        )
    }
}

/// Lengths of datagrams fit in 32 bits; larger inputs only blur the number in a message.
pub(crate) fn saturating_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The kinds of [`DecodeError`].
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The version number is none that is decoded here.
    #[error("version {0} is not supported")]
    UnsupportedVersion(u16),
    /// A structure is longer than what is left.
    #[error("{needed} octets needed, {available} available")]
    Truncated {
        /// Octets the structure needs.
        needed: u32,
        /// Octets that are there.
        available: u32,
    },
    /// The header of a fixed-layout version announces more records than the datagram holds.
    #[error("{announced} records announced, {available} in the datagram")]
    RecordCount {
        /// Records the header announces.
        announced: u16,
        /// Whole records in the datagram.
        available: u16,
    },
    /// The header of a fixed-layout version announces more records than a sender may put into one datagram; told by
    /// strict decoding only.
    #[error("{announced} records announced, {limit} are the most")]
    TooManyRecords {
        /// Records the header announces.
        announced: u16,
        /// The most that there may be.
        limit: u16,
    },
    /// A v8 datagram with a scheme of aggregation that is not known, or when strict, a version of it other than 2.
    #[error("aggregation scheme {scheme} of version {version} is not supported")]
    UnsupportedAggregation {
        /// The scheme's number.
        scheme: u8,
        /// The version of aggregation.
        version: u8,
    },
    /// The length of a FlowSet or Set is below the 4 octets of its own header: nothing behind it can be found.
    #[error("set {id} has length {length}, at least 4 needed")]
    SetTooShort {
        /// The set's identifier.
        id: u16,
        /// Its length field.
        length: u16,
    },
    /// A FlowSet or Set runs past the end of the datagram.
    #[error("set {id} has length {length}, {available} octets are left")]
    SetTooLong {
        /// The set's identifier.
        id: u16,
        /// Its length field.
        length: u16,
        /// Octets left in the datagram, the set's header included.
        available: u32,
    },
    /// A template identifier below 256 (RFC 3954 section 5.2).
    #[error("template identifier {0} is below 256")]
    TemplateId(u16),
    /// A template has a field of length 0, and [`Quirk::ZeroLengthFields`](crate::Quirk) is off.
    #[error("template {0} has a field of length 0")]
    ZeroLengthField(u16),
    /// A template record that its set cuts off.
    #[error("template {template_id} announces {announced} fields, its set holds {available}")]
    TemplateTruncated {
        /// The template's identifier.
        template_id: u16,
        /// Fields the template record announces.
        announced: u16,
        /// Field specifiers left in the set.
        available: u16,
    },
    /// An options template whose lengths of scope and option specifiers are no multiples of 4 (RFC 3954
    /// section 6.1).
    #[error(
        "options template {template_id} has lengths {scope_length} and {option_length}, not multiples of 4"
    )]
    OptionsTemplateLengths {
        /// The template's identifier.
        template_id: u16,
        /// The Option Scope Length field.
        scope_length: u16,
        /// The Option Length field.
        option_length: u16,
    },
    /// A template whose records have no octets: decoding with it would never end.
    #[error("template {0} describes records of 0 octets")]
    EmptyTemplate(u16),
    /// A v9 template with a field of length 65535, which v9 does not know as variable length (RFC 5655
    /// appendix B.1.3).
    #[error("template {0} has a variable-length field, which NetFlow v9 does not have")]
    VariableLengthInV9(u16),
    /// A field whose length values of its element cannot have: only integers and float64 may be reduced (RFC 7011
    /// section 6.2).
    #[error("template {template_id} has element {element} in {length} octets")]
    FieldLength {
        /// The template's identifier.
        template_id: u16,
        /// The element's number.
        element: u16,
        /// Octets of the field.
        length: u16,
    },
    /// The length in an IPFIX message header is below that header's 16 octets, or beyond the datagram.
    #[error("the message has length {length}, {available} octets are there")]
    MessageLength {
        /// The length field.
        length: u16,
        /// Octets of the datagram.
        available: u32,
    },
    /// An IPFIX options template with no scope field, or with more of them than fields (RFC 7011 section
    /// 3.4.2.2).
    #[error("options template {template_id} has {scopes} scope fields of {fields} fields")]
    ScopeCount {
        /// The template's identifier.
        template_id: u16,
        /// Scope fields it announces.
        scopes: u16,
        /// Fields it announces.
        fields: u16,
    },
    /// A template with more fields than [`CacheLimits::fields_per_template`](crate::CacheLimits) admits.
    #[error("template {template_id} has {fields} fields, {limit} are admitted")]
    TooManyFields {
        /// The template's identifier.
        template_id: u16,
        /// Fields it has.
        fields: u16,
        /// Fields admitted.
        limit: u16,
    },
    /// Records with reverse elements, but without a key that tells the two directions apart (RFC 5103 section 4).
    #[error("template {0} has reverse elements, but no source or destination")]
    ReverseWithoutKey(u16),
    /// Values of a basicList that have no octets: there is no saying how many there are.
    #[error("the values of a list have no octets")]
    EmptyListValues,
    /// The length of an entry of a subTemplateMultiList is below the 4 octets of its own header, and not 0 (RFC 6313
    /// section 4.5.3).
    #[error("an entry of template {template_id} in a list has length {length}, 0 or at least 4 needed")]
    ListEntryLength {
        /// The template's identifier.
        template_id: u16,
        /// The length field.
        length: u16,
    },
    /// A template that takes more memory than [`CacheLimits::template_octets_per_exporter`](crate::CacheLimits)
    /// admits.
    #[error("template {template_id} takes {octets} octets of memory, {limit} are admitted")]
    TemplateTooLarge {
        /// The template's identifier.
        template_id: u16,
        /// Octets of memory it takes.
        octets: u32,
        /// Octets admitted.
        limit: u32,
    },
    /// A template that came over a stream while another one of its identifier was in use and had not been withdrawn
    /// (RFC 7011 section 8.1). It is used all the same.
    #[error("template {0} was redefined without a withdrawal")]
    NotWithdrawn(u16),
    /// A variable-length value that runs past the end of its set.
    #[error("a record of template {template_id} runs past the end of its set")]
    RecordTruncated {
        /// The template's identifier.
        template_id: u16,
    },
}

/// Why something cannot be encoded. The builder is left as it was.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The packet has no room for the record: finish it and start the next one.
    #[error("the packet is full")]
    PacketFull,
    /// The record, or the template, does not even fit into an empty packet.
    #[error("{needed} octets do not fit into a packet of {limit}")]
    TooLarge {
        /// Octets an otherwise empty packet would need.
        needed: usize,
        /// Largest packet configured.
        limit: usize,
    },
    /// v5 carries IPv4 only.
    #[error("NetFlow v5 cannot carry IPv6 addresses")]
    NotIpv4,
    /// Source and destination belong to different address families, or to another one than the layout's.
    #[error("the flow's addresses are not of the layout's address family")]
    AddressFamily,
    /// v5 announces sampling intervals up to 16383 only (14 bits).
    #[error("a sampling interval of {0} cannot be announced in NetFlow v5 (at most 16383)")]
    SamplingInterval(u32),
    /// A template identifier below 256.
    #[error("template identifier {0} is below 256")]
    TemplateId(u16),
    /// A field length that the element cannot have, or that NetFlow v9 cannot express.
    #[error("element {element} cannot be encoded in {length} octets")]
    FieldLength {
        /// The element's number.
        element: u16,
        /// The length asked for.
        length: u16,
    },
    /// A value that its field is too short for.
    #[error("the value of element {element} does not fit into {length} octets")]
    ValueTooLarge {
        /// The element's number.
        element: u16,
        /// The field's length.
        length: u16,
    },
    /// An element that [`FlowRecord`](crate::FlowRecord) has no member for.
    #[error("element {0} is no member of a flow record")]
    UnknownElement(u16),
    /// A layout without fields, or of more octets than the encoder's window.
    #[error("a layout of {0} octets cannot be encoded (1 to 255)")]
    LayoutLength(usize),
    /// NetFlow v9 has no enterprise elements (RFC 5655 appendix B.1.3).
    #[error("NetFlow v9 cannot carry element {element} of enterprise {enterprise}")]
    EnterpriseInV9 {
        /// The Private Enterprise Number.
        enterprise: u32,
        /// The element's number.
        element: u16,
    },
    /// An element, or what an options record says, that NetFlow v9 has no words for.
    #[error("NetFlow v9 cannot express element {0}")]
    NotInV9(u16),
    /// IPFIX has 15 bits for the number of an element, and 0 is none (RFC 7011 section 3.2).
    #[error("element number {0} is not of the range 1 to 32767")]
    ElementNumber(u16),
    /// The value is of another type than its element.
    #[error("the value of element {element} is not of its type")]
    ValueType {
        /// The element's number.
        element: u16,
    },
    /// The value is outside the range that the element is registered with (RFC 7012 section 2.1).
    #[error("the value of element {element} is outside its range")]
    ValueRange {
        /// The element's number.
        element: u16,
    },
    /// A string that is not UTF-8 (RFC 7011 section 6.1.6).
    #[error("the text of element {element} is not UTF-8")]
    NotUtf8 {
        /// The element's number.
        element: u16,
    },
    /// The record has no value for a field of its template.
    #[error("the record has no value for element {element}")]
    FieldMissing {
        /// The element's number, or that of the scope type.
        element: u16,
    },
    /// An options template without a scope (RFC 7011 section 3.4.2.2).
    #[error("an options template needs a scope")]
    NoScope,
    /// v9 has scope types, IPFIX has elements as scopes.
    #[error("a scope of this kind belongs to the other protocol")]
    ScopeKind,
    /// A reverse element of an element that has no reverse (RFC 5103 section 6.1).
    #[error("element {0} has no reverse")]
    NotReversible(u16),
    /// A template with reverse elements but without a directional key (RFC 5103 section 4).
    #[error("a biflow template needs a directional key")]
    NoDirectionalKey,
    /// A time element finer than the clock that the times come from (RFC 5153 section 4.5).
    #[error("element {0} is finer than the metering clock")]
    TimeResolution(u16),
    /// Templates are not withdrawn in NetFlow v9, nor over UDP (RFC 7011 section 8.4).
    #[error("templates can be withdrawn only in IPFIX over a stream")]
    Withdrawal,
    /// A template id that the session already uses.
    #[error("template identifier {0} is in use")]
    TemplateInUse(u16),
    /// A template that the session, or the packet, does not have, or one of another protocol.
    #[error("template {0} is not one of this session")]
    UnknownTemplate(u16),
    /// A finished datagram waits in the session: poll it first.
    #[error("a finished datagram waits to be sent")]
    TransmitPending,
}
