//! A decoder's life as a sequence of operations: templates, data, withdrawals, redefinitions, clock steps, restarts,
//! snapshots, quirks that are switched.
//!
//! Where [`decode`](crate::decode) leaves it to the fuzzer to find datagrams that make sense, here they are built
//! from what it chooses, so that the deep states are reached: templates in use that are redefined, data that
//! waits, exporters that push each other's templates out.

use core::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use netflow_codec::{Batch, Decoder, Quirk, Quirks, Strictness, Timestamp, Transport};

use crate::{
    check::{Account, check_batch, check_error, limits},
    snapshot,
};

/// What the fuzzer chooses.
#[derive(Arbitrary, Debug)]
struct Input {
    strict: bool,
    stream: bool,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    /// An export packet or message of these sets.
    Packet { from: Sender, sets: Vec<SetOf> },
    /// Anything.
    Octets { from: Sender, octets: Vec<u8> },
    /// Seconds that pass; the clock may go back.
    Clock(i16),
    /// The exporter boots: its uptime and its sequence numbers begin anew.
    Boot(Sender),
    /// The templates are stored, and restored.
    Snapshot,
    /// Other quirks, a bit each, for one exporter or for all that have none of their own.
    Quirks { of: Option<Sender>, bits: u64 },
}

/// One of a few exporters, with one of a few domains, in one of the two protocols.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Sender(u8);

impl Sender {
    const fn exporter(self) -> u8 {
        self.0 & 3
    }

    const fn domain(self) -> u32 {
        (self.0 >> 2 & 3) as u32
    }

    const fn is_v9(self) -> bool {
        self.0 & 0x10 == 0
    }

    const fn index(self) -> usize {
        (self.0 & 0x1f) as usize
    }
}

#[derive(Arbitrary, Debug)]
enum SetOf {
    Template {
        id: u8,
        fields: Vec<Field>,
    },
    OptionsTemplate {
        id: u8,
        scopes: u8,
        fields: Vec<Field>,
    },
    Data {
        id: u8,
        body: Vec<u8>,
    },
    /// Records of ascending octets, so many that the set is not empty.
    Filled {
        id: u8,
        octets: u16,
        first: u8,
    },
    Withdrawal {
        id: u8,
        options: bool,
    },
    Raw {
        id: u16,
        length: u16,
        body: Vec<u8>,
    },
}

#[derive(Arbitrary, Debug)]
struct Field {
    element: u16,
    length: u16,
    enterprise: Option<u32>,
}

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Makes a list of operations from the input and runs them.
pub fn run(input: &[u8]) {
    if let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) {
        let mut session = Session::new(&input);
        input.operations.iter().for_each(|operation| session.step(operation));
    }
}

/// What an exporter's header says next.
#[derive(Clone, Copy)]
struct Exporter {
    boot: Timestamp,
    sequence: u32,
}

struct Session {
    decoder: Decoder<u8>,
    strictness: Strictness,
    account: Account,
    exporters: [Exporter; 32],
    now: Timestamp,
    text: String,
}

impl Session {
    fn new(input: &Input) -> Self {
        let strictness = if input.strict { Strictness::Rfc } else { Strictness::Lenient };
        let decoder = Decoder::with_limits(limits(), strictness);
        Self {
            decoder: if input.stream { decoder.over(Transport::Stream) } else { decoder },
            strictness,
            account: Account::default(),
            exporters: [Exporter { boot: START, sequence: 0 }; 32],
            now: START.saturating_add(Duration::from_secs(100_000)),
            text: String::new(),
        }
    }

    fn step(&mut self, operation: &Operation) {
        match operation {
            Operation::Packet { from, sets } => {
                let datagram = self.packet(*from, sets);
                self.decode(*from, &datagram);
            }
            Operation::Octets { from, octets } => self.decode(*from, octets),
            Operation::Clock(seconds) => {
                let step = Duration::from_secs(seconds.unsigned_abs().into());
                self.now = if *seconds < 0 {
                    Timestamp::from_nanos(
                        self.now.as_nanos() - u64::try_from(step.as_nanos()).expect("18 hours"),
                    )
                    .max(START)
                } else {
                    self.now.saturating_add(step)
                };
            }
            Operation::Boot(from) => self.exporters[from.index()] = Exporter { boot: self.now, sequence: 0 },
            Operation::Snapshot => {
                snapshot::again_at(&mut self.decoder, self.now);
                self.account.check(self.decoder.cache(), self.strictness);
            }
            Operation::Quirks { of, bits } => {
                let chosen = Quirk::ALL.iter().zip(0..64).filter(|(_, bit)| bits >> bit & 1 == 1);
                let quirks = chosen.fold(Quirks::NONE, |quirks, (quirk, _)| quirks.with(*quirk));
                match of {
                    Some(sender) => self.decoder.set_quirks_of(sender.exporter(), Some(quirks)),
                    None => self.decoder.set_quirks(quirks),
                }
            }
        }
    }

