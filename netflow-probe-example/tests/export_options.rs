//! What an exporter says of itself, read by our decoder and by tshark: names, flow keys, statistics, losses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use common::{files::Order, frames, peers::run};
use netflow_codec::{Batch, Decoder, ExportVersion, FlowRecord, SessionConfig, Timestamp};
use netflow_probe_example::{
    dissect::udp_datagram,
    pcap::CaptureFile,
    send::{Delivery, MeteringLoss, SendConfig, Target, WhenFull, announce_loss},
};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

/// A packet of IPv4 and one of IPv6.
fn capture(folder: &Path) -> PathBuf {
    let order = Order::Little;
    let mut octets = order.pcap_header(0xA1B2_C3D4, 101);
    let udp = frames::udp(1_000, 53, &[0; 40]);
    for data in [frames::ipv4(17, &udp), frames::ipv6(17, &udp)] {
        let length = u32::try_from(data.len()).unwrap();
        octets.extend(order.pcap_record(1_700_000_000, 0, length, &data));
    }
    let path = folder.join("in.pcap");
    fs::write(&path, octets).unwrap();
    path
}

fn export(folder: &Path, version: &str) -> PathBuf {
    let (read, write) = (capture(folder), folder.join("out.pcap"));
    let output = Command::new(EXPORTER)
        .args([Path::new("--read"), &read, Path::new("--write"), &write])
        .args(["--export-version", version, "--quiet", "--source-id", "7"])
        .args([
            "--interface-name",
            "3=eth3,to the core",
            "--interface-name",
            "4=a name for which v9 has not the room",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    write
}

/// The options records: each the numbers and values of its elements, scopes first.
fn options<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<(u16, String)>> {
    let mut decoder = Decoder::new();
    let mut found = Vec::new();
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, NOW).unwrap() {
            if let Batch::Options(records) = batch {
                for record in &records {
                    let fields = record.fields();
                    found.push(
                        fields.map(|field| (field.element().number(), field.value().to_string())).collect(),
                    );
                }
            }
        }
    }
    found
}

fn datagrams(path: &Path) -> Vec<Vec<u8>> {
    let mut file = CaptureFile::open(path).unwrap();
    let mut datagrams = Vec::new();
    while let Some(frame) = file.next_frame().unwrap() {
        datagrams.push(udp_datagram(frame.link_type, frame.data).unwrap().payload.to_vec());
    }
    datagrams
}

fn value(record: &[(u16, String)], element: u16) -> Option<&str> {
    record.iter().find(|(number, _)| *number == element).map(|(_, value)| value.as_str())
}

#[test]
fn names_and_statistics_are_announced_in_v9_and_ipfix() {
    // X6, X14, X22
    let folder = tempfile::tempdir().unwrap();
    for version in ["9", "10"] {
        let written = datagrams(&export(folder.path(), version));
        let options = options(written.iter().map(Vec::as_slice));
        let names: BTreeSet<_> =
            options.iter().filter_map(|record| Some((value(record, 82)?, value(record, 83)?))).collect();
        // v9 has 32 octets for a name.
        let whole = "a name for which v9 has not the room";
        let long = if version == "9" { &whole[..32] } else { whole };
        assert_eq!(names, [("eth3", "to the core"), (long, "")].into(), "version {version}");
        let statistics = options.iter().find(|record| value(record, 41).is_some()).unwrap();
        assert!(value(statistics, 42).is_some() && value(statistics, 40).is_some(), "version {version}");
    }
}

