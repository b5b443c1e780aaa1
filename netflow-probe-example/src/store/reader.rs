//! Reading flows back from the store.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use netflow_codec::Timestamp;
use parquet::errors::ParquetError;

use super::{
    file::{Bloom, StoreFile, column_of},
    part::{EXTENSION, into_io},
    rows::{Chosen, ColumnSet, Rows},
    summary::Summary,
};
use crate::flow::Flow;

/// The complete files of a store, to be read in the order of time.
#[derive(Debug)]
pub struct StoreReader {
    files: Vec<PathBuf>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl StoreReader {
    /// Looks which files are there. Of flows that ended before `from`, or began after `to`, not all are given.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn open(folder: &Path, from: Option<Timestamp>, to: Option<Timestamp>) -> io::Result<Self> {
        let mut files = Vec::new();
        gather(folder, 0, &mut files)?;
        // Partitions and names tell the time of their flows.
        files.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        Ok(Self { files, from, to })
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// When the first flow began and the last one ended, by the oldest and the newest file that can be read: as their
    /// statistics say, unless that is more than a day from when the flows came in.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.files.iter().find_map(|file| span(file)).map(|(first, _)| first)?;
        let last = self.files.iter().rev().find_map(|file| span(file)).map(|(_, last)| last)?;
        Some((first, last.max(first)))
    }

    /// Reads a file, and calls `visit` with each of its flows.
    ///
    /// # Errors
    ///
    /// [`ReadError::File`] when the file is damaged, behind the flows that could be read; [`ReadError::Visit`] when
    /// `visit` fails.
    pub fn read(
        &self,
        path: &Path,
        mut visit: impl FnMut(&Flow<'_>) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        for group in Self::open_file(path)?.groups(self) {
            let mut failed = None;
            let read = group.rows()?.each(ColumnSet::ALL, &Chosen::All, |_, flow| {
                visit(flow).map_err(|error| {
                    failed = Some(error);
                    io::ErrorKind::Other.into()
                })
            });
            match (failed, read) {
                (Some(error), _) => return Err(ReadError::Visit(error)),
                (None, read) => read?,
            }
        }
        Ok(())
    }

    pub(crate) fn open_file(path: &Path) -> io::Result<OpenFile> {
        StoreFile::open(path).map(|file| OpenFile(Arc::new(file))).map_err(into_io)
    }
}

/// A file that has been opened.
#[derive(Clone, Debug)]
pub(crate) struct OpenFile(Arc<StoreFile>);

impl OpenFile {
    /// What the writer has summed up of all its flows.
    pub(crate) fn summary(&self) -> Option<Summary> {
        self.0.summary()
    }

    /// Whether each of its flows has lasted beyond `from`, and begun before `to`.
    pub(crate) fn is_wholly_in(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
        self.0.is_wholly_in(from, to)
    }

    /// The row groups that can have flows of the reader's window.
    pub(crate) fn groups(&self, reader: &StoreReader) -> impl Iterator<Item = Group> {
        let (from, to) = (reader.from, reader.to);
        let groups = (0..self.0.groups()).filter(move |group| self.0.may_be_in(*group, from, to));
        groups.map(|number| Group { file: Arc::clone(&self.0), number })
    }
}

/// A row group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    file: Arc<StoreFile>,
    number: usize,
}

impl Group {
    /// The least and the greatest number in a column.
    pub(crate) fn bounds(&self, column: &str) -> Option<(u64, u64)> {
        self.file.bounds(self.number, column_of(column)?)
    }

    /// Whether each row has a value in a column.
    pub(crate) fn is_complete(&self, column: &str) -> bool {
        column_of(column).is_some_and(|column| self.file.is_complete(self.number, column))
    }

    /// What excludes addresses from a column.
    pub(crate) fn bloom(&self, column: &str) -> Option<Bloom> {
        self.file.bloom(self.number, column_of(column)?)
    }

    pub(crate) fn rows(&self) -> io::Result<Rows> {
        Rows::new(&self.file, self.number).map_err(into_io)
    }
}

/// When the first flow of a file began and the last one ended.
fn span(path: &Path) -> Option<(Timestamp, Timestamp)> {
    const DAY: u64 = 86_400 * 1_000_000_000;
    let file = StoreFile::open(path).ok()?;
    let bounds = |name: &str| {
        let column = column_of(name)?;
        let bounds = (0..file.groups()).filter_map(|group| file.bounds(group, column));
        bounds.reduce(|(least, greatest), (low, high)| (least.min(low), greatest.max(high)))
    };
    let (came_first, came_last) = bounds("time_received_ns")?;
    let began = bounds("time_flow_start_ns").map_or(came_first, |(first, _)| first);
    let ended = bounds("time_flow_end_ns").map_or(came_last, |(_, last)| last);
    let began = began.clamp(came_first.saturating_sub(DAY), came_first);
    let ended = ended.clamp(came_last, came_last.saturating_add(DAY));
    Some((Timestamp::from_nanos(began), Timestamp::from_nanos(ended)))
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is no Parquet file, or damaged.
    #[error("{0}")]
    File(io::Error),
    /// Whoever was shown the flows has failed.
    #[error("{0}")]
    Visit(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<ParquetError> for ReadError {
    fn from(error: ParquetError) -> Self {
        Self::File(into_io(error))
    }
}

/// Folders within one another that are looked into.
const DEPTH: usize = 4;

fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if depth < DEPTH {
                gather(&path, depth + 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    Ok(())
}
