//! Records as files of IPFIX messages (RFC 5655): what exporters sent, whatever the version, in one form that is read again.
//!
//! ```text
//! DIR/messages-20260301T120500Z-0.ipfix      a complete file of one interval; the last number is the writer's
//! DIR/.messages-20260301T121000Z-0.ipfix.tmp   the open one
//! ```
//!
//! Each file stands for itself: of each exporter and observation domain, who that is comes first (originalExporterIPv4Address
//! (403) and its neighbours), then templates and options that are in force, then data. Export times are those of
//! arrival, so that they ascend. Octets of records stay as they came, but for what they do not say in a file, or IPFIX cannot
//! say: uptimes and times before the export become points in time (uptimes by the clock of their own datagram, which may be
//! far from that of the collector); what has no octets or a type above 32,767 is left out and counted.

mod domain;
mod file;
mod layout;
mod message;

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{io, path::PathBuf, sync::Arc, time::Instant};

use netflow_codec::Timestamp;
use tracing::error;

use self::{
    domain::{Domains, Source},
    file::OpenFile,
    layout::Layout,
    message::Message,
};
use crate::{
    flow::{Flow, Record},
    output::FlowSink,
};

/// Where files of messages are written.
#[derive(Clone, Debug)]
pub struct MessageConfig {
    /// A folder, or the one file.
    pub path: PathBuf,
    /// Whether it is the one file.
    pub is_file: bool,
    /// A file of a folder holds what came in an interval of this length.
    pub interval: Duration,
    /// A file of a folder that has reached so many octets is completed.
    pub file_limit: u64,
}

impl MessageConfig {
    /// A folder when there is one of that name, or the name ends with a slash; else a file. Files of folders are of five
    /// minutes or 256 MiB.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let is_folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        Self { path, is_file: !is_folder, interval: Duration::from_secs(300), file_limit: 256 << 20 }
    }
}

/// Files of messages, whoever writes them.
#[derive(Debug)]
pub struct MessageFiles {
    config: MessageConfig,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    files: AtomicU64,
    octets: AtomicU64,
    records: AtomicU64,
    lost: AtomicU64,
    fields: AtomicU64,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageStats {
    /// Files completed.
    pub files: u64,
    /// Octets of those files.
    pub octets: u64,
    /// Records in them, those that say who exporters are aside.
    pub records: u64,
    /// Records that could not be written.
    pub lost_records: u64,
    /// Fields of records that IPFIX cannot carry.
    pub left_out_fields: u64,
}

impl MessageFiles {
    /// Files of this configuration; the folder is created when it is not there.
    ///
    /// # Errors
    ///
    /// When a file cannot be created there.
    pub fn open(config: MessageConfig) -> io::Result<Self> {
        file::check(&config)?;
        Ok(Self { config, counts: Counts::default() })
    }

    /// What became of records so far.
    #[must_use]
    pub fn stats(&self) -> MessageStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MessageStats {
            files: load(&self.counts.files),
            octets: load(&self.counts.octets),
            records: load(&self.counts.records),
            lost_records: load(&self.counts.lost),
            left_out_fields: load(&self.counts.fields),
        }
    }
}

impl MessageStats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "files": self.files,
            "octets": self.octets,
            "records": self.records,
            "lost_records": self.lost_records,
            "left_out_fields": self.left_out_fields,
        })
    }
}

/// A line of the account.
impl fmt::Display for MessageStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, octets, records, lost_records, left_out_fields } = self;
        write!(f, "messages     {records} records in {files} files of {octets} octets")?;
        if *lost_records > 0 {
            write!(f, "; {lost_records} could not be written")?;
        }
        if *left_out_fields > 0 {
            write!(f, "; {left_out_fields} fields cannot be said in IPFIX")?;
        }
        Ok(())
    }
}

