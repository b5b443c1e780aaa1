//! `netflow-collector listen`: flows from exporters.

mod control;
mod state;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;
mod worker;

use core::{net::SocketAddr, time::Duration};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
};

use clap::Args;
use netflow_codec::{CacheLimits, ScopePolicy};

#[cfg(feature = "tls")]
pub use self::tls::TlsArgs;
use self::{
    control::Control,
    state::State,
    supervisor::{Signals, Supervisor},
    worker::{Activity, Ended, Input, Plan},
};
use super::{
    Failure, OutputArgs, RelayArgs,
    session::tell,
    sinks::{Effect, Shared, both},
};
use crate::{
    account::{Account, CacheReport, Summary},
    config::{ConfigArgs, parse_duration, parse_octets},
    output::{OutputQueue, QueueStats, WhenFull},
    policy::Policy,
    receive::{Security, SocketWatch, Sockets, StreamLimits, StreamListener, StreamStats, receiver_of},
    store::StoreStats,
};

/// Arguments of `listen`.
#[derive(Args, Clone, Debug)]
pub struct ListenArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub config: ConfigArgs,
    /// Receive at this address and UDP port; may be given several times. `[::]` stands for IPv4 as well. Port 0 lets
    /// the system choose; standard error says which one. Without it: ports 2055
    /// and 4739 of all addresses, IPv6 and IPv4.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub bind: Vec<SocketAddr>,
    /// Receive IPFIX over TCP at this address and port, too; may be given several times. Without --bind nothing is received
    /// over UDP then.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub bind_tcp: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub tls: TlsArgs,
    /// Sessions over TCP at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = StreamLimits::default().sessions)]
    pub tcp_sessions: usize,
    /// Close sessions over TCP that were without a whole message for so long.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30m")]
    pub tcp_idle: Duration,
    /// Receive and decode with so many threads, each with sockets of its own at every address. All datagrams of an
    /// address come to the same thread, so that more threads than exporters are of no use.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = parse_workers)]
    pub workers: usize,
    /// Whose templates are whose.
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    pub template_scope: TemplateScope,
    /// Stop when nothing came for so long, as in 500ms, 2s, 5m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub idle_exit: Option<Duration>,
    /// Octets of receive buffer to ask the kernel for, for each socket.
    #[arg(long, value_name = "OCTETS", default_value_t = 32 << 20)]
    pub receive_buffer: usize,
    /// Octets of printed flows that may wait for whoever reads them.
    #[arg(long, value_name = "OCTETS", default_value = "64M", value_parser = parse_octets)]
    pub output_queue: u64,
    /// What becomes of flows while so many wait.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub when_full: WhenFull,
    /// Who may send how much, and how what exporters send is to be understood, as a TOML file says: allowed senders,
    /// quotas, limits of the template cache, quirks and sampling rates. SIGHUP has it read again.
    #[arg(long, value_name = "FILE.toml")]
    pub policy: Option<PathBuf>,
    /// Answer `netflow-collector status` at this local socket, which only its owner can open.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Keep in this file what is known of exporters over a restart: templates, so that data can be decoded before they are
    /// sent again, names, and sequence numbers, so that what was sent meanwhile counts as lost.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the state so often, and at the end.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1m")]
    pub state_interval: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub relay: RelayArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub output: OutputArgs,
}

impl ListenArgs {
    /// The limits of the template cache unless the policy says otherwise: of ten thousand exporters and more.
    fn limits() -> CacheLimits {
        let mut limits = CacheLimits::default();
        limits.scopes = 32_768;
        limits.template_octets = 256 << 20;
        limits.pending_octets = 64 << 20;
        limits
    }

    fn stream_limits(&self) -> StreamLimits {
        StreamLimits { sessions: self.tcp_sessions, idle: self.tcp_idle, ..StreamLimits::default() }
    }

    /// Binds what sessions are accepted at; what they are over, and where.
    fn bind_streams(&self, streams: &mut StreamListener) -> Result<Vec<(&'static str, SocketAddr)>, Failure> {
        let mut bound = Vec::new();
        for address in &self.bind_tcp {
            bound.push(("TCP", streams.bind(*address, Security::Plain)?));
        }
        #[cfg(feature = "tls")]
        if let Some(server) = self.tls.server()? {
            for address in &self.tls.bind_tls {
                bound.push(("TLS", streams.bind(*address, Security::Tls(server.clone()))?));
            }
        }
        Ok(bound)
    }

