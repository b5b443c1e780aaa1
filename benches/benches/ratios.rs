//! Ratios in one table: nanoseconds a record, and how that compares to the floor and to the faster peer.
//!
//! All cases of a group take turns, a few milliseconds each, for many rounds. A ratio is the median of the ratios
//! of the single rounds, so that a machine busy with something else slows both sides of it.
//!
//! With `NETFLOW_ENFORCE_RATIOS=1` the exit status is 1 when a target is missed by more than [`MARGIN`].
//! Absolute times are printed and never judged. `NETFLOW_RATIO_ROUNDS` sets the number of rounds, `NETFLOW_RATIO_ONLY`
//! picks the groups whose name contains it.

#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, reason = "a bench")]

mod peers;

use core::{hint::black_box, net::SocketAddr, time::Duration};
use std::{env, process::ExitCode, time::Instant};

use netflow_benches::{
    datagrams::{
        self, IPFIX_FIELDS, IPFIX_RECORDS, IPV4_FIELDS, IPV4_RECORDS, IPV6_FIELDS, IPV6_RECORDS,
        MIXED_TEMPLATES, NAMED_FIELDS, NAMED_RECORDS, Protocol, TEMPLATE_ID, V5_RECORDS, mixed_data,
        mixed_templates, template, v9_data, v9_data_with_template, v9_template,
    },
    floor, ours,
    table::Trace,
};
use netflow_codec::{ExportVersion, FlowRecord};
use peers::{netflow_parser, netgauze, netgauze_ipfix};

const PACKETS: usize = 128;
const EXPORTERS: u32 = 1_000;
const ROUNDS: usize = 41;
/// What one case runs in one round.
const TURN: Duration = Duration::from_millis(3);
/// By how much a target may be missed before that counts.
const MARGIN: f64 = 1.15;

/// Typed decoding of 20 fields: at most so many times the floor.
const DECODE_TO_FLOOR: f64 = 2.5;
/// Typed decoding of 20 fields: at least so many times as fast as the faster peer.
const DECODE_TO_PEER: f64 = 15.0;
/// Encoding of 20 fields, nanoseconds a record: shown, never enforced.
const ENCODE_NANOS: f64 = 10.0;

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Ours,
    Floor,
    Peer,
    Other,
}

struct Case<'a> {
    name: &'static str,
    role: Role,
    /// Does the work once.
    work: Box<dyn FnMut() -> u64 + 'a>,
    /// Whether the work is done once before it is measured: else what other cases did is still in the caches.
    settles: bool,
    repetitions: u32,
    /// Nanoseconds a record, round by round.
    rounds: Vec<f64>,
}

struct Group<'a> {
    name: &'static str,
    /// What one run of a case goes through.
    records: usize,
    cases: Vec<Case<'a>>,
}

impl<'a> Group<'a> {
    const fn new(name: &'static str, records: usize) -> Self {
        Self { name, records, cases: Vec::new() }
    }

    fn case(&mut self, role: Role, name: &'static str, work: impl FnMut() -> u64 + 'a) {
        self.cases.push(Case {
            name,
            role,
            work: Box::new(work),
            settles: false,
            repetitions: 1,
            rounds: Vec::new(),
        });
    }

    fn ours(&mut self, name: &'static str, work: impl FnMut() -> u64 + 'a) {
        self.case(Role::Ours, name, work);
    }

    fn floor(&mut self, name: &'static str, work: impl FnMut() -> u64 + 'a) {
        self.case(Role::Floor, name, work);
    }

    fn peer(&mut self, name: &'static str, work: impl FnMut() -> u64 + 'a) {
        self.case(Role::Peer, name, work);
    }

    /// Shown, and compared with nothing.
    fn other(&mut self, name: &'static str, work: impl FnMut() -> u64 + 'a) {
        self.case(Role::Other, name, work);
    }

