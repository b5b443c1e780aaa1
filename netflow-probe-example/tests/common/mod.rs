//! What the integration tests share.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on panics"
)]

pub(crate) mod browser;
pub(crate) mod explain;
pub(crate) mod exporting;
pub(crate) mod files;
pub(crate) mod frames;
pub(crate) mod jobs;
pub(crate) mod listening;
pub(crate) mod live;
pub(crate) mod maxmind;
pub(crate) mod namespace;
pub(crate) mod peers;
pub(crate) mod python;
pub(crate) mod scenario;
pub(crate) mod scrape;
pub(crate) mod stored;
pub(crate) mod truth;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use netflow_probe_example::pcap::CaptureFile;

/// The folder of captures and their expected flows: `NETFLOW_SHARED`, or `shared` beside the project.
///
/// `None` means that the test is to be skipped, which was then reported.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let path = env::var_os("NETFLOW_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    skip(&format!("no shared captures at {} (set NETFLOW_SHARED)", path.display()));
    None
}

/// Whether a program can be started; when not, the test is to be skipped, which was then reported.
pub(crate) fn has_program(name: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).any(|folder| folder.join(name).is_file());
    if !found {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Reports that a test cannot be run here; fails when `NETFLOW_REQUIRE_ALL` asks for every test.
pub(crate) fn skip(reason: &str) {
    assert!(env::var_os("NETFLOW_REQUIRE_ALL").is_none_or(|value| value != "1"), "skipped: {reason}");
    eprintln!("skipped: {reason}");
}

/// Writes a file whole or not at all, as editors do it.
pub(crate) fn replace(path: &Path, text: &str) {
    fs::write(path.with_extension("new"), text).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// The capture files of a folder, sorted by name.
pub(crate) fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng"))
        .collect();
    paths.sort();
    paths
}

/// A frame that outlives its reader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnedFrame {
    pub(crate) nanos: u64,
    pub(crate) link_type: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) original_length: u32,
    pub(crate) interface: u32,
}

/// All frames up to the end or the first error, and that error's message.
pub(crate) fn read_all(source: impl std::io::Read) -> (Vec<OwnedFrame>, Option<String>) {
    let mut frames = Vec::new();
    let mut file = match CaptureFile::new(source) {
        Ok(file) => file,
        Err(error) => return (frames, Some(error.to_string())),
    };
    loop {
        match file.next_frame() {
            Ok(Some(frame)) => frames.push(OwnedFrame {
                nanos: frame.timestamp.as_nanos(),
                link_type: frame.link_type.0,
                data: frame.data.to_vec(),
                original_length: frame.original_length,
                interface: frame.interface,
            }),
            Ok(None) => return (frames, None),
            Err(error) => {
                let message = error.to_string();
                assert!(matches!(file.next_frame(), Ok(None)), "an error is delivered once");
                return (frames, Some(message));
            }
        }
    }
}
