//! `netflow-collector listen`: flows from exporters.

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{io, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use clap::Args;
use netflow_codec::CacheLimits;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::{
    Failure, OutputArgs,
    session::{Sinks, stored, tell},
    templates,
};
use crate::{
    collector::Collector,
    config::parse_duration,
    receive::{Receiver, now},
};

/// Arguments of `listen`.
#[derive(Args, Clone, Debug)]
pub struct ListenArgs {
    /// Receive at this address and UDP port; may be given several times. `[::]` stands for IPv4 as well. Port 0 lets
    /// the system choose; standard error says which one. Without it: port 2055 of all addresses, IPv6 and IPv4.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub bind: Vec<SocketAddr>,
    /// Stop when nothing came for so long, as in 500ms, 2s, 5m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub idle_exit: Option<Duration>,
    /// Octets of receive buffer to ask the kernel for, for each address.
    #[arg(long, value_name = "OCTETS", default_value_t = 32 << 20)]
    pub receive_buffer: usize,
    /// Start with the templates of this file, if it is there, and leave them in it at the end: so data can be decoded
    /// before exporters send their templates again.
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub output: OutputArgs,
}

/// The port that NetFlow is mostly sent to.
const PORT: u16 = 2055;

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port expected, as in 0.0.0.0:2055 or [::]:2055".to_owned())
}

/// Receives until a signal comes, or nothing for as long as asked.
pub(super) fn run(args: &ListenArgs) -> Result<ExitCode, Failure> {
    args.output.check(args.templates.as_slice())?;
    let stop = watch_signals().map_err(Failure::Signals)?;
    let mut receiver = if args.bind.is_empty() {
        Receiver::bind_any(PORT, args.receive_buffer)?
    } else {
        Receiver::bind(&args.bind, args.receive_buffer)?
    };
    let mut collector = args.output.collector(CacheLimits::default())?;
    // Also when quiet: with port 0 there is no other way to know.
    for address in receiver.addresses() {
        tell(format_args!("listening on {address}"));
    }
    if let Some(path) = &args.templates {
        templates::restore(path, collector.cache_mut(), now(), args.output.quiet);
    }
    let granted = receiver.receive_buffer();
    if granted < args.receive_buffer && !args.output.quiet {
        tell(format_args!(
            "receive buffer: {granted} octets granted of {} asked for; bursts may be lost \
             (raise it with: sysctl -w net.core.rmem_max={})",
            args.receive_buffer, args.receive_buffer
        ));
    }
    let ended = receive(&mut receiver, &mut collector, &stop, args);
    let drops = receiver.kernel_drops();
    let written = match &ended {
        Err(Failure::Output(_)) => Ok(()),
        _ => collector.finish().map_err(Failure::Output),
    };
    // The account is complete even when nobody reads the flows.
    args.output.conclude(collector.summary().with_kernel_drops(drops), stored(&collector))?;
    if let Some(path) = &args.templates {
        templates::store(path, collector.decoder().cache())?;
    }
    ended.and(written)?;
    Ok(ExitCode::SUCCESS)
}

/// Sets the flag at the first signal; a second one ends the program at once.
fn watch_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn receive(
    receiver: &mut Receiver,
    collector: &mut Collector<Sinks>,
    stop: &AtomicBool,
    args: &ListenArgs,
) -> Result<(), Failure> {
    /// How long to wait before looking whether to stop.
    const LOOK: Duration = Duration::from_millis(200);
    /// How often to ask the kernel what it dropped.
    const CHECK: Duration = Duration::from_secs(10);
    let mut last_datagram = Instant::now();
    let mut drops = Drops { known: 0, checked: Instant::now() };
    while !stop.load(Ordering::Relaxed) {
        let mut came = false;
        // In portions, so that a flood cannot keep the stop from being seen.
        for _ in 0..1_000 {
            let Some(datagram) = receiver.receive().map_err(Failure::Receive)? else { break };
            came = true;
            collector
                .handle_datagram(datagram.source, datagram.payload, datagram.received)
                .map_err(Failure::Output)?;
        }
        collector.tick(now()).map_err(Failure::Output)?;
        if came {
            last_datagram = Instant::now();
        } else {
            // What came is printed as soon as there is time.
            collector.flush().map_err(Failure::Output)?;
            let left = args.idle_exit.map(|limit| limit.saturating_sub(last_datagram.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            receiver.wait(left.unwrap_or(LOOK).min(LOOK)).map_err(Failure::Receive)?;
        }
        if drops.checked.elapsed() >= CHECK && !args.output.quiet {
            drops.warn(receiver);
        }
    }
    Ok(())
}

struct Drops {
    known: u64,
    checked: Instant,
}

impl Drops {
    fn warn(&mut self, receiver: &Receiver) {
        self.checked = Instant::now();
        let Some(drops) = receiver.kernel_drops() else { return };
        if drops > self.known {
            let new = drops - self.known;
            tell(format_args!(
                "the kernel dropped {new} datagrams: the receive buffer was full, see --receive-buffer"
            ));
            self.known = drops;
        }
    }
}
