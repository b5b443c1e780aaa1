//! What is answered from columns is what is answered from flows, one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::fs;

use common::stored::{NOON, afternoon, store_by};
use netflow_codec::{FlowRecord, Timestamp};
use netflow_probe_example::{
    output::{FlowSink as _, JsonSink},
    query::{
        Bins, Filter, Groups, GroupsOfStore, Order, Question, Scanned, Series, SeriesOfStore, Totals, Window,
        parse_keys,
    },
    store::StoreReader,
};

const FILTERS: [&str; 34] = [
    "any",
    "tcp",
    "not tcp",
    "proto udp and port 53",
    "src ip 10.0.0.7",
    "ip 203.0.113.12",
    "dst ip 203.0.113.12",
    "ip in [10.0.0.1 10.0.0.2 2001:db8::3]",
    "src net 10.0.0.0/28",
    "not src net 10.0.0.0/8 and not net 203.0.113.0/24",
    "inet6",
    "inet and not (tcp or icmp)",
    "src ip 192.0.2.99",
    "bytes > 500k",
    "bytes < 100",
    "packets >= 1000 or icmp",
    "bps > 10M",
    "duration > 1m",
    "bpp 499",
    "src and dst port 53",
    "port in [22 80]",
    "not port 443 and port > 40000",
    "dst port != 443",
    "flags S and not flags U",
    "flags R",
    "src as 64500",
    "not as 64500",
    "in if 3 and tos 0",
    "in if in [1 2 4] or out if 9",
    "router ip 192.0.2.254",
    "not router ip 192.0.2.254",
    "next ip 203.0.113.1",
    "mpls label1 16 or vlan 7",
    "observation domain id 0 and sampling 100",
];

const KEYS: [&str; 15] = [
    "srcip",
    "proto",
    "dstport",
    "proto,srcip,dstip,srcport,dstport",
    "ip",
    "port,ip",
    "srcip4/24,dstport",
    "srcnet",
    "srcip6/32",
    "router,odid,sampling",
    "flags",
    "vlan,mpls1",
    "srcas,next",
    "inif,ipversion",
    "icmptype,icmpcode",
];

fn windows() -> [Window; 3] {
    let at = |minute: u64| Some(Timestamp::from_secs(NOON + 60 * minute));
    [Window::default(), Window { from: at(120), to: at(170) }, Window { from: at(355), to: None }]
}

/// An afternoon in which some flows lack what others have.
fn flows() -> Vec<FlowRecord> {
    let mut flows = afternoon();
    for (number, flow) in flows.iter_mut().enumerate() {
        if number % 3 == 0 {
            flow.source_as = 64_500;
            flow.source_prefix_length = 24;
            flow.next_hop =
                if flow.source.is_ipv6() { "2001:db8::fe" } else { "203.0.113.1" }.parse().unwrap();
        }
        if number % 5 == 0 {
            flow.vlan = 7;
            flow.mpls_labels.set(0, [0, 1, 1]);
        }
        if flow.protocol == 1 {
            (flow.source_port, flow.icmp_type_code) = (0, 0x0800);
        }
    }
    flows
}

