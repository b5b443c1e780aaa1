//! What is looked for: each rule with the clause that it comes from.

use netflow_codec::{DecodeErrorKind, Quirk};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A rule is broken, or data is lost.
    Error,
    /// Data is likely to be read wrongly, or not at all.
    Warning,
    /// Worth knowing.
    Note,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal, $severity:ident, $v9:literal, $ipfix:literal, $quirk:expr, $text:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
            /// A quirk acted.
            Tolerated(Quirk),
        }

        impl Rule {
            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)*
                    Self::Tolerated(quirk) => quirk.name(),
                }
            }

            /// How bad it is when it is broken.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$rule => Severity::$severity,)*
                    Self::Tolerated(quirk) if quirk.breaks_rules() => Severity::Error,
                    Self::Tolerated(_) => Severity::Note,
                }
            }

            /// Where it is written.
            #[must_use]
            pub const fn clause(self, version: u16) -> &'static str {
                match (self, version) {
                    $((Self::$rule, 10) => $ipfix,
                    (Self::$rule, _) => $v9,)*
                    (Self::Tolerated(quirk), _) => clause_of(quirk, version),
                }
            }

            /// The quirk that tolerates it.
            #[must_use]
            pub const fn quirk(self) -> Option<Quirk> {
                match self {
                    $(Self::$rule => $quirk,)*
                    Self::Tolerated(quirk) => Some(quirk),
                }
            }

            /// What is wrong.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$rule => $text,)*
                    Self::Tolerated(quirk) => quirk.symptom(),
                }
            }
        }
    };
}

rules! {
    /// The header cannot be read.
    Header = "header", Error, "RFC 3954 section 5.1", "RFC 7011 section 3.1", None,
        "the datagram is none of NetFlow or IPFIX, or ends inside its header";
    /// The count in the header.
    Count = "count", Error, "RFC 3954 section 5.1", "RFC 7011 section 3.1", Some(Quirk::CountIsAHint),
        "the count in the header is not the number of records in the datagram";
    /// The length in the header.
    MessageLength = "message-length", Error, "RFC 3954 section 5.1", "RFC 7011 section 3.1", None,
        "the length in the header is not that of the message";
    /// Lengths of sets.
    SetLength = "set-length", Error, "RFC 3954 section 5.3", "RFC 7011 section 3.3.2", None,
        "the length of a set is below 4, or runs past the end of the datagram";
    /// Templates.
    Template = "template", Error, "RFC 3954 section 5.2", "RFC 7011 section 3.4.1", None,
        "a template cannot be understood";
    /// Options templates.
    OptionsTemplate = "options-template", Error, "RFC 3954 section 6.1", "RFC 7011 section 3.4.2.2", None,
        "an options template cannot be understood";
    /// Records.
    Record = "record", Error, "RFC 3954 section 5.3", "RFC 7011 section 3.4.3", None,
        "a record cannot be decoded with its template";
    /// Other structures.
    Malformed = "malformed", Error, "RFC 3954 section 5", "RFC 7011 section 3", None,
        "a structure cannot be decoded";
    /// Set ids.
    ReservedSet = "reserved-set", Error, "RFC 3954 section 5.2", "RFC 7011 section 3.3.2", None,
        "a set has an id that is reserved";
    /// Steps of the sequence number.
    SequenceStep = "sequence-step", Error, "RFC 3954 section 5.1", "RFC 7011 section 3.1", None,
        "the sequence number counts something else than it should";
    /// Steps of the sequence number, by templates.
    SequenceTemplates = "sequence-counts-templates", Error, "RFC 3954 section 5.1", "RFC 7011 section 3.1",
        Some(Quirk::SequenceCountsTemplates),
        "the sequence number counts template records, too";
    /// Missing sequence numbers.
    SequenceGap = "sequence-gap", Warning, "RFC 3954 section 5.1", "RFC 7011 section 3.1", None,
        "sequence numbers are missing: datagrams were lost on the way, or never sent";
    /// Boundaries of sets.
    Alignment = "alignment", Note, "RFC 3954 section 5.3", "RFC 7011 section 3.3.1", Some(Quirk::OddPadding),
        "a FlowSet does not end at a multiple of 4 octets";
    /// What padding is made of.
    PaddingContent = "padding-content", Warning, "RFC 3954 section 5.3", "RFC 7011 section 3.3.1",
        Some(Quirk::OddPadding),
        "padding has octets that are not zero";
    /// How long padding is.
    PaddingLength = "padding-length", Note, "RFC 3954 section 5.3", "RFC 7011 section 3.3.1",
        Some(Quirk::OddPadding),
        "padding is longer than a multiple of 4 octets needs";
    /// Data before its template.
    TemplateMissing = "template-missing", Warning, "RFC 3954 section 9", "RFC 7011 section 8", None,
        "data came whose template was not known";
    /// How often templates are sent.
    TemplateRefresh = "template-refresh", Warning, "RFC 3954 section 7", "RFC 7011 section 8.4", None,
        "a template was not sent again for too long: a collector that starts meanwhile cannot decode its data";
    /// What becomes of templates.
    TemplateRedefined = "template-redefined", Warning, "RFC 3954 section 7", "RFC 7011 section 8.4", None,
        "the id of a template was used for another one";
    /// Withdrawals.
    Withdrawal = "withdrawal", Error, "RFC 3954 section 7", "RFC 7011 section 8.4", None,
        "a template was withdrawn over UDP";
    /// Options without a scope.
    Scope = "scope", Error, "RFC 3954 section 6.1", "RFC 7011 section 3.4.2.2", Some(Quirk::OptionsWithoutScope),
        "an options template has no scope";
    /// Announcements of sampling.
    SamplingUnknown = "sampling-unknown", Warning, "RFC 3954 section 6.1", "RFC 5476 section 6.5.2", None,
        "nobody said how flows were sampled: they cannot be scaled";
    /// The exporter's clock.
    ClockSkew = "clock-skew", Warning, "RFC 3954 section 5.1", "RFC 7011 section 3.1", Some(Quirk::UptimeAsUnixTime),
        "the time in the header is far from the time of arrival";
    /// Times of flows.
    FlowInFuture = "flow-in-future", Warning, "RFC 3954 section 8", "RFC 7011 section 3.1",
        Some(Quirk::LastInFuture),
        "flows end later than the datagram was sent";
    /// Order of times.
    EndBeforeStart = "end-before-start", Warning, "RFC 3954 section 8", "RFC 5102 section 5.9", None,
        "flows end before they begin";
    /// Long flows.
    ActiveTimeout = "active-timeout", Warning, "RFC 3954 section 3.2", "RFC 5470 section 5.1.1", None,
        "flows last longer than the active timeout: it is ignored, or longer than the collector expects";
    /// Templates of flows without times.
    NoTimes = "no-times", Note, "RFC 3954 section 8", "RFC 5102 section 5.9", None,
        "records of flows have no time: the flows can only be dated by their export";
    /// Widths of fields.
    Width = "width", Warning, "RFC 3954 section 8", "RFC 7011 section 6.2", Some(Quirk::OddWidths),
        "a field has a length that its type does not have";
    /// Unknown elements.
    UnknownElement = "unknown-element", Note, "RFC 3954 section 8", "RFC 7011 section 3.2", None,
        "an element is in none of the tables: see --elements of decode and listen";
    /// High types in v9.
    HighTypes = "v9-types-above-32767", Note, "RFC 3954 section 8", "RFC 7011 section 3.2",
        Some(Quirk::HighV9Types),
        "a type has the bit that stands for an enterprise in IPFIX";
    /// Repeated elements.
    Repeated = "repeated-elements", Note, "RFC 3954 section 5.2", "RFC 7011 section 8",
        Some(Quirk::RepeatedElements),
        "a template has an element more than once";
    /// Both families of addresses.
    BothFamilies = "both-address-families", Note, "RFC 3954 section 8", "RFC 7011 section 8",
        Some(Quirk::BothAddressFamilies),
        "a template has addresses of IPv4 and IPv6";
    /// Fields without octets.
    ZeroLength = "zero-length-fields", Warning, "RFC 3954 section 5.2", "RFC 7011 section 3.2",
        Some(Quirk::ZeroLengthFields),
        "a field of a template has the length 0";
    /// Large datagrams.
    Fragmented = "datagram-size", Note, "RFC 3954 section 3.3", "RFC 7011 section 10.3.3", None,
        "datagrams are longer than 1472 octets: they travel in fragments";
    /// Source ports.
    SourcePort = "source-port", Note, "RFC 3954 section 3.3", "RFC 7011 section 10.3.1", None,
        "one stream comes from several ports";
}

