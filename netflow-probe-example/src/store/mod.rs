//! The store: flows as Parquet files, partitioned by the hour they came in.
//!
//! ```text
//! DIR/date=2026-03-01/hour=12/flows-20260301T120500Z-0.parquet     a complete file of one interval
//! DIR/date=2026-03-01/hour=12/.flows-20260301T121000Z-0.parquet.tmp  the open one; engines pass by names with a dot
//! ```
//!
//! A file gets its name only when its octets are on the disk. Its flows count as stored then, not before: whatever
//! ends the program, files are whole, and what is lost is what was not counted. Files left open by a program that
//! was killed are deleted when the store is opened the next time.
//!
//! Parquet needs no index of its own: names of folders give the time, each file's statistics and Bloom filters the
//! rest, and its footer has what its flows come to by protocol and minute. There is no manifest that could disagree with
//! what is there.

mod addresses;
mod batch;
mod chunk;
mod columns;
mod compact;
mod encoded;
mod file;
mod footer;
mod form;
mod guard;
mod numbers;
mod page;
mod pages;
mod part;
mod reader;
mod restore;
mod retention;
mod rows;
mod schema;
mod summary;
mod worker;

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    },
    thread::JoinHandle,
};

use netflow_codec::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use parquet::{file::properties::WriterProperties, schema::types::Type};

use self::{
    batch::Batch,
    chunk::Encoder,
    retention::Inventory,
    worker::{Job, Place, Progress, Worker},
};
pub(crate) use self::{
    file::Bloom,
    numbers::Numbers,
    reader::{Group, OpenFile},
    rows::{Chosen, Column, ColumnSet, Rows, each_cell},
    summary::{Amount, MINUTE, Summary},
};
pub use self::{
    form::Form as AddressForm,
    reader::{ReadError, StoreReader},
    retention::Retention,
};
use crate::{
    flow::{Flow, FlowSet},
    output::FlowSink,
};

/// How a store is written.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder; it is created when it is not there.
    pub folder: PathBuf,
    /// A file holds the flows that came in an interval of this length.
    pub interval: Duration,
    /// The open file is completed at least so often, so that no more than that can be lost.
    pub sync_interval: Duration,
    /// Flows of a row group, which are held in memory.
    pub row_group: usize,
    /// A file that has reached so many octets is completed.
    pub file_limit: u64,
    /// Level of the zstd compression, 1 to 22.
    pub compression: i32,
    /// How addresses stand in the files. Those of a store should be alike: engines join them by their schemas.
    pub addresses: AddressForm,
    /// What is kept for how long.
    pub retention: Retention,
}

impl StoreConfig {
    /// The defaults: files of five minutes or 1 GiB, everything kept.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let interval = Duration::from_secs(300);
        Self {
            folder: folder.into(),
            interval,
            sync_interval: interval,
            row_group: 61_440,
            file_limit: 1 << 30,
            compression: 1,
            addresses: AddressForm::default(),
            retention: Retention::default(),
        }
    }
}

/// What a store has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreStats {
    /// Flows in files that are complete and on the disk.
    pub durable_flows: u64,
    /// Flows taken that are not yet.
    pub open_flows: u64,
    /// Files completed.
    pub written_files: u64,
    /// Octets of those files.
    pub written_octets: u64,
    /// Files of the store, those of earlier runs included.
    pub files: u64,
    /// Octets of those files.
    pub octets: u64,
    /// Files deleted for their age or because there was too much.
    pub expired_files: u64,
    /// Files that an earlier run left open, deleted at the start.
    pub abandoned_files: u64,
    /// Times that flows had to wait for the disk.
    pub waits: u64,
}

impl StoreStats {
    /// What two writers to one store have done together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        // Both tell of the same files, one a little later than the other.
        let later = if self.files > other.files { self } else { other };
        Self {
            durable_flows: self.durable_flows + other.durable_flows,
            open_flows: self.open_flows + other.open_flows,
            written_files: self.written_files + other.written_files,
            written_octets: self.written_octets + other.written_octets,
            files: later.files,
            octets: later.octets,
            expired_files: self.expired_files + other.expired_files,
            abandoned_files: self.abandoned_files + other.abandoned_files,
            waits: self.waits + other.waits,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "durable_flows": self.durable_flows,
            "open_flows": self.open_flows,
            "written_files": self.written_files,
            "written_octets": self.written_octets,
            "files": self.files,
            "octets": self.octets,
            "expired_files": self.expired_files,
            "abandoned_files": self.abandoned_files,
            "waits": self.waits,
        })
    }
}

