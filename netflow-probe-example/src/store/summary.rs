//! What the flows of a file come to, by protocol and minute, written into its footer: what a graph of weeks needs, without
//! reading a column. It is where the file is, comes and goes with it, and says of how many flows it tells.
//!
//! ```text
//! 1 CHECKSUM FLOWS UNDATED 0|1                           1: sums are told multiplied by the sampling rate, too
//! = PROTOCOL FIRST LAST FLOWS PACKETS OCTETS [SCALED SCALED]     what all flows of a protocol come to; - is none
//! MINUTES FLOWS PACKETS OCTETS [SCALED SCALED]           of them in a minute, so many behind the one before
//! ~ START END FLOWS PACKETS OCTETS [SCALED SCALED]       a long flow of them, in none of the minutes
//! ```

use core::{fmt::Write as _, ops::Range, str::SplitAsciiWhitespace};

use netflow_codec::FlowFields;

use super::batch::{Batch, Members, Run};
use crate::flow::due;

/// Nanoseconds of a minute.
pub(crate) const MINUTE: u64 = 60_000_000_000;

/// Minutes that a flow is shared out over, at most; a longer one is told as it is.
const LONG: u64 = 60;

/// Long flows of a protocol that are told, at most, and minutes: beyond, there is no summary.
const MOST_LONG: usize = 64;
const MOST_MINUTES: usize = 4_096;

/// What flows come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Amount {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    /// Multiplied by the sampling rate of each flow, where it is known.
    pub(crate) scaled_packets: u64,
    pub(crate) scaled_octets: u64,
}

impl Amount {
    fn add(&mut self, other: &Self) -> Option<()> {
        self.flows = self.flows.checked_add(other.flows)?;
        self.packets = self.packets.checked_add(other.packets)?;
        self.octets = self.octets.checked_add(other.octets)?;
        self.scaled_packets = self.scaled_packets.checked_add(other.scaled_packets)?;
        self.scaled_octets = self.scaled_octets.checked_add(other.scaled_octets)?;
        Some(())
    }

    const fn is_plain(&self) -> bool {
        self.packets == self.scaled_packets && self.octets == self.scaled_octets
    }

    /// Packets and octets, as metered or scaled.
    pub(crate) const fn counts(&self, scaled: bool) -> (u64, u64) {
        if scaled { (self.scaled_packets, self.scaled_octets) } else { (self.packets, self.octets) }
    }
}

/// A flow that is told as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Long {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) amount: Amount,
}

/// The flows of a protocol.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OfProtocol {
    pub(crate) protocol: Option<u8>,
    /// As long as flows are added, of those only that are neither in a minute nor long.
    pub(crate) total: Amount,
    /// When the first began, in nanoseconds.
    pub(crate) first: Option<u64>,
    /// When the last ended.
    pub(crate) last: Option<u64>,
    /// By minutes since 1970, in order; flows are where they began, packets and octets evenly over a flow's time.
    pub(crate) minutes: Vec<(u64, Amount)>,
    pub(crate) long: Vec<Long>,
    /// Where something was added last, and the nanoseconds of that minute.
    at: usize,
    span: Range<u64>,
}

/// What the flows of a file come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Summary {
    flows: u64,
    undated: u64,
    protocols: Vec<OfProtocol>,
}

impl Summary {
    pub(crate) const fn flows(&self) -> u64 {
        self.flows
    }

    /// Flows without times, which are in no minute.
    pub(crate) const fn undated(&self) -> u64 {
        self.undated
    }

    pub(crate) fn protocols(&self) -> &[OfProtocol] {
        &self.protocols
    }
}

/// Sums up the flows of a file.
#[derive(Debug)]
pub(super) struct Summing {
    /// None when there is too much to tell.
    summary: Option<Summary>,
    /// The place of each protocol, and behind them the one of flows without; `u16::MAX` when there is none.
    places: Box<[u16; 257]>,
}

impl Summing {
    pub(super) fn new() -> Self {
        Self { summary: Some(Summary::default()), places: Box::new([u16::MAX; 257]) }
    }

    /// Adds the rows of a row group.
    pub(super) fn add(&mut self, batch: &Batch) {
        if let Some(summary) = &mut self.summary
            && add(summary, &mut self.places, batch).is_none()
        {
            self.summary = None;
        }
    }

