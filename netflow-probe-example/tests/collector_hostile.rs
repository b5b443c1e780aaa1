//! Whatever comes, the collector neither panics nor prints what cannot be read back.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod collector_datagrams;

use collector_datagrams::{PLAIN, options_template, plain, set, template, v5, v7, v9};
use netflow_codec::{CacheLimits, Strictness, Timestamp};
use netflow_probe_example::{
    collector::Collector,
    flow::Flow,
    output::{CsvSink, FlowSink, JsonSink, RecordsSink, TableSink},
    query::Traffic,
    receive::is_plausible,
};
use proptest::prelude::*;
use serde_json::Value;

/// Datagrams that together use most of what there is.
fn seeds() -> Vec<Vec<u8>> {
    let odd = [
        (8, 4),
        (27, 16),
        (1, 0),
        (1, 8),
        (22, 4),
        (21, 4),
        (152, 8),
        (82, 5),
        (40_000, 3),
        (70, 3),
        (70, 3),
    ];
    let variable = [(8, 4), (82, 0xffff), (321, 8)];
    vec![
        v5(7, 2),
        v7(9),
        v9(1, 1, &[template(256, &PLAIN), set(256, &plain(1, 9)), set(100, b"reserved")]),
        v9(
            1,
            2,
            &[
                options_template(257, &[(34, 4), (82, 6)]),
                set(257, &[0, 0, 0, 1, 0, 0, 0, 10, b'e', b'"', 0, 0xff, 1, 2]),
            ],
        ),
        v9(1, 3, &[set(258, &[0x5a; 130]), template(258, &odd)]),
        v9(1, 4, &[template(259, &variable), set(259, b"\x0a\0\0\x01\x04\"\\\n\x01\x7f\xf8\0\0\0\0\0\0")]),
    ]
}

/// A sink that feeds the tables of the greatest.
#[derive(Default)]
struct Top(Traffic);

impl FlowSink for Top {
    fn flow(&mut self, flow: &Flow<'_>) -> std::io::Result<()> {
        self.0.add(&flow.record);
        Ok(())
    }
}

fn check(datagrams: &[Vec<u8>], strictness: Strictness) {
    let (mut records, mut json, mut csv, mut table) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let sinks = (
        (RecordsSink::new(&mut records), JsonSink::new(&mut json)),
        ((CsvSink::new(&mut csv), TableSink::new(&mut table)), Top::default()),
    );
    let mut collector = Collector::with_limits(sinks, CacheLimits::default(), strictness);
    for datagram in datagrams {
        let _ = is_plausible(datagram);
        collector.handle_datagram("192.0.2.1:9".parse().unwrap(), datagram, Timestamp::from_secs(1)).unwrap();
    }
    collector.flush().unwrap();
    let summary = collector.summary();
    let (text, account) = (summary.to_string(), summary.to_json());
    assert!(text.starts_with("datagrams"));
    let (_, (_, Top(traffic))) = collector.into_sink();
    let _ = (traffic.pairs_table(3), traffic.protocols_table(3), traffic.timeline().render());
    let lines = |text: Vec<u8>| -> Vec<Value> {
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (records, flows) = (lines(records), lines(json));
    let rows: Vec<_> = csv::Reader::from_reader(csv.as_slice()).into_records().map(Result::unwrap).collect();
    let is_data = |record: &&Value| record["kind"] == "data";
    assert_eq!(records.iter().filter(is_data).count(), flows.len());
    assert_eq!((rows.len(), &account["data_records"]), (flows.len(), &flows.len().into()));
    assert_eq!(String::from_utf8(table).unwrap().lines().count(), flows.len() + 1);
    for record in &records {
        let length: usize = record["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["hex"].as_str().unwrap().len() / 2)
            .sum();
        assert!(length as u64 <= record["length"].as_u64().unwrap(), "{record}");
    }
}

#[test]
fn every_truncation_of_every_datagram_is_survived() {
    let seeds = seeds();
    check(&seeds, Strictness::Lenient);
    for (index, seed) in seeds.iter().enumerate() {
        for length in 0..seed.len() {
            let mut datagrams = seeds.clone();
            datagrams[index].truncate(length);
            check(&datagrams, Strictness::Lenient);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changed_octets_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..12),
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        strict in any::<bool>(),
    ) {
        let mut datagrams = seeds();
        for (datagram, place, octet) in changes {
            let datagram = datagram.get_mut(&mut datagrams);
            let place = place.index(datagram.len());
            datagram[place] = octet;
        }
        let mut sent: Vec<_> = order.iter().map(|index| datagrams[*index].clone()).collect();
        sent.extend(datagrams);
        check(&sent, if strict { Strictness::Rfc } else { Strictness::Lenient });
    }

    #[test]
    fn any_octets_are_survived(datagram in prop::collection::vec(any::<u8>(), 0..200), version in 0..12_u8) {
        let mut datagram = datagram;
        if let Some([high, low]) = datagram.first_chunk_mut() {
            (*high, *low) = (0, version);
        }
        check(&[datagram], Strictness::Lenient);
    }
}
