//! IPFIX over TCP: sessions, and what belongs to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::{Ipv4Addr, SocketAddr};
use std::{
    fs,
    io::Write as _,
    net::{TcpStream, UdpSocket},
    path::PathBuf,
};

use collector_datagrams::{set, v5};
use common::{
    listening::Listening,
    peers::{run, wait_until},
};
use netflow_probe_example::account::health::ask;
use serde_json::Value;

/// A message of domain 5.
fn message(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = [&[0, 10][..], &length.to_be_bytes()].concat();
    for word in [1_700_000_000, sequence, 5_u32] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets);
    message
}

/// A template of one element of 4 octets.
fn template(id: u16, element: u16) -> Vec<u8> {
    set(2, &[id.to_be_bytes(), 1_u16.to_be_bytes(), element.to_be_bytes(), 4_u16.to_be_bytes()].concat())
}

fn withdrawal(id: u16) -> Vec<u8> {
    set(2, &[id.to_be_bytes(), 0_u16.to_be_bytes()].concat())
}

fn data(id: u16, value: u32) -> Vec<u8> {
    set(id, &value.to_be_bytes())
}

const OCTETS: u16 = 1;
const PACKETS: u16 = 2;

#[test]
fn templates_belong_to_their_session_and_go_with_it() {
    // C12, C38
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--bind-tcp", "127.0.0.1:0"]);
    let (udp, tcp) = (collector.addresses[0], collector.streams[0]);
    let printed = |count: usize| wait_until("printing", || collector.printed().lines().count() == count);
    let mut first = TcpStream::connect(tcp).unwrap();
    let mut second = TcpStream::connect(tcp).unwrap();
    // The same domain and template id, each with a meaning of its own; over UDP nobody knows any.
    first.write_all(&message(0, &[template(300, OCTETS), data(300, 11)])).unwrap();
    second.write_all(&message(0, &[template(300, PACKETS), data(300, 22)])).unwrap();
    printed(2);
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    datagrams.send_to(&message(7, &[data(300, 33)]), udp).unwrap();
    datagrams.send_to(&v5(0, 1), udp).unwrap();
    printed(3);
    // An abnormal end of one session leaves the others alone.
    first.write_all(&message(1, &[data(300, 44)])[..9]).unwrap();
    drop(first);
    second.write_all(&message(1, &[data(300, 55)])).unwrap();
    printed(4);
    // A session that comes back has to send its templates again, and its numbers begin anew.
    let mut third = TcpStream::connect(tcp).unwrap();
    third.write_all(&message(0, &[data(300, 66), template(301, OCTETS), data(301, 77)])).unwrap();
    printed(5);
    drop((second, third));
    let left = collector.terminate();
    let mut flows: Vec<_> = left
        .flows
        .iter()
        .map(|flow| (flow["type"].as_str().unwrap(), flow["bytes"].as_u64(), flow["packets"].as_u64()))
        .collect();
    flows.sort_unstable();
    let expected = [
        ("IPFIX", None, Some(22)),
        ("IPFIX", None, Some(55)),
        ("IPFIX", Some(11), None),
        ("IPFIX", Some(77), None),
        ("NETFLOW_V5", Some(1_500), Some(3)),
    ];
    assert_eq!(flows, expected, "{}", left.stderr);
    assert_eq!(left.summary["sessions"]["opened"], 3);
    assert_eq!(left.summary["sessions"]["broken"], 1);
    assert_eq!(left.summary["malformed_by_reason"]["truncated"], 1);
    assert_eq!(left.summary["sets_without_template"], 2);
    let sequence = &left.summary["sequence"];
    assert_eq!(
        (&sequence["gaps"], &sequence["resets"], &sequence["duplicates"]),
        (&0.into(), &0.into(), &0.into())
    );
}

