//! How an export session is to behave, and what it counted.

use alloc::vec::Vec;
use core::time::Duration;

use super::{options::OptionsData, template::ExportTemplate, times::FlowTimes};
use crate::{sampling::SamplingInfo, time::Timestamp};

/// Which version a session speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExportVersion {
    /// NetFlow v5: IPv4 only.
    V5,
    /// NetFlow v9.
    V9,
    /// IPFIX.
    Ipfix,
}

/// What carries the datagrams or messages of a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExportTransport {
    /// UDP: templates are sent again and again, and never withdrawn (RFC 7011 section 8.4).
    #[default]
    Datagrams,
    /// TCP, SCTP or a file: templates are sent once, and can be withdrawn (RFC 7011 section 8.1).
    Stream,
}

/// How an [`ExportSession`](crate::ExportSession) is to behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The version.
    pub version: ExportVersion,
    /// When the exporter booted: uptimes count from here. No flow should start earlier.
    pub boot: Timestamp,
    /// v9: the source ID. IPFIX: the observation domain. v5: engine type and number in the low 16 bits.
    pub source_id: u32,
    /// Octets of a datagram at most: the MTU less the IP and UDP headers. Default 1472.
    pub max_datagram: usize,
    /// What carries the datagrams. Default UDP.
    pub transport: ExportTransport,
    /// v9, IPFIX over UDP: templates again behind this many packets with data. Default 20.
    pub template_refresh_packets: Option<u32>,
    /// v9, IPFIX over UDP: templates again so often. Default 10 minutes.
    pub template_refresh: Option<Duration>,
    /// How flows are dated. Default: uptimes in v9, milliseconds in IPFIX; v5 has uptimes always.
    pub times: FlowTimes,
    /// How the packets were selected, announced to the collector. `None` says nothing.
    ///
    /// In IPFIX the options record is that of a selector, [`Self::selector_id`] or else number 1, which flows name.
    pub sampling: Option<SamplingInfo>,
    /// IPFIX: the selector that flows name in selectorId (302) unless they have a
    /// [`sampler_id`](crate::FlowRecord::sampler_id) of their own. `None`, without [`Self::sampling`]: they have no
    /// such field.
    pub selector_id: Option<u32>,
    /// v9, IPFIX: options to announce with the templates, before them. [`ExportSession::set_options`] replaces them.
    ///
    /// [`ExportSession::set_options`]: crate::ExportSession::set_options
    pub options: Vec<OptionsData>,
    /// v9, IPFIX: templates of the user's, announced behind the options in the place of the session's own templates of
    /// flows: then [`ExportSession::handle_record`] takes records, and [`ExportSession::handle_flow`] refuses them. Default:
    /// none.
    ///
    /// [`ExportSession::handle_record`]: crate::ExportSession::handle_record
    /// [`ExportSession::handle_flow`]: crate::ExportSession::handle_flow
    pub templates: Vec<ExportTemplate>,
    /// v9, IPFIX: the session's own templates have this id and the seven behind it. A session that goes on with other
    /// templates than the one before it needs other ids (RFC 3954 section 7). Default 256.
    pub first_template: u16,
    /// Whether options records say how many messages, octets and flow records were exported (RFC 7011 section 4.1).
    /// Default: not.
    pub statistics: bool,
    /// How long a flow may wait in a datagram that is not full. Default 1 second.
    pub max_delay: Duration,
    /// The number of the first datagram: packets (v9), flows (v5) or data records (IPFIX) sent before it. Default 0.
    pub first_sequence: u32,
}

impl SessionConfig {
    /// The defaults, for an exporter that booted at `boot`.
    #[must_use]
    pub const fn new(version: ExportVersion, boot: Timestamp) -> Self {
        Self {
            version,
            boot,
            source_id: 0,
            max_datagram: 1_472,
            transport: ExportTransport::Datagrams,
            template_refresh_packets: Some(20),
            template_refresh: Some(Duration::from_secs(600)),
            times: match version {
                ExportVersion::Ipfix => FlowTimes::Milliseconds,
                ExportVersion::V5 | ExportVersion::V9 => FlowTimes::Uptime,
            },
            sampling: None,
            selector_id: None,
            options: Vec::new(),
            templates: Vec::new(),
            first_template: 256,
            statistics: false,
            max_delay: Duration::from_secs(1),
            first_sequence: 0,
        }
    }
}

/// What an [`ExportSession`](crate::ExportSession) counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct SessionStats {
    /// Datagrams written.
    pub datagrams: u64,
    /// Octets of those datagrams.
    pub octets: u64,
    /// Flows, and records of the user's templates, taken.
    pub flows: u64,
    /// Data records written: more than flows when v5 split some of them.
    pub records: u64,
    /// Options records in the datagrams written.
    pub options_records: u64,
    /// Times that the templates were written.
    pub template_rounds: u64,
    /// Flows that the version cannot carry: [`Self::refused_ipv6`] among them.
    pub refused: u64,
    /// v5: flows of IPv6.
    pub refused_ipv6: u64,
    /// v5: flows with counters above 32 bits, in several records.
    pub split: u64,
    /// v5: flows with an AS number above 65535, written as 23456.
    pub narrowed_as: u64,
    /// v5: flows with an interface index above 65535, written as 0.
    pub narrowed_interfaces: u64,
    /// Flows with TCP flags above the low eight, for which v5 and the default layouts have no place.
    pub narrowed_tcp_flags: u64,
}
