//! `netflow-collector listen`: flows from exporters.

mod account;
mod control;
mod reload;
mod sessions;
mod state;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;
mod worker;

use core::{net::SocketAddr, time::Duration};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use clap::Args;
use netflow_codec::{CacheLimits, ScopePolicy};
use tracing::warn;

pub(super) use self::reload::configuration;
#[cfg(feature = "tls")]
pub use self::tls::TlsArgs;
use self::{
    account::CollectorAccount,
    control::Control,
    reload::Configuration,
    state::State,
    supervisor::Supervisor,
    worker::{Activity, Ended, Input, Plan},
};
use super::{
    Failure, NAME, OutputArgs, RelayArgs,
    session::{file_failure, tell},
    sinks::Shared,
};
use crate::{
    config::{ConfigArgs, parse_duration, parse_octets},
    messages::MessageStats,
    output::{OutputQueue, QueueStats, WhenFull},
    policy::Policy,
    receive::{Security, SocketWatch, Sockets, StreamLimits, StreamListener, receiver_of},
    service::{Account as _, LogFormat, Service, ServiceOptions, drop_privileges, start_log},
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
    /// Forget exporters that sent nothing for so long: their templates, names, sequence numbers and accounts. What they
    /// sent stays in the sums.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1d")]
    pub exporter_idle: Duration,
    /// Stop when nothing came for so long, as in 500ms, 2s, 5m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub idle_exit: Option<Duration>,
    /// Octets of receive buffer to ask the kernel for, for each socket.
    #[arg(long, value_name = "OCTETS", default_value = "32M", value_parser = parse_buffer)]
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
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub service: ServiceOptions,
    /// Tell so many exporters one by one at --metrics: those that were known first. The others are in the sums only.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, help_heading = "Service")]
    pub metrics_exporters: usize,
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

    /// Opens all sockets that are received at.
    fn bind_all(&self) -> Result<Bound, Failure> {
        let any = PORTS.map(Sockets::any);
        let mut streams = StreamListener::new(self.stream_limits());
        let stream_addresses = self.bind_streams(&mut streams)?;
        let streams = (!streams.is_empty()).then_some(streams);
        let addresses = if self.bind.is_empty() && streams.is_none() { &any } else { self.bind.as_slice() };
        let datagrams = if addresses.is_empty() {
            Vec::new()
        } else {
            Sockets::bind_several(addresses, self.receive_buffer, self.workers)?
        };
        Ok(Bound { datagrams, streams, stream_addresses })
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
    pub(super) fn policy(&self) -> Result<Policy, Failure> {
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

fn parse_buffer(text: &str) -> Result<usize, String> {
    /// The kernel counts buffers in 31 bits, and doubles what it is asked for.
    const MOST: u64 = 1_023 << 20;
    let octets = parse_octets(text).map_err(|error| error.to_string())?;
    let buffer = usize::try_from(octets).ok().filter(|_| octets <= MOST);
    buffer.ok_or_else(|| "at most 1023M expected".to_owned())
}

/// Receives until a signal comes, or nothing for as long as asked. `configuration` is asked at a reload what became other in
/// the configuration file.
pub(super) fn run(args: &ListenArgs, configuration: Configuration) -> Result<(), Failure> {
    start_log(&args.service, args.output.quiet);
    args.output.check(args.state.as_slice())?;
    let policy = Arc::new(args.policy()?);
    let Bound { datagrams, streams, stream_addresses } = args.bind_all()?;
    let sockets: Vec<_> = datagrams.iter().flat_map(Sockets::watch).collect();
    let shared = Arc::new(Shared::open(&args.output, Some(&args.relay))?);
    let addresses: Vec<_> = datagrams.first().into_iter().flat_map(Sockets::addresses).collect();
    let mut inputs: Vec<Input> = datagrams.into_iter().map(Input::Datagrams).collect();
    inputs.extend(streams.map(Input::Streams));
    let (workers, asks): (Vec<_>, Vec<_>) = inputs.iter().map(|_| mpsc::channel()).unzip();
    let reload = reload::reload(args, Arc::clone(&shared), workers.clone(), configuration);
    // The supervisor is one more thread that is to be heard of.
    let service = Service::start(&args.service, NAME, inputs.len() + 1, DRAIN, reload)?;
    drop_privileges(&args.service)?;
    // What stands below is done with the rights that are left.
    args.output.check_summary()?;
    let elements = args.output.defined()?;
    let watch = args.output.alerts.watch(args.output.quiet)?;
    let store = args.output.store.open()?;
    let messages = args.output.messages.open(inputs.len())?;
    let limit = usize::try_from(args.output_queue).unwrap_or(usize::MAX);
    let start = |output| OutputQueue::start(output, limit, args.when_full);
    let mut queue = args
        .output
        .destination(store.is_some() || messages.is_some() || shared.takes_flows)?
        .map(start)
        .transpose()
        .map_err(Failure::Output)?;
    // Also when quiet: with port 0 there is no other way to know.
    for address in addresses {
        tell(format_args!("listening on {address}"));
    }
    for (over, address) in stream_addresses {
        tell(format_args!("listening for {over} on {address}"));
    }
    let state = args.state.as_deref().map(restored).transpose()?.unwrap_or_default();
    let control = args.control.as_deref().map(bind_control).transpose()?;
    warn_of_small_buffers(&sockets, args);
    let is_alone = inputs.len() == 1;
    if !is_alone && let Some(queue) = &queue {
        args.output.print_headings(queue).map_err(Failure::Output)?;
    }
    let mut plans = Vec::new();
    for (number, (input, asks)) in inputs.into_iter().zip(asks).enumerate() {
        let state = state.of(|exporter| receiver_of(exporter, args.workers) == number);
        let store = match &store {
            Some(store) if number > 0 => Some(store.another().map_err(Failure::Output)?),
            _ => None,
        };
        plans.push(Plan {
            number,
            args,
            input,
            queue: queue.as_ref(),
            is_alone,
            store,
            shared: &shared,
            messages: messages.clone(),
            state,
            elements: elements.clone(),
            watch: watch.clone(),
            policy: Arc::clone(&policy),
            asks,
            service: &service,
        });
    }
    if let Some(first) = plans.first_mut() {
        first.store = store;
    }
    let activity = Activity::new();
    let supervisor = Supervisor {
        args,
        activity: &activity,
        sockets: &sockets,
        queue: queue.as_ref(),
        shared: &shared,
        messages: messages.as_deref(),
        service: &service,
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
    let messages = messages.map(|files| files.stats());
    conclude(args, ended, &sockets, (&shared, messages), written)
}

/// How long what has come may take to be decoded and written at the end, half of what is waited for in all.
const DRAIN: Duration = Duration::from_secs(40);

/// Sockets that are open.
struct Bound {
    /// One for each worker.
    datagrams: Vec<Sockets>,
    streams: Option<StreamListener>,
    /// Of sessions: over what, and where.
    stream_addresses: Vec<(&'static str, SocketAddr)>,
}

/// What an earlier run left behind. A file that is of no use is no reason not to start, but one that cannot be written is.
fn restored(path: &Path) -> Result<State, Failure> {
    State::check(path).map_err(|error| file_failure(path, error))?;
    let (state, faults) = State::read(path);
    for fault in faults {
        warn!("state of {}: {fault}", path.display());
    }
    Ok(state)
}

fn bind_control(path: &Path) -> Result<Control, Failure> {
    Control::bind(path).map_err(|error| file_failure(path, error))
}

fn warn_of_small_buffers(sockets: &[SocketWatch], args: &ListenArgs) {
    let granted = sockets.iter().map(|socket| socket.account().receive_buffer).min().unwrap_or(0);
    if granted < args.receive_buffer && !args.output.quiet && !sockets.is_empty() {
        warn!(
            "receive buffer: {granted} octets granted of {} asked for; bursts may be lost (raise it with: sysctl -w \
             net.core.rmem_max={})",
            args.receive_buffer, args.receive_buffer
        );
    }
}

/// Tells the account of all workers together, and leaves the templates behind.
fn conclude(
    args: &ListenArgs,
    ended: Vec<Ended>,
    sockets: &[SocketWatch],
    (shared, messages): (&Shared, Option<MessageStats>),
    written: io::Result<Option<QueueStats>>,
) -> Result<(), Failure> {
    let mut account = CollectorAccount::default();
    let mut kept = State::default();
    let mut result = Ok(());
    for worker in ended {
        account.merge(worker.account);
        kept.append(worker.state);
        result = result.and(worker.result);
    }
    account.sockets = sockets.iter().map(SocketWatch::account).collect();
    account.queue = written.as_ref().ok().copied().flatten();
    account.messages = messages;
    // The account is complete even when nobody reads the flows.
    let mut effects = account.effects();
    effects.extend(shared.finish());
    account.relay = shared.relayed();
    account.kafka = shared.sent_to_kafka();
    if !args.output.quiet && args.service.log_format == LogFormat::Json {
        Service::tell(&account);
    }
    let is_told = args.service.log_format == LogFormat::Text;
    args.output.conclude(&account.summary(), &effects, is_told)?;
    if let Some(path) = &args.state {
        kept.write(path).map_err(|error| file_failure(path, error))?;
    }
    result?;
    written.map_err(Failure::Output)?;
    Ok(())
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