    /// The last case is measured as it goes on, not as it begins.
    fn settled(&mut self) {
        if let Some(case) = self.cases.last_mut() {
            case.settles = true;
        }
    }

    fn measure(&mut self, rounds: usize) {
        for case in &mut self.cases {
            // The first run fills caches and predictors, the second one tells how many make a turn.
            case.run();
            let once = case.run().max(Duration::from_nanos(100));
            case.repetitions = u32::try_from(TURN.as_nanos() / once.as_nanos()).unwrap_or(1).max(1);
        }
        let records = f64::from(u32::try_from(self.records).unwrap_or(u32::MAX));
        for _ in 0..rounds {
            for case in &mut self.cases {
                if case.settles {
                    black_box((case.work)());
                }
                let nanos = case.run().as_secs_f64() * 1e9;
                case.rounds.push(nanos / f64::from(case.repetitions) / records);
            }
        }
    }

    /// The first case of a role, or for peers the fastest.
    fn best(&self, role: Role) -> Option<&Case<'a>> {
        let mut cases = self.cases.iter().filter(|case| case.role == role);
        match role {
            Role::Peer => cases.min_by(|a, b| a.nanos().total_cmp(&b.nanos())),
            Role::Ours | Role::Floor | Role::Other => cases.next(),
        }
    }

    fn print(&self) {
        println!("{:<34} {:>9} {:>9} {:>9}", self.name, "ns/record", "x floor", "x peer");
        for case in &self.cases {
            let ratio = |role, inverse: bool| {
                self.best(role).map_or_else(String::new, |other| {
                    let ratio = case.ratio_to(other);
                    format!("{:.2}", if inverse { 1.0 / ratio } else { ratio })
                })
            };
            println!(
                "  {:<32} {:>9.2} {:>9} {:>9}",
                case.name,
                case.nanos(),
                ratio(Role::Floor, false),
                ratio(Role::Peer, true)
            );
        }
        println!();
    }
}

impl Case<'_> {
    fn run(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..self.repetitions {
            black_box((self.work)());
        }
        start.elapsed()
    }

    fn nanos(&self) -> f64 {
        median(self.rounds.iter().copied())
    }

    /// How many times as long as `other` this takes.
    fn ratio_to(&self, other: &Self) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(mine, theirs)| mine / theirs))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn each(datagrams: &[Vec<u8>], mut decode: impl FnMut(&[u8]) -> u64) -> u64 {
    datagrams.iter().fold(0, |sum, datagram| sum.wrapping_add(decode(datagram)))
}

fn decode_v5(datagrams: &[Vec<u8>]) -> Group<'_> {
    let mut group = Group::new("decode v5", V5_RECORDS * datagrams.len());
    let mut decoder = ours::decoder();
    group.ours("flows", move || each(datagrams, |datagram| ours::flows(&mut decoder, datagram)));
    group.ours("v5::Packet, record views", || each(datagrams, ours::v5_views));
    group.floor("floor", || each(datagrams, floor::v5));
    let mut parser = netflow_parser::parser(None);
    group.peer("netflow_parser", move || {
        each(datagrams, |datagram| netflow_parser::decode(&mut parser, datagram))
    });
    group
}

/// What there is to compare with for one template.
struct V9<'a> {
    name: &'static str,
    fields: &'a [(u16, u16)],
    records: usize,
    datagrams: &'a [Vec<u8>],
    floor: Option<fn(&[u8]) -> u64>,
    compact: Option<fn(&[u8]) -> u64>,
}

