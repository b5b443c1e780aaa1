//! The collector's account: what came, from whom, and what was wrong with it or missing.
//!
//! Counters are kept in total, per exporter and per stream. The totals are complete; the lists are
//! bounded, and who was silent longest is forgotten first, so that no flood of forged senders can fill memory.

mod bounded;
mod cache;
mod counts;
mod exporter;
mod fault;
pub mod health;
mod limiter;
mod measure;
mod names;
mod numbering;
mod report;
mod saved;
mod statements;
mod stream;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use netflow_codec::{
    DataRecord, Quirks, Restart, RestartEvidence, RestartKind, SamplingInfo, SequenceCounts, SequenceEvent,
    Template, Timestamp,
};

use crate::policy::{Policy, Prefix, Refusal, Refusals, Sampling};

use bounded::BoundedMap;
pub use cache::CacheReport;
pub use counts::Counts;
pub use exporter::{ClockSkew, ExporterAccount, MissingTemplate, Rates};
use fault::FAULT_KINDS;
pub use fault::{Fault, FaultKind, What};
use limiter::Limiter;
pub(crate) use measure::measure;
pub use names::Names;
pub use numbering::Numbering;
pub use report::Summary;
pub use saved::SavedAccount;
pub use statements::{FlowKeys, KeysFault, Process, ProcessCounts, Statements};
pub(crate) use stream::Header;
pub use stream::{Stream, StreamAccount};
use stream::{add_counts, add_sequence};

/// A socket, and what the kernel says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketAccount {
    /// Where it receives.
    pub address: SocketAddr,
    /// Octets of receive buffer that the kernel granted.
    pub receive_buffer: usize,
    /// Datagrams that the kernel dropped because the receive buffer was full; `None` where it does not tell.
    pub drops: Option<u64>,
}

impl SocketAccount {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Self { address, receive_buffer, drops } = self;
        serde_json::json!({ "address": address.to_string(), "receive_buffer": receive_buffer, "drops": drops })
    }
}

/// The account of a collector.
#[derive(Debug)]
pub struct Account {
    datagrams: u64,
    octets: u64,
    counts: Counts,
    by_version: BTreeMap<u16, u64>,
    unsupported: BTreeMap<u16, u64>,
    unsupported_others: u64,
    faults: [u64; FAULT_KINDS],
    exporters: BoundedMap<IpAddr, ExporterAccount>,
    streams: BoundedMap<Stream, StreamAccount>,
    /// The sequence numbers of streams that were forgotten: of flows, of packets, of records.
    forgotten: [SequenceCounts; 3],
    refused: Refusals,
    /// Senders that may not send, by the prefixes they are in.
    strangers: BTreeMap<Prefix, u64>,
    /// Those of prefixes for which there was no room.
    other_strangers: u64,
    /// Exporters that were forgotten because they were silent for too long.
    idle: u64,
    /// Exporters that are known, and left out here.
    others: u64,
    /// Octets of what all exporters say.
    name_octets: usize,
    /// When the last datagram came.
    now: Timestamp,
    limiter: Limiter,
}

/// How the datagrams of an exporter that come in are decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) quirks: Quirks,
    pub(crate) sampling: Option<Sampling>,
}

impl Default for Account {
    fn default() -> Self {
        Self::with_limits(Self::EXPORTERS, Self::STREAMS)
    }
}

impl Account {
    /// Exporters that are remembered unless told otherwise.
    pub const EXPORTERS: usize = 32_768;
    /// Streams that are remembered unless told otherwise.
    pub const STREAMS: usize = 65_536;
    /// Prefixes of refused senders that are told apart.
    const PREFIXES: usize = 256;
    /// Octets of what all exporters say of names and of themselves.
    const NAME_OCTETS: usize = 64 << 20;
    /// Unsupported versions that are counted one by one.
    const VERSIONS: usize = 16;

