//! What holds of the workspace as a whole: layers, supported Rust version, the README.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use serde_json::Value;

/// Rooms that both programs share.
const SHARED: &[&str] = &["config", "service", "dissect", "pcap"];
/// The exporter's rooms, in the order a packet takes.
const EXPORTER: &[&str] = &["capture", "meter", "attributes", "send", "exporter", "explain", "exporter_cli"];
/// The collector's rooms, in the order a datagram takes.
const COLLECTOR: &[&str] = &[
    "elements",
    "policy",
    "flow",
    "account",
    "output",
    "messages",
    "counting",
    "enrichment",
    "store",
    "query",
    "receive",
    "relay",
    "collector",
    "jobs",
    "page",
    "collector_cli",
];

fn sources(folder: &Path, sources: &mut Vec<(String, String)>, room: Option<&str>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let room = room.unwrap_or(&name).to_owned();
        if path.is_dir() && room != "bin" {
            self::sources(&path, sources, Some(&room));
        } else if path.is_file() && room != "lib" {
            sources.push((room, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Rooms that a file names behind `crate::`.
fn imports(source: &str) -> BTreeSet<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join(" ");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        // The names at depth one of a braced list, or the one name.
        let mut depth = 0;
        let mut name = String::new();
        for character in rest.chars() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if character.is_alphanumeric() || character == '_' => {
                    name.push(character);
                    continue;
                }
                _ => {}
            }
            if !name.is_empty() {
                found.insert(core::mem::take(&mut name));
            }
            if depth <= 0 {
                break;
            }
        }
    }
    let rooms: Vec<&str> = [SHARED, EXPORTER, COLLECTOR, &["demo"]].concat();
    found.into_iter().filter(|name| rooms.contains(&name.as_str())).collect()
}

#[test]
fn exporter_and_collector_do_not_import_each_other() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files, None);
    assert!(files.len() > 30);
    for (room, source) in &files {
        let allowed: Vec<&str> = match room.as_str() {
            shared if SHARED.contains(&shared) => SHARED.to_vec(),
            exporter if EXPORTER.contains(&exporter) => [SHARED, EXPORTER].concat(),
            // The command line has a subcommand that runs both ends.
            "collector_cli" => continue,
            collector if COLLECTOR.contains(&collector) => [SHARED, COLLECTOR].concat(),
            "demo" => continue,
            other => panic!("{other} is a room of neither program"),
        };
        for import in imports(source) {
            assert!(allowed.contains(&import.as_str()), "{room} imports {import}");
        }
    }
}

#[test]
fn imports_are_found_in_lists_and_paths() {
    let found = imports(
        "use crate::{account::{A, B}, flow::Flow};\nlet x = crate::pcap::LinkType;\n// crate::send\n",
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["account", "flow", "pcap"]);
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
        .arg(concat!("x86_64-unknown-linux-", "gnu"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

/// The packages that a package is built from, itself included, dev-dependencies left out.
fn built_from<'a>(metadata: &'a Value, root: &'a str, found: &mut BTreeSet<&'a str>) {
    if !found.insert(root) {
        return;
    }
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["id"] == root).unwrap();
    for dependency in node["deps"].as_array().unwrap() {
        let is_dev = dependency["dep_kinds"].as_array().unwrap().iter().all(|kind| kind["kind"] == "dev");
        if !is_dev {
            built_from(metadata, dependency["pkg"].as_str().unwrap(), found);
        }
    }
}

#[test]
fn every_dependency_supports_the_stated_rust_version() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for name in ["netflow-codec", "netflow-flowcache", "netflow-probe-example"] {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        let stated = version(package["rust_version"].as_str().expect("an MSRV is stated"));
        let mut ids = BTreeSet::new();
        built_from(&metadata, package["id"].as_str().unwrap(), &mut ids);
        for dependency in packages.iter().filter(|package| ids.contains(package["id"].as_str().unwrap())) {
            if let Some(needed) = dependency["rust_version"].as_str() {
                assert!(version(needed) <= stated, "{name} needs {} of Rust {needed}", dependency["name"]);
            }
        }
    }
}

#[test]
fn libraries_depend_on_little() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let names = |name: &str| -> Vec<&str> {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let dependencies = dependencies.filter(|dependency| dependency["kind"].is_null());
        dependencies.map(|dependency| dependency["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("netflow-codec"), ["bytes", "nom", "serde", "thiserror"]);
    assert_eq!(names("netflow-flowcache"), ["netflow-codec"]);
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let mut blocks = readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    assert_eq!(blocks.next(), Some("cargo run --release --bin netflow-collector -- demo\n"));
    assert_eq!(blocks.next(), Some("cargo test\n"));
}
