//! Where the shared test material lies.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::similar_names,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod packets;
pub mod seen;
pub mod sessions;
pub mod sets;
pub mod vectors;

use std::path::{Path, PathBuf};

/// A file of the shared test material, or `None`, with the reason printed, when it is missing.
///
/// `NETFLOW_SHARED` names the folder, `../shared` beside the project is the default. With
/// `NETFLOW_REQUIRE_ALL=1` a missing file is a failure.
pub fn shared(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NETFLOW_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("NETFLOW_REQUIRE_ALL").is_none(), "required, but missing: {}", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}
