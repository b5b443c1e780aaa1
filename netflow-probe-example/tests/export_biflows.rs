//! Both directions of a conversation in one record of IPFIX (RFC 5103), read by our decoder and by tshark.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    path::Path,
    process::{Command, Output},
};

use common::peers::run;
use netflow_codec::{Batch, BiflowDirection, Decoder, FlowRecord, Timestamp};
use netflow_probe_example::{dissect::udp_datagram, pcap::CaptureFile};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");

fn export(capture: &Path, to: &Path, arguments: &[&str]) -> Output {
    let files = [Path::new("--read"), capture, Path::new("--write"), to];
    Command::new(EXPORTER).args(files).args(["--quiet", "--biflow"]).args(arguments).output().unwrap()
}

/// The flows of a file of datagrams, and how many of them are directions of biflows.
fn flows(file: &Path) -> (Vec<FlowRecord>, usize) {
    let mut decoder = Decoder::new();
    let mut capture = CaptureFile::open(file).unwrap();
    let (mut flows, mut directions) = (Vec::new(), 0);
    while let Some(frame) = capture.next_frame().unwrap() {
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        for batch in decoder.decode(&0, datagram.payload, Timestamp::ZERO).unwrap() {
            let Batch::Data(records) = batch else { continue };
            for biflow in records.biflows() {
                flows.push(biflow.forward);
                // A record without a reverse direction is of a template without reverse elements.
                assert_eq!(biflow.reverse.is_some(), records.template().is_biflow());
                if let Some(reverse) = biflow.reverse {
                    assert_eq!(biflow.direction, Some(BiflowDirection::INITIATOR));
                    assert!(biflow.forward.packets > 0 && reverse.packets > 0);
                    flows.push(reverse);
                    directions += 2;
                }
            }
        }
    }
    (flows, directions)
}

/// What can be compared of a flow.
fn essence(flow: &FlowRecord) -> impl Ord + core::fmt::Debug + use<> {
    let ends = (flow.source, flow.source_port, flow.destination, flow.destination_port, flow.protocol);
    let times = (flow.start.as_millis(), flow.end.as_millis());
    (ends, times, flow.packets, flow.octets, flow.tcp_flags & 0xff)
}

#[test]
fn a_conversation_is_one_record_that_says_its_direction() {
    // X28, X29
    let Some(shared) = common::shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (apart, together) = (folder.path().join("apart.pcap"), folder.path().join("together.pcap"));
    for name in ["zeek__http-methods.pcap", "ntop__dropbox.pcap", "zeek__ftp-ipv6-multiline-reply.pcap"] {
        let capture = shared.join("traffic").join(name);
        for (to, more) in [(&apart, &[][..]), (&together, &["--biflow-records"][..])] {
            let output = export(&capture, to, &[&["--export-version", "10"], more].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let ((apart, none), (flows, directions)) = (flows(&apart), flows(&together));
        assert_eq!(none, 0);
        assert!(directions > 0 && directions <= flows.len(), "{name}: {directions} of {}", flows.len());
        let sorted = |flows: &[FlowRecord]| {
            let mut flows: Vec<_> = flows.iter().map(essence).collect();
            flows.sort_unstable();
            flows
        };
        assert_eq!(sorted(&flows), sorted(&apart), "{name}");
        if common::has_program("tshark") {
            let file = together.to_str().unwrap();
            let arguments = ["-n", "-r", file, "-d", "udp.port==4739,cflow", "-T", "fields"];
            let fields = ["-e", "_ws.malformed", "-e", "cflow.biflow_direction"];
            let text = run("tshark", &[&arguments[..], &fields].concat());
            let told = text.split([',', '\t', '\n']).filter(|text| !text.is_empty()).count();
            assert_eq!(told, directions / 2, "{name}: {text}");
        }
    }
}

#[test]
fn records_of_both_directions_are_refused_where_there_are_none() {
    let Some(shared) = common::shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let capture = shared.join("traffic/zeek__http-methods.pcap");
    let to = folder.path().join("out.pcap");
    let output = export(&capture, &to, &["--export-version", "9", "--biflow-records"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("only IPFIX"), "{text}");
}
