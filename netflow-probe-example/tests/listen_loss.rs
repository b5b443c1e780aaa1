//! The account of loss is exact: datagrams are dropped, doubled and swapped on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::Ipv4Addr;
use std::net::UdpSocket;

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use common::listening::Listening;
use netflow_codec::Timestamp;
use netflow_probe_example::{collector::Collector, output::JsonSink};
use serde_json::Value;

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Datagrams of an exporter, and what each counts in its sequence numbers.
fn sent(version: u16, count: u32, first: u32, chance: &mut Chance) -> Vec<(Vec<u8>, u64)> {
    let mut sequence = first;
    let mut datagrams = Vec::new();
    for number in 0..count {
        let records = usize::try_from(1 + chance.below(20)).unwrap();
        let (datagram, units) = match version {
            5 => (v5(sequence, records), u32::try_from(records).unwrap()),
            9 => {
                let announced = if number % 50 == 0 { template(256, &PLAIN) } else { Vec::new() };
                let data = set(256, &plain(1, 7).repeat(records));
                (
                    v9(
                        3,
                        sequence,
                        &[announced, data].into_iter().filter(|set| !set.is_empty()).collect::<Vec<_>>(),
                    ),
                    1,
                )
            }
            _ => {
                // Templates do not count, records do: of flows and of options.
                let announced = if number % 50 == 0 { set(2, &[1, 0, 0, 1, 0, 1, 0, 4]) } else { Vec::new() };
                let data = set(256, &7_u32.to_be_bytes().repeat(records));
                let sets = [announced, data].concat();
                let length = u16::try_from(16 + sets.len()).unwrap();
                let mut message = [&[0, 10][..], &length.to_be_bytes()].concat();
                for word in [1_700_000_000, sequence, 3] {
                    message.extend(word.to_be_bytes());
                }
                message.extend(sets);
                (message, u32::try_from(records).unwrap())
            }
        };
        sequence = sequence.wrapping_add(units);
        datagrams.push((datagram, u64::from(units)));
    }
    datagrams
}

/// What was done on the way.
#[derive(Debug, Default, PartialEq)]
struct Way {
    lost: u64,
    late: u64,
    duplicates: u64,
    arrived: u64,
}

/// Drops, doubles and swaps, but not the first and the last, of which nobody could know, nor what carries templates.
fn on_the_way(sent: &[(Vec<u8>, u64)], chance: &mut Chance) -> (Vec<Vec<u8>>, Way) {
    let (mut way, mut received) = (Way::default(), Vec::new());
    let mut number = 0;
    while number < sent.len() {
        let (datagram, units) = &sent[number];
        let is_free = |number: usize| !number.is_multiple_of(50) && number + 2 < sent.len();
        match chance.below(20) {
            0 | 1 if is_free(number) => way.lost += units,
            2 if is_free(number) => {
                received.extend([datagram.clone(), datagram.clone()]);
                way.duplicates += 1;
                way.arrived += units;
            }
            3 if is_free(number) && is_free(number + 1) => {
                let (next, more) = &sent[number + 1];
                received.extend([next.clone(), datagram.clone()]);
                way.late += 1;
                way.arrived += units + more;
                number += 1;
            }
            _ => {
                received.push(datagram.clone());
                way.arrived += units;
            }
        }
        number += 1;
    }
    (received, way)
}

/// What the account says of a stream, or of all.
fn told(sequence: &Value, lost: &str) -> Way {
    let count = |name: &str| sequence[name].as_u64().unwrap();
    Way {
        lost: count(lost),
        late: count("late"),
        duplicates: count("duplicates"),
        arrived: sequence["received"].as_u64().unwrap_or(0),
    }
}

#[test]
fn loss_is_exact_for_every_version_whatever_happens_on_the_way() {
    // C4, C6, C8
    for version in [5, 9, 10] {
        for seed in 1..=20_u64 {
            let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // Half of them over the end of the numbers.
            let first = if seed % 2 == 0 { u32::MAX - 2_000 } else { 70 };
            let sent = sent(version, 1_000, first, &mut chance);
            let (received, way) = on_the_way(&sent, &mut chance);
            assert!(way.lost > 20 && way.late > 5 && way.duplicates > 5, "{way:?}");
            let mut collector = Collector::new(JsonSink::new(Vec::new()));
            for datagram in &received {
                let time = Timestamp::from_secs(1_700_000_000);
                collector.handle_datagram("192.0.2.1:9".parse().unwrap(), datagram, time).unwrap();
            }
            let summary = collector.summary().to_json();
            let stream = &summary["exporters"][0]["domains"][0]["sequence"];
            assert_eq!(told(stream, "lost"), way, "v{version}, seed {seed}");
            assert_eq!(stream["expected"], way.lost + way.arrived);
            assert_eq!((&stream["resets"], &stream["strays"]), (&0.into(), &0.into()));
        }
    }
}