impl<'a> V9<'a> {
    fn group(&self) -> Group<'a> {
        let Self { name, fields, records, datagrams, floor, compact } = *self;
        let mut group = Group::new(name, records * datagrams.len());
        let template = v9_template(fields);
        let mut decoder = ours::decoder();
        ours::flows(&mut decoder, &template);
        group.ours("flows", move || each(datagrams, |datagram| ours::flows(&mut decoder, datagram)));
        let mut decoder = ours::decoder();
        ours::flows(&mut decoder, &template);
        group.ours("record views, nothing read", move || {
            each(datagrams, |datagram| ours::record_views(&mut decoder, datagram))
        });
        if let Some(floor) = floor {
            group.floor("floor", move || each(datagrams, floor));
        }
        if let Some(compact) = compact {
            group.floor("floor into a struct made for it", move || each(datagrams, compact));
        }
        let mut parser = netflow_parser::parser(Some(&template));
        group.peer("netflow_parser", move || {
            each(datagrams, |datagram| netflow_parser::decode(&mut parser, datagram))
        });
        let mut templates = netgauze::templates(Some(&template));
        group.peer("netgauze, the same members read", move || {
            each(datagrams, |datagram| netgauze::decode_and_read(&mut templates, datagram))
        });
        let mut templates = netgauze::templates(Some(&template));
        group.other("netgauze, values dropped unread", move || {
            each(datagrams, |datagram| netgauze::decode(&mut templates, datagram))
        });
        group
    }
}

/// Other ways to the same records: whole sets by columns, seven of the elements, templates in turn.
fn other_ways<'a>(ipv4: &'a [Vec<u8>], mixed: &'a [Vec<u8>]) -> Group<'a> {
    let template = v9_template(&IPV4_FIELDS);
    let mut group = Group::new("decode v9, other ways", IPV4_RECORDS * ipv4.len());
    let mut decoder = ours::decoder();
    ours::flows(&mut decoder, &template);
    group.ours("flows, for comparison", move || each(ipv4, |datagram| ours::flows(&mut decoder, datagram)));
    let mut decoder = ours::decoder();
    ours::flows(&mut decoder, &mixed_templates());
    group.ours("flows, 16 templates in sets of 6", move || {
        each(mixed, |datagram| ours::flows(&mut decoder, datagram))
    });
    let (mut decoder, mut columns) = (ours::decoder(), ours::columns());
    ours::flows(&mut decoder, &template);
    group
        .ours("columns", move || each(ipv4, |datagram| ours::columned(&mut decoder, &mut columns, datagram)));
    let (mut decoder, mut projection) = (ours::decoder(), ours::five_tuple());
    ours::flows(&mut decoder, &template);
    group.ours("five-tuple and counters, views", move || {
        each(ipv4, |datagram| ours::projected(&mut decoder, &mut projection, datagram))
    });
    group.floor("floor", || each(ipv4, floor::v9_ipv4));
    group
}

/// What there is to compare with for one template of IPFIX.
fn ipfix<'a>(
    name: &'static str,
    fields: &[(u16, u16)],
    records: usize,
    messages: &'a [Vec<u8>],
    floor: fn(&[u8]) -> u64,
) -> Group<'a> {
    let template = template(Protocol::Ipfix, TEMPLATE_ID, fields);
    let mut group = Group::new(name, records * messages.len());
    let mut decoder = ours::decoder();
    ours::flows(&mut decoder, &template);
    group.ours("flows", move || each(messages, |message| ours::flows(&mut decoder, message)));
    group.floor("floor", move || each(messages, floor));
    let mut parser = netflow_parser::parser(Some(&template));
    group.peer("netflow_parser", move || {
        each(messages, |message| netflow_parser::decode(&mut parser, message))
    });
    let mut templates = netgauze_ipfix::templates(Some(&template));
    group.peer("netgauze, the same members read", move || {
        each(messages, |message| netgauze_ipfix::decode_and_read(&mut templates, message))
    });
    group
}

