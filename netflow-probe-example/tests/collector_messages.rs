//! Files of IPFIX messages (RFC 5655), whole and damaged.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;

use std::{
    fs, io,
    io::Read,
    process::{Command, Output},
};

use collector_datagrams::set;
use netflow_probe_example::receive::{MessageFile, MessageFileError, Piece};
use serde_json::{Value, json};

/// A message: version, length | export time | sequence number | domain | sets.
fn message(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut message = [10_u16.to_be_bytes(), u16::try_from(16 + body.len()).unwrap().to_be_bytes()].concat();
    for word in [1_700_000_000 + sequence, sequence, 9] {
        message.extend(u32::to_be_bytes(word));
    }
    message.extend(body);
    message
}

/// Template 256: sourceTransportPort, protocolIdentifier.
fn ports() -> Vec<u8> {
    set(2, &[1, 0, 0, 2, 0, 7, 0, 2, 0, 4, 0, 1])
}

/// Template 256: protocolIdentifier, destinationTransportPort.
fn other() -> Vec<u8> {
    set(2, &[1, 0, 0, 2, 0, 4, 0, 1, 0, 11, 0, 2])
}

/// The program's output, flows and account for a file.
fn decode(file: &[u8]) -> (Output, Vec<Value>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let (path, summary) = (folder.path().join("flows.ipfix"), folder.path().join("summary.json"));
    fs::write(&path, file).unwrap();
    let program = env!("CARGO_BIN_EXE_netflow-collector");
    let output =
        Command::new(program).arg("decode").arg(&path).arg("--summary").arg(&summary).output().unwrap();
    let flows = String::from_utf8(output.stdout.clone()).unwrap();
    let flows = flows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, flows, serde_json::from_slice(&fs::read(summary).unwrap()).unwrap())
}

/// The messages of a file, and octets skipped.
fn pieces(source: impl Read) -> (Vec<Vec<u8>>, u64, Option<MessageFileError>) {
    let mut file = MessageFile::new(source);
    let (mut messages, mut skipped) = (Vec::new(), 0);
    loop {
        match file.next_piece() {
            Ok(Some(Piece::Message(message))) => messages.push(message.to_vec()),
            Ok(Some(Piece::Damage { octets, .. })) => skipped += octets,
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => return (messages, skipped, None),
            Err(error) => {
                assert!(file.next_piece().unwrap().is_none());
                return (messages, skipped, Some(error));
            }
        }
    }
}

#[test]
fn templates_of_a_file_are_repeated_redefined_and_withdrawn() {
    // D69
    let withdrawal = set(2, &[1, 0, 0, 0]);
    let file = [
        message(0, &[ports(), set(256, &[0, 53, 17])]),
        message(1, &[ports(), set(256, &[0, 54, 17])]),
        message(2, &[other(), set(256, &[6, 0, 80])]),
        message(3, &[withdrawal]),
        // Nobody knows what this is any more.
        message(3, &[set(256, &[6, 0, 81])]),
    ]
    .concat();
    let (output, flows, summary) = decode(&file);
    assert!(output.status.success());
    let shown: Vec<_> =
        flows.iter().map(|flow| json!([flow["proto"], flow["src_port"], flow["dst_port"]])).collect();
    assert_eq!(shown, [json!(["UDP", 53, null]), json!(["UDP", 54, null]), json!(["TCP", null, 80])]);
    assert_eq!(flows[1]["time_received_ns"], 1_700_000_001_000_000_000_u64);
    assert_eq!(flows[1]["sampler_address"], "0.0.0.0");
    assert_eq!((&summary["withdrawals"], &summary["sets_without_template"]), (&1.into(), &1.into()));
    assert_eq!((&summary["sequence"]["lost_records"], &summary["malformed"]), (&0.into(), &0.into()));
}

#[test]
fn damage_costs_the_damaged_message_only() {
    // D70
    let messages = [0, 20, 40].map(|sequence| message(sequence, &[ports(), set(256, &[0xaa; 60])]));
    let [first, second, third] = &messages;
    let file = messages.concat();
    for length in 1..=64 {
        for start in first.len()..=first.len() + second.len() - length {
            for damage in [0x00, 0x0b, 0x55, 0xff] {
                let mut file = file.clone();
                file[start..start + length].iter_mut().for_each(|octet| *octet ^= damage | 1);
                let (found, skipped, error) = pieces(file.as_slice());
                let context = format!("{length} octets from {start}, {damage}");
                assert!(error.is_none(), "{context}: {error:?}");
                assert!(found.contains(first) && found.contains(third), "{context}");
                let octets: usize = found.iter().map(Vec::len).sum();
                assert_eq!(
                    octets as u64 + skipped,
                    file.len() as u64,
                    "{context}: every octet is accounted for"
                );
                // The header and the framing are sound.
                if start >= first.len() + 4 {
                    assert_eq!(skipped, 0, "{context}");
                }
            }
        }
    }
    let mut file = file;
    file[first.len()] = 7;
    let (output, flows, summary) = decode(&file);
    assert!(output.status.success());
    assert_eq!((flows.len(), &summary["malformed_by_reason"]), (40, &json!({"octets_skipped": 1})));
    let complaint =
        format!("{} octets at octet {} of the file are no sound messages", second.len(), first.len());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&complaint), "{told}");
}

#[test]
fn a_file_cut_off_inside_a_message_fails_after_the_messages_before() {
    let first = message(0, &[ports(), set(256, &[0xaa; 60])]);
    let file = [first.clone(), first.clone()].concat();
    for end in first.len() + 1..file.len() {
        let (found, skipped, error) = pieces(&file[..end]);
        assert_eq!((found.len(), skipped), (1, 0), "{end}");
        let Some(MessageFileError::CutOff { offset, available, .. }) = error else {
            panic!("{end}: {error:?}");
        };
        assert_eq!((offset, available), (first.len() as u64, (end - first.len()) as u64));
    }
    let (output, flows, _) = decode(&file[..file.len() - 1]);
    assert_eq!((output.status.code(), flows.len()), (Some(1), 20));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("flows.ipfix: at octet 96 of the IPFIX file: the file is cut off: 96 octets"),
        "{told}"
    );
}

/// Hands out its octets a few at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(buffer.len()).min(1 + self.0.len() % 7_919);
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

#[test]
fn long_messages_and_long_damage_are_read_in_portions() {
    let long = message(0, &[set(256, &vec![0xaa; 65_535 - 20])]);
    let short = message(1, &[ports()]);
    // Beginnings that promise long messages.
    let noise = [0, 10, 0xff, 0xfe, 1].repeat(200_000);
    let parts = [&long, &long, &short, &long, &long, &long, &noise, &short, &long, &short];
    let file: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
    let (found, skipped, error) = pieces(Trickle(&file));
    assert!(error.is_none(), "{error:?}");
    let expected: Vec<_> = parts.into_iter().filter(|part| **part != noise).cloned().collect();
    assert!(found == expected, "{} messages", found.len());
    assert_eq!(skipped, noise.len() as u64);
}
