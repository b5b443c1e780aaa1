//! AS and country of addresses, from databases that are written here by the document of their format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use std::{fs, net::UdpSocket, path::Path, process::Command};

use collector_datagrams::v5;
use common::{
    listening::{Listening, PROGRAM},
    maxmind::{autonomous_system, country, database},
    peers::wait_until,
};
use netflow_probe_example::{
    enrichment::{Enrichment, Origin},
    flow::Country,
    pcap::DatagramWriter,
};
use serde_json::Value;

/// Flows of [`v5`] go from 10.5.0.N to 198.51.100.1.
fn databases(folder: &Path) -> [String; 2] {
    let countries = database(
        "Test-Country",
        &[
            ("10.5.0.0/25", country("DE")),
            ("198.51.100.0/24", country("FR")),
            ("2001:db8::/32", country("JP")),
        ],
    );
    let systems = database(
        "Test-ASN",
        &[("10.5.0.0/16", autonomous_system(64_500)), ("2001:db8::/32", autonomous_system(4_200_000_000))],
    );
    [("country.mmdb", countries), ("asn.mmdb", systems)].map(|(name, octets)| {
        let path = folder.join(name);
        fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

#[test]
fn several_databases_answer_together() {
    let folder = tempfile::tempdir().unwrap();
    let files = databases(folder.path()).map(Into::into);
    let enrichment = Enrichment::open(&files).unwrap();
    let origin = |text: &str| enrichment.origin(text.parse().unwrap());
    let known = |code: &str, number| Origin { autonomous_system: number, country: Country::of(code) };
    assert_eq!(origin("10.5.0.1"), known("DE", Some(64_500)));
    assert_eq!(origin("10.5.0.200"), known("", Some(64_500)));
    assert_eq!(origin("198.51.100.1"), known("FR", None));
    assert_eq!(origin("2001:db8::77"), known("JP", Some(4_200_000_000)));
    assert_eq!(origin("192.0.2.1"), Origin::default());
    assert_eq!(origin("::1"), Origin::default());
}

fn capture(folder: &Path) -> String {
    let path = folder.join("flows.pcap");
    let mut writer = DatagramWriter::create(&path).unwrap();
    let time = netflow_flowcache::Timestamp::from_secs(1_700_000_000);
    let (from, to) = ("198.51.100.9:4711".parse().unwrap(), "192.0.2.9:2055".parse().unwrap());
    writer.write(time, from, to, &v5(0, 30)).unwrap();
    writer.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn flows_have_the_origin_of_their_addresses_in_outputs_the_store_and_queries() {
    let folder = tempfile::tempdir().unwrap();
    let [countries, systems] = databases(folder.path());
    let capture = capture(folder.path());
    let (store, lines) = (folder.path().join("store"), folder.path().join("flows.json"));
    let (store, lines) = (store.to_str().unwrap(), lines.to_str().unwrap());
    let geo = ["--geo", &countries, "--geo", &systems];
    run(&[&["decode", &capture, "--quiet", "--store", store, "--output", lines][..], &geo].concat());
    let flows = fs::read_to_string(lines).unwrap();
    for line in flows.lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&flow["src_country"], &flow["dst_country"]), (&"DE".into(), &"FR".into()));
        // v5 has the member, 0 where the router does not know; nobody knows the other one.
        assert_eq!((&flow["src_as"], &flow["dst_as"]), (&64_500.into(), &0.into()));
    }
    assert_eq!(flows.lines().count(), 30);
    let query = |source: &[&str]| run(&[&["query", "--quiet", "--format", "json"][..], source].concat());
    for source in [vec!["--store", store], [&["--read", &capture][..], &geo].concat()] {
        let found = query(&[&source[..], &["src as 64500"]].concat());
        assert_eq!(found.lines().count(), 30, "{found}");
        let flow: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
        assert_eq!((&flow["src_country"], &flow["dst_country"]), (&"DE".into(), &"FR".into()));
        // Filters and statistics know countries.
        for (filter, flows) in [
            ("src country de and dst country in [JP FR]", 30),
            ("country FR and not src country FR", 30),
            ("src and dst geo DE", 0),
            ("dst country != FR", 0),
        ] {
            assert_eq!(query(&[&source[..], &[filter]].concat()).lines().count(), flows, "{filter}");
        }
        for (statistic, countries) in
            [("srccountry/flows", vec!["DE"]), ("country:p/bytes", vec!["DE", "FR"])]
        {
            let found = query(&[&source[..], &["-s", statistic]].concat());
            let key = if statistic.starts_with("src") { "srccountry" } else { "country" };
            let groups: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let named: Vec<_> = groups.iter().map(|group| group[key].as_str().unwrap()).collect();
            assert_eq!(named, countries);
            assert!(groups.iter().all(|group| group["flows"] == 30), "{found}");
        }
    }
}

#[test]
fn databases_are_read_again_and_a_damaged_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [countries, _] = databases(folder.path());
    let listening = Listening::start(&["--bind", "127.0.0.1:0", "--geo", &countries]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    let mut next = |expected: &str| {
        socket.send_to(&v5(sent, 1), listening.addresses[0]).unwrap();
        sent += 1;
        let lines = usize::try_from(sent).unwrap();
        wait_until("the flow", || listening.printed().lines().count() == lines);
        let flow: Value = serde_json::from_str(listening.printed().lines().last().unwrap()).unwrap();
        assert_eq!(flow["src_country"], expected, "{flow}");
    };
    next("DE");
    fs::write(&countries, database("Test-Country", &[("10.0.0.0/8", country("PL"))])).unwrap();
    next("DE");
    listening.signal("-HUP");
    wait_until("reading again", || listening.told().contains("the policy was read again"));
    next("PL");
    let whole = fs::read(&countries).unwrap();
    fs::write(&countries, &whole[..whole.len() / 2]).unwrap();
    listening.signal("-HUP");
    wait_until("the complaint", || listening.told().contains("the databases before stay"));
    next("PL");
    listening.terminate();
}

#[test]
fn what_is_no_database_is_named_and_a_damaged_one_never_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let [countries, _] = databases(folder.path());
    let capture = capture(folder.path());
    let missing = folder.path().join("missing.mmdb");
    for path in [missing.to_str().unwrap(), capture.as_str()] {
        let output = Command::new(PROGRAM).args(["decode", &capture, "--geo", path]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(&format!("cannot use the database {path}")), "{errors}");
    }
    let whole = fs::read(&countries).unwrap();
    let mut state = 1_u64;
    for _ in 0..3_000 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mut changed = whole.clone();
        let place = usize::try_from(state >> 33).unwrap() % changed.len();
        changed[place] ^= 1 << (state >> 30 & 7);
        fs::write(&countries, &changed).unwrap();
        if let Ok(enrichment) = Enrichment::open(&[countries.clone().into()]) {
            for address in ["10.5.0.1", "198.51.100.1", "2001:db8::1", "192.0.2.1"] {
                let _origin = enrichment.origin(address.parse().unwrap());
            }
        }
    }
}
