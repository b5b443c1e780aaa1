//! What a host did: its sessions in the order of time, both directions joined, with peers, pauses, volumes and TCP flags.

use core::{cmp::Reverse, fmt, net::IpAddr};
use std::collections::HashMap;

use netflow_codec::FlowFields;
use serde::Serialize;

use super::{Scaled, Seen, duration, has_ports, protocol, span, time};
use crate::{
    flow::Flow,
    output::tcp_flags,
    query::{Align, Table, scaled},
};

/// How sessions are made of flows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Options {
    /// Nanoseconds: flows of the same addresses, ports and protocol that are no further apart are one session.
    pub session_gap_ns: u64,
    /// Nanoseconds: pauses of the host that are at least so long are told.
    pub pause_ns: u64,
    /// Flows of the host that are looked at.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { session_gap_ns: 300_000_000_000, pause_ns: 600_000_000_000, limit: 1_000_000 }
    }
}

/// Who began a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Initiator {
    /// The host.
    Host,
    /// Its peer.
    Peer,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Way {
    /// Flows.
    pub flows: u64,
    /// Packets, scaled by sampling.
    pub packets: u64,
    /// Octets, scaled by sampling.
    pub octets: u64,
    /// TCP flags of all packets together.
    pub tcp_flags: u16,
}

impl Way {
    fn add(&mut self, piece: &Piece) {
        self.flows += 1;
        self.packets = self.packets.saturating_add(piece.packets);
        self.octets = self.octets.saturating_add(piece.octets);
        self.tcp_flags |= piece.flags;
    }
}

/// A conversation of the host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Session {
    /// When its first flow began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When its last flow ended.
    pub end_ns: u64,
    /// With whom.
    pub peer: IpAddr,
    /// The protocol, by its keyword.
    pub protocol: String,
    /// The host's port, if the protocol has ports.
    pub port: Option<u16>,
    /// The peer's port.
    pub peer_port: Option<u16>,
    /// Who began: whose packets came first; of those at the same time, the one with the higher port.
    pub initiator: Initiator,
    /// What the host sent. Of several exporters that saw it, the one that saw most counts.
    pub sent: Way,
    /// What it received, likewise.
    pub received: Way,
    /// Who saw it.
    pub exporters: Vec<IpAddr>,
}

/// What the host had to do with one peer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// The peer.
    pub peer: IpAddr,
    /// Sessions.
    pub sessions: u64,
    /// When the first began, in nanoseconds since 1970.
    pub first_ns: u64,
    /// When the last ended.
    pub last_ns: u64,
    /// Octets to the peer.
    pub octets_sent: u64,
    /// Octets from the peer.
    pub octets_received: u64,
    /// Protocols and ports of the side that did not begin: the first eight.
    pub services: Vec<String>,
}

/// A time without any session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Pause {
    /// Its begin, in nanoseconds since 1970.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
}

/// What a host did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The host.
    pub host: IpAddr,
    /// The host's flows.
    pub seen: Seen,
    /// How sessions were made.
    pub options: Options,
    /// In the order of time.
    pub sessions: Vec<Session>,
    /// Those with the most octets first.
    pub peers: Vec<Peer>,
    /// Pauses.
    pub pauses: Vec<Pause>,
    /// Flows beyond the limit, which are not in the sessions.
    pub flows_beyond_limit: u64,
    /// Flows without a time, likewise.
    pub flows_without_time: u64,
}

/// What is kept of a flow.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u64,
    end: u64,
    peer: IpAddr,
    exporter: IpAddr,
    packets: u64,
    octets: u64,
    ports: (u16, u16),
    flags: u16,
    protocol: u8,
    is_sent: bool,
}

/// Gathers the flows of a host.
#[derive(Debug)]
pub struct Gatherer {
    host: IpAddr,
    options: Options,
    seen: Seen,
    pieces: Vec<Piece>,
    beyond: u64,
    without_time: u64,
}