#[test]
fn flow_keys_are_announced_in_ipfix() {
    let folder = tempfile::tempdir().unwrap();
    let written = datagrams(&export(folder.path(), "10"));
    let options = options(written.iter().map(Vec::as_slice));
    let keys: Vec<(u16, u64)> = options
        .iter()
        .filter_map(|record| {
            let number = |text: &str| {
                let digits = text.strip_prefix("0x");
                digits.map_or_else(|| text.parse().unwrap(), |hex| u64::from_str_radix(hex, 16).unwrap())
            };
            Some((u16::try_from(number(value(record, 145)?)).unwrap(), number(value(record, 173)?)))
        })
        .collect();
    assert_eq!(keys.len(), 4, "{options:?}");
    // Each bit stands for a field of the template.
    let mut decoder = Decoder::new();
    let mut seen = 0;
    for datagram in &written {
        for batch in decoder.decode(&0, datagram, NOW).unwrap() {
            let Batch::Data(records) = batch else { continue };
            let record = records.iter().next().unwrap();
            let elements: Vec<u16> = record.fields().map(|field| field.element().number()).collect();
            let (_, bits) = keys.iter().find(|(id, _)| *id == records.template().id()).unwrap();
            let keys: BTreeSet<u16> =
                (0..elements.len()).filter(|bit| bits >> bit & 1 == 1).map(|bit| elements[bit]).collect();
            // ICMP has type and code in the place of the port.
            let of_family = if elements.contains(&8) { [8, 12, 32] } else { [27, 28, 139] };
            assert_eq!(keys, [7, 11, 4, 5, 10].into_iter().chain(of_family).collect());
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn tshark_reads_the_same() {
    // X6, X22
    if !common::has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for version in ["9", "10"] {
        let written = export(folder.path(), version);
        let fields =
            ["cflow.if_name", "cflow.if_descr", "cflow.packetsexp", "_ws.malformed", "_ws.expert.message"];
        let mut arguments = vec!["-n", "-r", written.to_str().unwrap(), "-T", "fields", "-E", "separator=/t"];
        arguments.extend(["-d", "udp.port==2055,cflow", "-d", "udp.port==4739,cflow"]);
        for field in fields {
            arguments.extend(["-e", field]);
        }
        let printed = run("tshark", &arguments);
        let columns: Vec<Vec<&str>> = printed.lines().map(|line| line.split('\t').collect()).collect();
        let all = |column: usize| columns.iter().map(|row| row[column]).collect::<Vec<_>>().join(",");
        assert!(all(0).contains("eth3") && all(0).contains("a name for which"), "{printed}");
        assert!(all(1).contains("to the core"), "{printed}");
        assert!(!all(2).replace(',', "").is_empty(), "{printed}");
        assert!(columns.iter().all(|row| row[3..] == ["", ""]), "{printed}");
    }
}

fn flow(number: u8) -> FlowRecord {
    let mut flow = FlowRecord::default();
    (flow.source, flow.destination) = ([10, 0, 0, number].into(), [192, 0, 2, 1].into());
    (flow.packets, flow.octets) = (2, 300);
    (flow.start, flow.end) = (NOW, NOW);
    flow
}

#[test]
fn losses_are_told_to_the_collector_that_has_them() {
    // X22, X33
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut send = SendConfig::default();
    (send.when_full, send.reconnect, send.queue_octets) = (WhenFull::Drop, Duration::from_millis(20), 20_000);
    let mut delivery = Delivery::new(send);
    let session = SessionConfig::new(ExportVersion::Ipfix, Timestamp::from_secs(1_700_000_000));
    let target = Target::Collector(format!("tcp://{address}").parse().unwrap());
    delivery.open(target, session).unwrap();
    // The first connection is lost with all that waits for it.
    let mut first = Some(listener.accept().unwrap().0);
    let start = Instant::now();
    while delivery.accounts()[0].send.not_sent.flows == 0 || delivery.accounts()[0].send.connections < 2 {
        (0..100).for_each(|number| delivery.handle_flow(&flow(number).into(), NOW).unwrap());
        if delivery.accounts()[0].send.overflow > 0 {
            first = None;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", delivery.accounts());
    }
    drop(first);
    let mut stream = listener.accept().unwrap().0;
    let reader = thread::spawn(move || {
        let mut octets = Vec::new();
        let _end: Result<usize, ErrorKind> = stream.read_to_end(&mut octets).map_err(|error| error.kind());
        octets
    });
    // What waits has room now.
    let waits = |delivery: &Delivery| {
        let account = &delivery.accounts()[0];
        account.session.datagrams > account.send.sent + account.send.overflow + account.send.lost
    };
    while waits(&delivery) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", delivery.accounts());
        thread::sleep(Duration::from_millis(5));
    }
    let told = delivery.accounts()[0].send.not_sent;
    let metering = MeteringLoss { packets: 9, octets: 900 };
    let later = NOW.saturating_add(Duration::from_secs(1));
    announce_loss(&mut delivery.destinations_mut()[0], MeteringLoss::default(), NOW).unwrap();
    announce_loss(&mut delivery.destinations_mut()[0], metering, later).unwrap();
    delivery.finish(later).unwrap();
    drop(delivery);
    let octets = reader.join().unwrap();
    let mut messages = Vec::new();
    let mut rest = &octets[..];
    while rest.len() >= 4 {
        let (message, behind) = rest.split_at(usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        messages.push(message);
        rest = behind;
    }
    let options = options(messages);
    let metered = options.iter().find(|record| value(record, 164).is_some()).unwrap();
    assert_eq!((value(metered, 164), value(metered, 165)), (Some("9"), Some("900")));
    let unsent = options.iter().find(|record| value(record, 166).is_some()).unwrap();
    let number = |element| value(unsent, element).unwrap().parse::<u64>().unwrap();
    assert!(number(166) >= told.flows && number(167) == 2 * number(166), "{unsent:?} {told:?}");
    assert_eq!(number(168), 300 * number(166));
    assert_eq!(value(unsent, 130), Some("127.0.0.1"));
}