/// A thousand exporters with 16 templates each, in turn: what is known of one has left the caches of a core when its turn
/// comes, and that of the machine, too, where other work has swept it.
fn exporters(datagrams: &[Vec<u8>]) -> Group<'_> {
    let turns = move || datagrams.iter().flat_map(|datagram| (0..EXPORTERS).map(move |one| (one, datagram)));
    let count = usize::try_from(EXPORTERS).unwrap_or(0) * datagrams.len();
    let mut group = Group::new("decode v9, 1000 exporters in turn", IPV4_RECORDS * count);
    for name in ["flows", "flows, caches swept by other work"] {
        let mut decoder = ours::decoder();
        for exporter in 0..EXPORTERS {
            ours::flows_of(&mut decoder, &exporter, &mixed_templates());
        }
        group.ours(name, move || {
            turns().fold(0, |sum, (exporter, datagram)| {
                sum.wrapping_add(ours::flows_of(&mut decoder, &exporter, datagram))
            })
        });
        if name == "flows" {
            group.settled();
        }
    }
    let mut decoder = ours::decoder();
    ours::flows(&mut decoder, &mixed_templates());
    group.floor("the same of one exporter", move || {
        turns().fold(0, |sum, (_, datagram)| sum.wrapping_add(ours::flows(&mut decoder, datagram)))
    });
    let addresses: Vec<_> =
        (0..EXPORTERS).map(|exporter| SocketAddr::from((exporter.to_be_bytes(), 2_055))).collect();
    let mut parser = netflow_parser::scoped(&addresses, &mixed_templates());
    group.peer("netflow_parser, AutoScopedParser", move || {
        datagrams.iter().flat_map(|datagram| addresses.iter().map(move |one| (*one, datagram))).fold(
            0,
            |sum, (exporter, datagram)| {
                sum.wrapping_add(netflow_parser::decode_scoped(&mut parser, exporter, datagram))
            },
        )
    });
    group
}

fn encode_packets(
    flows: &[FlowRecord],
    records: usize,
    mut encode: impl FnMut(&[FlowRecord], &mut Vec<u8>),
    datagram: &mut Vec<u8>,
) -> u64 {
    for flows in flows.chunks(records) {
        datagram.clear();
        encode(flows, datagram);
        black_box(datagram.as_slice());
    }
    datagram.len() as u64
}

fn buffer() -> Vec<u8> {
    Vec::with_capacity(2_048)
}

fn encode_v5(flows: &[FlowRecord]) -> Group<'_> {
    let mut group = Group::new("encode v5", flows.len());
    let (mut encoder, mut datagram) = (ours::V5Encoder::new(), buffer());
    group.ours("v5::PacketBuilder", move || {
        encode_packets(flows, V5_RECORDS, |flows, to| encoder.encode(flows, to), &mut datagram)
    });
    let (mut session, mut datagram) = (ours::session(ExportVersion::V5), buffer());
    group.ours("ExportSession", move || ours::export(&mut session, flows, &mut datagram));
    let mut datagram = buffer();
    group.floor("floor", move || encode_packets(flows, V5_RECORDS, floor::encode_v5, &mut datagram));
    let packets = flows.len() / V5_RECORDS;
    let parsed = netflow_parser::packets(&mut netflow_parser::parser(None), &datagrams::v5(packets));
    group.peer("netflow_parser", move || {
        parsed.iter().map(|packet| black_box(netflow_parser::encode(packet)).len() as u64).sum()
    });
    group
}

fn encode_v9<'a>(flows: &'a [FlowRecord], data: &'a [Vec<u8>]) -> Group<'a> {
    let template = v9_template(&IPV4_FIELDS);
    let mut group = Group::new("encode v9, 20 fields", flows.len());
    let (mut encoder, mut datagram) = (ours::TemplateEncoder::new(), buffer());
    group.ours("PacketBuilder", move || {
        encode_packets(flows, IPV4_RECORDS, |flows, to| encoder.encode(flows, to), &mut datagram)
    });
    let (mut session, mut datagram) = (ours::session(ExportVersion::V9), buffer());
    group.ours("ExportSession, default layout", move || ours::export(&mut session, flows, &mut datagram));
    let mut datagram = buffer();
    group.floor("floor", move || encode_packets(flows, IPV4_RECORDS, floor::encode_v9, &mut datagram));
    let parsed = netflow_parser::packets(&mut netflow_parser::parser(Some(&template)), data);
    group.peer("netflow_parser", move || {
        parsed.iter().map(|packet| black_box(netflow_parser::encode(packet)).len() as u64).sum()
    });
    let mut templates = netgauze::templates(Some(&template));
    let parsed: Vec<_> = data.iter().map(|datagram| netgauze::packet(&mut templates, datagram)).collect();
    let mut datagram = buffer();
    group.peer("netgauze", move || {
        for packet in &parsed {
            datagram.clear();
            netgauze::encode(packet, &templates, &mut datagram);
            black_box(datagram.as_slice());
        }
        datagram.len() as u64
    });
    group
}

