//! Exporters as a library: how they begin, and what they write.

use core::time::Duration;
use std::path::Path;

use netflow_codec::ExportVersion;
use netflow_flowcache::Timeouts;
use netflow_probe_example::{
    dissect::udp_datagram,
    exporter::ExporterConfig,
    meter::{MeterConfig, MeterRules, SamplingSpec},
    pcap::CaptureFile,
    send::{SendConfig, Target},
};

/// Every packet, by the usual timeouts, and the same on each run.
pub(crate) fn meter() -> MeterConfig {
    MeterConfig {
        timeouts: Timeouts::default(),
        max_flows: 1_000,
        sampling: SamplingSpec::default(),
        seed: 7,
        rules: MeterRules::default(),
    }
}

/// An exporter of [`meter`] to one target.
pub(crate) fn to(target: Target, version: ExportVersion) -> ExporterConfig {
    ExporterConfig {
        meter: meter(),
        targets: vec![target],
        version,
        source_id: 1,
        send: SendConfig::default(),
        template_refresh_packets: 20,
        template_refresh: Duration::from_secs(600),
        interfaces: Vec::new(),
    }
}

/// The same to a file.
pub(crate) fn to_file(path: &Path, version: ExportVersion) -> ExporterConfig {
    to(Target::File(path.to_owned()), version)
}

/// The datagrams in a file that an exporter has written.
pub(crate) fn written(file: &Path) -> Vec<Vec<u8>> {
    let mut capture = CaptureFile::open(file).unwrap();
    let mut datagrams = Vec::new();
    while let Some(frame) = capture.next_frame().unwrap() {
        datagrams.push(udp_datagram(frame.link_type, frame.data).unwrap().payload.to_vec());
    }
    datagrams
}
