//! What of an account outlives the collector: what exporters are called, and which sequence numbers come next.
//!
//! So what was sent while no collector ran is known to be lost. Counters begin anew: an account is of one run.

use core::net::IpAddr;
use std::collections::BTreeMap;

use netflow_codec::{SequenceTracker, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Account, Names, Numbering, Stream};

/// What is kept of an account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAccount {
    exporters: Vec<SavedExporter>,
    streams: Vec<SavedStream>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedExporter {
    address: IpAddr,
    interfaces: BTreeMap<u64, String>,
    vrfs: BTreeMap<u64, String>,
    applications: BTreeMap<u64, String>,
    samplers: BTreeMap<u64, String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedStream {
    exporter: IpAddr,
    version: u16,
    observation_domain: u32,
    port: u16,
    /// The sequence number that comes next.
    next: u32,
    /// Whether messages count themselves.
    #[serde(default)]
    is_behind: bool,
    last_seen: Timestamp,
}

impl SavedAccount {
    /// Streams whose next number is known.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Exporters that named something.
    #[must_use]
    pub fn exporters(&self) -> usize {
        self.exporters.len()
    }

    /// Keeps what is of the exporters of which `keep` says so.
    pub fn retain(&mut self, keep: impl Fn(IpAddr) -> bool) {
        self.exporters.retain(|exporter| keep(exporter.address));
        self.streams.retain(|stream| keep(stream.exporter));
    }

    /// Adds what is kept of another account.
    pub fn append(&mut self, mut other: Self) {
        self.exporters.append(&mut other.exporters);
        self.streams.append(&mut other.streams);
    }
}

impl Account {
    /// What is to be kept of it.
    #[must_use]
    pub fn saved(&self) -> SavedAccount {
        let exporters = self.exporters().filter(|(_, exporter)| !exporter.names.is_empty());
        let exporters = exporters.map(|(address, exporter)| {
            let Names { interfaces, vrfs, applications, samplers, .. } = exporter.names.clone();
            SavedExporter { address: *address, interfaces, vrfs, applications, samplers }
        });
        let streams = self.streams().filter_map(|(stream, account)| {
            let Stream { exporter, version, observation_domain, port } = *stream;
            let next = account.sequence.next_number()?;
            Some(SavedStream {
                exporter,
                version,
                observation_domain,
                port,
                next,
                is_behind: account.numbering.is_behind(),
                last_seen: account.last_seen,
            })
        });
        SavedAccount { exporters: exporters.collect(), streams: streams.collect() }
    }

    /// Takes what an earlier run kept, within the limits of this account. To be called before the first datagram.
    pub fn restore(&mut self, saved: &SavedAccount) {
        for exporter in &saved.exporters {
            let before = self.exporter(exporter.address).names.octets();
            let room = Self::NAME_OCTETS.saturating_sub(self.name_octets) + before;
            let (account, _) = self.exporters.entry(exporter.address);
            let SavedExporter { interfaces, vrfs, applications, samplers, .. } = exporter;
            account.names.restore([interfaces, vrfs, applications, samplers], room);
            self.name_octets = (self.name_octets + account.names.octets()).saturating_sub(before);
        }
        for saved in &saved.streams {
            let SavedStream { exporter, version, observation_domain, port, next, is_behind, last_seen } =
                *saved;
            let (account, _) = self.streams.entry(Stream { exporter, version, observation_domain, port });
            account.sequence = SequenceTracker::resumed(next);
            account.numbering = if is_behind { Numbering::Behind } else { Numbering::Before };
            account.last_seen = last_seen;
        }
    }
}
