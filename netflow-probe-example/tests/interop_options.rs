//! Real peers read our templates of any kind and our options: tshark every field, nfdump the sampling.
//!
//! Skipped with the reason when a peer is missing, unless `NETFLOW_REQUIRE_ALL=1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::net::SocketAddr;
use std::{net::UdpSocket, path::Path, process::Command};

use common::peers::Nfcapd;
use netflow_codec::{
    ApplicationName, BasicListBuilder, ElementId, ExportSession, ExportVersion, FieldSpecifier, FieldValue,
    FlowRecord, InterfaceName, ListSemantic, OptionsData, Protocol, SamplingAlgorithm, SamplingInfo,
    SamplingSource, SessionConfig, TemplateBuilder, Timestamp,
};
use netflow_probe_example::pcap::DatagramWriter;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

fn field(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::iana(number), length)
}

fn drain(session: &mut ExportSession, datagrams: &mut Vec<Vec<u8>>) {
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
}

/// A session's datagrams: every options table that the protocol has, records of a template of many types, a flow.
fn export(version: ExportVersion) -> Vec<Vec<u8>> {
    let protocol = if version == ExportVersion::Ipfix { Protocol::Ipfix } else { Protocol::NetFlow9 };
    let mut config = SessionConfig::new(version, Timestamp::from_secs(1_700_000_000));
    config.sampling = SamplingInfo::new(100, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    config.statistics = true;
    let interfaces = [InterfaceName { index: 3, name: "eth3", description: "to the core" }];
    let applications = [ApplicationName { id: &[3, 0, 80], name: "http", description: "the web" }];
    config.options = vec![
        OptionsData::interface_names(protocol, 300, &interfaces).unwrap(),
        OptionsData::vrf_names(protocol, 301, &[(7, "red")]).unwrap(),
        OptionsData::applications(protocol, 302, &applications).unwrap(),
    ];
    let mut session = ExportSession::new(config).unwrap();
    let mut datagrams = Vec::new();
    let mut flow = FlowRecord::default();
    (flow.source, flow.destination) = ("192.0.2.1".parse().unwrap(), "198.51.100.7".parse().unwrap());
    (flow.packets, flow.octets, flow.protocol) = (5, 600, 17);
    (flow.start, flow.end) = (Timestamp::from_secs(1_700_000_050), Timestamp::from_secs(1_700_000_060));
    session.handle_flow(&flow, NOW).unwrap();
    drain(&mut session, &mut datagrams);

    let mut fields =
        vec![field(8, 4), field(56, 6), field(1, 3), field(150, 4), field(152, 8), field(27, 16)];
    let mut list = BasicListBuilder::new(ListSemantic::ALL_OF, field(14, 4)).unwrap();
    list.push(FieldValue::Unsigned(7)).unwrap();
    let mut record = vec![
        (ElementId::iana(8), FieldValue::Ipv4Address([192, 0, 2, 9].into())),
        (ElementId::iana(56), FieldValue::MacAddress([2, 0, 0, 0, 0, 9])),
        (ElementId::iana(1), FieldValue::Unsigned(65_537)),
        (ElementId::iana(150), FieldValue::DateTime(Timestamp::from_secs(1_700_000_001))),
        (ElementId::iana(152), FieldValue::DateTime(Timestamp::from_millis(1_700_000_001_250))),
        (ElementId::iana(27), FieldValue::Ipv6Address("2001:db8::9".parse().unwrap())),
    ];
    if protocol == Protocol::Ipfix {
        let variable = |number| FieldSpecifier::variable_length(ElementId::iana(number));
        fields.extend([
            variable(82),
            variable(313),
            field(154, 8),
            field(210, 2),
            FieldSpecifier::new(ElementId::new(32_473, 7), 2),
            variable(291),
        ]);
        record.extend([
            (ElementId::iana(82), FieldValue::String("short")),
            (ElementId::iana(313), FieldValue::Octets(&[0xab; 300])),
            (ElementId::iana(154), FieldValue::DateTime(Timestamp::from_secs(1_700_000_001))),
            (ElementId::new(32_473, 7), FieldValue::Unsigned(258)),
            (ElementId::iana(291), list.value()),
        ]);
    }
    let template = TemplateBuilder::new(protocol, 400).fields(fields).build().unwrap();
    session.add_template(template, NOW).unwrap();
    for _ in 0..3 {
        session.handle_record(400, record.as_slice(), NOW).unwrap();
        drain(&mut session, &mut datagrams);
    }
    session.flush(NOW);
    drain(&mut session, &mut datagrams);
    assert_eq!(session.stats().refused, 0);
    datagrams
}

fn write(path: &Path, datagrams: &[Vec<u8>]) {
    let (from, to): (SocketAddr, SocketAddr) =
        ("192.0.2.1:4444".parse().unwrap(), "192.0.2.254:4739".parse().unwrap());
    let mut writer = DatagramWriter::create(path).unwrap();
    for datagram in datagrams {
        let time = netflow_flowcache::Timestamp::from_secs(1_700_000_100);
        writer.write(time, from, to, datagram).unwrap();
    }
    writer.flush().unwrap();
}

/// The values of fields, all datagrams and records joined, by tshark.
fn tshark(path: &Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", path.to_str().unwrap(), "-d", "udp.port==4739,cflow", "-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "aggregator=,"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut columns = vec![Vec::new(); fields.len()];
    for line in text.lines() {
        for (column, value) in columns.iter_mut().zip(line.split('\t')) {
            column.extend((!value.is_empty()).then(|| value.to_owned()));
        }
    }
    columns.iter().map(|values| values.join(",")).collect()
}

#[test]
fn tshark_reads_templates_and_options_of_every_kind() {
    // E15, E16
    if !common::has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.pcap");
    for version in [ExportVersion::V9, ExportVersion::Ipfix] {
        write(&path, &export(version));
        let ipfix = version == ExportVersion::Ipfix;
        let by_version = |v9: &'static str, ipfix_value: &'static str| if ipfix { ipfix_value } else { v9 };
        let expected = [
            // Neither malformed nor out of sequence, nor anything else to complain about.
            ("_ws.malformed", ""),
            ("_ws.expert.message", ""),
            ("cflow.octets", "600,65537,65537,65537"),
            ("cflow.srcaddr", "192.0.2.1,192.0.2.9,192.0.2.9,192.0.2.9"),
            ("cflow.srcmac", "02:00:00:00:00:09,02:00:00:00:00:09,02:00:00:00:00:09"),
            ("cflow.srcaddrv6", "2001:db8::9,2001:db8::9,2001:db8::9"),
            ("cflow.if_name", by_version("eth3", "eth3,short,short,short")),
            ("cflow.if_descr", "to the core"),
            ("cflow.vrfname", "red"),
            ("cflow.appl_name", "http"),
            ("cflow.appl_desc", "the web"),
            ("cflow.sampling_interval", by_version("100", "")),
            ("cflow.sampling_algorithm", by_version("2", "")),
            ("cflow.selector_algorithm", by_version("", "3")),
            ("cflow.sampling_population", by_version("", "100")),
            ("cflow.selector_id", by_version("", "1,1")),
        ];
        let fields: Vec<&str> = expected.iter().map(|(field, _)| *field).collect();
        let told = tshark(&path, &fields);
        let told: Vec<_> = fields.iter().copied().zip(told.iter().map(String::as_str)).collect();
        assert_eq!(told, expected, "{version:?}");
    }
}

/// Source, packets and octets of the flows that nfdump lists after nfcapd received the datagrams.
fn through_nfcapd(datagrams: &[Vec<u8>]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nfcapd = Nfcapd::start(folder.path(), &[]);
    for datagram in datagrams {
        socket.send_to(datagram, nfcapd.address()).unwrap();
    }
    nfcapd.finish();
    let output = Command::new("nfdump").args(["-R", store, "-q", "-N", "-o", "csv"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split(',').collect();
            [columns[3], columns[11], columns[12]].join(" ")
        })
        .collect()
}

#[test]
fn nfdump_lists_flows_of_any_template() {
    // Its release 1.7.1 reads no options with fields of variable length and says so; flows do not suffer.
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    for version in [ExportVersion::V9, ExportVersion::Ipfix] {
        let flows = through_nfcapd(&export(version));
        let own = "2001:db8::9 0 65537";
        assert_eq!(flows, ["192.0.2.1 5 600", own, own, own], "{version:?}");
    }
}