    /// The summary as text; `None` when it would be too much.
    pub(super) fn into_text(self) -> Option<String> {
        let mut summary = self.summary?;
        let told: usize = summary.protocols.iter().map(|of| of.minutes.len() + of.long.len()).sum();
        if told as u64 > summary.flows / 4 + 256 {
            return None;
        }
        summary.protocols.iter_mut().try_for_each(OfProtocol::add_up)?;
        Some(summary.text())
    }
}

/// Takes values of a member, of those rows that have it.
struct Taken<'b, T> {
    rest: &'b [T],
    is_there: bool,
}

impl<'b, T: Copy> Taken<'b, T> {
    fn of(all: &mut &'b [T], run: &Run, field: FlowFields) -> Self {
        let is_there = run.head.fields.contains(field);
        let count = if is_there { run.rows as usize } else { 0 };
        let (rest, behind) = all.split_at_checked(count).unwrap_or((all, &[]));
        *all = behind;
        Self { rest, is_there }
    }

    fn get(&self, row: usize) -> Option<T> {
        if self.is_there { self.rest.get(row).copied() } else { None }
    }
}

fn add(summary: &mut Summary, places: &mut [u16; 257], batch: &Batch) -> Option<()> {
    let Members { octets, packets, start, end, protocol, .. } = &batch.members;
    let (mut octets, mut packets): (&[u64], &[u64]) = (octets, packets);
    let (mut start, mut end): (&[u64], &[u64]) = (start, end);
    let mut protocol: &[u8] = protocol;
    for run in &batch.runs {
        let octets = Taken::of(&mut octets, run, FlowFields::OCTETS);
        let packets = Taken::of(&mut packets, run, FlowFields::PACKETS);
        let start = Taken::of(&mut start, run, FlowFields::START);
        let end = Taken::of(&mut end, run, FlowFields::END);
        let protocol = Taken::of(&mut protocol, run, FlowFields::PROTOCOL);
        let rate = run.head.sampling_rate.unwrap_or(1);
        let amount = |packets: u64, octets: u64| {
            let (scaled_packets, scaled_octets) = (packets.checked_mul(rate)?, octets.checked_mul(rate)?);
            Some(Amount { flows: 1, packets, octets, scaled_packets, scaled_octets })
        };
        summary.flows += u64::from(run.rows);
        if octets.is_there && packets.is_there && start.is_there && end.is_there && protocol.is_there {
            let amounts = packets.rest.iter().zip(octets.rest);
            let times = start.rest.iter().zip(end.rest);
            for ((protocol, (packets, octets)), (start, end)) in protocol.rest.iter().zip(amounts).zip(times)
            {
                let of = of_protocol(&mut summary.protocols, places, Some(*protocol))?;
                of.dated(*start, *end, &amount(*packets, *octets)?)?;
            }
            continue;
        }
        for row in 0..run.rows as usize {
            let amount = amount(packets.get(row).unwrap_or(0), octets.get(row).unwrap_or(0))?;
            let of = of_protocol(&mut summary.protocols, places, protocol.get(row))?;
            match (start.get(row), end.get(row)) {
                (Some(start), Some(end)) => of.dated(start, end, &amount)?,
                (Some(start), None) => {
                    of.first = Some(of.first.map_or(start, |first| first.min(start)));
                    of.share(start, start, &amount)?;
                }
                (None, Some(end)) => {
                    of.last = of.last.max(Some(end));
                    of.share(end, end, &amount)?;
                }
                (None, None) => {
                    summary.undated += 1;
                    of.total.add(&amount)?;
                }
            }
        }
    }
    Some(())
}

/// What the flows of a protocol, or of none, come to so far.
fn of_protocol<'s>(
    protocols: &'s mut Vec<OfProtocol>,
    places: &mut [u16; 257],
    protocol: Option<u8>,
) -> Option<&'s mut OfProtocol> {
    let place = places.get_mut(protocol.map_or(256, usize::from))?;
    if *place == u16::MAX {
        *place = u16::try_from(protocols.len()).ok()?;
        protocols.push(OfProtocol { protocol, ..OfProtocol::default() });
    }
    protocols.get_mut(usize::from(*place))
}