    /// The policy of the file, or the one without a file.
    fn policy(&self) -> Result<Policy, Failure> {
        let policy = match &self.policy {
            None => Policy::parse(""),
            Some(path) => fs::read_to_string(path)
                .map_err(|error| error.to_string())
                .and_then(|text| Policy::parse(&text))
                .map_err(|error| format!("{}: {error}", path.display())),
        };
        policy.map(|policy| self.output.with_quirks(policy)).map_err(Failure::Policy)
    }
}

/// Whose templates are whose: what of a sender makes one scope of template ids.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum TemplateScope {
    /// Its address: whatever port it sends from, its templates are the same.
    #[default]
    Address,
    /// Its address and port: several exporters behind one address have their own.
    AddressAndPort,
    /// Its address for v9, address and port for IPFIX: to the letter of RFC 3954 and RFC 7011.
    Protocol,
}

impl TemplateScope {
    /// The policy of the template cache.
    #[must_use]
    pub const fn policy(self) -> ScopePolicy<SocketAddr> {
        match self {
            Self::Address => ScopePolicy::by_address(),
            Self::AddressAndPort => ScopePolicy::by_address_and_port(),
            Self::Protocol => ScopePolicy::by_protocol(),
        }
    }
}

/// The port that NetFlow is mostly sent to, and that of IPFIX (RFC 7011 section 10.3.4).
const PORTS: [u16; 2] = [2_055, 4_739];

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port expected, as in 0.0.0.0:2055 or [::]:2055".to_owned())
}

fn parse_workers(text: &str) -> Result<usize, String> {
    /// More than any machine has processors for.
    const MOST: usize = 256;
    let workers = text.parse().ok().filter(|workers| (1..=MOST).contains(workers));
    workers.ok_or_else(|| format!("a whole number from 1 to {MOST} expected"))
}

/// Receives until a signal comes, or nothing for as long as asked.
pub(super) fn run(args: &ListenArgs) -> Result<ExitCode, Failure> {
    args.output.check(args.state.as_slice())?;
    let policy = Arc::new(args.policy()?);
    let signals = Signals::watch().map_err(Failure::Signals)?;
    let any = PORTS.map(Sockets::any);
    let mut streams = StreamListener::new(args.stream_limits());
    let stream_addresses = args.bind_streams(&mut streams)?;
    let addresses = if args.bind.is_empty() && streams.is_empty() { &any } else { args.bind.as_slice() };
    let bound = if addresses.is_empty() {
        Vec::new()
    } else {
        Sockets::bind_several(addresses, args.receive_buffer, args.workers)?
    };
    let sockets: Vec<_> = bound.iter().flat_map(Sockets::watch).collect();
    let elements = args.output.defined()?;
    let watch = args.output.alerts.watch(args.output.quiet)?;
    let store = args.output.store.open()?;
    let shared = Shared::open(&args.output, Some(&args.relay))?;
    let limit = usize::try_from(args.output_queue).unwrap_or(usize::MAX);
    let start = |output| OutputQueue::start(output, limit, args.when_full);
    let mut queue = args
        .output
        .destination(store.is_some() || shared.takes_flows)?
        .map(start)
        .transpose()
        .map_err(Failure::Output)?;
    // Also when quiet: with port 0 there is no other way to know.
    for address in bound.first().into_iter().flat_map(Sockets::addresses) {
        tell(format_args!("listening on {address}"));
    }
    for (over, address) in stream_addresses {
        tell(format_args!("listening for {over} on {address}"));
    }
    let state = args.state.as_deref().map(|path| restored(path, args)).unwrap_or_default();
    let control = args.control.as_deref().map(bind_control).transpose()?;
    warn_of_small_buffers(&sockets, args);
    let mut inputs: Vec<Input> = bound.into_iter().map(Input::Datagrams).collect();
    if !streams.is_empty() {
        inputs.push(Input::Streams(streams));
    }
    let is_alone = inputs.len() == 1;
    if !is_alone && let Some(queue) = &queue {
        args.output.print_headings(queue).map_err(Failure::Output)?;
    }
    let (mut plans, mut workers) = (Vec::new(), Vec::new());
    for (number, input) in inputs.into_iter().enumerate() {
        let state = state.of(|exporter| receiver_of(exporter, args.workers) == number);
        let store = match &store {
            Some(store) if number > 0 => Some(store.another().map_err(Failure::Output)?),
            _ => None,
        };
        let (ask, asks) = mpsc::channel();
        workers.push(ask);
        plans.push(Plan {
            policy: Arc::clone(&policy),
            asks,
            args,
            input,
            is_alone,
            queue: queue.as_ref(),
            store,
            shared: &shared,
            state,
            elements: elements.clone(),
            watch: watch.clone(),
        });
    }
    if let Some(first) = plans.first_mut() {
        first.store = store;
    }
    let activity = Activity::new(Arc::clone(&signals.stop));
    let supervisor = Supervisor {
        args,
        activity: &activity,
        sockets: &sockets,
        queue: queue.as_ref(),
        shared: &shared,
        signals,
        control,
        workers,
    };
    let ended: Vec<Ended> = thread::scope(|scope| {
        let activity = &activity;
        let threads: Vec<_> = plans.into_iter().map(|plan| scope.spawn(move || plan.run(activity))).collect();
        supervisor.run();
        threads.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Ended::panicked())).collect()
    });
    let written = queue.as_mut().map(OutputQueue::finish).transpose();
    conclude(args, ended, &sockets, &shared, written)
}