impl Gatherer {
    /// For this host.
    #[must_use]
    pub fn new(host: IpAddr, options: Options) -> Self {
        Self { host, options, seen: Seen::default(), pieces: Vec::new(), beyond: 0, without_time: 0 }
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &Flow<'_>) {
        let record = &flow.record;
        if !record.has(FlowFields::SOURCE | FlowFields::DESTINATION) {
            return;
        }
        let is_sent = record.source == self.host;
        if !is_sent && record.destination != self.host {
            return;
        }
        self.seen.add(flow);
        let Some((start, end)) = span(flow) else {
            self.without_time += 1;
            return;
        };
        if self.pieces.len() >= self.options.limit {
            self.beyond += 1;
            return;
        }
        let ports =
            if has_ports(record.protocol) { (record.source_port, record.destination_port) } else { (0, 0) };
        let Scaled { packets, octets } = Scaled::of(flow);
        self.pieces.push(Piece {
            start,
            end,
            peer: if is_sent { record.destination } else { record.source },
            exporter: flow.envelope.exporter.ip(),
            packets,
            octets,
            ports: if is_sent { ports } else { (ports.1, ports.0) },
            flags: if record.protocol == 6 { record.tcp_flags & 0xff } else { 0 },
            protocol: record.protocol,
            is_sent,
        });
    }

    /// What the host did.
    #[must_use]
    pub fn finish(self) -> Report {
        let Self { host, options, seen, mut pieces, beyond, without_time } = self;
        pieces.sort_by_key(|piece| (piece.start, piece.end, piece.peer, piece.ports, !piece.is_sent));
        let sessions = sessions(&pieces, options.session_gap_ns);
        Report {
            host,
            seen,
            options,
            peers: peers(&sessions),
            pauses: pauses(&sessions, options.pause_ns),
            sessions,
            flows_beyond_limit: beyond,
            flows_without_time: without_time,
        }
    }
}

/// A session under construction.
#[derive(Debug)]
struct Draft {
    first: Piece,
    start: u64,
    end: u64,
    /// Whether one side has said that it is the end.
    is_over: bool,
    by_exporter: Vec<(IpAddr, Way, Way)>,
}

/// Exporters of a session that are told apart.
const EXPORTERS: usize = 16;
const FIN_RST: u16 = 0x05;
const SYN: u16 = 0x02;

impl Draft {
    fn new(piece: &Piece) -> Self {
        Self { first: *piece, start: piece.start, end: piece.end, is_over: false, by_exporter: Vec::new() }
    }

    fn add(&mut self, piece: &Piece) {
        self.end = self.end.max(piece.end);
        self.is_over |= piece.flags & FIN_RST != 0;
        let place = self.by_exporter.iter().position(|(exporter, ..)| *exporter == piece.exporter);
        let place = place.unwrap_or_else(|| {
            if self.by_exporter.len() < EXPORTERS {
                self.by_exporter.push((piece.exporter, Way::default(), Way::default()));
            }
            self.by_exporter.len() - 1
        });
        if let Some((_, sent, received)) = self.by_exporter.get_mut(place) {
            if piece.is_sent { sent } else { received }.add(piece);
        }
    }

    /// Whether a flow goes on with it.
    fn continues_with(&self, piece: &Piece, gap: u64) -> bool {
        // A new connection between the same ports.
        let begins_anew = self.is_over && piece.start > self.end && piece.flags & SYN != 0;
        piece.start <= self.end.saturating_add(gap) && !begins_anew
    }

    fn session(self) -> Session {
        let (port, peer_port) = self.first.ports;
        let has_ports = has_ports(self.first.protocol);
        let most = |way: fn(&(IpAddr, Way, Way)) -> Way| {
            self.by_exporter.iter().map(way).max_by_key(|way| (way.octets, way.packets)).unwrap_or_default()
        };
        let mut flags = (0, 0);
        for (_, sent, received) in &self.by_exporter {
            flags = (flags.0 | sent.tcp_flags, flags.1 | received.tcp_flags);
        }
        Session {
            start_ns: self.start,
            end_ns: self.end,
            peer: self.first.peer,
            protocol: protocol(self.first.protocol),
            port: has_ports.then_some(port),
            peer_port: has_ports.then_some(peer_port),
            initiator: if self.first.is_sent { Initiator::Host } else { Initiator::Peer },
            sent: Way { tcp_flags: flags.0, ..most(|(_, sent, _)| *sent) },
            received: Way { tcp_flags: flags.1, ..most(|(_, _, received)| *received) },
            exporters: self.by_exporter.into_iter().map(|(exporter, ..)| exporter).collect(),
        }
    }
}

