//! One file of messages, from its creation under a temporary name until it is durable under its own.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use netflow_codec::Timestamp;

use super::MessageConfig;

/// A file being written.
#[derive(Debug)]
pub(super) struct OpenFile {
    output: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    /// The interval, counted from 1970.
    interval: u64,
    octets: u64,
    /// Records that came, not those that say who sent them.
    pub(super) records: u64,
    /// The sequence numbers of domains.
    sequences: HashMap<u32, u32>,
}

/// Makes sure that files can be created.
pub(super) fn check(config: &MessageConfig) -> io::Result<()> {
    let folder = folder_of(config);
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".messages-{}.tmp", std::process::id()));
    File::create(&probe)?;
    fs::remove_file(&probe)
}

fn folder_of(config: &MessageConfig) -> &Path {
    if !config.is_file {
        return &config.path;
    }
    match config.path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl OpenFile {
    pub(super) fn create(config: &MessageConfig, writer: usize, now: Timestamp) -> io::Result<Self> {
        let folder = folder_of(config);
        fs::create_dir_all(folder)?;
        let interval = interval(config, now);
        let name = if config.is_file {
            config.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
        } else {
            free_name(folder, &name_of(now), writer)?
        };
        let temporary = folder.join(format!(".{name}.tmp"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        Ok(Self {
            output: BufWriter::with_capacity(256 << 10, file),
            temporary,
            path: folder.join(name),
            interval,
            octets: 0,
            records: 0,
            sequences: HashMap::new(),
        })
    }

    /// Whether it is time for another one.
    pub(super) fn is_due(&self, now: Timestamp, config: &MessageConfig) -> bool {
        !config.is_file && (interval(config, now) != self.interval || self.octets >= config.file_limit)
    }

    pub(super) fn write(&mut self, message: &[u8]) -> io::Result<()> {
        self.octets += message.len() as u64;
        self.output.write_all(message)
    }

    /// The number of the next message of a domain, which has so many data records.
    pub(super) fn sequence(&mut self, domain: u32, records: u32) -> u32 {
        let next = self.sequences.entry(domain).or_default();
        let number = *next;
        *next = next.wrapping_add(records);
        number
    }

    /// Completes it: its octets are on the disk before it gets its name. Says how many they are.
    pub(super) fn complete(self, config: &MessageConfig) -> io::Result<u64> {
        let Self { output, temporary, path, octets, .. } = self;
        let done = output.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(folder_of(config))?.sync_all()
        });
        if done.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        done.map(|()| octets)
    }

    /// Gives it up.
    pub(super) fn abandon(self) {
        let Self { output, temporary, .. } = self;
        // What is buffered is not to be written.
        let _ = output.into_parts();
        let _ = fs::remove_file(temporary);
    }
}

fn interval(config: &MessageConfig, now: Timestamp) -> u64 {
    now.as_secs() / config.interval.as_secs().max(1)
}

/// A name by the time of the first record.
fn name_of(now: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(now.as_secs()).unwrap_or(0)).unwrap_or_default();
    format!("messages-{}", time.strftime("%Y%m%dT%H%M%SZ"))
}

/// The name with the number of the writer and, when that is taken, another one behind.
fn free_name(folder: &Path, name: &str, writer: usize) -> io::Result<String> {
    for number in 0..1_000_000 {
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        let name = format!("{name}-{writer}{more}.ipfix");
        if !folder.join(&name).try_exists()? {
            return Ok(name);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("no free name for {name} in {}", folder.display()),
    ))
}
