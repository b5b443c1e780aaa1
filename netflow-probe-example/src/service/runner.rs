//! The service thread, and what the work has to do with it.

use core::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    fs, io, process,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tracing::{debug, error, info, warn};

use super::{
    Account, LogFormat, Metrics, ServiceOptions,
    board::Board,
    http::{self, Answer},
    log,
    notify::{Watchdog, notify_ready, notify_reloading, notify_stopping},
    signals::Signals,
};

/// How often the service thread looks around.
const LOOK: Duration = Duration::from_millis(100);
/// How long an account is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The work is not healthy when nothing is heard of it for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// How much longer than allowed the end may take before it is cut off.
const GRACE: Duration = Duration::from_secs(3);

/// A program that runs as a service. Threads that do the work share it.
#[derive(Debug)]
pub struct Service<A: Account> {
    shared: Arc<Shared<A>>,
    metrics: Option<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<A> {
    program: &'static str,
    board: Board<A>,
    signals: Signals,
    reloads: AtomicU64,
    is_ready: AtomicBool,
    is_over: AtomicBool,
    drain: Duration,
    started: SystemTime,
}

/// What is reloaded on SIGHUP. What it says is logged: what has changed, or what is wrong and stays as it was.
pub type Reload = Box<dyn FnMut() -> Result<String, String> + Send>;

impl<A: Account> Service<A> {
    /// Begins: signals are watched, and metrics are answered if that was asked for. `threads` do the work, and may go on
    /// for `drain` when it is to stop.
    ///
    /// # Errors
    ///
    /// When signals cannot be watched, or the address of the metrics cannot be had.
    pub fn start(
        options: &ServiceOptions,
        program: &'static str,
        threads: usize,
        drain: Duration,
        reload: Reload,
    ) -> Result<Self, ServiceError> {
        let signals = Signals::watch().map_err(ServiceError::Signals)?;
        let shared = Arc::new(Shared {
            program,
            board: Board::new(threads),
            signals,
            reloads: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            drain,
            started: SystemTime::now(),
        });
        let mut metrics = None;
        if let Some(address) = options.metrics {
            let failed = |error| ServiceError::Metrics { address, error };
            let listener = http::listen(address, options.metrics_exposed).map_err(failed)?;
            metrics = listener.local_addr().ok();
            let shared = Arc::clone(&shared);
            http::serve(listener, move |path| shared.answer(path)).map_err(failed)?;
        }
        let runner = Runner { shared: Arc::clone(&shared), watchdog: Watchdog::from_environment(), reload };
        let thread = thread::Builder::new().name("service".to_owned());
        let thread = thread.spawn(move || runner.run()).map_err(ServiceError::Thread)?;
        Ok(Self { shared, metrics, thread: Some(thread) })
    }

    /// Tells that all is open and the work begins.
    pub fn ready(&self, status: impl fmt::Display) {
        let status = status.to_string();
        if let Some(address) = self.metrics {
            info!("metrics at http://{address}/metrics");
        }
        debug!("{status}");
        self.shared.is_ready.store(true, Ordering::Release);
        notify_ready(&status);
    }

    /// The signal that asked to stop.
    #[must_use]
    pub fn stop(&self) -> Option<u8> {
        self.shared.signals.stop()
    }

    /// How often it was reloaded: when this has grown, take what is new.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.shared.reloads.load(Ordering::Acquire)
    }

    /// To be called by each thread that works, a few times a second. `account` is what it counted, if somebody asks.
    pub fn look(&self, thread: usize, account: impl FnOnce() -> A) {
        self.shared.board.look(thread, account);
    }

    /// All threads that are not heard of wait for somebody else, which is no reason to give the program up.
    pub fn excuse(&self) {
        self.shared.board.excuse();
    }

    /// The last account of a thread.
    pub fn conclude(&self, thread: usize, account: A) {
        self.shared.board.conclude(thread, account);
    }

    /// The sum of what the threads told last.
    #[must_use]
    pub fn account(&self) -> Option<A> {
        self.shared.board.collect(Duration::ZERO)
    }

    /// Tells an account on standard error: as text, or as a message in JSON.
    pub fn tell(account: &A) {
        tell_account(account);
    }
}

impl<A: Account> Drop for Service<A> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could fail.
            let _ended = thread.join();
        }
    }
}

struct Runner<A: Account> {
    shared: Arc<Shared<A>>,
    watchdog: Watchdog,
    reload: Reload,
}

