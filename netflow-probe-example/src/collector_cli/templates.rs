//! Templates over a restart of the collector: the file that `--templates` names.

use core::net::IpAddr;
use std::{fs, io, path::Path};

use netflow_codec::{CacheSnapshot, TemplateCache, Timestamp};

use super::{Failure, session::tell};

/// Takes the templates that an earlier run left behind, if it did. A file that is of no use is no reason not to start.
pub(super) fn restore(path: &Path, cache: &mut TemplateCache<IpAddr>, now: Timestamp, quiet: bool) {
    let said = match read(path) {
        Ok(None) => return,
        Ok(Some(snapshot)) => match cache.restore(&snapshot, now) {
            Ok(restored) => format!(
                "{} templates of {} taken, {} were too old",
                restored.templates,
                path.display(),
                restored.expired
            ),
            Err(error) => format!("no templates of {} taken: {error}", path.display()),
        },
        Err(error) => format!("no templates of {} taken: {error}", path.display()),
    };
    if !quiet {
        tell(said);
    }
}

fn read(path: &Path) -> io::Result<Option<CacheSnapshot<IpAddr>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(octets) => Ok(Some(serde_json::from_slice(&octets)?)),
    }
}

/// Leaves the templates behind, whole or not at all.
pub(super) fn store(path: &Path, cache: &TemplateCache<IpAddr>) -> Result<(), Failure> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let write = || {
        fs::write(&unfinished, serde_json::to_vec(&cache.snapshot())?)?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| Failure::File { path: path.display().to_string(), error })
}
