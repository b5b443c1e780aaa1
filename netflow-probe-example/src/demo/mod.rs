//! The whole job in one process: traffic becomes flows, flows become NetFlow on loopback, NetFlow becomes flows.
//!
//! The exporter runs on the calling thread, the collector on another one; between them there is only UDP.

mod traffic;

use core::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

pub use traffic::SyntheticTraffic;

use crate::{
    account::Counts,
    collector::Collector,
    exporter::{ExportError, Exporter, ExporterAccount, ExporterConfig},
    flow::Flow,
    output::{CsvSink, FlowSink, JsonSink},
    query::Traffic,
    receive::{BindError, Sockets},
    send::{SendError, Target},
};

/// Octets of receive buffer to ask for.
const RECEIVE_BUFFER: usize = 32 << 20;
/// How long the collector waits for datagrams that were sent and do not come.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of datagrams sent, before it is known.
const NOT_YET: u64 = u64::MAX;

/// What the demonstration showed. Its `Display` is the report.
#[derive(Debug)]
pub struct Report {
    exporter: ExporterAccount,
    faults: Vec<ExportError>,
    collected: Collected,
    directory: PathBuf,
}

#[derive(Debug)]
struct Collected {
    counts: Counts,
    lost: u64,
    summary: String,
    traffic: Traffic,
}

/// The demonstration could not be given.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The exporter failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The collector could not listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The collector stopped.
    #[error("the collector failed: {0}")]
    Collect(#[source] io::Error),
}

impl From<SendError> for DemoError {
    fn from(error: SendError) -> Self {
        Self::Export(error.into())
    }
}

/// Gives the demonstration: meters `files`, or made-up traffic when there are none, and leaves the flows as files in
/// `directory`, which is made. The configuration's targets are not used.
///
/// Files that cannot be read to their end are among the report's [faults](Report::faults); what was read before is
/// part of the demonstration.
///
/// # Errors
///
/// When nothing of the files can be read, a socket cannot be opened or a file cannot be written.
pub fn run(mut config: ExporterConfig, files: &[PathBuf], directory: &Path) -> Result<Report, DemoError> {
    let sockets = Sockets::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], RECEIVE_BUFFER)?;
    config.targets = sockets.addresses().map(|address| Target::Collector(address.into())).collect();
    let sent = Arc::new(AtomicU64::new(NOT_YET));
    let collector = collect(sockets, directory, Arc::clone(&sent))?;

    let outcome = export(config, files);
    let count =
        outcome.as_ref().map_or(0, |(account, _)| account.destinations.iter().map(|to| to.send.sent).sum());
    sent.store(count, Ordering::Release);
    // A panic of the collector is one of the demonstration.
    let collected = collector.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
    let (exporter, faults) = outcome?;
    let collected = collected.map_err(DemoError::Collect)?;
    Ok(Report { exporter, faults, collected, directory: directory.to_owned() })
}

/// The account, and what is wrong with the files.
fn export(
    config: ExporterConfig,
    files: &[PathBuf],
) -> Result<(ExporterAccount, Vec<ExportError>), ExportError> {
    let mut exporter = Exporter::new(config)?;
    if files.is_empty() {
        SyntheticTraffic::generate().frames(|frame| exporter.handle_frame(frame))?;
    }
    let mut faults = Vec::new();
    for file in files {
        match exporter.read_file(file, |_, _| ControlFlow::Continue(())) {
            Ok(_) => {}
            Err(fault @ ExportError::Capture { .. }) => faults.push(fault),
            Err(error) => return Err(error),
        }
    }
    exporter.finish()?;
    let account = exporter.account();
    if account.meter.frames.frames() == 0 && !faults.is_empty() {
        return Err(faults.remove(0));
    }
    Ok((account, faults))
}

