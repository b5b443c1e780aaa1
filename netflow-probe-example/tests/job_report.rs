//! `netflow-collector report`: what a network carried, as text, JSON and a page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{collections::BTreeMap, fs};

use common::{
    jobs::{json, text},
    scenario::{OUR_AS, Scenario},
};
use netflow_codec::FlowRecord;
use serde_json::Value;
use tempfile::TempDir;

/// Octets by a value, computed from the flows that were made.
fn truth(scenario: &Scenario, by: impl Fn(&FlowRecord) -> String) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for flow in &scenario.flows {
        *sums.entry(by(flow)).or_default() += flow.octets * u64::from(scenario.sampling);
    }
    sums
}

fn section<'r>(part: &'r Value, by: &str) -> &'r Vec<Value> {
    let sections = part["sections"].as_array().unwrap();
    sections.iter().find(|section| section["by"] == by).unwrap_or_else(|| panic!("{by}"))["rows"]
        .as_array()
        .unwrap()
}

/// The rows are the greatest of the truth, in order.
fn assert_is(rows: &[Value], truth: &BTreeMap<String, u64>) {
    let mut expected: Vec<u64> = truth.values().copied().collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    expected.truncate(10);
    let found: Vec<u64> = rows.iter().map(|row| row["octets"].as_u64().unwrap()).collect();
    assert_eq!(found, expected);
    for row in rows {
        assert_eq!(row["octets"].as_u64().unwrap(), truth[row["value"].as_str().unwrap()], "{row}");
    }
}

#[test]
fn tables_agree_with_what_was_sent() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(51, 100).background(30_000);
    for source in
        [("--store", scenario.write_store(folder.path())), ("--read", scenario.write_capture(folder.path()))]
    {
        let report = json(&["report", "--json", source.0, source.1.to_str().unwrap()]);
        let all = &report["all"];
        assert_is(section(all, "source-as"), &truth(&scenario, |flow| flow.source_as.to_string()));
        assert_is(section(all, "destination-as"), &truth(&scenario, |flow| flow.destination_as.to_string()));
        let protocol = |flow: &FlowRecord| match flow.protocol {
            1 => "ICMP".to_owned(),
            6 => "TCP".to_owned(),
            _ => "UDP".to_owned(),
        };
        assert_is(section(all, "protocol"), &truth(&scenario, protocol));
        let interface = |flow: &FlowRecord| format!("192.0.2.250 interface {}", flow.ingress_interface);
        assert_is(section(all, "ingress-interface"), &truth(&scenario, interface));
        assert_is(section(all, "exporter"), &truth(&scenario, |_| "192.0.2.250".to_owned()));
        assert_eq!(section(all, "source-as")[0]["value"], OUR_AS.to_string());
        let application = |flow: &FlowRecord| match flow.protocol {
            1 => "ICMP".to_owned(),
            _ => format!("{}/{}", protocol(flow), flow.source_port.min(flow.destination_port)),
        };
        let applications = truth(&scenario, application);
        for row in section(all, "application") {
            let name = row["value"].as_str().unwrap().split(' ').next().unwrap();
            assert_eq!(row["octets"].as_u64().unwrap(), applications[name], "{row}");
        }
        let names: Vec<&str> =
            section(all, "application").iter().map(|row| row["value"].as_str().unwrap()).collect();
        assert_eq!(names[..2], ["TCP/873 rsync", "TCP/443 https"]);
        assert!(section(all, "source-prefix").iter().any(|row| row["value"] == "203.0.113.0/24"), "{all:#}");
        let octets: u64 = truth(&scenario, |_| String::new()).values().sum();
        assert_eq!(all["total"]["octets"].as_u64(), Some(octets));
        assert_eq!(report["exporters"][0]["total"], all["total"]);
        // What is spread over time comes to the whole.
        let lines = all["over_time"]["lines"].as_array().unwrap();
        let over_time: u64 = lines
            .iter()
            .flat_map(|line| line["octets"].as_array().unwrap())
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(over_time, octets);
        assert!(lines[0]["octets"].as_array().unwrap().len() <= 240);
    }
}

#[test]
fn the_page_is_one_document_that_needs_nothing_from_elsewhere() {
    let folder = TempDir::new().unwrap();
    let store = Scenario::new(52, 1).background(5_000).write_store(folder.path());
    let page = folder.path().join("report.html");
    let readable = text(&["report", "--html", page.to_str().unwrap(), "--store", store.to_str().unwrap()]);
    for part in [
        "All traffic over",
        "Source AS",
        "Destination prefix",
        "Interface in",
        "Application",
        "TCP/443 https",
        "most at 2026-03-01",
    ] {
        assert!(readable.contains(part), "{part}: {readable}");
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(
        page.contains("<svg ")
            && page.matches("<polygon ").count() >= 3
            && page.matches("<table>").count() >= 8
    );
    for elsewhere in ["http://", "https://", "<script", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    for tag in ["html", "head", "body", "section", "table", "svg", "figure", "tr", "td"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn filters_apply_and_nothing_gives_an_empty_report() {
    let folder = TempDir::new().unwrap();
    let store = Scenario::new(53, 1).background(2_000).write_store(folder.path());
    let store = store.to_str().unwrap();
    let report = json(&["report", "--json", "--store", store, "proto udp and port 53"]);
    let applications = section(&report["all"], "application");
    assert_eq!((applications.len(), applications[0]["value"].as_str()), (1, Some("UDP/53 dns")));
    let page = folder.path().join("empty.html");
    let report = json(&["report", "--json", "--html", page.to_str().unwrap(), "--store", store, "port 1"]);
    assert_eq!(report["all"]["total"]["flows"], 0);
    assert!(fs::read_to_string(page).unwrap().ends_with("</html>\n"));
}