/// Where it is written what a quirk tolerates.
const fn clause_of(quirk: Quirk, version: u16) -> &'static str {
    match quirk {
        Quirk::V9VariableLength => "RFC 5655 appendix B.1.3",
        Quirk::ZeroFilledDatagrams | Quirk::UncountedPadding => "RFC 3954 section 5.3",
        Quirk::WideForwardingStatus => "RFC 7270 section 4.12",
        Quirk::DecimalTimeFractions => "RFC 7011 section 6.1.9",
        Quirk::UptimeAsUnixTime => "RFC 3954 section 5.1",
        Quirk::SwappedSamplingInterval | Quirk::UnknownSamplingAlgorithm | Quirk::SamplingOfOtherDomains => {
            "RFC 3954 section 6.1"
        }
        Quirk::BareSamplingPacketInterval => "RFC 5477 section 8.2.2",
        Quirk::LongApplicationIds => "RFC 6759 section 4",
        _ if version == 10 => "RFC 7011 section 3.2",
        _ => "RFC 3954 section 8",
    }
}

impl Rule {
    /// The rule that an error of decoding breaks.
    pub(super) const fn of_error(kind: &DecodeErrorKind) -> Self {
        use DecodeErrorKind as E;
        match kind {
            E::UnsupportedVersion(_) | E::Truncated { .. } | E::UnsupportedAggregation { .. } => Self::Header,
            E::RecordCount { .. } | E::TooManyRecords { .. } => Self::Count,
            E::MessageLength { .. } => Self::MessageLength,
            E::SetTooShort { .. } | E::SetTooLong { .. } => Self::SetLength,
            E::TemplateId(_)
            | E::TemplateTruncated { .. }
            | E::EmptyTemplate(_)
            | E::TooManyFields { .. } => Self::Template,
            E::ZeroLengthField(_) => Self::ZeroLength,
            E::OptionsTemplateLengths { .. } | E::ScopeCount { .. } => Self::OptionsTemplate,
            E::RecordTruncated { .. } => Self::Record,
            _ => Self::Malformed,
        }
    }
}