/// Starts the collector. It stops when as many datagrams have come as were sent, or no more come.
fn collect(
    sockets: Sockets,
    directory: &Path,
    sent: Arc<AtomicU64>,
) -> Result<JoinHandle<io::Result<Collected>>, DemoError> {
    fs::create_dir_all(directory).map_err(|source| DemoError::File { path: directory.to_owned(), source })?;
    let create = |name: &str| {
        let path = directory.join(name);
        File::create(&path).map_err(|source| DemoError::File { path, source })
    };
    let files = (JsonSink::new(create("flows.json")?), CsvSink::new(create("flows.csv")?));
    let mut summary_file = create("account.json")?;
    Ok(thread::spawn(move || {
        let mut receiver = sockets.into_receiver();
        let mut collector = Collector::new((TrafficSink(Traffic::new()), files));
        let mut last = Instant::now();
        loop {
            loop {
                let before = collector.account().datagrams();
                for datagram in receiver.receive()? {
                    collector.handle_datagram(datagram.source, datagram.payload, datagram.received)?;
                }
                if collector.account().datagrams() == before {
                    break;
                }
                last = Instant::now();
            }
            let sent = sent.load(Ordering::Acquire);
            if collector.account().counts().datagrams >= sent || sent != NOT_YET && last.elapsed() > PATIENCE
            {
                break;
            }
            receiver.wait(Duration::from_millis(20))?;
        }
        collector.flush()?;
        let summary = collector.summary().with_sockets(receiver.sockets().collect());
        io::Write::write_all(&mut summary_file, format!("{:#}\n", summary.to_json()).as_bytes())?;
        let summary = summary.to_string();
        Ok(Collected {
            counts: *collector.account().counts(),
            lost: collector.account().sequence().iter().map(|counts| counts.lost).sum(),
            summary,
            traffic: collector.into_sink().0.0,
        })
    }))
}

/// Keeps what the tables are made of.
struct TrafficSink(Traffic);

impl FlowSink for TrafficSink {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.0.add(&flow.record);
        Ok(())
    }
}

impl Report {
    /// Whether everything that was sent was received, with no flow, packet or octet too few or too many.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.checks().iter().all(|(_, sent, received)| sent == received) && self.collected.lost == 0
    }

    /// What is wrong with the capture files.
    #[must_use]
    pub fn faults(&self) -> &[ExportError] {
        &self.faults
    }

    /// What both ends counted: name, sent, received.
    fn checks(&self) -> [(&'static str, u64, u64); 4] {
        let total = self.collected.traffic.total();
        let mut sent = [0; 4];
        for destination in &self.exporter.destinations {
            sent = [
                sent[0] + destination.send.sent,
                sent[1] + destination.session.records,
                self.exporter.meter.metered_packets,
                self.exporter.meter.metered_octets,
            ];
        }
        let [datagrams, flows, packets, octets] = sent;
        [
            ("datagrams", datagrams, self.collected.counts.datagrams),
            ("flows", flows, self.collected.counts.data_records),
            ("packets", packets, total.packets),
            ("octets", octets, total.octets),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Collected { lost, summary, traffic, .. } = &self.collected;
        writeln!(f, "== exporter\n{}", self.exporter)?;
        writeln!(f, "== collector\n{summary}")?;
        writeln!(f, "== check{:>20}{:>16}", "exported", "collected")?;
        for (name, sent, received) in self.checks() {
            let verdict = if sent == received { "" } else { "  DIFFERENT" };
            writeln!(f, "{name:<12}{sent:>16}{received:>16}{verdict}")?;
        }
        writeln!(f, "lost        {:>16}{lost:>16}\n", 0)?;
        writeln!(f, "== top talkers\n{}", traffic.pairs_table(10))?;
        writeln!(f, "== protocols\n{}", traffic.protocols_table(5))?;
        writeln!(f, "== octets over time\n{}", traffic.timeline().render())?;
        let directory = self.directory.display();
        writeln!(
            f,
            "flows are in {directory}/flows.json and flows.csv, the account in {directory}/account.json"
        )
    }
}