#[test]
fn withdrawals_are_obeyed_and_what_is_no_message_ends_the_session() {
    // C13
    let collector = Listening::start(&["--bind-tcp", "127.0.0.1:0", "--bind-tcp", "127.0.0.1:0"]);
    let [one, other]: [SocketAddr; 2] = collector.streams.clone().try_into().unwrap();
    let mut session = TcpStream::connect(one).unwrap();
    let sets = [template(300, OCTETS), data(300, 11), withdrawal(300), data(300, 22)];
    session.write_all(&message(0, &sets)).unwrap();
    let mut bad = TcpStream::connect(other).unwrap();
    bad.write_all(&message(0, &[template(300, OCTETS), data(300, 33)])).unwrap();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_until("printing", || collector.printed().lines().count() == 2);
    // It is closed: reading comes to an end.
    bad.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
    let closed = std::io::Read::read(&mut bad, &mut [0; 1]);
    assert!(
        matches!(&closed, Ok(0))
            || closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
    let left = collector.terminate();
    assert_eq!(
        (&left.summary["withdrawals"], &left.summary["sets_without_template"]),
        (&1.into(), &1.into())
    );
    assert_eq!(left.summary["template_cache"]["withdrawn"], 1);
    assert!(left.stderr.contains("version 18245 is not supported"), "{}", left.stderr);
    let told = format!("the session of {} was closed: where its next", bad.local_addr().unwrap());
    assert!(left.stderr.contains(&told), "{}", left.stderr);
    assert_eq!(left.flows.len(), 2);
}

#[test]
fn whoever_sends_nothing_but_nonsense_is_known_since_then() {
    // C13
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let collector = Listening::start(&["--bind-tcp", "127.0.0.1:0", "--control", control.to_str().unwrap()]);
    TcpStream::connect(collector.streams[0]).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // It says where it listens before it answers questions.
    let health = || ask(&control, "health").map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    wait_until("refusing", || health()["sessions"]["broken"] == 1);
    let document = health();
    let exporter = &document["exporters"][0];
    assert_eq!(exporter["exporter"], "127.0.0.1");
    assert!(exporter["silent_seconds"].as_u64().unwrap() < 300, "{exporter:#}");
    assert!(exporter["last_fault"]["time"].as_str().unwrap() > "2020", "{exporter:#}");
    let status = std::process::Command::new(common::listening::PROGRAM)
        .args(["status", "--control", control.to_str().unwrap()])
        .output()
        .unwrap();
    let told = String::from_utf8(status.stdout).unwrap();
    assert!(told.contains("sessions: 0 open, 1 opened so far, 1 broken; 0 refused"), "{told}");
    let left = collector.terminate();
    assert!(left.stderr.contains("sessions     1 opened, 0 of them still open, 1 broken"), "{}", left.stderr);
}

#[test]
fn too_many_sessions_are_refused_and_counted() {
    // C18
    let collector = Listening::start(&["--bind-tcp", "127.0.0.1:0", "--tcp-sessions", "3"]);
    let sessions: Vec<_> = (0..8)
        .map(|number| {
            let mut session = TcpStream::connect(collector.streams[0]).unwrap();
            // One that is closed already says so, or not.
            let _ = session.write_all(&message(0, &[template(300, OCTETS), data(300, number)]));
            session
        })
        .collect();
    wait_until("printing", || collector.printed().lines().count() == 3);
    // The last one has been answered, one way or another.
    let mut last = sessions.last().unwrap();
    last.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
    let _ = std::io::Read::read(&mut last, &mut [0; 1]);
    let left = collector.terminate();
    assert_eq!(
        (&left.summary["sessions"]["opened"], &left.summary["sessions"]["refused"]),
        (&3.into(), &5.into())
    );
    let refused = left.stderr.lines().filter(|line| line.contains("was refused: there are 3 already"));
    assert_eq!(refused.count(), 5, "{}", left.stderr);
    drop(sessions);
}

#[test]
fn our_exporter_speaks_tcp_to_it() {
    let Some(shared) = common::shared_dir() else { return };
    let captures = common::captures(&shared.join("traffic"));
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let pcap = captures.into_iter().max_by_key(size).unwrap();
    let collector = Listening::start(&["--bind-tcp", "127.0.0.1:0"]);
    let to = format!("tcp://{}", collector.streams[0]);
    let exporter = env!("CARGO_BIN_EXE_netflow-exporter");
    run(exporter, &["--read", pcap.to_str().unwrap(), "--export-version", "10", "--collector", &to]);
    wait_until("printing", || !collector.printed().is_empty());
    let left = collector.terminate();
    assert_eq!(left.summary["malformed"], 0, "{}", left.stderr);
    assert_eq!(left.summary["sequence"]["lost_records"], 0);
    assert!(left.summary["data_records"].as_u64().unwrap() > 5);
    assert_eq!(left.summary["sessions"]["broken"], 0);
}
