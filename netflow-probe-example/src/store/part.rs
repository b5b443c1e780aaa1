//! One file of the store, from its creation under a temporary name until it is durable under its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::{ColumnDescPtr, Type},
};

use super::{
    batch::Batch,
    chunk::Encoder,
    columns::{Write, writers},
    footer::SUMMARY,
    summary::Summing,
};

/// What a file that is not complete ends with. Query engines leave names that begin with a dot alone.
pub(super) const TEMPORARY: &str = ".tmp";
/// What a complete file ends with.
pub(super) const EXTENSION: &str = "parquet";

/// A file being written.
pub(super) struct Part {
    writer: SerializedFileWriter<BufWriter<File>>,
    columns: Vec<(ColumnDescPtr, Write)>,
    temporary: PathBuf,
    /// The name that it gets, less number and ending.
    name: String,
    summing: Summing,
    pub(super) rows: u64,
}

/// A file that is complete and durable.
#[derive(Clone, Debug)]
pub(super) struct Complete {
    pub(super) path: PathBuf,
    pub(super) octets: u64,
}

impl Part {
    /// Creates the file, and the folders it is in.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        writer: u64,
        schema: &Arc<Type>,
        properties: &Arc<WriterProperties>,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let temporary = folder.join(format!(".{name}-{writer}.{EXTENSION}{TEMPORARY}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        let writer =
            SerializedFileWriter::new(BufWriter::new(file), Arc::clone(schema), Arc::clone(properties))
                .map_err(into_io)?;
        let columns = writer.schema_descr().columns().iter().cloned().zip(writers()).collect();
        Ok(Self { writer, columns, temporary, name: name.to_owned(), summing: Summing::new(), rows: 0 })
    }

    /// Octets written so far.
    pub(super) fn octets(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Writes a row group.
    pub(super) fn write(&mut self, batch: &Batch, encoder: &mut Encoder) -> io::Result<()> {
        self.write_columns(batch, encoder).map_err(into_io)?;
        self.summing.add(batch);
        self.rows += u64::from(batch.rows);
        Ok(())
    }

    fn write_columns(&mut self, batch: &Batch, encoder: &mut Encoder) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for (column, write) in &self.columns {
            write(batch, encoder);
            let (octets, close) = encoder.close(column, batch.rows)?;
            group.append_column(&octets, close)?;
            encoder.recycle(octets);
        }
        group.close()?;
        Ok(())
    }

    /// Completes the file: its octets are on the disk before it gets its name, its name before this returns. While it is
    /// named, what `alone` returns is held, so that no other writer of the store takes the same name.
    pub(super) fn complete<G>(self, alone: impl FnOnce() -> G) -> io::Result<Complete> {
        let Self { mut writer, temporary, name, summing, .. } = self;
        if let Some(summary) = summing.into_text() {
            writer.append_key_value_metadata(KeyValue::new(SUMMARY.to_owned(), summary));
        }
        let file =
            writer.into_inner().map_err(into_io)?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let octets = file.metadata()?.len();
        let path = {
            let _alone = alone();
            let path = free_name(&temporary, &name)?;
            fs::rename(&temporary, &path)?;
            path
        };
        sync_folder(&path)?;
        Ok(Complete { path, octets })
    }
}

/// The file's own name, or when that is taken the same with a number.
fn free_name(temporary: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 0..1_000_000 {
        let path = temporary.with_file_name(format!("{name}-{number}.{EXTENSION}"));
        if !path.try_exists()? {
            return Ok(path);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("no free name for {}", temporary.display())))
}

/// Makes the entry of a file in its folder durable, and the folder's in its own.
fn sync_folder(path: &Path) -> io::Result<()> {
    // The file's folder is two partitions below the store.
    for folder in path.ancestors().skip(1).take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

pub(super) fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