    /// An empty account of at most so many exporters and streams.
    #[must_use]
    pub fn with_limits(exporters: usize, streams: usize) -> Self {
        Self {
            datagrams: 0,
            octets: 0,
            counts: Counts::default(),
            by_version: BTreeMap::new(),
            unsupported: BTreeMap::new(),
            unsupported_others: 0,
            faults: [0; FAULT_KINDS],
            exporters: BoundedMap::new(exporters, ExporterAccount::is_established),
            streams: BoundedMap::new(streams, StreamAccount::is_established),
            forgotten: Default::default(),
            refused: Refusals::default(),
            strangers: BTreeMap::new(),
            other_strangers: 0,
            idle: 0,
            others: 0,
            name_octets: 0,
            now: Timestamp::ZERO,
            limiter: Limiter::default(),
        }
    }

    /// Datagrams, whatever they were.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// What all sound datagrams carried.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Sound datagrams by version.
    #[must_use]
    pub const fn by_version(&self) -> &BTreeMap<u16, u64> {
        &self.by_version
    }

    /// Datagrams of unsupported versions, by version; at most 16 of them are told apart.
    #[must_use]
    pub const fn unsupported(&self) -> &BTreeMap<u16, u64> {
        &self.unsupported
    }

    /// How often something was wrong, all exporters together.
    #[must_use]
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults.get(kind as usize).copied().unwrap_or(0)
    }

    /// Structures that could not be decoded, all exporters together.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        FaultKind::ALL.iter().filter(|kind| kind.is_malformed()).map(|kind| self.faults(*kind)).sum()
    }

    /// The exporters that are remembered.
    pub fn exporters(&self) -> impl Iterator<Item = (&IpAddr, &ExporterAccount)> {
        self.exporters.iter()
    }

    /// The streams that are remembered.
    pub fn streams(&self) -> impl Iterator<Item = (&Stream, &StreamAccount)> {
        self.streams.iter()
    }

    /// What the sequence numbers say, over all streams: of v5 and v7, which count flows, of v9, which counts packets,
    /// and of IPFIX, which counts records.
    #[must_use]
    pub fn sequence(&self) -> [SequenceCounts; 3] {
        let mut sums = self.forgotten;
        for (stream, account) in self.streams.iter() {
            add_sequence(&mut sums, stream.version, account.sequence.counts());
        }
        sums
    }

    /// Adds the account of a collector of other exporters. Nothing is forgotten for it.
    pub fn absorb(&mut self, other: Self) {
        self.add_sums(&other);
        self.exporters.absorb(other.exporters, ExporterAccount::absorb);
        // Whose sequence numbers belong together was all of one collector.
        self.streams.absorb(other.streams, |account, other| account.counts += other.counts);
    }

    /// Adds all that is not of one exporter.
    fn add_sums(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.octets += other.octets;
        self.counts += other.counts;
        for (version, count) in &other.by_version {
            *self.by_version.entry(*version).or_default() += count;
        }
        for (version, count) in &other.unsupported {
            *self.unsupported.entry(*version).or_default() += count;
        }
        self.unsupported_others += other.unsupported_others;
        for (count, more) in self.faults.iter_mut().zip(other.faults) {
            *count += more;
        }
        for (sum, more) in self.forgotten.iter_mut().zip(&other.forgotten) {
            add_counts(sum, more);
        }
        self.refused.absorb(&other.refused);
        for (prefix, count) in &other.strangers {
            *self.strangers.entry(*prefix).or_default() += count;
        }
        self.other_strangers += other.other_strangers;
        self.others += other.others;
        self.idle += other.idle;
    }

    /// A datagram came, whatever it is. Whether it comes in, and how it is decoded: with `quirks`, unless the policy has
    /// others.
    pub(crate) fn arrived(
        &mut self,
        exporter: IpAddr,
        octets: usize,
        received: Timestamp,
        policy: &Policy,
        (quirks, has_quota): (Quirks, bool),
    ) -> Result<Admission, Refusal> {
        self.datagrams += 1;
        self.octets += octets as u64;
        self.now = received;
        self.limiter.advance(received);
        if self.exporters.get_mut(&exporter).is_none() {
            // Whoever may not send takes no room.
            if !policy.allows(exporter) {
                self.stranger(exporter);
                return Err(Refusal::NotAllowed);
            }
            self.exporter(exporter);
        }
        let (account, _) = self.exporters.entry(exporter);
        account.arrived(octets, received);
        match account.gate.admit(exporter, octets, received, policy, quirks, has_quota) {
            Ok(()) => Ok(Admission { quirks: account.gate.quirks(), sampling: account.gate.sampling() }),
            Err(reason) => {
                account.refused.add(reason);
                if reason == Refusal::NotAllowed {
                    self.stranger(exporter);
                } else {
                    self.refused.add(reason);
                }
                Err(reason)
            }
        }
    }

    /// The account of an exporter, made if need be. Whoever had to be forgotten for it gives back the room of what was said.
    fn exporter(&mut self, exporter: IpAddr) -> &mut ExporterAccount {
        let (account, forgotten) = self.exporters.entry(exporter);
        let octets: usize = forgotten.iter().map(|(_, account)| account.said_octets()).sum();
        self.name_octets = self.name_octets.saturating_sub(octets);
        account
    }

    /// A session of an exporter begins: its sequence numbers begin anew.
    pub(crate) fn session(&mut self, exporter: SocketAddr) {
        let of_session = |stream: &Stream| stream.exporter == exporter.ip() && stream.port == exporter.port();
        for account in
            self.streams.iter_mut().filter(|(stream, _)| of_session(stream)).map(|(_, account)| account)
        {
            account.sequence.begin_session();
        }
    }

    /// Somebody sent who may not.
    fn stranger(&mut self, exporter: IpAddr) {
        self.refused.add(Refusal::NotAllowed);
        let prefix = Self::neighbourhood(exporter);
        if self.strangers.len() < Self::PREFIXES || self.strangers.contains_key(&prefix) {
            *self.strangers.entry(prefix).or_default() += 1;
        } else {
            self.other_strangers += 1;
        }
    }

    /// The prefix that refused senders are counted by.
    fn neighbourhood(exporter: IpAddr) -> Prefix {
        Prefix::of(exporter, if exporter.to_canonical().is_ipv4() { 24 } else { 48 })
    }

    /// How often the datagrams of an address that may not send were refused by now, if that should be reported.
    pub(crate) fn refused_stranger(&mut self, exporter: IpAddr) -> Option<u64> {
        let count = self.strangers.get(&Self::neighbourhood(exporter)).copied()?;
        self.limiter.reports(count).then_some(count)
    }

    /// Datagrams that were refused.
    #[must_use]
    pub const fn refused(&self) -> &Refusals {
        &self.refused
    }

    /// How many datagrams of senders that may not send were refused, by prefix; the last number is of other prefixes.
    #[must_use]
    pub const fn strangers(&self) -> (&BTreeMap<Prefix, u64>, u64) {
        (&self.strangers, self.other_strangers)
    }

    /// Whether there was anything sound in the last datagram of an exporter.
    pub(crate) fn judge(&mut self, exporter: IpAddr, is_sound: bool, policy: &Policy) {
        if let Some(account) = self.exporters.get_mut(&exporter) {
            account.gate.judge(is_sound, self.now, policy);
        }
    }

    /// Data came without its template.
    pub(crate) fn missed(&mut self, stream: Stream, template_id: u16, octets: usize) {
        if let Some(account) = self.exporters.get_mut(&stream.exporter) {
            account.missed((stream.version, stream.observation_domain, template_id), octets, self.now);
        }
    }

    /// A template came, perhaps another one than the one before of its id.
    pub(crate) fn learned(&mut self, stream: Stream, template_id: u16, is_other: bool) {
        let Some(account) = self.exporters.get_mut(&stream.exporter) else { return };
        let key = (stream.version, stream.observation_domain, template_id);
        if !account.missing.is_empty() {
            account.missing.remove(&key);
        }
        if is_other && !account.statements.flow_keys.is_empty() {
            let before = account.said_octets();
            account.statements.forget_keys(key);
            self.name_octets = (self.name_octets + account.said_octets()).saturating_sub(before);
        }
    }

    /// An options record came that may name something.
    pub(crate) fn named(&mut self, exporter: IpAddr, record: &DataRecord<'_, '_>) {
        self.says(exporter, |account, room| account.names.learn(record, room + account.names.octets()));
    }

    /// An options record came that says something of a process.
    pub(crate) fn stated(&mut self, stream: Stream, record: &DataRecord<'_, '_>) {
        let now = self.now;
        self.says(stream.exporter, |account, room| {
            account.statements.learn(stream, record, now, room + account.statements.octets());
        });
    }

    /// An options record came that says which fields of a template are the flow key.
    pub(crate) fn marked(
        &mut self,
        stream: Stream,
        keys: (u16, u64),
        template: Option<&Template>,
    ) -> Result<(), KeysFault> {
        let mut result = Ok(());
        self.says(stream.exporter, |account, room| {
            let room = room + account.statements.octets();
            result = account.statements.mark(stream, keys, template, room);
        });
        result
    }

    /// An exporter says something for which so much room is left besides what it has said already.
    fn says(&mut self, exporter: IpAddr, learn: impl FnOnce(&mut ExporterAccount, usize)) {
        if let Some(account) = self.exporters.get_mut(&exporter) {
            let before = account.said_octets();
            learn(account, Self::NAME_OCTETS.saturating_sub(self.name_octets));
            self.name_octets = (self.name_octets + account.said_octets()).saturating_sub(before);
        }
    }

    /// Forgets those whose last datagram came before, but for the sums, and says who they are.
    pub(crate) fn forget_idle(&mut self, before: Timestamp) -> Vec<IpAddr> {
        let idle = self.exporters.take_if(|exporter| exporter.last_seen < before);
        for (_, account) in &idle {
            self.name_octets = self.name_octets.saturating_sub(account.said_octets());
        }
        for (stream, account) in self.streams.take_if(|stream| stream.last_seen < before) {
            add_sequence(&mut self.forgotten, stream.version, account.sequence.counts());
        }
        self.idle += idle.len() as u64;
        idle.into_iter().map(|(address, _)| address).collect()
    }

    /// A datagram of an unsupported version came.
    pub(crate) fn unsupported_version(&mut self, version: u16) {
        if self.unsupported.len() < Self::VERSIONS || self.unsupported.contains_key(&version) {
            *self.unsupported.entry(version).or_default() += 1;
        } else {
            self.unsupported_others += 1;
        }
    }

    /// A datagram with a sound header came. Says what its sequence number means, and whether it shows a restart.
    pub(crate) fn header(
        &mut self,
        stream: Stream,
        header: &Header,
    ) -> (Option<SequenceEvent>, Option<Restart>) {
        *self.by_version.entry(stream.version).or_default() += 1;
        let (account, forgotten) = self.streams.entry(stream);
        for (stream, account) in forgotten {
            add_sequence(&mut self.forgotten, stream.version, account.sequence.counts());
        }
        let Header { sequence, clock, received, .. } = *header;
        if account.first_seen == Timestamp::ZERO {
            account.first_seen = received;
        }
        account.last_seen = received;
        let restart = account.restarts.observe(sequence, &clock, received);
        if header.redefines_templates {
            account.restarts.note(RestartEvidence::TEMPLATE_REDEFINED);
        }
        account.restarted += u64::from(restart.is_some());
        account.last_restart = restart.or(account.last_restart);
        let is_anew = restart.is_some_and(|restart| restart.kind == RestartKind::Restarted);
        let event = account.number(stream.version, header, is_anew);
        (event, restart)
    }

    /// What a datagram carried, and when it was sent; the last word about it.
    pub(crate) fn carried(
        &mut self,
        stream: Stream,
        exported: Timestamp,
        counts: Counts,
        sampling: Option<SamplingInfo>,
    ) {
        self.counts += counts;
        let (account, _) = self.streams.entry(stream);
        account.counts += counts;
        account.sampling = sampling.or(account.sampling);
        if let Some(account) = self.exporters.get_mut(&stream.exporter) {
            account.carried(self.now, exported, counts.data_records);
        }
    }

    /// Something came of an exporter that is no datagram.
    pub(crate) fn noticed(&mut self, exporter: IpAddr, now: Timestamp) {
        self.now = now;
        self.limiter.advance(now);
        self.exporter(exporter).noticed(now);
    }

    /// Something was wrong. Returns how often it was by now, if that should be reported.
    pub(crate) fn fault(&mut self, exporter: IpAddr, what: What) -> Option<u64> {
        if let Some(count) = self.faults.get_mut(what.kind() as usize) {
            *count += 1;
        }
        let now = self.now;
        let count = self.exporter(exporter).fault(what, now);
        self.limiter.reports(count).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use netflow_codec::ExportClock;

    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    const TRUNCATED: What = What::CutShort { available: 4 };

    fn arrive(account: &mut Account, number: u32, second: u64) {
        let time = Timestamp::from_secs(second);
        account.arrived(address(number), 20, time, &Policy::default(), (Quirks::DEFAULT, true)).unwrap();
    }

    #[test]
    fn strangers_take_no_room_but_are_counted_by_prefix() {
        // C19
        let policy = Policy::parse("[exporters]\nallow = [\"0.0.1.0/24\"]").unwrap();
        let mut account = Account::default();
        let time = Timestamp::from_secs(1);
        for number in 0..100_000_u32 {
            let admitted = account.arrived(address(number), 20, time, &policy, (Quirks::DEFAULT, true));
            assert_eq!(admitted.is_ok(), number >> 8 == 1);
        }
        assert_eq!((account.exporters().count(), account.refused().total()), (256, 99_744));
        let (prefixes, others) = account.strangers();
        assert_eq!((prefixes.len(), prefixes.values().sum::<u64>() + others), (256, 99_744));
        assert_eq!(prefixes[&"0.0.2.0/24".parse().unwrap()], 256);
        // Reported as others are: the first few, then seldom.
        assert_eq!(account.refused_stranger(address(512)), None);
    }

    #[test]
    fn a_flood_of_faults_is_counted_but_not_reported_one_by_one() {
        // C10
        let mut account = Account::default();
        let mut reports = Vec::new();
        for second in 0..2_000 {
            arrive(&mut account, 1, second);
            reports.extend(account.fault(address(1), TRUNCATED));
        }
        assert_eq!(reports, [1, 2, 3, 4, 5, 100, 1_000]);
        assert_eq!((account.faults(FaultKind::CutShort), account.malformed()), (2_000, 0));
    }

    #[test]
    fn who_is_forgotten_gives_back_the_room_of_its_names() {
        let named = |address: &str| {
            serde_json::json!({
                "address": address, "interfaces": { "7": "eth7" }, "vrfs": {}, "applications": {}, "samplers": {},
            })
        };
        let saved = serde_json::json!({ "exporters": [named("0.0.0.1"), named("0.0.0.2")], "streams": [] });
        let mut account = Account::with_limits(1, 1);
        account.restore(&serde_json::from_value(saved).unwrap());
        let said: usize = account.exporters().map(|(_, exporter)| exporter.said_octets()).sum();
        assert!(said > 0 && account.name_octets == said, "{} of {said}", account.name_octets);
        account.noticed(address(3), Timestamp::from_secs(1));
        assert_eq!((account.exporters().count(), account.name_octets), (1, 0));
    }

    #[test]
    fn a_flood_of_forged_exporters_fills_neither_memory_nor_log() {
        let mut account = Account::with_limits(100, 100);
        let mut reports = 0;
        for number in 0..10_000 {
            arrive(&mut account, number, 1);
            let stream = Stream { exporter: address(number), version: 9, observation_domain: 0, port: 9 };
            for sequence in [5, 7] {
                let header = Header {
                    sequence: Some(sequence),
                    units: Some(1),
                    flows: Some(1),
                    clock: ExportClock::default(),
                    received: Timestamp::from_secs(1),
                    redefines_templates: false,
                };
                account.header(stream, &header);
            }
            reports += usize::from(account.fault(address(number), TRUNCATED).is_some());
        }
        assert_eq!(reports, 100);
        assert!(account.exporters().count() <= 100 && account.streams().count() <= 100);
        let [_, packets, _] = account.sequence();
        assert_eq!((packets.lost, packets.received), (10_000, 20_000));
    }
}