    fn packet(&mut self, from: Sender, sets: &[SetOf]) -> Vec<u8> {
        let mut body = Vec::new();
        for set in sets {
            set.put(from.is_v9(), &mut body);
        }
        let exporter = &mut self.exporters[from.index()];
        let seconds = u32::try_from(self.now.as_secs()).unwrap_or(u32::MAX);
        let mut datagram = Vec::new();
        if from.is_v9() {
            let uptime = self.now.saturating_since(exporter.boot).as_millis();
            let [.., a, b, c, d] = uptime.to_be_bytes();
            datagram.extend(9u16.to_be_bytes());
            datagram.extend(u16::try_from(sets.len()).unwrap_or(u16::MAX).to_be_bytes());
            datagram.extend([a, b, c, d]);
            exporter.sequence = exporter.sequence.wrapping_add(1);
        } else {
            datagram.extend(10u16.to_be_bytes());
            datagram.extend(u16::try_from(body.len() + 16).unwrap_or(u16::MAX).to_be_bytes());
        }
        datagram.extend(seconds.to_be_bytes());
        datagram.extend(exporter.sequence.to_be_bytes());
        datagram.extend(from.domain().to_be_bytes());
        datagram.extend(body);
        datagram
    }

    fn decode(&mut self, from: Sender, datagram: &[u8]) {
        let mut budget = datagram.len() + self.decoder.cache().pending().count() + 2;
        match self.decoder.decode(&from.exporter(), datagram, self.now) {
            Err(error) => check_error(error, datagram, &mut self.text),
            Ok(mut decoded) => {
                let mut records = 0;
                while let Some(batch) = decoded.next() {
                    budget = budget.checked_sub(1).expect("more batches than octets");
                    if let Batch::Data(data) | Batch::Options(data) = &batch {
                        records += data.count();
                    }
                    self.account.take(&batch);
                    check_batch(&batch, &mut decoded, datagram, &mut self.text);
                }
                if !from.is_v9() {
                    let exporter = &mut self.exporters[from.index()];
                    exporter.sequence =
                        exporter.sequence.wrapping_add(u32::try_from(records).expect("a datagram"));
                }
            }
        }
        self.account.check(self.decoder.cache(), self.strictness);
    }
}

impl SetOf {
    fn put(&self, v9: bool, out: &mut Vec<u8>) {
        // Few ids, so that templates and data meet.
        let template_id = |id: &u8| 256 + u16::from(id & 7);
        let (set_id, body) = match self {
            Self::Template { id, fields } => {
                let mut body = [template_id(id), count(fields.len())].map(u16::to_be_bytes).concat();
                for field in fields {
                    field.put(v9, &mut body);
                }
                (if v9 { 0 } else { 2 }, body)
            }
            Self::OptionsTemplate { id, scopes, fields } => {
                let scopes = usize::from(*scopes).min(fields.len());
                let [first, second] = if v9 {
                    [count(4 * scopes), count(4 * (fields.len() - scopes))]
                } else {
                    [count(fields.len()), count(scopes)]
                };
                let mut body = [template_id(id), first, second].map(u16::to_be_bytes).concat();
                for field in fields {
                    field.put(v9, &mut body);
                }
                (if v9 { 1 } else { 3 }, body)
            }
            Self::Data { id, body } => (template_id(id), body.clone()),
            Self::Filled { id, octets, first } => {
                let octets = (*first..=u8::MAX).cycle().take(usize::from(octets & 0x3ff));
                (template_id(id), octets.collect())
            }
            Self::Withdrawal { id, options } => {
                let set = if *options { 3 } else { 2 };
                let id = if id & 8 == 0 { template_id(id) } else { set };
                (set, [id, 0].map(u16::to_be_bytes).concat())
            }
            Self::Raw { id, length, body } => {
                out.extend([*id, *length].map(u16::to_be_bytes).concat());
                out.extend(body);
                return;
            }
        };
        let length = count(body.len() + 4);
        out.extend([set_id, length].map(u16::to_be_bytes).concat());
        out.extend(body);
    }
}

impl Field {
    fn put(&self, v9: bool, out: &mut Vec<u8>) {
        let enterprise = self.enterprise.filter(|_| !v9);
        // Mostly elements that mean something, mostly short; now and then any length, or the variable one.
        let element = if self.element & 0x8000 == 0 { self.element & 0x1ff } else { self.element & 0x7fff };
        let length = match self.length >> 12 {
            15 => 0xffff,
            14 => self.length & 0xfff,
            _ => [4, 8, 1, 2, 16, 3, 6, 0][usize::from(self.length & 7)],
        };
        let flag = if enterprise.is_some() { 0x8000 } else { 0 };
        out.extend([element | flag, length].map(u16::to_be_bytes).concat());
        out.extend(enterprise.into_iter().flat_map(u32::to_be_bytes));
    }
}

fn count(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