/// Joins flows, which are in the order of time.
fn sessions(pieces: &[Piece], gap: u64) -> Vec<Session> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut open: HashMap<(IpAddr, u8, (u16, u16)), usize> = HashMap::new();
    for piece in pieces {
        let key = (piece.peer, piece.protocol, piece.ports);
        let place = open.get(&key).copied();
        let place =
            place.filter(|place| drafts.get(*place).is_some_and(|draft| draft.continues_with(piece, gap)));
        let place = place.unwrap_or_else(|| {
            drafts.push(Draft::new(piece));
            open.insert(key, drafts.len() - 1);
            drafts.len() - 1
        });
        if let Some(draft) = drafts.get_mut(place) {
            draft.add(piece);
            // At the same time both began, as exporters with coarse clocks have it: then the client has the higher port.
            let (port, peer_port) = piece.ports;
            if piece.start == draft.start && piece.is_sent != draft.first.is_sent && port != peer_port {
                draft.first.is_sent = port > peer_port;
            }
        }
    }
    drafts.into_iter().map(Draft::session).collect()
}

fn peers(sessions: &[Session]) -> Vec<Peer> {
    const LISTED: usize = 8;
    let mut peers: HashMap<IpAddr, Peer> = HashMap::new();
    for session in sessions {
        let peer = peers.entry(session.peer).or_insert_with(|| Peer {
            peer: session.peer,
            sessions: 0,
            first_ns: session.start_ns,
            last_ns: session.end_ns,
            octets_sent: 0,
            octets_received: 0,
            services: Vec::new(),
        });
        peer.sessions += 1;
        peer.first_ns = peer.first_ns.min(session.start_ns);
        peer.last_ns = peer.last_ns.max(session.end_ns);
        peer.octets_sent = peer.octets_sent.saturating_add(session.sent.octets);
        peer.octets_received = peer.octets_received.saturating_add(session.received.octets);
        let service = session.service();
        if peer.services.len() < LISTED && !peer.services.contains(&service) {
            peer.services.push(service);
        }
    }
    let mut peers: Vec<Peer> = peers.into_values().collect();
    peers.sort_by_key(|peer| (Reverse(peer.octets_sent.saturating_add(peer.octets_received)), peer.peer));
    peers
}

fn pauses(sessions: &[Session], shortest: u64) -> Vec<Pause> {
    let mut pauses = Vec::new();
    let mut busy_until: Option<u64> = None;
    for session in sessions {
        if let Some(start_ns) = busy_until
            && session.start_ns.saturating_sub(start_ns) >= shortest.max(1)
        {
            pauses.push(Pause { start_ns, end_ns: session.start_ns });
        }
        busy_until = Some(busy_until.map_or(session.end_ns, |until| until.max(session.end_ns)));
    }
    pauses
}

impl Session {
    /// Protocol and port of the side that did not begin.
    #[must_use]
    pub fn service(&self) -> String {
        let port = match self.initiator {
            Initiator::Host => self.peer_port,
            Initiator::Peer => self.port,
        };
        port.map_or_else(|| self.protocol.clone(), |port| format!("{}/{port}", self.protocol))
    }
}

