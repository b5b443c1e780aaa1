//! Templates over a restart of the collector: the file that `--templates` names.

use core::net::SocketAddr;
use std::{fs, io, path::Path};

use netflow_codec::CacheSnapshot;

use super::Failure;

/// The templates that an earlier run left behind, if it did.
pub(super) fn read(path: &Path) -> io::Result<Option<CacheSnapshot<SocketAddr>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(octets) => Ok(Some(serde_json::from_slice(&octets)?)),
    }
}

/// Leaves the templates behind, whole or not at all.
pub(super) fn store(path: &Path, snapshot: &CacheSnapshot<SocketAddr>) -> Result<(), Failure> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let write = || {
        fs::write(&unfinished, serde_json::to_vec(snapshot)?)?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| Failure::File { path: path.display().to_string(), error })
}
