//! Streams and files of IPFIX messages, and v9 packets rewritten as such.
//!
//! The input is the octets of a stream; its first octet says in which portions they come. However they come, the same
//! messages must come out, and every octet of a file must be in a message, in damage or cut off.

use netflow_codec::{
    Decoder, Strictness, Timestamp, Transport,
    ipfix::{Message, MessageFramer, MessageScanner, Piece},
    rewrite::V9ToIpfix,
};

/// Feeds the octets to a framer, a scanner and a rewriter.
pub fn run(input: &[u8]) {
    let Some((portion, octets)) = input.split_first() else { return };
    let portion = usize::from(*portion).max(1);
    assert_eq!(framed(octets, portion), framed(octets, octets.len().max(1)), "portions matter to the framer");
    assert_eq!(
        scanned(octets, portion),
        scanned(octets, octets.len().max(1)),
        "portions matter to the scanner"
    );
    rewritten(octets);
}

/// The messages of a stream, and whether it broke.
fn framed(octets: &[u8], portion: usize) -> (Vec<Vec<u8>>, bool) {
    let mut framer = MessageFramer::new();
    let mut messages = Vec::new();
    for mut part in octets.chunks(portion) {
        while !part.is_empty() {
            let taken = framer.handle_input(part);
            part = &part[taken..];
            let before = messages.len();
            while let Some(message) = framer.poll_message() {
                let Ok(message) = message else { break };
                assert!(Message::parse(message).is_ok(), "a message that is none");
                messages.push(message.to_vec());
            }
            assert!(taken > 0 || messages.len() > before || framer.has_failed(), "no progress");
            assert!(framer.buffered() <= MessageFramer::CAPACITY);
        }
    }
    assert_eq!(framer.messages(), messages.len() as u64);
    (messages, framer.has_failed())
}

#[derive(Debug, Eq, PartialEq)]
enum Found {
    Message(Vec<u8>),
    Damage(u64, u64),
    CutOff(u64, u64),
}

/// The pieces of a file; neighbouring damage is joined, as it may be told in parts.
fn scanned(octets: &[u8], portion: usize) -> Vec<Found> {
    let mut scanner = MessageScanner::new();
    let mut pieces = Vec::new();
    let mut covered = 0;
    let mut take = |scanner: &mut MessageScanner| {
        let mut polled = 0;
        while let Some(piece) = scanner.poll_piece() {
            polled += 1;
            match piece {
                Piece::Message(message) => {
                    covered += message.len() as u64;
                    pieces.push(Found::Message(message.to_vec()));
                }
                Piece::Damage { offset, octets } => {
                    assert_eq!(offset, covered, "damage elsewhere than behind the piece before");
                    covered += octets;
                    match pieces.last_mut() {
                        Some(Found::Damage(_, before)) => *before += octets,
                        _ => pieces.push(Found::Damage(offset, octets)),
                    }
                }
                Piece::CutOff { offset, available, needed } => {
                    assert!(offset == covered && available < needed);
                    covered += available;
                    pieces.push(Found::CutOff(offset, needed));
                }
                other => panic!("a piece that is not checked: {other:?}"),
            }
        }
        polled
    };
    for mut part in octets.chunks(portion) {
        while !part.is_empty() {
            let taken = scanner.handle_input(part);
            part = &part[taken..];
            let polled = take(&mut scanner);
            assert!(taken > 0 || polled > 0, "no progress");
        }
    }
    scanner.finish();
    take(&mut scanner);
    assert_eq!(covered, octets.len() as u64, "octets that are in no piece");
    pieces
}

/// Packets one behind the other, each 2 octets of length and itself; what is rewritten is sound.
fn rewritten(octets: &[u8]) {
    let mut rewriter = V9ToIpfix::default();
    let mut decoder =
        Decoder::<u8>::with_limits(crate::check::limits(), Strictness::Lenient).over(Transport::Stream);
    let (mut rest, mut message) = (octets, Vec::new());
    while let Some(([high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (packet, behind) = behind.split_at(length);
        rest = behind;
        message.clear();
        if let Ok(true) = rewriter.rewrite(packet, &mut message) {
            let parsed = Message::parse(&message).expect("a message");
            assert!(parsed.sets().all(|set| set.is_ok()), "sets fill the message");
            let now = Timestamp::from_secs(1_700_000_000);
            let batches = decoder.decode(&0, &message, now).expect("a version that is supported").count();
            assert!(batches <= message.len());
        }
    }
}
