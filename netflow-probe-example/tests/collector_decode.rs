//! `netflow-collector decode`: what it refuses, what it leaves out and says so, and ICMP among other flows.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use collector_datagrams::{capture, set, template, v5, v9};
use serde_json::{Value, json};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn no_file_is_written_over_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), &[v5(0, 3)]);
    let before = fs::read(&path).unwrap();
    fs::hard_link(&path, folder.path().join("twin")).unwrap();
    let cases: [(&[&str], [&str; 2]); 7] = [
        (&["--output", "capture.pcap"], ["--output capture.pcap", "the input capture.pcap"]),
        (&["--summary", "./capture.pcap"], ["--summary ./capture.pcap", "the input capture.pcap"]),
        (&["--output", "new", "--summary", "twin"], ["--summary twin", "the input capture.pcap"]),
        (
            &["/dev/null", "twin", "--output", "capture.pcap"],
            ["--output capture.pcap", "the input capture.pcap"],
        ),
        (&["--output", "new", "--summary", "new"], ["--output new", "--summary new"]),
        (&["--output", "old", "--summary", "./old"], ["--output old", "--summary ./old"]),
        (&["--quiet", "--output", "capture.pcap"], ["--output capture.pcap", "the input capture.pcap"]),
    ];
    fs::write(folder.path().join("old"), "").unwrap();
    for (arguments, named) in cases {
        let output = run(folder.path(), &[&["decode", "capture.pcap"], arguments].concat());
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        assert!(named.iter().all(|name| complaint.contains(name)), "{arguments:?}: {complaint}");
        assert_eq!(fs::read(&path).unwrap(), before, "{arguments:?}");
        assert!(!folder.path().join("new").exists(), "{arguments:?}");
    }
    let stdin = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(["decode", "-", "--output", path.to_str().unwrap()])
        .stdin(fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    assert_eq!((stdin.status.code(), fs::read(&path).unwrap()), (Some(2), before));
    // A device may be named twice.
    let output =
        run(folder.path(), &["decode", "capture.pcap", "--output", "/dev/null", "--summary", "/dev/null"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn datagrams_that_do_not_look_like_netflow_are_counted() {
    let dns = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01".to_vec();
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &[dns.clone(), b"hello".to_vec(), dns]);
    let decode = |arguments: &[&str]| {
        let files = ["decode", "capture.pcap", "capture.pcap", "--summary", "summary"];
        let output = run(folder.path(), &[&files, arguments].concat());
        assert!(output.status.success());
        let summary: Value =
            serde_json::from_slice(&fs::read(folder.path().join("summary")).unwrap()).unwrap();
        (text(&output.stderr), summary)
    };
    let (told, summary) = decode(&[]);
    assert!(told.contains("UDP datagrams that do not look like NetFlow: 6\n"), "{told}");
    assert_eq!((&summary["udp_datagrams_ignored"], &summary["datagrams"]), (&6.into(), &0.into()));
    // Nobody asked for the port that they went to.
    let (told, summary) = decode(&["--port", "9995"]);
    assert!(!told.contains("do not look like"), "{told}");
    assert_eq!(summary["udp_datagrams_ignored"], 0);
}

#[test]
fn only_icmp_has_types_and_codes_and_nothing_is_lost() {
    /// Protocol and the value of icmpTypeCodeIPv4.
    const RECORDS: [(u8, u16); 5] = [(6, 0), (1, 0x0301), (17, 7), (58, 0), (1, 0)];
    let both = RECORDS.map(|(protocol, both)| [&[protocol][..], &both.to_be_bytes()].concat()).concat();
    let single = [[6, 0, 0], [1, 3, 1], [17, 0, 7], [58, 0, 0], [1, 0, 0]].concat();
    let sets = [
        template(256, &[(4, 1), (32, 2)]),
        set(256, &both),
        template(257, &[(4, 1), (176, 1), (177, 1)]),
        set(257, &single),
        template(258, &[(139, 2)]),
        set(258, &[0, 0]),
        // Wider than the element.
        template(259, &[(4, 1), (32, 4)]),
        set(259, &[6, 0, 0, 0, 0, 6, 0, 1, 0, 0]),
    ];
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &[v9(1, 1, &sets)]);
    let decode = |format| text(&run(folder.path(), &["decode", "capture.pcap", "--format", format]).stdout);
    let flows: Vec<Value> = decode("json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> =
        flows.iter().map(|flow| json!([flow["icmp_type"], flow["icmp_code"], flow["fields"]])).collect();
    let nothing = json!([null, null, null]);
    assert_eq!(
        shown,
        [
            nothing.clone(),
            json!([3, 1, null]),
            json!([null, null, {"icmpTypeCodeIPv4": 7}]),
            json!([0, 0, null]),
            json!([0, 0, null]),
            nothing.clone(),
            json!([3, 1, null]),
            json!([null, null, {"icmpCodeIPv4": 7}]),
            json!([0, 0, null]),
            json!([0, 0, null]),
            json!([0, 0, null]),
            nothing,
            json!([null, null, {"icmpTypeCodeIPv4": 65_536}]),
        ]
    );
    let rows = decode("csv");
    let mut rows = csv::Reader::from_reader(rows.as_bytes());
    let place =
        |name: &str, headers: &csv::StringRecord| headers.iter().position(|header| header == name).unwrap();
    let headers = rows.headers().unwrap().clone();
    for (row, flow) in rows.records().map(Result::unwrap).zip(&flows) {
        for name in ["icmp_type", "icmp_code", "fields"] {
            let expected = flow.get(name).map(ToString::to_string).unwrap_or_default();
            assert_eq!(row[place(name, &headers)], expected, "{name}");
        }
    }
}