impl Report {
    /// The sessions as CSV: a header line, then a line each.
    ///
    /// # Errors
    ///
    /// When the CSV cannot be written, which memory always can.
    pub fn to_csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "start_ns",
            "end_ns",
            "host",
            "peer",
            "proto",
            "port",
            "peer_port",
            "initiator",
            "flows_sent",
            "packets_sent",
            "bytes_sent",
            "tcp_flags_sent",
            "flows_received",
            "packets_received",
            "bytes_received",
            "tcp_flags_received",
            "exporters",
        ])?;
        for session in &self.sessions {
            let port = |port: Option<u16>| port.map_or_else(String::new, |port| port.to_string());
            let (sent, received) = (&session.sent, &session.received);
            let exporters: Vec<String> = session.exporters.iter().map(ToString::to_string).collect();
            let initiator = if session.initiator == Initiator::Host { "host" } else { "peer" };
            writer.write_record([
                session.start_ns.to_string(),
                session.end_ns.to_string(),
                self.host.to_string(),
                session.peer.to_string(),
                session.protocol.clone(),
                port(session.port),
                port(session.peer_port),
                initiator.to_owned(),
                sent.flows.to_string(),
                sent.packets.to_string(),
                sent.octets.to_string(),
                sent.tcp_flags.to_string(),
                received.flows.to_string(),
                received.packets.to_string(),
                received.octets.to_string(),
                received.tcp_flags.to_string(),
                exporters.join(" "),
            ])?;
        }
        let octets = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8(octets).unwrap_or_default())
    }

    fn sessions_table(&self) -> String {
        let mut table = Table::new();
        for (heading, align) in [
            ("Start (UTC)", Align::Left),
            ("Over", Align::Right),
            ("", Align::Left),
            ("Peer", Align::Left),
            ("Service", Align::Left),
            ("Octets sent", Align::Right),
            ("received", Align::Right),
            ("Packets sent", Align::Right),
            ("received", Align::Right),
            ("Flags sent", Align::Left),
            ("received", Align::Left),
            ("Flows", Align::Right),
        ] {
            table.column(heading, align);
        }
        let mut pauses = self.pauses.iter().peekable();
        for session in &self.sessions {
            if let Some(pause) = pauses.next_if(|pause| pause.end_ns <= session.start_ns) {
                let length = duration(pause.end_ns.saturating_sub(pause.start_ns));
                table.row(vec![time(pause.start_ns), length, String::new(), "- quiet -".to_owned()]);
            }
            let flags =
                |way: &Way| if session.protocol == "TCP" { tcp_flags(way.tcp_flags) } else { String::new() };
            table.row(vec![
                time(session.start_ns),
                duration(session.end_ns.saturating_sub(session.start_ns)),
                if session.initiator == Initiator::Host { "->" } else { "<-" }.to_owned(),
                session.peer.to_string(),
                session.service(),
                scaled(session.sent.octets),
                scaled(session.received.octets),
                scaled(session.sent.packets),
                scaled(session.received.packets),
                flags(&session.sent),
                flags(&session.received),
                (session.sent.flows + session.received.flows).to_string(),
            ]);
        }
        table.render()
    }

    fn peers_table(&self) -> String {
        let mut table = Table::new();
        for (heading, align) in [
            ("Peer", Align::Left),
            ("Sessions", Align::Right),
            ("Octets sent", Align::Right),
            ("received", Align::Right),
            ("First (UTC)", Align::Left),
            ("Last (UTC)", Align::Left),
            ("Services", Align::Left),
        ] {
            table.column(heading, align);
        }
        for peer in self.peers.iter().take(50) {
            table.row(vec![
                peer.peer.to_string(),
                peer.sessions.to_string(),
                scaled(peer.octets_sent),
                scaled(peer.octets_received),
                time(peer.first_ns),
                time(peer.last_ns),
                peer.services.join(" "),
            ]);
        }
        table.render()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, peers) = (self.sessions.len(), self.peers.len());
        writeln!(f, "{}: {sessions} sessions with {peers} peers; {}", self.host, self.seen)?;
        if self.sessions.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{}", self.sessions_table())?;
        f.write_str(&self.peers_table())?;
        if peers > 50 {
            writeln!(f, "and {} more peers with less", peers - 50)?;
        }
        for (count, what) in [
            (self.flows_beyond_limit, "flows beyond the limit are left out"),
            (self.flows_without_time, "flows without a time are left out"),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        Ok(())
    }
}
