//! Every requirement is named by a test that proves it, or says why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "../../netflow-codec/tests/conformance/scan.rs"]
mod scan;

/// Where tests of the flow table and the samplers are.
const FOLDERS: &[&str] = &["netflow-flowcache/src", "netflow-flowcache/tests", "netflow-probe-example"];

#[test]
fn every_requirement_is_proven_or_says_why_not() {
    scan::hold(env!("CARGO_PKG_NAME"), FOLDERS, include_str!("conformance/requirements.txt"));
}