impl OfProtocol {
    /// Adds a flow whose times are known.
    fn dated(&mut self, start: u64, end: u64, amount: &Amount) -> Option<()> {
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = self.last.max(Some(end));
        let end = end.max(start);
        // Most flows lie wholly in the minute of the flow before.
        if self.span.contains(&start) && end < self.span.end {
            return self.minutes.get_mut(self.at)?.1.add(amount);
        }
        self.share(start, end, amount)
    }

    /// Has the total be what it is called: minutes and long flows are added to it.
    fn add_up(&mut self) -> Option<()> {
        self.minutes.iter().try_for_each(|(_, amount)| self.total.add(amount))?;
        self.long.iter().try_for_each(|long| self.total.add(&long.amount))
    }

    /// Shares a flow out over the minutes from its first packet to its last one.
    fn share(&mut self, start: u64, end: u64, amount: &Amount) -> Option<()> {
        let (first, last) = (start / MINUTE, end / MINUTE);
        if first == last {
            return self.minute(first)?.add(amount);
        }
        if last - first >= LONG {
            self.long.push(Long { start, end, amount: *amount });
            return (self.long.len() <= MOST_LONG).then_some(());
        }
        let mut before = Amount::default();
        for minute in first..=last {
            let until = if minute == last { end } else { (minute + 1) * MINUTE };
            let due = |of: u64| if minute == last { of } else { due(of, start, end, until) };
            let upto = Amount {
                flows: 1,
                packets: due(amount.packets),
                octets: due(amount.octets),
                scaled_packets: due(amount.scaled_packets),
                scaled_octets: due(amount.scaled_octets),
            };
            let share = Amount {
                flows: upto.flows - before.flows,
                packets: upto.packets - before.packets,
                octets: upto.octets - before.octets,
                scaled_packets: upto.scaled_packets - before.scaled_packets,
                scaled_octets: upto.scaled_octets - before.scaled_octets,
            };
            self.minute(minute)?.add(&share)?;
            before = upto;
        }
        Some(())
    }

    fn minute(&mut self, minute: u64) -> Option<&mut Amount> {
        // Mostly it is the one of the flow before, or next to it.
        if self.minutes.get(self.at).is_none_or(|(known, _)| *known != minute) {
            self.at = match self.minutes.binary_search_by_key(&minute, |(known, _)| *known) {
                Ok(place) => place,
                Err(_) if self.minutes.len() >= MOST_MINUTES => return None,
                Err(place) => {
                    self.minutes.insert(place, (minute, Amount::default()));
                    place
                }
            };
            self.span = minute * MINUTE..(minute + 1).saturating_mul(MINUTE);
        }
        self.minutes.get_mut(self.at).map(|(_, amount)| amount)
    }
}

const VERSION: &str = "1";

/// FNV-1a.
fn checksum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, octet| (sum ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

impl Summary {
    fn text(&self) -> String {
        let told = |of: &OfProtocol| of.total.is_plain();
        let is_scaled = !self.protocols.iter().all(told);
        let mut body = format!("{} {} {}", self.flows, self.undated, u8::from(is_scaled));
        let push = |body: &mut String, amount: &Amount| {
            let Amount { flows, packets, octets, scaled_packets, scaled_octets } = amount;
            // Writing to a string does not fail.
            let _ = write!(body, " {flows} {packets} {octets}");
            if is_scaled {
                let _ = write!(body, " {scaled_packets} {scaled_octets}");
            }
        };
        let or_none =
            |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        for of in &self.protocols {
            let protocol = or_none(of.protocol.map(u64::from));
            let _ = write!(body, "\n= {protocol} {} {}", or_none(of.first), or_none(of.last));
            push(&mut body, &of.total);
            let mut before = 0;
            for (minute, amount) in &of.minutes {
                let _ = write!(body, "\n{}", minute - before);
                push(&mut body, amount);
                before = *minute;
            }
            for Long { start, end, amount } in &of.long {
                let _ = write!(body, "\n~ {start} {end}");
                push(&mut body, amount);
            }
        }
        format!("{VERSION} {:016x} {body}", checksum(&body))
    }

    /// Understands the text of a summary; `None` when it is of another version, or damaged.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sum, body) = text.strip_prefix(VERSION)?.strip_prefix(' ')?.split_once(' ')?;
        if u64::from_str_radix(sum, 16).ok()? != checksum(body) {
            return None;
        }
        let mut lines = body.split('\n');
        let mut head = Words(lines.next()?.split_ascii_whitespace());
        let (flows, undated, is_scaled) = (head.number()?, head.number()?, head.number()? == 1);
        let mut summary = Self { flows, undated, protocols: Vec::new() };
        let mut minute = 0_u64;
        for line in lines {
            let mut words = Words(line.split_ascii_whitespace());
            if line.starts_with('=') {
                words.0.next();
                minute = 0;
                let protocol = match words.or_none().ok()? {
                    None => None,
                    Some(number) => Some(u8::try_from(number).ok()?),
                };
                let (first, last) = (words.or_none().ok()?, words.or_none().ok()?);
                let total = words.amount(is_scaled)?;
                let of = OfProtocol { protocol, total, first, last, ..OfProtocol::default() };
                summary.protocols.push(of);
                continue;
            }
            let of = summary.protocols.last_mut()?;
            if line.starts_with('~') {
                words.0.next();
                let (start, end) = (words.number()?, words.number()?);
                of.long.push(Long { start, end, amount: words.amount(is_scaled)? });
            } else {
                minute = minute.checked_add(words.number()?)?;
                of.minutes.push((minute, words.amount(is_scaled)?));
            }
        }
        Some(summary)
    }
}

