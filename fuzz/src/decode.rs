//! Any datagrams of any exporters, in any order: what must hold whatever they say.
//!
//! The input is a line of frames, so that seeds can be made of real datagrams:
//!
//! ```text
//! exporter (2 low bits) | seconds since the frame before | length, 2 octets | datagram
//! ```
//!
//! A frame that is cut off ends with the input. The same frames go through a lenient and a strict decoder, with
//! limits so small that evictions happen all the time.

use core::time::Duration;

use netflow_codec::{Decoder, FixedRecords, SequenceTracker, Strictness, Timestamp, v5, v9};

use crate::check::{Account, check_batch, check_error, limits};

/// Cuts the input into frames and has them decoded.
pub fn run(input: &[u8]) {
    for strictness in [Strictness::Lenient, Strictness::Rfc] {
        let mut replay = Replay::new(strictness);
        let mut rest = input;
        while let Some((frame, tail)) = Frame::split(rest) {
            replay.datagram(&frame);
            rest = tail;
        }
    }
}

/// A datagram, who sent it, and how much later than the one before.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// 0 to 3.
    pub exporter: u8,
    /// Seconds.
    pub delay: u8,
    /// The UDP payload.
    pub datagram: &'a [u8],
}

impl<'a> Frame<'a> {
    fn split(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([exporter, delay, high, low], rest) = input.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        Some((Self { exporter: exporter & 3, delay: *delay, datagram }, rest))
    }

    /// Appends the frame to an input.
    pub fn put(&self, input: &mut Vec<u8>) {
        let length = u16::try_from(self.datagram.len()).expect("a datagram has less than 64 KiB");
        input.extend([self.exporter, self.delay]);
        input.extend(length.to_be_bytes());
        input.extend(self.datagram);
    }
}

/// A decoder and what is known of it from outside.
struct Replay {
    decoder: Decoder<u8>,
    strictness: Strictness,
    sequences: SequenceTracker,
    now: Timestamp,
    account: Account,
    text: String,
}

impl Replay {
    fn new(strictness: Strictness) -> Self {
        Self {
            decoder: Decoder::with_limits(limits(), strictness),
            strictness,
            sequences: SequenceTracker::new(),
            now: Timestamp::from_secs(1_700_000_000),
            account: Account::default(),
            text: String::new(),
        }
    }

    fn datagram(&mut self, frame: &Frame<'_>) {
        self.now = self.now.saturating_add(Duration::from_secs(frame.delay.into()));
        let datagram = frame.datagram;
        views(datagram);
        let mut budget = datagram.len() + self.decoder.cache().pending().count() + 2;
        match self.decoder.decode(&frame.exporter, datagram, self.now) {
            Err(error) => check_error(error, datagram, &mut self.text),
            Ok(mut decoded) => {
                if let Some(sequence) = decoded.header().sequence {
                    self.sequences.observe(sequence, decoded.header().count.into());
                }
                while let Some(batch) = decoded.next() {
                    budget = budget.checked_sub(1).expect("more batches than octets");
                    self.account.take(&batch);
                    check_batch(&batch, &mut decoded, datagram, &mut self.text);
                }
                assert!(decoded.next().is_none(), "the end is the end");
            }
        }
        self.account.check(self.decoder.cache(), self.strictness);
    }
}

/// The borrowed views of one version, which need no decoder.
fn views(datagram: &[u8]) {
    if let Ok(packet) = v9::Packet::parse(datagram) {
        let mut octets = v9::HEADER_LEN;
        for flowset in packet.flowsets().flatten() {
            octets += 4 + flowset.body().len();
        }
        assert!(octets <= datagram.len());
    }
    let Ok(packet) = v5::Packet::parse_lenient(datagram) else {
        assert!(v5::Packet::parse(datagram).is_err());
        return;
    };
    assert_eq!(v5::Packet::parse(datagram).is_ok(), packet.missing_records().is_none());
    let clock = packet.header().clock();
    let records = FixedRecords::parse(datagram).expect("the views agree on what a header is");
    assert_eq!(packet.records().len(), records.count());
    for (view, record) in packet.records().zip(records.iter()) {
        assert_eq!(view.to_flow(&clock), record.to_flow());
        assert!(view.fields().eq(record.fields()));
    }
}