/// A line of the account.
impl fmt::Display for StoreStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { durable_flows, open_flows, written_files, written_octets, files, octets, .. } = self;
        write!(
            f,
            "stored       {durable_flows} flows in {written_files} files of {written_octets} octets; \
             the store holds {files} files of {octets} octets"
        )?;
        for (count, what) in [
            (*open_flows, "flows are not on the disk"),
            (self.expired_files, "files expired"),
            (self.abandoned_files, "files of an earlier run were never completed and are deleted"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Writes flows into Parquet files. Flows are taken as a [`FlowSink`].
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    batch: Box<Batch>,
    /// Which interval the batch at hand is of, and its file.
    place: Option<(u64, Place)>,
    /// When the open file must be completed.
    sync_due: Option<Timestamp>,
    taken: u64,
    waits: u64,
    abandoned: u64,
    shared: Arc<Shared>,
    jobs: Option<SyncSender<Job>>,
    empty: Receiver<Box<Batch>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the writers of a store have in common.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    schema: Arc<Type>,
    properties: Arc<WriterProperties>,
    inventory: Arc<Mutex<Inventory>>,
    /// Writers so far; what each of them is numbered by.
    writers: AtomicU64,
    /// Keeps other programs from writing to the same store.
    _lock: Flock<File>,
}

/// Row groups that may wait for the disk.
const QUEUE: usize = 4;

/// Rows of a row group at most: a page of them stays below 2 GiB, whatever they are.
const MOST_ROWS: usize = 1 << 20;

impl Store {
    /// Opens the store, and deletes what an earlier run left open.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created, read or written, or another program writes to it.
    pub fn open(config: StoreConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.folder)?;
        let folder = config.folder.canonicalize()?;
        let lock = lock(&folder)?;
        let (inventory, abandoned) = Inventory::of(&folder)?;
        let shared = Shared {
            schema: schema::message(config.addresses).map_err(part::into_io)?,
            properties: Arc::new(schema::properties()),
            inventory: Arc::new(Mutex::new(inventory)),
            writers: AtomicU64::new(0),
            folder,
            _lock: lock,
        };
        Self::writer(config, Arc::new(shared), abandoned)
    }

    /// Another writer to the same store, which has open files of its own: for another thread. It counts for itself;
    /// see [`StoreStats::and`].
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn another(&self) -> io::Result<Self> {
        Self::writer(self.config.clone(), Arc::clone(&self.shared), 0)
    }

    fn writer(config: StoreConfig, shared: Arc<Shared>, abandoned: u64) -> io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let worker = Worker {
            number: shared.writers.fetch_add(1, Ordering::Relaxed),
            folder: shared.folder.clone(),
            schema: Arc::clone(&shared.schema),
            properties: Arc::clone(&shared.properties),
            encoder: Encoder::new(config.compression, config.addresses)?,
            retention: config.retention,
            file_limit: config.file_limit,
            inventory: Arc::clone(&shared.inventory),
            progress: Arc::clone(&progress),
            open: None,
        };
        let (jobs, received) = sync_channel(QUEUE);
        let (returned, empty) = channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run(&received, &returned))?;
        Ok(Self {
            batch: Box::new(Batch::new()),
            place: None,
            sync_due: None,
            taken: 0,
            waits: 0,
            abandoned,
            shared,
            jobs: Some(jobs),
            empty,
            progress,
            thread: Some(thread),
            config,
        })
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let durable_flows = self.progress.durable_flows.load(Ordering::Acquire);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let inventory = held(&self.shared.inventory);
        StoreStats {
            durable_flows,
            open_flows: self.taken - durable_flows,
            written_files: load(&self.progress.written_files),
            written_octets: load(&self.progress.written_octets),
            files: inventory.len(),
            octets: inventory.octets(),
            expired_files: load(&self.progress.expired_files),
            abandoned_files: self.abandoned,
            waits: self.waits,
        }
    }

    /// Completes the open file when it is due; to be called now and then, flows or none.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        let Some(due) = self.sync_due else { return Ok(()) };
        let is_over = self.place.as_ref().is_some_and(|(index, _)| *index < self.index_of(now));
        if now < due && !is_over {
            return Ok(());
        }
        self.hand_over()?;
        self.sync_due = None;
        self.submit(Job::Complete)
    }

    /// Completes the open file and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn finish(&mut self) -> io::Result<StoreStats> {
        self.hand_over()?;
        self.jobs = None;
        self.join()?;
        Ok(self.stats())
    }

    /// What comes next was received at this time.
    fn begin(&mut self, received: Timestamp) -> io::Result<()> {
        let index = self.index_of(received);
        // Mostly flows come in the interval of the one before.
        if self.place.as_ref().is_none_or(|(open, _)| *open != index) {
            self.hand_over()?;
            self.place = Some((index, self.place_of(index)));
        }
        if self.sync_due.is_none() {
            self.sync_due = Some(received.saturating_add(self.config.sync_interval));
        }
        Ok(())
    }

    /// Rows of a row group.
    fn row_group(&self) -> usize {
        self.config.row_group.clamp(1, MOST_ROWS)
    }

    fn hand_over_when_full(&mut self) -> io::Result<()> {
        if self.batch.rows as usize >= self.row_group() { self.hand_over() } else { Ok(()) }
    }

    /// The interval of a time.
    fn index_of(&self, time: Timestamp) -> u64 {
        time.as_secs() / self.config.interval.as_secs().max(1)
    }

    /// The file of an interval.
    fn place_of(&self, index: u64) -> Place {
        let start = index * self.config.interval.as_secs().max(1);
        let start =
            jiff::Timestamp::from_second(i64::try_from(start).unwrap_or(i64::MAX)).unwrap_or_default();
        Place {
            partition: start.strftime("date=%Y-%m-%d/hour=%H").to_string().into(),
            name: start.strftime("flows-%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// Gives the rows gathered so far to the writing thread.
    fn hand_over(&mut self) -> io::Result<()> {
        if self.batch.rows == 0 {
            return Ok(());
        }
        let Some((_, place)) = self.place.clone() else { return Ok(()) };
        let next = self.empty.try_recv().unwrap_or_else(|_| Box::new(Batch::new()));
        let batch = core::mem::replace(&mut self.batch, next);
        self.submit(Job::Write { place, batch })
    }

    fn submit(&mut self, job: Job) -> io::Result<()> {
        let Some(jobs) = &self.jobs else { return Err(gone()) };
        let sent = match jobs.try_send(job) {
            Err(TrySendError::Full(job)) => {
                self.waits += 1;
                jobs.send(job).is_ok()
            }
            sent => sent.is_ok(),
        };
        if sent {
            return Ok(());
        }
        // The thread ends early only with an error.
        self.jobs = None;
        self.join().and_then(|()| Err(gone()))
    }

    fn join(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(gone()))
    }
}

/// The inventory, whatever became of another writer.
fn held(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> io::Error {
    io::Error::other("the store has stopped writing")
}

/// The lock that only one writer can have.
fn lock(folder: &Path) -> io::Result<Flock<File>> {
    let path = folder.join(".lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        let message = format!("another program writes to the store {} ({error})", folder.display());
        io::Error::new(io::ErrorKind::WouldBlock, message)
    })
}

impl FlowSink for Store {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.begin(flow.envelope.received)?;
        self.batch.push(flow);
        self.taken += 1;
        self.hand_over_when_full()
    }

    fn takes_sets(&self) -> bool {
        true
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        let mut rows = set.rows.clone();
        while !rows.is_empty() {
            self.begin(set.envelope.received)?;
            let room = self.row_group().saturating_sub(self.batch.rows as usize).max(1);
            let end = rows.end.min(rows.start.saturating_add(room));
            self.batch.extend(&set.part(rows.start..end));
            self.taken += (end - rows.start) as u64;
            rows.start = end;
            self.hand_over_when_full()?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        Self::tick(self, now)
    }

    fn finish(&mut self) -> io::Result<()> {
        Self::finish(self).map(drop)
    }
}

impl Drop for Store {
    /// Who wants to know whether all went well calls [`Self::finish`].
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
