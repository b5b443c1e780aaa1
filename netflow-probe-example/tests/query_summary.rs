//! What files sum up of their flows answers as the flows do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{fs, path::Path};

use common::stored::{NOON, afternoon, flow, store_sampled};
use netflow_codec::{FlowRecord, Timestamp};
use netflow_probe_example::{
    query::{
        Bins, Filter, Groups, GroupsOfStore, Order, Question, Series, SeriesOfStore, Totals, Window,
        parse_keys,
    },
    store::StoreReader,
};

/// An afternoon with flows of hours and of days among them.
fn flows() -> Vec<FlowRecord> {
    let mut flows = afternoon();
    for (place, hours) in [(100, 1), (500, 3), (900, 24)] {
        let end = flows[place].end.as_millis() - NOON * 1_000;
        let mut long = flow(6, "10.9.9.9", 443, 123_456_789, 0, end);
        long.start = Timestamp::from_millis(long.end.as_millis() - hours * 3_600_000);
        flows.insert(place, long);
    }
    flows
}

fn windows() -> [Window; 4] {
    let at = |second: u64| Some(Timestamp::from_secs(NOON + second));
    [
        Window::default(),
        Window { from: at(7_200), to: at(10_207) },
        Window { from: at(1_799), to: None },
        Window { from: None, to: at(3_601) },
    ]
}

/// A series by protocol or of one line, and which files are damaged.
fn series(
    reader: &StoreReader,
    window: Window,
    bins: Bins,
    by: Option<&str>,
    scaled: bool,
) -> (Series, usize) {
    let filter = Filter::any();
    let question = Question { reader, window, filter: &filter };
    let key = by.map(|by| parse_keys(by).unwrap().remove(0));
    let empty = SeriesOfStore { series: Series::new(bins, key, None), scaled };
    let scanned = question.gather(|| empty.clone());
    (scanned.gathered.series, scanned.damaged.len())
}

fn groups(reader: &StoreReader, window: Window, keys: &str) -> (Groups, Totals, usize) {
    let filter = Filter::any();
    let question = Question { reader, window, filter: &filter };
    let empty = Groups::new(parse_keys(keys).unwrap(), 10_000, Order::Octets);
    let scanned = question.gather(|| GroupsOfStore::new(vec![empty.clone()], true));
    let damaged = scanned.damaged.len();
    (scanned.gathered.groups.into_iter().next().unwrap(), scanned.gathered.total, damaged)
}

/// Changes each file.
fn change(reader: &StoreReader, change: impl Fn(&mut Vec<u8>)) {
    for path in reader.files() {
        let mut octets = fs::read(path).unwrap();
        change(&mut octets);
        fs::write(path, octets).unwrap();
    }
}

/// Where the key of the summary is.
fn key(octets: &[u8]) -> usize {
    octets.windows(15).position(|part| part == b"netflow.summary").unwrap()
}

fn footer(octets: &[u8]) -> usize {
    let end = octets.len() - 8;
    end - u32::from_le_bytes(octets[end..end + 4].try_into().unwrap()) as usize
}

fn stored(folder: &Path) -> StoreReader {
    store_sampled(folder, 600, 100, 7, &flows());
    let reader = StoreReader::open(folder, None, None).unwrap();
    assert!(reader.files().len() > 30);
    reader
}

#[test]
fn what_is_summed_up_is_what_the_flows_come_to() {
    let folder = tempfile::tempdir().unwrap();
    let all = stored(folder.path());
    let filter = Filter::any();
    for window in windows() {
        let reader = StoreReader::open(folder.path(), window.from, window.to).unwrap();
        for (most, by, scaled) in [
            (2, None, false),
            (6, Some("proto"), true),
            (30, Some("proto"), false),
            (400, Some("proto"), true),
            (400, None, true),
        ] {
            let bins = Bins::covering(NOON - 3_600, NOON + 21_600, most);
            let key = by.map(|by| parse_keys(by).unwrap().remove(0));
            let mut expected = Series::new(bins, key, None);
            let question = Question { reader: &reader, window, filter: &filter };
            question
                .each_flow(|flow| {
                    expected.add(flow, scaled);
                    Ok(())
                })
                .unwrap();
            let (found, damaged) = series(&reader, window, bins, by, scaled);
            assert_eq!((found.lines(), found.undated(), damaged), (expected.lines(), 0, 0), "{bins:?}");
            assert!(!found.lines().is_empty());
        }
        let mut expected = Groups::new(parse_keys("proto").unwrap(), 10_000, Order::Octets);
        let mut total = Totals::default();
        Question { reader: &reader, window, filter: &filter }
            .each_flow(|flow| {
                expected.add(flow, true);
                total.add(flow, true);
                Ok(())
            })
            .unwrap();
        let (found, found_total, _) = groups(&reader, window, "proto");
        assert_eq!(found.ranking(Order::Octets, 9), expected.ranking(Order::Octets, 9));
        assert_eq!(found_total, total);
        // They are sampled.
        let (_, metered, _) = groups(&reader, window, "proto,sampling");
        assert_eq!(metered.octets % 7, 0);
    }
    assert!(all.span().is_some());
}

#[test]
fn a_graph_by_protocol_reads_no_column_and_does_without_a_summary_that_is_missing_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let reader = stored(folder.path());
    let bins = Bins::covering(NOON, NOON + 21_600, 100);
    let ask = || {
        let (of_protocols, damaged) = series(&reader, Window::default(), bins, Some("proto"), true);
        let lines: Vec<_> =
            of_protocols.lines().iter().map(|(value, line)| (value.cloned(), line.to_vec())).collect();
        let (_, total, of_groups) = groups(&reader, Window::default(), "proto");
        (lines, total, damaged + of_groups)
    };
    let sound = ask();
    assert_eq!((sound.0.len(), sound.2), (3, 0));

    // One character of the summary is wrong, or of its key.
    for behind in [40, 60, 5] {
        let whole: Vec<_> = reader.files().iter().map(|path| fs::read(path).unwrap()).collect();
        change(&reader, |octets| {
            let place = key(octets) + behind;
            octets[place] ^= 1;
        });
        assert_eq!(ask(), sound, "{behind}");
        for (path, octets) in reader.files().iter().zip(whole) {
            fs::write(path, octets).unwrap();
        }
    }

    // Nothing of the columns is left.
    change(&reader, |octets| {
        let end = footer(octets);
        octets[4..end].fill(0);
    });
    assert_eq!(ask(), sound);
    let files = reader.files().len();
    assert_eq!(series(&reader, Window::default(), bins, Some("dstport"), true).1, files);
    // Now the summaries, too.
    change(&reader, |octets| {
        let place = key(octets) + 60;
        octets[place] ^= 1;
    });
    assert_eq!(ask().2, 2 * files);
}