fn encode_ipfix<'a>(flows: &'a [FlowRecord], data: &'a [Vec<u8>]) -> Group<'a> {
    let template = template(Protocol::Ipfix, TEMPLATE_ID, &IPFIX_FIELDS);
    let mut group = Group::new("encode IPFIX, 20 fields", flows.len());
    let (mut encoder, mut datagram) = (ours::TemplateEncoder::ipfix(), buffer());
    group.ours("PacketBuilder", move || {
        encode_packets(flows, IPFIX_RECORDS, |flows, to| encoder.encode(flows, to), &mut datagram)
    });
    let (mut session, mut datagram) = (ours::session(ExportVersion::Ipfix), buffer());
    group.ours("ExportSession, default layout", move || ours::export(&mut session, flows, &mut datagram));
    let parsed = netflow_parser::packets(&mut netflow_parser::parser(Some(&template)), data);
    group.peer("netflow_parser", move || {
        parsed.iter().map(|packet| black_box(netflow_parser::encode(packet)).len() as u64).sum()
    });
    let mut templates = netgauze_ipfix::templates(Some(&template));
    let parsed: Vec<_> = data.iter().map(|message| netgauze_ipfix::packet(&mut templates, message)).collect();
    let mut datagram = buffer();
    group.peer("netgauze", move || {
        for packet in &parsed {
            datagram.clear();
            netgauze_ipfix::encode(packet, &templates, &mut datagram);
            black_box(datagram.as_slice());
        }
        datagram.len() as u64
    });
    group
}

fn flow_table<'a>() -> Group<'a> {
    const PACKETS: usize = 10_000;
    let mut group = Group::new("flow table, a packet", PACKETS);
    let (mut hot, mut misses) = (Trace::hot(), Trace::misses());
    group.ours("6,000 flows, all hits", move || hot.run(PACKETS));
    group.ours("270,000 flows, half new", move || misses.run(PACKETS));
    group
}

/// Groups are made one after the other, so that one does not crowd another out of the caches.
type Maker<'a> = Box<dyn Fn() -> Group<'a> + 'a>;

struct Verdict {
    missed: bool,
}

impl Verdict {
    /// `excess` is how many times the target the measured value is, in the direction that is worse.
    fn judge(&mut self, what: &str, measured: f64, target: &str, excess: f64) {
        let word = match excess {
            excess if excess <= 1.0 => "met",
            excess if excess <= MARGIN => "within the margin",
            _ => "MISSED",
        };
        self.missed |= excess > MARGIN;
        println!("{what}: {measured:.2}, target {target}: {word}");
    }
}