/// Writes files of messages. One that cannot be written is given up, and its records are counted as lost.
#[derive(Debug)]
pub struct MessagesSink {
    files: Arc<MessageFiles>,
    writer: usize,
    open: Option<OpenFile>,
    /// When writing failed last.
    failed: Option<Instant>,
    domains: Domains,
    message: Message,
    /// The datagram and set whose layout is known.
    place: Option<(u64, usize)>,
    layout: Layout,
    record: Vec<u8>,
    now: Timestamp,
}

impl MessagesSink {
    /// How long nothing is tried after writing has failed.
    const PAUSE: Duration = Duration::from_secs(10);

    /// The sink of the writer of this number.
    #[must_use]
    pub fn new(files: Arc<MessageFiles>, writer: usize) -> Self {
        Self {
            files,
            writer,
            open: None,
            failed: None,
            domains: Domains::default(),
            message: Message::default(),
            place: None,
            layout: Layout::default(),
            record: Vec::new(),
            now: Timestamp::ZERO,
        }
    }

    fn add(&mut self, record: &Record<'_>) -> io::Result<()> {
        let envelope = record.envelope;
        // A clock that was set back does not turn time back in a file.
        self.now = self.now.max(envelope.received);
        if self.open.as_ref().is_some_and(|file| file.is_due(envelope.received, &self.files.config)) {
            self.complete()?;
        }
        if self.open.is_none() {
            if self.failed.is_some_and(|failed| failed.elapsed() < Self::PAUSE) {
                self.files.counts.lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            self.open = Some(OpenFile::create(&self.files.config, self.writer, envelope.received)?);
            self.failed = None;
            self.place = None;
            self.now = envelope.received;
            self.domains.begin();
        }
        let place = (record.datagram, record.set);
        let is_new = self.place != Some(place);
        if is_new {
            self.layout.learn(record);
            let left_out = self.layout.left_out();
            if left_out > 0 {
                self.files.counts.fields.fetch_add(left_out, Ordering::Relaxed);
            }
        }
        let Self { open: Some(file), domains, message, layout, now, .. } = self else { return Ok(()) };
        if layout.is_empty() {
            self.files.counts.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let Some(domain) = domains.of(Source::of(envelope), file, message, *now)? else {
            self.files.counts.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        if is_new {
            if let Some(sampling) = record.context.header_sampling() {
                let said = (sampling.interval, sampling.algorithm.number());
                domain.sampled(said, file, message, *now)?;
            }
            domain.announce(layout, file, message, *now)?;
            self.place = Some(place);
        }
        self.record.clear();
        layout.write(record, domain.number(), &mut self.record);
        if domain.is_worth(layout, &self.record) {
            message.record(domain.number(), layout.id(), &self.record, *now, file)?;
            file.records += 1;
        }
        Ok(())
    }

    /// Ends the open file.
    fn complete(&mut self) -> io::Result<()> {
        let Some(mut file) = self.open.take() else { return Ok(()) };
        let records = file.records;
        let written = self.message.end(&mut file).and_then(|()| file.complete(&self.files.config));
        match written {
            Ok(octets) => {
                let counts = &self.files.counts;
                counts.files.fetch_add(1, Ordering::Relaxed);
                counts.octets.fetch_add(octets, Ordering::Relaxed);
                counts.records.fetch_add(records, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.files.counts.lost.fetch_add(records, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Gives the open file up: receiving goes on.
    fn fail(&mut self, error: &io::Error) {
        error!("messages at {} are lost: {error}", self.files.config.path.display());
        self.failed = Some(Instant::now());
        self.message.clear();
        if let Some(file) = self.open.take() {
            self.files.counts.lost.fetch_add(file.records, Ordering::Relaxed);
            file.abandon();
        }
    }
}

impl FlowSink for MessagesSink {
    fn flow(&mut self, _: &Flow<'_>) -> io::Result<()> {
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        if let Err(error) = self.add(record) {
            self.files.counts.lost.fetch_add(1, Ordering::Relaxed);
            self.fail(&error);
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        let is_due = self.open.as_ref().is_some_and(|file| file.is_due(now, &self.files.config));
        if is_due && let Err(error) = self.complete() {
            self.fail(&error);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.complete().inspect_err(|error| self.fail(error))
    }
}
