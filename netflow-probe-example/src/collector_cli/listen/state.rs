//! What outlives the collector, in the file that `--state` names.
//!
//! ```text
//! { "format": "netflow-collector state", "version": 1, "templates": {...}, "account": {...} }
//! ```
//!
//! It is written whole under another name and then renamed, so that whatever ends the collector, the file is one that
//! was whole. Each part is read for itself: what is damaged is told and left out.

use core::net::{IpAddr, SocketAddr};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use netflow_codec::CacheSnapshot;
use serde::Serialize;
use serde_json::Value;

use crate::account::SavedAccount;

const FORMAT: &str = "netflow-collector state";
const VERSION: u64 = 1;
/// Octets of a file that is read.
const MOST: u64 = 1 << 30;

/// What outlives the collector.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) templates: Option<CacheSnapshot<SocketAddr>>,
    pub(super) account: SavedAccount,
}

/// The file as it is written.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u64,
    templates: &'a Option<CacheSnapshot<SocketAddr>>,
    account: &'a SavedAccount,
}

impl State {
    /// Adds that of another worker.
    pub(super) fn append(&mut self, other: Self) {
        self.account.append(other.account);
        match (&mut self.templates, other.templates) {
            (Some(templates), Some(more)) => templates.append(more),
            (templates, more) => *templates = templates.take().or(more),
        }
    }

    /// What of it belongs to the exporters of which `keep` says so.
    pub(super) fn of(&self, keep: impl Fn(IpAddr) -> bool) -> Self {
        let mut state = self.clone();
        if let Some(templates) = &mut state.templates {
            templates.retain(|exporter| keep(exporter.ip()));
        }
        state.account.retain(keep);
        state
    }

    /// What an earlier run left behind, and what is wrong with it. No file is nothing wrong.
    pub(super) fn read(path: &Path) -> (Self, Vec<String>) {
        let mut octets = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut octets));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), Vec::new()),
            Err(error) => return (Self::default(), vec![format!("it cannot be read: {error}")]),
            Ok(_) => {}
        }
        match serde_json::from_slice(&octets) {
            Ok(document) => Self::parse(document),
            Err(error) => (Self::default(), vec![format!("it is damaged: {error}")]),
        }
    }

    fn parse(mut document: Value) -> (Self, Vec<String>) {
        if document.get("format").is_none_or(|format| *format != FORMAT) {
            return (Self::default(), vec!["it is no state of a collector".to_owned()]);
        }
        let version = document.get("version").cloned().unwrap_or_default();
        if version != VERSION {
            let fault = format!("it has version {version}, only {VERSION} can be read");
            return (Self::default(), vec![fault]);
        }
        let mut faults = Vec::new();
        let mut part = |name: &str| {
            let part = document.get_mut(name).map(Value::take);
            if part.is_none() {
                faults.push(format!("it is damaged: it has no {name}"));
            }
            part.unwrap_or_default()
        };
        let (templates, account) = (part("templates"), part("account"));
        let mut state = Self::default();
        match serde_json::from_value(templates) {
            Ok(templates) => state.templates = templates,
            Err(error) => faults.push(format!("its templates are damaged: {error}")),
        }
        match serde_json::from_value::<Option<_>>(account) {
            Ok(account) => state.account = account.unwrap_or_default(),
            Err(error) => faults.push(format!("its names and sequence numbers are damaged: {error}")),
        }
        (state, faults)
    }

    /// Whether it can be left behind there.
    pub(super) fn check(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let unfinished = unfinished(path);
        File::create(&unfinished)?;
        fs::remove_file(&unfinished)
    }

    /// Leaves it behind, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let Self { templates, account } = self;
        let document = Document { format: FORMAT, version: VERSION, templates, account };
        let unfinished = unfinished(path);
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(&document)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

/// The name that it has until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn damage_is_told_and_what_is_sound_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            let (state, faults) = State::read(&path);
            (state.templates.is_some(), state.account.streams(), faults.join("; "))
        };
        let stream = json!({
            "exporter": "192.0.2.1", "version": 5, "observation_domain": 0, "port": 9, "next": 7, "last_seen": 5
        });
        let whole = json!({
            "format": FORMAT, "version": 1, "templates": { "version": 1, "exporters": [] },
            "account": { "exporters": [], "streams": [stream] },
        });
        assert_eq!(told(&whole.to_string()), (true, 1, String::new()));
        let mut damaged = whole.clone();
        damaged["templates"]["exporters"] = json!([7]);
        let (templates, streams, fault) = told(&damaged.to_string());
        assert!(!templates && streams == 1 && fault.contains("its templates are damaged"), "{fault}");
        let mut damaged = whole.clone();
        damaged["account"]["streams"][0]["next"] = json!(1_u64 << 40);
        let (templates, streams, fault) = told(&damaged.to_string());
        assert!(templates && streams == 0 && fault.contains("sequence numbers are damaged"), "{fault}");
        for part in ["templates", "account"] {
            let mut damaged = whole.clone();
            damaged.as_object_mut().unwrap().remove(part);
            let (templates, streams, fault) = told(&damaged.to_string());
            assert_eq!((templates, streams == 1), (part == "account", part == "templates"), "{part}");
            assert_eq!(fault, format!("it is damaged: it has no {part}"));
        }
        let mut other = whole.clone();
        other["version"] = json!(2);
        assert!(told(&other.to_string()).2.contains("only 1 can be read"));
        assert!(told("{}").2.contains("no state of a collector"));
        let text = whole.to_string();
        for end in 1..text.len() {
            assert!(told(&text[..end]).2.contains("it is damaged"));
        }
        fs::remove_file(&path).unwrap();
        assert!(State::read(&path).1.is_empty());
        // Whether it can be written is known before; nothing is left of that.
        State::check(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(
            State::check(folder.path()).is_err() && State::check(&folder.path().join("no/state")).is_err()
        );
        // Written and read again.
        let (state, _) = State::parse(whole);
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).0.account.streams(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
