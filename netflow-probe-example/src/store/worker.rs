//! The thread that writes: encoding, compression and waiting for the disk keep nobody from receiving.

use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender},
    },
    time::SystemTime,
};

use parquet::{file::properties::WriterProperties, schema::types::Type};

use super::{
    batch::Batch,
    chunk::Encoder,
    held,
    part::Part,
    retention::{Inventory, Retention},
};

/// What the writing thread is asked to do, in this order.
pub(super) enum Job {
    /// Write these rows to the file of this place, behind completing the file of another place.
    Write { place: Place, batch: Box<Batch> },
    /// Complete the open file.
    Complete,
}

/// Which file flows belong to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Folders below the store.
    pub(super) partition: PathBuf,
    /// Name of the file, less its number and ending.
    pub(super) name: String,
}

/// What the writing thread has done so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) durable_flows: AtomicU64,
    pub(super) expired_files: AtomicU64,
    pub(super) written_files: AtomicU64,
    pub(super) written_octets: AtomicU64,
}

pub(super) struct Worker {
    /// Writers that were before it: their files have other names.
    pub(super) number: u64,
    pub(super) folder: PathBuf,
    pub(super) schema: Arc<Type>,
    pub(super) properties: Arc<WriterProperties>,
    pub(super) encoder: Encoder,
    pub(super) retention: Retention,
    pub(super) file_limit: u64,
    pub(super) inventory: Arc<Mutex<Inventory>>,
    pub(super) progress: Arc<Progress>,
    pub(super) open: Option<(Place, Part)>,
}

impl Worker {
    /// Works until there will be no more jobs, then completes the open file.
    pub(super) fn run(mut self, jobs: &Receiver<Job>, empty: &Sender<Box<Batch>>) -> io::Result<()> {
        let worked = self.work(jobs, empty);
        worked.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.folder.display())))
    }

    fn work(&mut self, jobs: &Receiver<Job>, empty: &Sender<Box<Batch>>) -> io::Result<()> {
        for job in jobs {
            match job {
                Job::Write { place, mut batch } => {
                    self.write(place, &batch)?;
                    batch.clear();
                    // When nobody takes it, it is dropped.
                    let _ = empty.send(batch);
                }
                Job::Complete => self.complete()?,
            }
        }
        self.complete()
    }

    fn write(&mut self, place: Place, batch: &Batch) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| *open != place) {
            self.complete()?;
        }
        let (_, part) = match &mut self.open {
            Some(open) => open,
            none => {
                let folder = self.folder.join(&place.partition);
                let part = Part::create(&folder, &place.name, self.number, &self.schema, &self.properties)?;
                none.insert((place, part))
            }
        };
        part.write(batch, &mut self.encoder)?;
        if part.octets() >= self.file_limit { self.complete() } else { Ok(()) }
    }

    fn complete(&mut self) -> io::Result<()> {
        let Some((_, part)) = self.open.take() else { return Ok(()) };
        let rows = part.rows;
        let file = part.complete(|| held(&self.inventory))?;
        self.progress.durable_flows.fetch_add(rows, Ordering::Release);
        self.progress.written_files.fetch_add(1, Ordering::Relaxed);
        self.progress.written_octets.fetch_add(file.octets, Ordering::Relaxed);
        let mut inventory = held(&self.inventory);
        inventory.add(file);
        let gone = inventory.expire(self.retention, SystemTime::now())?;
        drop(inventory);
        self.progress.expired_files.fetch_add(gone, Ordering::Relaxed);
        Ok(())
    }
}