#[test]
fn columns_answer_as_flows_do() {
    let folder = tempfile::tempdir().unwrap();
    store_by(folder.path(), 3_600, 100, &flows());
    for window in windows() {
        let reader = StoreReader::open(folder.path(), window.from, window.to).unwrap();
        for (number, text) in FILTERS.iter().enumerate() {
            let filter = Filter::parse(text).unwrap();
            let question = Question { reader: &reader, window, filter: &filter };
            let keys = [KEYS[number % KEYS.len()], KEYS[(number * 7 + 3) % KEYS.len()], "srcip"];
            let scaled = number % 2 == 0;
            let empty: Vec<Groups> = keys
                .iter()
                .map(|keys| Groups::new(parse_keys(keys).unwrap(), 10_000, Order::Octets))
                .collect();
            let bins = Bins::covering(NOON, NOON + 21_600, 100);
            let key = parse_keys(["proto", "dstport", "srcip"][number % 3]).unwrap().remove(0);
            let mut series = Series::new(bins, Some(key), None);

            let (mut groups, mut total, mut expected) = (empty.clone(), Totals::default(), Vec::new());
            let mut lines = JsonSink::new(&mut expected);
            for file in reader.files() {
                reader
                    .read(file, |flow| {
                        if window.admits(flow) && filter.matches(flow) {
                            for groups in &mut groups {
                                groups.add(flow, scaled);
                            }
                            total.add(flow, scaled);
                            series.add(flow, scaled);
                            lines.flow(flow)?;
                        }
                        Ok(())
                    })
                    .unwrap();
            }

            lines.flush().unwrap();
            let make = || GroupsOfStore::new(empty.clone(), scaled);
            let Scanned { gathered, damaged } = question.gather(make);
            assert!(damaged.is_empty());
            assert_eq!(gathered.total, total, "{text}");
            for ((expected, found), keys) in groups.iter().zip(&gathered.groups).zip(keys) {
                let expected = expected.ranking(Order::Octets, usize::MAX);
                assert_eq!(found.ranking(Order::Octets, usize::MAX), expected, "{keys} of {text}");
            }
            let key = parse_keys(["proto", "dstport", "srcip"][number % 3]).unwrap().remove(0);
            let empty = SeriesOfStore { series: Series::new(bins, Some(key), None), scaled };
            let found = question.gather(|| empty.clone()).gathered.series;
            assert_eq!((found.lines(), found.undated()), (series.lines(), series.undated()), "{text}");

            // The flows themselves, in their order.
            let mut found = Vec::new();
            let mut lines = JsonSink::new(&mut found);
            let damaged = question.each_flow(|flow| lines.flow(flow)).unwrap();
            lines.flush().unwrap();
            assert!(damaged.is_empty() && found == expected, "{text}");
        }
    }
}

#[test]
fn the_filters_and_keys_of_this_test_find_something() {
    let folder = tempfile::tempdir().unwrap();
    store_by(folder.path(), 1_800, 1_000, &flows());
    let reader = StoreReader::open(folder.path(), None, None).unwrap();
    let count = |filter: &str, keys: &str| {
        let filter = Filter::parse(filter).unwrap();
        let question = Question { reader: &reader, window: Window::default(), filter: &filter };
        let groups = vec![Groups::new(parse_keys(keys).unwrap(), 10_000, Order::Octets)];
        let gathered = question.gather(|| GroupsOfStore::new(groups.clone(), false));
        let groups = gathered.gathered.groups[0].ranking(Order::Octets, usize::MAX).len();
        (gathered.gathered.total.flows, groups)
    };
    let found = FILTERS.iter().filter(|filter| count(filter, "srcip").0 > 0).count();
    assert!(found >= 26, "{found}");
    for keys in KEYS {
        assert!(count("any", keys).1 > 0, "{keys}");
    }
}

#[test]
fn a_damaged_file_is_named_and_the_others_answer() {
    let folder = tempfile::tempdir().unwrap();
    store_by(folder.path(), 1_800, 1_000, &flows());
    let reader = StoreReader::open(folder.path(), None, None).unwrap();
    let filter = Filter::parse("any").unwrap();
    let question = Question { reader: &reader, window: Window::default(), filter: &filter };
    let total = || {
        let scanned = question.gather(|| GroupsOfStore::new(Vec::new(), false));
        (scanned.gathered.total.flows, scanned.damaged)
    };
    let (all, none) = total();
    assert!(none.is_empty() && all > 2_000);
    // Any octet may be wrong: nothing panics, and the file is named or its flows are other ones.
    let path = reader.files()[5].clone();
    let sound = fs::read(&path).unwrap();
    let mut named = 0;
    for place in (0..sound.len()).step_by(sound.len() / 100) {
        let mut damaged = sound.clone();
        damaged[place] ^= 0xff;
        fs::write(&path, damaged).unwrap();
        let (flows, damaged) = total();
        let mut shown = 0;
        let listed = question
            .each_flow(|_| {
                shown += 1;
                Ok(())
            })
            .unwrap();
        assert!(flows >= all - 400 && shown >= all - 400, "{place}");
        assert!(damaged.iter().chain(&listed).all(|damaged| damaged.path == path));
        named += usize::from(!listed.is_empty());
    }
    assert!(named > 10, "{named}");
    // And cut off anywhere.
    for length in (0..sound.len()).step_by(sound.len() / 20) {
        fs::write(&path, &sound[..length]).unwrap();
        assert_eq!(total().1.len(), 1, "{length}");
    }
}
