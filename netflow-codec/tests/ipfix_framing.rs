//! Messages out of streams and files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{
    Batch, DecodeErrorKind, Decoder, Timestamp, Transport,
    ipfix::{MessageFramer, MessageScanner, Piece},
};
use proptest::prelude::*;

/// A message of domain 1 with these sets.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

/// A message whose octets are not zeros, of this many octets.
fn message_of(octets: usize) -> Vec<u8> {
    let body = octets - 20;
    let set = [&[1, 0][..], &u16::try_from(body + 4).unwrap().to_be_bytes(), &vec![0x5a; body]].concat();
    message(&[&set])
}

/// Hands a stream in, in portions of these sizes; the messages that come out, and the error.
fn frame(
    framer: &mut MessageFramer,
    stream: &[u8],
    sizes: impl IntoIterator<Item = usize>,
) -> (Vec<Vec<u8>>, Option<DecodeErrorKind>) {
    let (mut messages, mut error) = (Vec::new(), None);
    let mut sizes = sizes.into_iter();
    let mut rest = stream;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut portion, behind) = rest.split_at(size);
        rest = behind;
        while !portion.is_empty() {
            let taken = framer.handle_input(portion);
            assert!(taken > 0, "no progress");
            portion = &portion[taken..];
            while let Some(polled) = framer.poll_message() {
                match polled {
                    Ok(message) => messages.push(message.to_vec()),
                    Err(told) => assert!(error.replace(told.kind).is_none(), "told once"),
                }
            }
        }
    }
    (messages, error)
}

#[test]
fn a_stream_is_cut_into_messages_wherever_it_is_interrupted() {
    // D68
    let messages = [message(&[]), message_of(40), message_of(21), message_of(300)];
    let stream = messages.concat();
    for at in 1..stream.len() {
        let mut framer = MessageFramer::new();
        assert_eq!(frame(&mut framer, &stream, [at]), (messages.to_vec(), None), "at {at}");
        assert_eq!((framer.messages(), framer.buffered(), framer.finish()), (4, 0, Ok(())));
    }
    for size in 1..50 {
        let mut framer = MessageFramer::new();
        assert_eq!(frame(&mut framer, &stream, core::iter::repeat(size)), (messages.to_vec(), None));
    }
}

#[test]
fn version_and_octets_of_a_message_do_not_matter_to_the_framing_of_the_next_one() {
    // D68: what looks like a header inside of a message is none.
    let inside = message(&[&[1, 0, 0, 24], &message(&[&[1, 0, 0, 4]])]);
    let stream = [inside.clone(), inside.clone()].concat();
    assert_eq!(frame(&mut MessageFramer::new(), &stream, [7; 20]).0, [inside.clone(), inside]);
}

#[test]
fn the_longest_messages_pass_and_memory_stays_bounded() {
    // D40, D68
    let longest = message_of(65_535);
    let stream = [longest.clone(), longest.clone(), message(&[]), longest.clone(), longest.clone()].concat();
    let mut framer = MessageFramer::new();
    let (messages, error) = frame(&mut framer, &stream, []);
    assert_eq!((messages.len(), error), (5, None));
    assert!(messages.iter().all(|message| *message == longest || message.len() == 16));
    // Whoever polls nothing hands in no more than the buffer holds.
    let mut framer = MessageFramer::new();
    let mut taken = 0;
    for portion in stream.chunks(1_000) {
        taken += framer.handle_input(portion);
    }
    assert_eq!((taken, framer.buffered()), (MessageFramer::CAPACITY, MessageFramer::CAPACITY));
}

#[test]
fn a_header_that_cannot_be_one_ends_the_stream_with_an_error() {
    // D36, D68
    let good = message_of(40);
    for (bad, kind) in [
        ([0, 9, 0, 20], DecodeErrorKind::UnsupportedVersion(9)),
        ([0, 10, 0, 15], DecodeErrorKind::MessageLength { length: 15, available: 60 }),
        ([0, 10, 0, 0], DecodeErrorKind::MessageLength { length: 0, available: 60 }),
    ] {
        let stream = [&good[..], &bad, &[0; 16], &good].concat();
        let mut framer = MessageFramer::new();
        assert_eq!(frame(&mut framer, &stream, []), (vec![good.clone()], Some(kind)));
        assert!(framer.has_failed());
        // What comes behind is thrown away: nobody knows where a message begins.
        assert_eq!(frame(&mut framer, &good, []), (vec![], None));
        assert_eq!(framer.buffered(), 0);
        // The next session begins anew.
        framer.reset();
        assert_eq!(frame(&mut framer, &good, [3; 20]), (vec![good.clone()], None));
    }
}

#[test]
fn a_stream_that_ends_inside_a_message_is_told() {
    let good = message_of(40);
    for end in 1..good.len() {
        let mut framer = MessageFramer::new();
        assert_eq!(frame(&mut framer, &[&good[..], &good[..end]].concat(), []).0.len(), 1);
        let needed = if end < 4 { 16 } else { 40 };
        let available = u32::try_from(end).unwrap();
        assert_eq!(framer.finish().unwrap_err().kind, DecodeErrorKind::Truncated { needed, available });
    }
}