impl<A: Account> Runner<A> {
    fn run(mut self) {
        let mut stopping: Option<Instant> = None;
        // The work watches its time by itself, metering and sending one after the other. This is for what hangs.
        let cut_off = self.shared.drain * 2 + GRACE;
        loop {
            // What came before the end is told all the same.
            let is_over = self.shared.is_over.load(Ordering::Acquire);
            let signals = &self.shared.signals;
            if let (Some(signal), None) = (signals.stop(), stopping) {
                info!(signal, "stopping: what there is goes out within {:?}", self.shared.drain);
                notify_stopping("stopping");
                stopping = Some(Instant::now());
            }
            if stopping.is_some_and(|since| since.elapsed() > cut_off) {
                error!("the work did not end within {cut_off:?}: it is cut off");
                process::exit(1);
            }
            if self.shared.signals.take_reload() && stopping.is_none() {
                self.reload();
            }
            if self.shared.signals.take_account() {
                if let Some(account) = self.shared.board.collect(PATIENCE) {
                    tell_account(&account);
                } else {
                    warn!("there is no account yet");
                }
            }
            // The end is watched here.
            let silence = if stopping.is_some() { Duration::ZERO } else { self.shared.board.silence() };
            self.watchdog.keep_alive(silence);
            if is_over {
                return;
            }
            thread::park_timeout(LOOK);
        }
    }

    fn reload(&mut self) {
        notify_reloading();
        let status = match (self.reload)() {
            Ok(text) => {
                info!("reloaded: {text}");
                "reloaded".to_owned()
            }
            Err(text) => {
                error!("not reloaded, all stays as it was: {text}");
                "running; the last reload failed, see the log".to_owned()
            }
        };
        self.shared.reloads.fetch_add(1, Ordering::AcqRel);
        notify_ready(&status);
    }
}

impl<A: Account> Shared<A> {
    fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => Answer {
                status: "200 OK",
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body: self.metrics().render(),
            },
            "/health" => {
                let silence = self.board.silence();
                if self.signals.stop().is_some() {
                    Answer::text("503 Service Unavailable", "stopping\n")
                } else if !self.is_ready.load(Ordering::Acquire) {
                    Answer::text("503 Service Unavailable", "starting\n")
                } else if silence > SILENCE {
                    let text = format!("nothing was heard of the work for {} s\n", silence.as_secs());
                    Answer::text("503 Service Unavailable", text)
                } else {
                    Answer::text("200 OK", "ok\n")
                }
            }
            "/" => Answer::text("200 OK", format!("{}: /metrics, /health\n", self.program)),
            _ => Answer::text("404 Not Found", "there are /metrics and /health\n"),
        }
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        let version = env!("CARGO_PKG_VERSION");
        metrics.gauge(
            "netflow_build_info",
            "Always 1; the labels say what runs.",
            &[("program", self.program), ("version", version)],
            1.0,
        );
        process_metrics(&mut metrics, self.started);
        metrics.counter(
            "netflow_reloads_total",
            "Reloads of the configuration.",
            &[],
            self.reloads.load(Ordering::Relaxed),
        );
        metrics.gauge(
            "netflow_silence_seconds",
            "Time since the work was last heard of.",
            &[],
            self.board.silence().as_secs_f64(),
        );
        if let Some(account) = self.board.collect(PATIENCE) {
            account.measure(&mut metrics);
        }
        metrics
    }
}

/// What Prometheus knows of any process, under the names that it gives.
fn process_metrics(metrics: &mut Metrics, started: SystemTime) {
    let start = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics.gauge(
        "process_start_time_seconds",
        "Start of the process, since 1970.",
        &[],
        start.as_secs_f64(),
    );
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibi = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u32>().ok()
    };
    if let Some(resident) = kibi("VmRSS") {
        metrics.gauge(
            "process_resident_memory_bytes",
            "Memory that is in use.",
            &[],
            f64::from(resident) * 1_024.0,
        );
    }
    if let Ok(usage) = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF) {
        let seconds = |time: nix::sys::time::TimeVal| {
            Duration::new(
                u64::try_from(time.tv_sec()).unwrap_or(0),
                u32::try_from(time.tv_usec()).unwrap_or(0).saturating_mul(1_000),
            )
        };
        let spent = seconds(usage.user_time()) + seconds(usage.system_time());
        metrics.seconds("process_cpu_seconds_total", "Time that processors spent.", spent.as_secs_f64());
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // The folder itself is open meanwhile.
        let count = u32::try_from(files.count().saturating_sub(1)).unwrap_or(u32::MAX);
        metrics.gauge("process_open_fds", "Open files.", &[], f64::from(count));
    }
}

fn tell_account<A: Account>(account: &A) {
    use std::io::Write as _;
    match log::format() {
        // For people: many lines.
        LogFormat::Text => {
            let text = format!("{}\n", account.to_string().trim_end());
            // At once, so that no message comes between. That nobody may be listening there is no reason to stop.
            let _ = io::stderr().write_all(text.as_bytes());
        }
        LogFormat::Json => {
            let mut metrics = Metrics::default();
            account.measure(&mut metrics);
            let line = serde_json::json!({
                "timestamp": jiff::Timestamp::now().to_string(),
                "level": "INFO",
                "message": "account",
                "account": metrics.to_json(),
            });
            let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// The service cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Signals cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
    /// The address of the metrics cannot be had.
    #[error("--metrics {address}: {error}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}