#[test]
fn workers_account_for_each_exporter_by_itself() {
    // C3, C4
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--workers", "2"]);
    let mut chance = Chance(7);
    let exporters: Vec<_> = (0..6_u8)
        .map(|host| {
            let version = [5, 9, 10][usize::from(host) % 3];
            let sent = sent(version, 200, 0, &mut chance);
            let (received, way) = on_the_way(&sent, &mut chance);
            let address = Ipv4Addr::new(127, 0, 5, host);
            (UdpSocket::bind((address, 0)).unwrap(), address, received, way)
        })
        .collect();
    let most = exporters.iter().map(|(_, _, received, _)| received.len()).max().unwrap();
    for number in 0..most {
        for (socket, _, received, _) in &exporters {
            if let Some(datagram) = received.get(number) {
                socket.send_to(datagram, collector.addresses[0]).unwrap();
            }
        }
        if number % 20 == 0 {
            collector.drained();
        }
    }
    let left = collector.terminate();
    for (_, address, received, way) in &exporters {
        let all = left.summary["exporters"].as_array().unwrap();
        let exporter = all.iter().find(|exporter| exporter["exporter"] == address.to_string()).unwrap();
        assert_eq!(exporter["datagrams"], received.len());
        assert_eq!(told(&exporter["domains"][0]["sequence"], "lost"), *way, "{address}");
    }
}

/// A datagram, what it counts in the sequence numbers, when it was sent, and whether it may be touched on the way.
struct Sent {
    datagram: Vec<u8>,
    units: u64,
    secs: u64,
    is_free: bool,
}

/// Several lives of an exporter: the first over the end of the numbers, the others from their beginning on. Of the
/// beginning and the end of a life nothing may be lost: no number would tell.
fn lives(version: u16, chance: &mut Chance) -> Vec<Sent> {
    const DATAGRAMS: u32 = 400;
    let mut all = Vec::new();
    for life in 0..4_u32 {
        let boot = 1_700_000_000 + life * 1_000;
        let first = if life == 0 { u32::MAX - 300 } else { 0 };
        for (number, (mut datagram, units)) in (0_u32..).zip(sent(version, DATAGRAMS, first, chance)) {
            let secs = boot + 60 + number / 10;
            if version == 10 {
                datagram[4..8].copy_from_slice(&secs.to_be_bytes());
            } else {
                datagram[4..8].copy_from_slice(&((secs - boot) * 1_000).to_be_bytes());
                datagram[8..12].copy_from_slice(&secs.to_be_bytes());
            }
            let is_free = number > 12 && number + 12 < DATAGRAMS && !number.is_multiple_of(50);
            all.push(Sent { datagram, units, secs: secs.into(), is_free });
        }
    }
    all
}

/// Drops some, has some come twice, and some up to six datagrams later; says which come, and what that is.
fn hard_way(sent: &[Sent], chance: &mut Chance) -> (Vec<usize>, Way) {
    let (mut way, mut delivered) = (Way::default(), Vec::new());
    let free = |place: usize| sent.get(place).is_some_and(|sent| sent.is_free);
    for (number, Sent { units, .. }) in sent.iter().enumerate() {
        // What is held back must not come behind what may not be touched.
        let later = |chance: &mut Chance| {
            let by = usize::try_from(1 + chance.below(6)).unwrap();
            if (number..=number + by).all(free) { 2 * (number + by) + 1 } else { 2 * number }
        };
        let mut arrive = |at: usize| delivered.push((at, number));
        match chance.below(20) {
            0..=2 if free(number) => {
                way.lost += units;
                continue;
            }
            3 | 4 if free(number) => {
                arrive(2 * number);
                arrive(later(chance));
                way.duplicates += 1;
            }
            5..=7 => arrive(later(chance)),
            _ => arrive(2 * number),
        }
        way.arrived += units;
    }
    delivered.sort_by_key(|(at, _)| *at);
    let order: Vec<usize> = delivered.into_iter().map(|(_, number)| number).collect();
    let (mut newest, mut seen) = (0, vec![false; sent.len()]);
    for number in &order {
        way.late += u64::from(*number < newest && !seen[*number]);
        newest = newest.max(*number);
        seen[*number] = true;
    }
    (order, way)
}

#[test]
fn loss_is_exact_over_restarts_of_exporters_and_the_end_of_their_numbers() {
    // C4, C6, C8, C9
    for seed in 1..=8_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut collector = Collector::new(JsonSink::new(Vec::new()));
        let exporters: Vec<_> = [5_u16, 9, 10]
            .into_iter()
            .map(|version| {
                let sent = lives(version, &mut chance);
                let (order, way) = hard_way(&sent, &mut chance);
                assert!(way.lost > 100 && way.late > 100 && way.duplicates > 100, "{way:?}");
                (version, sent, order, way)
            })
            .collect();
        let most = exporters.iter().map(|(.., order, _)| order.len()).max().unwrap();
        for place in 0..most {
            for (version, sent, order, _) in &exporters {
                let Some(number) = order.get(place) else { continue };
                let exporter = (Ipv4Addr::new(192, 0, 2, version.to_be_bytes()[1]), 9).into();
                let Sent { datagram, secs, .. } = &sent[*number];
                collector.handle_datagram(exporter, datagram, Timestamp::from_secs(*secs)).unwrap();
            }
        }
        let summary = collector.summary().to_json();
        for (version, _, _, way) in &exporters {
            let all = summary["exporters"].as_array().unwrap();
            let exporter = all.iter().find(|e| e["exporter"] == format!("192.0.2.{version}")).unwrap();
            let stream = &exporter["domains"][0]["sequence"];
            assert_eq!(told(stream, "lost"), *way, "v{version}, seed {seed}: {stream}");
            assert_eq!(
                (&stream["resets"], &stream["strays"]),
                (&3.into(), &0.into()),
                "v{version}, seed {seed}"
            );
        }
    }
}