#[test]
fn the_messages_of_a_stream_are_a_session_that_ends() {
    // T11, T14
    let template = message(&[&[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1]]);
    let data = message(&[&[1, 0, 0, 5, 6]]);
    let withdrawal = message(&[&[0, 2, 0, 8, 1, 0, 0, 0]]);
    let stream = [&template, &data, &withdrawal, &data, &template].map(Vec::as_slice).concat();
    let mut decoder = Decoder::new().over(Transport::Stream);
    let mut seen = Vec::new();
    let mut decode = |decoder: &mut Decoder<u8>, message: &[u8]| {
        for part in decoder.decode(&1, message, Timestamp::ZERO).unwrap() {
            seen.push(match part {
                Batch::Data(records) => format!("{} flow", records.count()),
                Batch::Template(..) => "template".into(),
                Batch::Withdrawal { obeyed: true, .. } => "withdrawn".into(),
                Batch::TemplateMissing { .. } => "no template".into(),
                Batch::Recovered(_) => "recovered".into(),
                other => panic!("{other:?}"),
            });
        }
    };
    let mut framer = MessageFramer::new();
    let (messages, _) = frame(&mut framer, &stream, [5; 100]);
    for message in &messages {
        decode(&mut decoder, message);
    }
    // The connection ends; in the next one the template is not known.
    decoder.cache_mut().remove_exporter(&1);
    framer.reset();
    decode(&mut decoder, &data);
    let expected = ["template", "1 flow", "withdrawn", "no template", "template", "recovered", "no template"];
    assert_eq!(seen, expected);
    assert_eq!(decoder.cache().template_count(), 0);
}

/// The pieces of a file that is handed in in portions of this size.
fn scan(file: &[u8], size: usize) -> Vec<(&'static str, u64, u64)> {
    let mut scanner = MessageScanner::new();
    let mut pieces = Vec::new();
    let mut offset = 0;
    let mut poll = |scanner: &mut MessageScanner| {
        while let Some(piece) = scanner.poll_piece() {
            let (name, at, octets) = match piece {
                Piece::Message(message) => ("message", offset, message.len() as u64),
                Piece::Damage { offset, octets } => ("damage", offset, octets),
                Piece::CutOff { offset, available, .. } => ("cut off", offset, available),
                other => panic!("{other:?}"),
            };
            assert_eq!(at, offset, "every octet is accounted for");
            offset += octets;
            pieces.push((name, at, octets));
        }
    };
    for mut portion in file.chunks(size) {
        while !portion.is_empty() {
            let taken = scanner.handle_input(portion);
            portion = &portion[taken..];
            poll(&mut scanner);
        }
    }
    scanner.finish();
    poll(&mut scanner);
    assert_eq!(scanner.poll_piece(), None);
    pieces
}

#[test]
fn a_file_is_searched_for_the_next_message_behind_damage() {
    // D70
    let (first, second) = (message_of(40), message_of(60));
    let file = [&first[..], b"\0\x0a\0\x12damage\0\x0a", &second, &first].concat();
    let expected = [("message", 0, 40), ("damage", 40, 12), ("message", 52, 60), ("message", 112, 40)];
    for size in 1..file.len() {
        assert_eq!(scan(&file, size), expected, "in portions of {size}");
    }
    // At the end of the file, and with nothing else in it.
    assert_eq!(scan(b"no messages here", 3), [("damage", 0, 16)]);
    assert_eq!(scan(&file[..file.len() - 1], 7).last(), Some(&("cut off", 112, 39)));
    assert_eq!(scan(&[], 1), []);
    let damaged = [&first[..], &[0, 10, 0, 9], &first].concat();
    assert_eq!(scan(&damaged, 11), [("message", 0, 40), ("damage", 40, 4), ("message", 44, 40)]);
}

#[test]
fn a_file_of_false_beginnings_is_searched_in_linear_time() {
    // D67: each of them promises the longest message.
    let mut file = [0, 10, 0xff, 0xff].repeat(1 << 20);
    file.extend(message_of(40));
    let start = std::time::Instant::now();
    let pieces = scan(&file, 60_000);
    assert_eq!(pieces.last(), Some(&("message", 4 << 20, 40)));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn any_octets_in_any_portions_come_out_or_are_told(
        octets in prop::collection::vec(prop_oneof![Just(0u8), Just(10), Just(16), any::<u8>()], 0..400),
        sizes in prop::collection::vec(1usize..40, 0..40),
        size in 1usize..50,
    ) {
        // D66
        let (whole, error) = frame(&mut MessageFramer::new(), &octets, []);
        let (parts, same) = frame(&mut MessageFramer::new(), &octets, sizes);
        prop_assert_eq!(&whole, &parts);
        prop_assert_eq!(error.is_some(), same.is_some());
        let pieces = scan(&octets, size);
        prop_assert_eq!(pieces.iter().map(|(.., octets)| octets).sum::<u64>(), octets.len() as u64);
        prop_assert_eq!(pieces, scan(&octets, 400));
    }
}