/// The words of a line.
struct Words<'a>(SplitAsciiWhitespace<'a>);

impl Words<'_> {
    fn number(&mut self) -> Option<u64> {
        self.0.next()?.parse().ok()
    }

    /// A number, or none in whose place `-` stands; `Err` when there is neither.
    fn or_none(&mut self) -> Result<Option<u64>, ()> {
        match self.0.next() {
            Some("-") => Ok(None),
            Some(word) => word.parse().map(Some).map_err(|_| ()),
            None => Err(()),
        }
    }

    fn amount(&mut self, is_scaled: bool) -> Option<Amount> {
        let (flows, packets, octets) = (self.number()?, self.number()?, self.number()?);
        let (scaled_packets, scaled_octets) =
            if is_scaled { (self.number()?, self.number()?) } else { (packets, octets) };
        Some(Amount { flows, packets, octets, scaled_packets, scaled_octets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(rate: u64) -> Summary {
        let mut of = OfProtocol { protocol: Some(17), first: Some(5), ..OfProtocol::default() };
        for (start, end, octets) in [
            (MINUTE * 9 + 1, MINUTE * 9 + 7, 10),
            (MINUTE * 7, MINUTE * 10, 1_000),
            (MINUTE * 8 + 5, MINUTE * 8 + 5, 3),
            (MINUTE, MINUTE * 900, 77),
        ] {
            let amount = Amount {
                flows: 1,
                packets: 2,
                octets,
                scaled_packets: 2 * rate,
                scaled_octets: octets * rate,
            };
            of.share(start, end, &amount).unwrap();
        }
        of.add_up().unwrap();
        (of.at, of.span) = Default::default();
        Summary { flows: 5, undated: 1, protocols: vec![of, OfProtocol::default()] }
    }

    #[test]
    fn what_is_written_is_read() {
        for rate in [1, 100] {
            let summary = summary(rate);
            assert_eq!(Summary::parse(&summary.text()).unwrap(), summary);
        }
        let minutes = summary(1);
        let octets: Vec<_> =
            minutes.protocols[0].minutes.iter().map(|(minute, of)| (*minute, of.flows, of.octets)).collect();
        assert_eq!(octets, [(7, 1, 333), (8, 1, 336), (9, 1, 344), (10, 0, 0)]);
        assert_eq!(minutes.protocols[0].long.len(), 1);
    }

    #[test]
    fn a_summary_that_is_damaged_is_none() {
        let text = summary(100).text();
        for place in 0..text.len() {
            let mut octets = text.clone().into_bytes();
            octets[place] ^= 1;
            let text = String::from_utf8(octets).unwrap();
            assert_eq!(Summary::parse(&text), None, "{place}: {text}");
            assert_eq!(Summary::parse(&text[..place]), None);
        }
        assert_eq!(Summary::parse(""), None);
    }

    #[test]
    fn too_many_minutes_are_not_told() {
        let mut of = OfProtocol::default();
        let amount = Amount { flows: 1, ..Amount::default() };
        let told = (0..5_000).map_while(|minute| of.share(minute * MINUTE, minute * MINUTE, &amount)).count();
        assert_eq!(told, MOST_MINUTES);
    }
}
