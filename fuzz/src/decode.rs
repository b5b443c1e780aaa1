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

use core::{fmt::Write as _, time::Duration};

use netflow_codec::{
    Batch, CacheLimits, DataRecords, DecodeError, Decoded, Decoder, FixedRecords, SequenceTracker,
    Strictness, Timestamp, v5, v9,
};

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

fn limits() -> CacheLimits {
    let mut limits = CacheLimits::default();
    limits.scopes = 3;
    limits.templates_per_scope = 3;
    limits.fields_per_template = 80;
    limits.template_octets = 8 << 10;
    limits.lifetime = Some(Duration::from_secs(600));
    limits.pending_octets = 2 << 10;
    limits.pending_octets_per_scope = 1 << 10;
    limits.pending_age = Duration::from_secs(300);
    limits
}

/// A decoder and what is known of it from outside.
struct Replay {
    decoder: Decoder<u8>,
    strictness: Strictness,
    sequences: SequenceTracker,
    now: Timestamp,
    /// Data sets that were reported as not kept.
    not_kept: u64,
    text: String,
}

impl Replay {
    fn new(strictness: Strictness) -> Self {
        Self {
            decoder: Decoder::with_limits(limits(), strictness),
            strictness,
            sequences: SequenceTracker::new(),
            now: Timestamp::from_secs(1_700_000_000),
            not_kept: 0,
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
                    if let Batch::TemplateMissing { kept: false, .. } = batch {
                        self.not_kept += 1;
                    }
                    check_batch(&batch, &decoded, datagram, &mut self.text);
                }
                assert!(decoded.next().is_none(), "the end is the end");
            }
        }
        self.check_cache();
    }

    fn check_cache(&self) {
        let cache = self.decoder.cache();
        let (limits, stats) = (limits(), cache.stats());
        assert!(cache.scope_count() <= limits.scopes);
        assert!(cache.template_count() <= limits.scopes * limits.templates_per_scope);
        assert_eq!(cache.iter().count(), cache.template_count());
        let gone = stats.expired + stats.evicted_templates + stats.withdrawn;
        assert_eq!(stats.new - gone, cache.template_count() as u64, "{stats:?}");
        let waiting = cache.pending().count() as u64;
        let left = stats.pending_recovered + (stats.pending_dropped - self.not_kept);
        assert_eq!(stats.pending_kept - left, waiting, "{stats:?}");
        let pending: usize = cache.pending().map(|(_, _, octets, _)| octets).sum();
        assert!(pending <= limits.pending_octets);
        // Besides templates and data there are the maps, whose size follows from the counts.
        let maps = 4 << 10;
        assert!(cache.memory_octets() <= limits.template_octets + limits.pending_octets + maps);
        for (_, template, _) in cache.iter() {
            assert!(template.id() >= 256);
            // Lenient decoders keep a template of empty records in place of the one it replaces.
            assert!(template.minimum_length() > 0 || self.strictness == Strictness::Lenient);
            assert!(template.fields().len() <= usize::from(limits.fields_per_template));
        }
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

fn check_batch(batch: &Batch<'_>, decoded: &Decoded<'_, '_, u8>, datagram: &[u8], text: &mut String) {
    match batch {
        Batch::Fixed(records) => {
            let flows: Vec<_> = records.flows().collect();
            assert_eq!(flows.len(), records.count());
            assert!(records.count() * 48 <= datagram.len());
            assert!(flows.len() <= usize::from(decoded.header().count));
            assert_eq!(
                records.missing_records().is_some(),
                flows.len() < usize::from(decoded.header().count)
            );
            for record in records.iter() {
                assert_eq!(record.octets(), &datagram[record.offset()..][..record.octets().len()]);
                read_fields(record.fields(), record.octets(), text);
            }
        }
        Batch::Data(records) => {
            assert!(!records.template().is_options());
            check_records(records, datagram, 0, text);
            for flow in records.flows() {
                if let Some(sampling) = decoded.sampling(&flow) {
                    assert_ne!(sampling.interval, 0);
                }
            }
        }
        Batch::Options(records) => {
            assert!(records.template().is_options());
            check_records(records, datagram, 0, text);
        }
        Batch::Recovered(recovered) => {
            assert!(recovered.origin().datagram <= decoded.ordinal());
            let _correction = recovered.offset_correction();
            let records = recovered.records();
            for record in &records {
                read_fields(record.fields(), record.octets(), text);
            }
            assert!(records.flows().eq(records.iter().map(|record| record.to_flow(records.clock()))));
        }
        Batch::Template(template, _) => assert!(template.id() >= 256),
        Batch::TemplateMissing { template_id, octets, .. } => {
            assert!(*template_id >= 256 && octets.len() < datagram.len());
        }
        Batch::Reserved { id, octets, .. } => assert!(*id < 256 && octets.len() < datagram.len()),
        Batch::Malformed(error) => check_error(*error, datagram, text),
        Batch::Withdrawal { .. } => {}
        other => panic!("a kind of batch that is not checked: {other:?}"),
    }
}

/// The plan and the walk agree; records lie within the datagram, one behind the other.
fn check_records(records: &DataRecords<'_>, datagram: &[u8], mut end: usize, text: &mut String) {
    let template = records.template();
    let flows: Vec<_> = records.flows().collect();
    assert_eq!(records.count(), flows.len());
    assert!(flows.is_empty() || template.minimum_length() > 0);
    assert!(flows.len() * template.minimum_length() <= datagram.len());
    let (at_least, at_most) = records.flows().size_hint();
    assert!((at_least..=at_most.unwrap_or(usize::MAX)).contains(&flows.len()));
    let mut walked = 0;
    for (record, flow) in records.iter().zip(&flows) {
        assert_eq!(record.to_flow(records.clock()), *flow, "{:?}", template.fields());
        assert!(record.offset() >= end);
        end = record.offset() + record.octets().len();
        assert_eq!(record.octets(), &datagram[record.offset()..end]);
        assert_eq!(record.fields().count(), template.fields().len());
        read_fields(record.fields(), record.octets(), text);
        walked += 1;
    }
    assert_eq!(walked, flows.len());
}

fn read_fields<'a>(
    fields: impl Iterator<Item = netflow_codec::FieldView<'a>>,
    record: &[u8],
    text: &mut String,
) {
    let mut octets = 0;
    for field in fields {
        octets += field.octets().len();
        text.clear();
        write!(text, "{:?} {} {:?}", field.name(), field.value(), field.as_unsigned())
            .expect("a string takes everything");
    }
    assert!(octets <= record.len());
}

fn check_error(error: DecodeError, datagram: &[u8], text: &mut String) {
    text.clear();
    write!(text, "{error}").expect("a string takes everything");
    assert!(text.len() < 200, "{text}");
    assert!(usize::try_from(error.offset).is_ok_and(|offset| offset <= datagram.len()), "{text}");
}
