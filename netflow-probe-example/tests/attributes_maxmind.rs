//! AS numbers of flows from databases of `MaxMind`'s format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{fs, path::Path, process::Command};

use common::maxmind::{autonomous_system, country, database};
use netflow_codec::FlowRecord;
use netflow_probe_example::attributes::{Attributes, AutonomousSystemType};

fn systems(first: u32) -> Vec<u8> {
    database(
        "Test-ASN",
        &[
            ("192.0.2.0/24", autonomous_system(first)),
            ("198.51.100.128/25", autonomous_system(64_501)),
            ("2001:db8::/32", autonomous_system(4_200_000_000)),
        ],
    )
}

fn load(path: &Path) -> Attributes {
    Attributes::load(vec![path.to_owned()], AutonomousSystemType::Origin).unwrap()
}

/// AS number and prefix length of source and destination.
fn filled(attributes: &mut Attributes, source: &str, destination: &str) -> [(u32, u8); 2] {
    let mut flow = FlowRecord::default();
    (flow.source, flow.destination) = (source.parse().unwrap(), destination.parse().unwrap());
    attributes.fill(&mut flow);
    [(flow.source_as, flow.source_prefix_length), (flow.destination_as, flow.destination_prefix_length)]
}

#[test]
fn both_families_are_found_in_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    fs::write(&path, systems(64_500)).unwrap();
    let mut attributes = load(&path);
    assert_eq!(attributes.report().prefixes, 3);
    assert_eq!(filled(&mut attributes, "192.0.2.77", "198.51.100.200"), [(64_500, 24), (64_501, 25)]);
    assert_eq!(filled(&mut attributes, "192.0.3.1", "198.51.100.1"), [(0, 0), (0, 0)]);
    assert_eq!(filled(&mut attributes, "2001:db8::1", "2001:db9::1"), [(4_200_000_000, 32), (0, 0)]);
    // For what is not IPv4 at all the first 96 bits count.
    assert_eq!(filled(&mut attributes, "2001:db8:ffff::", "fe80::192.0.2.1"), [(4_200_000_000, 32), (0, 0)]);
    // Together with a table, which says more of a part.
    let table = folder.path().join("more.csv");
    fs::write(&table, "192.0.2.128/25,7\n").unwrap();
    let files = vec![path, table];
    let mut both = Attributes::load(files, AutonomousSystemType::Origin).unwrap();
    assert_eq!(filled(&mut both, "192.0.2.1", "192.0.2.200"), [(64_500, 24), (7, 25)]);
}

#[test]
fn a_database_is_loaded_anew_and_a_damaged_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    fs::write(&path, systems(64_500)).unwrap();
    let mut attributes = load(&path);
    fs::write(&path, systems(64_499)).unwrap();
    attributes.reload().unwrap();
    assert_eq!(filled(&mut attributes, "192.0.2.1", "10.0.0.1")[0], (64_499, 24));
    let whole = systems(1);
    for octets in [&b""[..], b"not a database", &whole[..whole.len() / 2], &whole[20..]] {
        fs::write(&path, octets).unwrap();
        let error = attributes.reload().unwrap_err().to_string();
        assert!(error.contains("asn.mmdb is a MaxMind database: "), "{error}");
        assert_eq!(filled(&mut attributes, "192.0.2.1", "10.0.0.1")[0], (64_499, 24));
    }
    // One without AS numbers has nothing to say.
    fs::write(&path, database("Test-Country", &[("192.0.2.0/24", country("DE"))])).unwrap();
    let error = attributes.reload().unwrap_err().to_string();
    assert!(error.contains("asn.mmdb has no prefix"), "{error}");
    let output = Command::new(env!("CARGO_BIN_EXE_netflow-exporter"))
        .args(["--read", "/dev/null", "--write", "/dev/null", "--attributes", path.to_str().unwrap()])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && told.contains("--attributes") && told.contains("no prefix"),
        "{told}"
    );
}

#[test]
fn no_octet_that_is_wrong_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    let whole = systems(64_500);
    for place in 0..whole.len() {
        let mut octets = whole.clone();
        octets[place] ^= 0xFF;
        fs::write(&path, octets).unwrap();
        // Whether something of it can be read depends on the place.
        let _loaded = Attributes::load(vec![path.clone()], AutonomousSystemType::Origin);
    }
}
