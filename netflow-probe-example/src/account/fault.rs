//! What can be wrong with what came, and how it is told.

use core::{fmt, net::IpAddr};

use netflow_codec::{DecodeError, DecodeErrorKind, Restart, RestartKind};

use super::KeysFault;
use crate::policy::Refusal;

/// Something that is wrong with a datagram, or missing before it: who sent it, where in it, what.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The exporter.
    pub exporter: IpAddr,
    /// Version and observation domain, when the header could be read.
    pub stream: Option<(u16, u32)>,
    /// How many datagrams the collector had been given before.
    pub datagram: u64,
    /// How many sets stand before the one concerned, if one is.
    pub set: Option<usize>,
    /// What it is.
    pub what: What,
    /// How often this exporter did the same by now.
    pub count: u64,
}

/// What a [`Fault`] is.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A structure cannot be decoded.
    Malformed(DecodeError),
    /// A data set came whose template is not known.
    TemplateMissing {
        /// The template's id.
        template_id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
        /// Octets of the records.
        octets: usize,
        /// Whether they are kept until the template comes.
        kept: bool,
    },
    /// The template cache is full: to make room, templates that were used longest ago were dropped.
    CacheFull {
        /// Templates dropped, those of the dropped domains included.
        templates: u64,
        /// Observation domains dropped with all that was known of them.
        domains: u64,
        /// Octets from the start of the datagram to what needed the room.
        offset: usize,
    },
    /// A set with a reserved id is skipped.
    ReservedSet {
        /// The set's id.
        id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
    },
    /// Flow keys cannot be marked in the template that they are said to be of.
    FlowKeys {
        /// The template's id.
        template_id: u16,
        /// Why not.
        fault: KeysFault,
    },
    /// Sequence numbers are missing.
    Gap {
        /// How many.
        lost: u32,
        /// Of what: flows, packets or records.
        unit: &'static str,
    },
    /// The sequence numbers began anew.
    SequenceReset,
    /// The exporter was restarted, or its clock set.
    Restart(Restart),
    /// Octets of a file of messages are none, or damaged ones.
    Skipped {
        /// Where they begin, in octets from the beginning of the file.
        offset: u64,
        /// How many they are.
        octets: u64,
    },
    /// The datagram is refused.
    Refused(Refusal),
    /// The capture does not have the whole datagram.
    CutShort {
        /// Octets that it has.
        available: usize,
    },
}

impl What {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        use DecodeErrorKind as E;
        use FaultKind as F;
        match self {
            Self::Malformed(error) => match error.kind {
                E::UnsupportedVersion(_) => F::UnsupportedVersion,
                E::Truncated { .. } => F::Truncated,
                E::RecordCount { .. } => F::RecordCount,
                E::TooManyRecords { .. } => F::TooManyRecords,
                E::UnsupportedAggregation { .. } => F::UnsupportedAggregation,
                E::SetTooShort { .. } => F::SetTooShort,
                E::SetTooLong { .. } => F::SetTooLong,
                E::TemplateId(_) => F::TemplateId,
                E::TemplateTruncated { .. } => F::TemplateTruncated,
                E::OptionsTemplateLengths { .. } => F::OptionsTemplateLengths,
                E::EmptyTemplate(_) => F::EmptyTemplate,
                E::VariableLengthInV9(_) => F::VariableLengthInV9,
                E::TooManyFields { .. } => F::TooManyFields,
                E::RecordTruncated { .. } => F::RecordTruncated,
                E::MessageLength { .. } => F::MessageLength,
                E::ScopeCount { .. } => F::ScopeCount,
                _ => F::Other,
            },
            Self::TemplateMissing { .. } => F::TemplateMissing,
            Self::CacheFull { .. } => F::CacheFull,
            Self::ReservedSet { .. } => F::ReservedSet,
            Self::FlowKeys { .. } => F::FlowKeys,
            Self::Gap { .. } => F::Gap,
            Self::SequenceReset => F::SequenceReset,
            Self::Restart(Restart { kind: RestartKind::ClockSet, .. }) => F::ClockSet,
            Self::Restart(_) => F::Restart,
            Self::Skipped { .. } => F::Skipped,
            Self::Refused(_) => F::Refused,
            Self::CutShort { .. } => F::CutShort,
        }
    }
}

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// The kinds of faults, which are counted.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name in the summary.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

