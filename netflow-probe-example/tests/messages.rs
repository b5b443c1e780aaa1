//! goflow2's protobuf, read by what knows only its numbers; and by ClickHouse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    listening::PROGRAM,
    python::{engines, python},
};
use netflow_probe_example::flow::protocol_keyword;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.py")
}

/// Protocols' keywords in the order of their numbers, as JSON.
fn keywords() -> String {
    let names: Vec<&str> = (0..=u8::MAX).map(|number| protocol_keyword(number).unwrap_or("")).collect();
    serde_json::to_string(&names).unwrap()
}

fn corpus() -> Option<Vec<PathBuf>> {
    let shared = common::shared_dir()?;
    let cases = fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        cases.filter(|case| case.is_dir()).flat_map(|case| common::captures(&case)).collect();
    files.sort();
    assert!(files.len() > 50);
    Some(files)
}

fn decode(files: &[PathBuf], arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(["decode"]).args(files).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // Some of the files are broken on purpose.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    errors
}

fn compared(arguments: &[&str]) -> String {
    let output = Command::new(python()).arg(script()).args(arguments).arg(keywords()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_reader_that_knows_the_numbers_and_clickhouse_read_every_flow() {
    let Some(files) = corpus() else { return };
    if engines(&["chdb"]).is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (lines, messages) = (path("flows.json"), path("flows.bin"));
    decode(&files, &["--quiet", "--output", &lines]);
    decode(&files, &["--quiet", "--format", "protobuf", "--output", &messages]);
    let count = fs::read_to_string(&lines).unwrap().lines().count();
    assert_eq!(compared(&["file", &messages, &lines]), format!("equal {count}\nclickhouse {count}\n"));
}

#[test]
fn messages_of_a_listening_collector_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("flows.bin");
    let arguments = ["--bind", "127.0.0.1:0", "--format", "protobuf", "--workers", "2", "--quiet"];
    let listening = common::listening::Listening::start_with_output(&arguments, Some(&output));
    let sockets = [1, 2, 3].map(|host| std::net::UdpSocket::bind(format!("127.0.0.{host}:0")).unwrap());
    for sequence in 0..100 {
        for socket in &sockets {
            socket.send_to(&collector_datagrams::v5(30 * sequence, 30), listening.addresses[0]).unwrap();
        }
    }
    listening.drained();
    let id = listening.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let mut listening = listening;
    assert!(listening.child.wait().unwrap().success());
    let octets = fs::read(&output).unwrap();
    let (mut rest, mut count) = (octets.as_slice(), 0);
    while !rest.is_empty() {
        let length = if rest[0] < 0x80 {
            rest[0].into()
        } else {
            usize::from(rest[0] & 0x7f) | usize::from(rest[1]) << 7
        };
        rest = &rest[length + if rest[0] < 0x80 { 1 } else { 2 }..];
        count += 1;
    }
    assert_eq!(count, 9_000);
}

mod collector_datagrams;

#[cfg(feature = "kafka")]
mod kafka {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };

    use serde_json::Value;

    use super::*;
    use common::peers::Background;

    /// A mock broker of librdkafka in another process.
    fn broker() -> Option<(Background, String)> {
        if engines(&["confluent_kafka"]).is_empty() {
            return None;
        }
        let mut child = Command::new(python())
            .arg(script())
            .arg("broker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.contains(':'), "{address}");
        Some((Background(child), address.trim().to_owned()))
    }

    #[test]
    fn what_is_decoded_comes_out_of_the_broker() {
        let Some(files) = corpus() else { return };
        let Some((_broker, address)) = broker() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        // A mock broker keeps a few megabytes.
        let files = &files[..files.len().min(30)];
        for (topic, framing) in [("with-length", "length"), ("bare", "bare")] {
            let (lines, summary) = (path("flows.json"), path("summary.json"));
            let mut arguments = vec!["--kafka", &address, "--kafka-topic", topic, "--output", &lines];
            arguments.extend(["--summary", &summary, "--kafka-set", "message.timeout.ms=60000"]);
            if framing == "bare" {
                arguments.push("--kafka-no-length");
            }
            let errors = decode(files, &arguments);
            let count = fs::read_to_string(&lines).unwrap().lines().count();
            assert!(count > 1_000);
            let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
            assert_eq!(summary["kafka"]["delivered"], count, "{summary}");
            assert_eq!((&summary["kafka"]["failed"], &summary["kafka"]["waiting"]), (&0.into(), &0.into()));
            assert!(errors.contains(&format!("kafka        {count} messages delivered")), "{errors}");
            let count = count.to_string();
            let text = compared(&["topic", &address, topic, &count, framing, &lines]);
            assert_eq!(text, format!("equal {count}\n"));
        }
    }

    #[test]
    fn a_broker_that_is_not_there_is_told_and_ends_nothing() {
        let Some(files) = corpus() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (lines, summary) = (path("flows.json"), path("summary.json"));
        let nobody = format!("127.0.0.1:{}", common::peers::free_port());
        let arguments = [
            "--kafka",
            &nobody,
            "--output",
            &lines,
            "--summary",
            &summary,
            "--kafka-when-full",
            "refuse",
            "--kafka-set",
            "message.timeout.ms=500",
            "--kafka-set",
            "queue.buffering.max.messages=100",
        ];
        decode(&files[..30], &arguments);
        let count = fs::read_to_string(&lines).unwrap().lines().count() as u64;
        let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
        let number = |name: &str| summary["kafka"][name].as_u64().unwrap();
        assert!(number("failed") >= 100 && number("refused") > 0, "{summary}");
        assert_eq!(number("delivered"), 0);
        assert_eq!(number("failed") + number("refused") + number("waiting"), count);
        assert!(summary["kafka"]["last_error"].is_string(), "{summary}");
        let wrong = ["--kafka", &nobody, "--kafka-set", "no.such.setting=1"];
        assert!(decode(&files[..1], &wrong).contains("cannot send to Kafka"));
    }
}
