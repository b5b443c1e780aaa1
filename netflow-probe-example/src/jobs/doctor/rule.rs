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
    ($($rule:ident = $name:literal, $severity:ident, $v9:literal, $ipfix:literal, $quirk:expr, $text:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Rule {
            $(#[doc = $text] $rule,)*
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
                    (Self::$rule, _) => concat!("RFC 3954 section ", $v9),)*
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

// Rule = name, severity, section of RFC 3954, clause for IPFIX, quirk that tolerates it, what is wrong.
rules! {
    Header = "header", Error, "5.1", "RFC 7011 section 3.1", None,
        "the datagram is none of NetFlow or IPFIX, or ends inside its header";
    Count = "count", Error, "5.1", "RFC 7011 section 3.1", Some(Quirk::CountIsAHint),
        "the count in the header is not the number of records in the datagram";
    MessageLength = "message-length", Error, "5.1", "RFC 7011 section 3.1", None,
        "the length in the header is not that of the message";
    SetLength = "set-length", Error, "5.3", "RFC 7011 section 3.3.2", None,
        "the length of a set is below 4, or runs past the end of the datagram";
    Template = "template", Error, "5.2", "RFC 7011 section 3.4.1", None,
        "a template cannot be understood";
    OptionsTemplate = "options-template", Error, "6.1", "RFC 7011 section 3.4.2.2", None,
        "an options template cannot be understood";
    Record = "record", Error, "5.3", "RFC 7011 section 3.4.3", None,
        "a record cannot be decoded with its template";
    Malformed = "malformed", Error, "5", "RFC 7011 section 3", None,
        "a structure cannot be decoded";
    ReservedSet = "reserved-set", Error, "5.2", "RFC 7011 section 3.3.2", None,
        "a set has an id that is reserved";
    SequenceStep = "sequence-step", Error, "5.1", "RFC 7011 section 3.1", None,
        "the sequence number counts something else than it should";
    SequenceTemplates = "sequence-counts-templates", Error, "5.1", "RFC 7011 section 3.1", Some(Quirk::SequenceCountsTemplates),
        "the sequence number counts template records, too";
    SequenceGap = "sequence-gap", Warning, "5.1", "RFC 7011 section 3.1", None,
        "sequence numbers are missing: datagrams were lost on the way, or never sent";
    Alignment = "alignment", Note, "5.3", "RFC 7011 section 3.3.1", Some(Quirk::OddPadding),
        "a FlowSet does not end at a multiple of 4 octets";
    PaddingContent = "padding-content", Warning, "5.3", "RFC 7011 section 3.3.1", Some(Quirk::OddPadding),
        "padding has octets that are not zero";
    PaddingLength = "padding-length", Note, "5.3", "RFC 7011 section 3.3.1", Some(Quirk::OddPadding),
        "padding is longer than a multiple of 4 octets needs";
    TemplateMissing = "template-missing", Warning, "9", "RFC 7011 section 8", None,
        "data came whose template was not known";
    TemplateRefresh = "template-refresh", Warning, "7", "RFC 7011 section 8.4", None,
        "a template was not sent again for too long: a collector that starts meanwhile cannot decode its data";
    TemplateRedefined = "template-redefined", Warning, "7", "RFC 7011 section 8.4", None,
        "the id of a template was used for another one";
    Withdrawal = "withdrawal", Error, "7", "RFC 7011 section 8.4", None,
        "a template was withdrawn over UDP";
    Scope = "scope", Error, "6.1", "RFC 7011 section 3.4.2.2", Some(Quirk::OptionsWithoutScope),
        "an options template has no scope";
    SamplingUnknown = "sampling-unknown", Warning, "6.1", "RFC 5476 section 6.5.2", None,
        "nobody said how flows were sampled: they cannot be scaled";
    ClockSkew = "clock-skew", Warning, "5.1", "RFC 7011 section 3.1", Some(Quirk::UptimeAsUnixTime),
        "the time in the header is far from the time of arrival";
    FlowInFuture = "flow-in-future", Warning, "8", "RFC 7011 section 3.1", Some(Quirk::LastInFuture),
        "flows end later than the datagram was sent";
    EndBeforeStart = "end-before-start", Warning, "8", "RFC 5102 section 5.9", None,
        "flows end before they begin";
    ActiveTimeout = "active-timeout", Warning, "3.2", "RFC 5470 section 5.1.1", None,
        "flows last longer than the active timeout: it is ignored, or longer than the collector expects";
    NoTimes = "no-times", Note, "8", "RFC 5102 section 5.9", None,
        "records of flows have no time: the flows can only be dated by their export";
    Width = "width", Warning, "8", "RFC 7011 section 6.2", Some(Quirk::OddWidths),
        "a field has a length that its type does not have";
    UnknownElement = "unknown-element", Note, "8", "RFC 7011 section 3.2", None,
        "an element is in none of the tables: see --elements of decode and listen";
    HighTypes = "v9-types-above-32767", Note, "8", "RFC 7011 section 3.2", Some(Quirk::HighV9Types),
        "a type has the bit that stands for an enterprise in IPFIX";
    Repeated = "repeated-elements", Note, "5.2", "RFC 7011 section 8", Some(Quirk::RepeatedElements),
        "a template has an element more than once";
    BothFamilies = "both-address-families", Note, "8", "RFC 7011 section 8", Some(Quirk::BothAddressFamilies),
        "a template has addresses of IPv4 and IPv6";
    ZeroLength = "zero-length-fields", Warning, "5.2", "RFC 7011 section 3.2", Some(Quirk::ZeroLengthFields),
        "a field of a template has the length 0";
    Fragmented = "datagram-size", Note, "3.3", "RFC 7011 section 10.3.3", None,
        "datagrams are longer than 1472 octets: they travel in fragments";
    SourcePort = "source-port", Note, "3.3", "RFC 7011 section 10.3.1", None,
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
