//! What the header of a datagram says, in one form for all versions.

use crate::{
    fixed::FixedRecords,
    ipfix,
    quirk::{Quirk, QuirkState, Quirks},
    sampling::SamplingInfo,
    time::ExportClock,
    v5, v9,
};

/// What the header of a datagram says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DatagramHeader {
    /// The version: 1, 5 to 10.
    pub version: u16,
    /// Records that the header announces; in v9 a hint, in IPFIX 0 because it does not say.
    pub count: u16,
    /// Sequence number: flows (v5 to v8), packets (v9) or data records (IPFIX) sent before; v1 has none.
    pub sequence: Option<u32>,
    /// v9: the source ID. IPFIX: the observation domain. v5, v6 and v8: engine
    /// type (high octet) and engine number (low octet).
    pub observation_domain: u32,
    /// When it was sent.
    pub clock: ExportClock,
    /// Mode and interval of sampling in a v5 or v8 header.
    pub sampling: Option<SamplingInfo>,
}

impl DatagramHeader {
    pub(super) fn of_fixed(records: &FixedRecords<'_>, quirks: &mut QuirkState) -> Self {
        Self {
            version: records.version(),
            count: records.announced(),
            sequence: records.sequence(),
            observation_domain: records.engine().into(),
            clock: *records.clock(),
            sampling: records.sampling().and_then(|header| Self::sampling(header, quirks)),
        }
    }

    fn sampling(header: v5::SamplingHeader, quirks: &mut QuirkState) -> Option<SamplingInfo> {
        if !quirks.active.contains(Quirk::V5SamplingOf16Bits) {
            return SamplingInfo::from_v5(header);
        }
        if header.mode() != 0 {
            quirks.counts.add(Quirks::NONE.with(Quirk::V5SamplingOf16Bits));
        }
        SamplingInfo::from_v5_of_16_bits(header)
    }

    pub(super) const fn of_ipfix(header: ipfix::Header<'_>) -> Self {
        Self {
            version: ipfix::VERSION,
            count: 0,
            sequence: Some(header.sequence()),
            observation_domain: header.observation_domain(),
            clock: ExportClock::without_uptime(header.export_time()),
            sampling: None,
        }
    }

    pub(super) const fn of_v9(header: v9::Header<'_>) -> Self {
        Self {
            version: v9::VERSION,
            count: header.count(),
            sequence: Some(header.sequence()),
            observation_domain: header.source_id(),
            clock: header.clock(),
            sampling: None,
        }
    }
}
