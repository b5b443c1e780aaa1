//! What is in the store, and what of it has to go.

use core::time::Duration;
use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::part::{Complete, EXTENSION, TEMPORARY};

/// The complete files of a store, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    files: VecDeque<Held>,
    octets: u64,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    octets: u64,
    written: SystemTime,
}

/// How long, and how much, is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Files written longer ago are deleted.
    pub age: Option<Duration>,
    /// The oldest files are deleted while all files together have more octets.
    pub octets: Option<u64>,
}

impl Inventory {
    /// Looks what is there. Files that were never completed are deleted: what they hold was never counted as stored.
    /// Returns how many that were, too.
    pub(super) fn of(folder: &Path) -> io::Result<(Self, u64)> {
        let (mut files, mut abandoned) = (Vec::new(), 0);
        for date in folders(folder, "date=")? {
            for hour in folders(&date, "hour=")? {
                for entry in fs::read_dir(&hour)? {
                    let path = entry?.path();
                    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    if name.starts_with('.') && name.ends_with(TEMPORARY) {
                        fs::remove_file(&path)?;
                        abandoned += 1;
                    } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
                        let metadata = fs::metadata(&path)?;
                        files.push(Held { octets: metadata.len(), written: metadata.modified()?, path });
                    }
                }
            }
        }
        // Partitions and names tell the time of their flows.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let octets = files.iter().map(|file| file.octets).sum();
        Ok((Self { files: files.into(), octets }, abandoned))
    }

    pub(super) fn add(&mut self, file: Complete) {
        self.octets += file.octets;
        self.files.push_back(Held { path: file.path, octets: file.octets, written: SystemTime::now() });
    }

    pub(super) fn len(&self) -> u64 {
        self.files.len() as u64
    }

    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    /// Deletes what is too old, or too much; the newest file always stays. Returns how many files went.
    pub(super) fn expire(&mut self, retention: Retention, now: SystemTime) -> io::Result<u64> {
        let mut gone = 0;
        while self.files.len() > 1
            && let Some(oldest) = self.files.front()
        {
            let age = now.duration_since(oldest.written).unwrap_or_default();
            let too_old = retention.age.is_some_and(|limit| age > limit);
            let too_much = retention.octets.is_some_and(|limit| self.octets > limit);
            if !too_old && !too_much {
                break;
            }
            match fs::remove_file(&oldest.path) {
                // Somebody else was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            remove_empty_folders(&oldest.path);
            self.octets -= oldest.octets;
            self.files.pop_front();
            gone += 1;
        }
        Ok(gone)
    }
}

/// The partitions of a folder.
fn folders(folder: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Deletes the partitions of a file that is gone, if nothing else is in them: `remove_dir` takes only empty ones.
fn remove_empty_folders(path: &Path) {
    for folder in path.ancestors().skip(1).take(2) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}