fn main() -> ExitCode {
    let rounds =
        env::var("NETFLOW_RATIO_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let only = env::var("NETFLOW_RATIO_ONLY").unwrap_or_default();

    let v5 = datagrams::v5(PACKETS);
    let ipv4 = v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
    let ipv4_with_template = v9_data_with_template(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
    let ipv6 = v9_data(&IPV6_FIELDS, IPV6_RECORDS, PACKETS);
    let v5_flows = datagrams::flows(V5_RECORDS * PACKETS, false);
    let v9_flows = datagrams::flows(IPV4_RECORDS * PACKETS, false);
    let ipfix_flows = datagrams::flows(IPFIX_RECORDS * PACKETS, false);
    let ipfix_data = datagrams::data(Protocol::Ipfix, &IPFIX_FIELDS, IPFIX_RECORDS, PACKETS, false);
    let named = datagrams::data(Protocol::Ipfix, &NAMED_FIELDS, NAMED_RECORDS, PACKETS, false);
    let mixed = mixed_data(6, PACKETS);
    let of_each_template = mixed_data(IPV4_RECORDS, MIXED_TEMPLATES.into());
    let v9 = |name, datagrams| V9 {
        name,
        fields: &IPV4_FIELDS,
        records: IPV4_RECORDS,
        datagrams,
        floor: Some(floor::v9_ipv4),
        compact: Some(floor::v9_ipv4_compact),
    };
    let typed = v9("decode v9, 20 fields", &ipv4);
    let announced =
        V9 { floor: None, compact: None, ..v9("decode v9, template in each packet", &ipv4_with_template) };
    let labelled = V9 {
        name: "decode v9, IPv6 and MPLS",
        fields: &IPV6_FIELDS,
        records: IPV6_RECORDS,
        datagrams: &ipv6,
        floor: Some(floor::v9_ipv6),
        compact: None,
    };

    let mut verdict = Verdict { missed: false };
    let groups: [(&str, Maker<'_>); 12] = [
        ("decode v5", Box::new(|| decode_v5(&v5))),
        (typed.name, Box::new(|| typed.group())),
        (announced.name, Box::new(|| announced.group())),
        (labelled.name, Box::new(|| labelled.group())),
        ("decode v9, other ways", Box::new(|| other_ways(&ipv4, &mixed))),
        (
            "decode IPFIX, 20 fields",
            Box::new(|| {
                let floor = floor::ipfix_ipv4;
                ipfix("decode IPFIX, 20 fields", &IPFIX_FIELDS, IPFIX_RECORDS, &ipfix_data, floor)
            }),
        ),
        (
            "decode IPFIX, variable length",
            Box::new(|| {
                let floor = floor::ipfix_named;
                ipfix("decode IPFIX, variable length", &NAMED_FIELDS, NAMED_RECORDS, &named, floor)
            }),
        ),
        ("decode v9, 1000 exporters", Box::new(|| exporters(&of_each_template))),
        ("encode v5", Box::new(|| encode_v5(&v5_flows))),
        ("encode v9, 20 fields", Box::new(|| encode_v9(&v9_flows, &ipv4))),
        ("encode IPFIX, 20 fields", Box::new(|| encode_ipfix(&ipfix_flows, &ipfix_data))),
        ("flow table", Box::new(flow_table)),
    ];
    for (name, group) in groups {
        if !name.contains(&only) {
            continue;
        }
        let mut group = group();
        group.measure(rounds);
        group.print();
        let (Some(ours), Some(floor), Some(peer)) =
            (group.best(Role::Ours), group.best(Role::Floor), group.best(Role::Peer))
        else {
            continue;
        };
        if group.name == "decode v9, 20 fields" || group.name == "decode IPFIX, 20 fields" {
            let ratio = ours.ratio_to(floor);
            verdict.judge(
                "typed flows to floor",
                ratio,
                &format!("<= {DECODE_TO_FLOOR}"),
                ratio / DECODE_TO_FLOOR,
            );
            let ratio = peer.ratio_to(ours);
            verdict.judge(
                "typed flows to the faster peer",
                ratio,
                &format!(">= {DECODE_TO_PEER}"),
                DECODE_TO_PEER / ratio,
            );
            println!();
        } else if group.name == "encode v9, 20 fields" {
            println!(
                "encode: {:.2} ns a record, aim {ENCODE_NANOS} (a time, never enforced)\n",
                ours.nanos()
            );
        }
    }
    let enforce = env::var("NETFLOW_ENFORCE_RATIOS").is_ok_and(|value| value == "1");
    if verdict.missed && enforce { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