fault_kinds! {
    /// The version is none that is decoded.
    UnsupportedVersion = "unsupported_version",
    /// The datagram ends inside a header.
    Truncated = "truncated",
    /// The header announces more records than there are.
    RecordCount = "record_count",
    /// The header announces more records than a sender may put into a datagram.
    TooManyRecords = "too_many_records",
    /// A v8 datagram of an unknown scheme of aggregation.
    UnsupportedAggregation = "unsupported_aggregation",
    /// The length of a set is below 4.
    SetTooShort = "set_too_short",
    /// A set runs past the end of the datagram.
    SetTooLong = "set_too_long",
    /// A template has an id below 256.
    TemplateId = "template_id",
    /// A template is cut off by its set.
    TemplateTruncated = "template_truncated",
    /// The lengths in an options template are no multiples of 4.
    OptionsTemplateLengths = "options_template_lengths",
    /// A template describes records of 0 octets.
    EmptyTemplate = "empty_template",
    /// A v9 template has a field of variable length.
    VariableLengthInV9 = "variable_length_in_v9",
    /// A template has too many fields.
    TooManyFields = "too_many_fields",
    /// A record runs past the end of its set.
    RecordTruncated = "record_truncated",
    /// The length of an IPFIX message is not that of its datagram.
    MessageLength = "message_length",
    /// An IPFIX options template has no scope, or more scopes than fields.
    ScopeCount = "scope_count",
    /// Octets of a file of messages were skipped.
    Skipped = "octets_skipped",
    /// Another structure cannot be decoded.
    Other = "other",
    /// A data set came whose template is not known.
    TemplateMissing = "template_missing",
    /// The template cache was full.
    CacheFull = "cache_full",
    /// A set with a reserved id was skipped.
    ReservedSet = "reserved_set",
    /// Flow keys cannot be marked.
    FlowKeys = "flow_keys",
    /// Sequence numbers are missing.
    Gap = "sequence_gap",
    /// The sequence numbers began anew.
    SequenceReset = "sequence_reset",
    /// The exporter was restarted.
    Restart = "restart",
    /// The exporter's clock was set.
    ClockSet = "clock_set",
    /// Datagrams were refused.
    Refused = "refused",
    /// The capture does not have the whole datagram.
    CutShort = "cut_short",
}

pub(super) const FAULT_KINDS: usize = FaultKind::ALL.len();

impl FaultKind {
    /// Whether a structure could not be decoded. Versions that are not supported are counted for themselves.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(
            self,
            Self::UnsupportedVersion
                | Self::TemplateMissing
                | Self::CacheFull
                | Self::ReservedSet
                | Self::FlowKeys
                | Self::Gap
                | Self::SequenceReset
                | Self::Restart
                | Self::ClockSet
                | Self::Refused
                | Self::CutShort
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.exporter)?;
        match self.stream {
            Some((version @ (5 | 9 | 10), domain)) => write!(f, ", v{version} domain {domain}")?,
            Some((version, _)) => write!(f, ", v{version}")?,
            None => {}
        }
        write!(f, ", datagram {}", self.datagram)?;
        if let Some(set) = self.set {
            write!(f, ", set {set}")?;
        }
        f.write_str(": ")?;
        self.what.fmt(f)?;
        match self.count {
            0..5 => Ok(()),
            5 => f.write_str(" (more of this kind from this exporter are counted, not reported)"),
            count => write!(f, " (the {count}th of this kind from this exporter)"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Malformed(error) => write!(f, "{error}"),
            Self::TemplateMissing { template_id, offset, octets, kept } => {
                let fate = if kept { "kept until it comes" } else { "dropped: too much waits already" };
                write!(
                    f,
                    "template {template_id} is not known, {octets} octets of data at octet {offset} are {fate}"
                )
            }
            Self::CacheFull { templates, domains, offset } => write!(
                f,
                "the template cache is full: for what stands at octet {offset}, {templates} templates and \
                 {domains} domains that were used longest ago were dropped"
            ),
            Self::ReservedSet { id, offset } => {
                write!(f, "a set with the reserved id {id}, at octet {offset}, is skipped")
            }
            Self::FlowKeys { template_id, fault } => {
                write!(f, "the flow key is told of template {template_id}, {fault}")
            }
            Self::Gap { lost, unit } => {
                write!(f, "the sequence number says that {lost} {unit} before this datagram are missing")
            }
            Self::SequenceReset => f.write_str("the sequence numbers began anew"),
            Self::Restart(Restart { kind: RestartKind::ClockSet, evidence, .. }) => {
                write!(f, "the exporter's clock was set: {evidence}")
            }
            Self::Restart(Restart { evidence, .. }) => write!(f, "the exporter was restarted: {evidence}"),
            Self::Skipped { offset, octets } => {
                write!(
                    f,
                    "{octets} octets at octet {offset} of the file are no sound messages and are skipped"
                )
            }
            Self::Refused(Refusal::NotAllowed) => {
                f.write_str("refused: its sender is none of those that may send")
            }
            Self::Refused(Refusal::ExporterQuota) => {
                f.write_str("refused: the quota of its exporter is spent")
            }
            Self::Refused(Refusal::TotalQuota) => f.write_str("refused: the quota of all exporters is spent"),
            Self::Refused(Refusal::Muted) => {
                f.write_str("ignored: its exporter has sent nothing but malformed datagrams")
            }
            Self::CutShort { available } => {
                write!(f, "the capture has only the first {available} octets of this datagram")
            }
        }
    }
}