/// What an earlier run left behind. A file that is of no use is no reason not to start.
fn restored(path: &Path, args: &ListenArgs) -> State {
    let (state, faults) = State::read(path);
    for fault in faults {
        if !args.output.quiet {
            tell(format_args!("state of {}: {fault}", path.display()));
        }
    }
    state
}

fn bind_control(path: &Path) -> Result<Control, Failure> {
    Control::bind(path).map_err(|error| Failure::File { path: path.display().to_string(), error })
}

fn warn_of_small_buffers(sockets: &[SocketWatch], args: &ListenArgs) {
    let granted = sockets.iter().map(|socket| socket.account().receive_buffer).min().unwrap_or(0);
    if granted < args.receive_buffer && !args.output.quiet {
        tell(format_args!(
            "receive buffer: {granted} octets granted of {} asked for; bursts may be lost \
             (raise it with: sysctl -w net.core.rmem_max={})",
            args.receive_buffer, args.receive_buffer
        ));
    }
}

/// Tells the account of all workers together, and leaves the templates behind.
fn conclude(
    args: &ListenArgs,
    ended: Vec<Ended>,
    sockets: &[SocketWatch],
    shared: &Shared,
    written: io::Result<Option<QueueStats>>,
) -> Result<ExitCode, Failure> {
    let (mut account, mut cache) = (Account::default(), CacheReport::default());
    let mut store: Option<StoreStats> = None;
    let mut streams: Option<StreamStats> = None;
    let mut counting = None;
    let mut kept = State::default();
    let mut result = Ok(());
    for worker in ended {
        account.absorb(worker.account);
        cache.absorb(worker.cache);
        store = match (store, worker.store) {
            (Some(stats), Some(more)) => Some(stats.and(more)),
            (stats, more) => stats.or(more),
        };
        streams = streams.or(worker.streams);
        counting = both(counting, worker.counting);
        kept.append(worker.state);
        result = result.and(worker.result);
    }
    let queue = written.as_ref().ok().copied().flatten();
    let summary = Summary::new(&account, cache)
        .with_sockets(sockets.iter().map(SocketWatch::account).collect())
        .with_sessions(streams.map(|stats| stats.to_json()))
        .with_queue(queue.map(|stats| stats.to_json()), queue.map_or(0, |stats| stats.refused_lines));
    // The account is complete even when nobody reads the flows.
    let mut effects = Effect::of(store, counting);
    effects.extend(shared.finish());
    args.output.conclude(&summary, &effects)?;
    if let Some(path) = &args.state {
        kept.write(path).map_err(|error| Failure::File { path: path.display().to_string(), error })?;
    }
    result?;
    written.map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unless_told_otherwise_the_ports_are_those_of_netflow_and_of_ipfix() {
        // C1
        assert_eq!(PORTS.map(|port| Sockets::any(port).port()), [2_055, 4_739]);
        assert!(PORTS.map(Sockets::any).iter().all(|address| address.ip().is_unspecified()));
    }
}
