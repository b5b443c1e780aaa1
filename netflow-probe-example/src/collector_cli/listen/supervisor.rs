//! What is done beside the workers: signals, the control socket, the state file.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use serde_json::{Map, Value};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{
    ListenArgs,
    control::Control,
    state::State,
    worker::{Activity, Ask},
};
use crate::{
    account::health,
    collector_cli::{session::tell, sinks::Shared},
    output::OutputQueue,
    receive::{SocketWatch, now},
    service::{Watchdog, notify_ready, notify_reloading, notify_stopping},
    store::StoreStats,
};

/// What signals ask for.
pub(super) struct Signals {
    /// To stop; a second signal ends the program at once.
    pub(super) stop: Arc<AtomicBool>,
    /// To read the policy again.
    reload: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn watch() -> io::Result<Self> {
        let signals = Self { stop: Arc::default(), reload: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
        }
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        Ok(signals)
    }
}

/// Does what is not the workers' work.
pub(super) struct Supervisor<'s> {
    pub(super) args: &'s ListenArgs,
    pub(super) activity: &'s Activity,
    pub(super) sockets: &'s [SocketWatch],
    pub(super) queue: Option<&'s OutputQueue>,
    pub(super) shared: &'s Shared,
    pub(super) signals: Signals,
    pub(super) control: Option<Control>,
    pub(super) workers: Vec<mpsc::Sender<Ask>>,
}

impl Supervisor<'_> {
    /// How long to wait before looking whether there is something to do.
    const LOOK: Duration = Duration::from_millis(50);
    /// How often to ask the kernel what it dropped.
    const CHECK: Duration = Duration::from_secs(10);
    /// How long workers have to answer.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Until it is time to stop.
    pub(super) fn run(self) {
        let Self { args, activity, sockets, signals, control, .. } = &self;
        let mut saved = Instant::now();
        let mut drops = Drops { known: 0, checked: Instant::now() };
        let mut watchdog = Watchdog::from_environment();
        notify_ready("receiving");
        while !activity.is_over() {
            if args.idle_exit.is_some_and(|limit| activity.idle() >= limit) {
                activity.end();
            }
            if drops.checked.elapsed() >= Self::CHECK && !args.output.quiet {
                drops.warn(sockets);
            }
            if signals.reload.swap(false, Ordering::Relaxed) {
                notify_reloading();
                self.reload();
                notify_ready("receiving");
            }
            watchdog.keep_alive(Duration::ZERO);
            if let Some(control) = control {
                control.answer(|question| self.answer(question));
            }
            if let Some(path) = &args.state
                && saved.elapsed() >= args.state_interval
            {
                self.save(path);
                saved = Instant::now();
            }
            thread::sleep(Self::LOOK);
        }
        notify_stopping("decoding what has come");
    }

    /// Has every worker asked, and gathers what comes in a reasonable time: a worker may have to wait for the output.
    fn gather<T>(&self, ask: impl Fn(mpsc::Sender<T>) -> Ask) -> Vec<T> {
        let (answer, answers) = mpsc::channel();
        for worker in &self.workers {
            let _ = worker.send(ask(answer.clone()));
        }
        drop(answer);
        let deadline = Instant::now() + Self::PATIENCE;
        let mut gathered = Vec::new();
        while gathered.len() < self.workers.len()
            && let Ok(answer) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            gathered.push(answer);
        }
        gathered
    }

    fn answer(&self, question: &str) -> String {
        match question {
            "health" => self.health().to_string(),
            _ => serde_json::json!({ "error": "unknown question; known: health" }).to_string(),
        }
    }

    /// The health document.
    fn health(&self) -> Value {
        let answers = self.gather(Ask::Health);
        let mut circumstances = Map::new();
        let workers = serde_json::json!({ "all": self.workers.len(), "answered": answers.len() });
        circumstances.insert("workers".to_owned(), workers);
        let sockets = self.sockets.iter().map(|socket| socket.account().to_json()).collect();
        circumstances.insert("sockets".to_owned(), sockets);
        if let Some(queue) = self.queue {
            circumstances.insert("output_queue".to_owned(), queue.stats().to_json());
        }
        let (parts, stores): (Vec<Value>, Vec<Option<StoreStats>>) = answers.into_iter().unzip();
        if let Some(stats) = stores.into_iter().flatten().reduce(StoreStats::and) {
            circumstances.insert("store".to_owned(), stats.to_json());
        }
        health::document(parts, circumstances, now())
    }

    /// Writes the state, unless a worker does not answer: what it knows would be lost.
    fn save(&self, path: &Path) {
        let states = self.gather(Ask::State);
        if states.len() < self.workers.len() {
            return;
        }
        let mut state = State::default();
        for of_worker in states {
            state.append(of_worker);
        }
        if let Err(error) = state.write(path) {
            tell(format_args!("netflow-collector: cannot write {}: {error}", path.display()));
        }
    }

    /// Reads the policy again. When it cannot be understood, the one before stays.
    fn reload(&self) {
        self.shared.reload();
        let policy = match self.args.policy() {
            Ok(policy) => Arc::new(policy),
            Err(failure) => {
                return tell(format_args!("netflow-collector: {failure}; the policy before stays"));
            }
        };
        for worker in &self.workers {
            // One that has ended needs no policy.
            let _ = worker.send(Ask::Policy(Arc::clone(&policy)));
        }
        // Whoever reloads wants to know that it happened.
        tell("the policy was read again; limits of the template cache hold from the next start on");
    }
}

/// Datagrams that the kernel dropped, as far as they were told.
struct Drops {
    known: u64,
    checked: Instant,
}

impl Drops {
    fn warn(&mut self, sockets: &[SocketWatch]) {
        self.checked = Instant::now();
        let drops = sockets.iter().filter_map(|socket| socket.account().drops).sum();
        if drops > self.known {
            let new = drops - self.known;
            tell(format_args!(
                "the kernel dropped {new} datagrams: the receive buffer was full, see --receive-buffer"
            ));
            self.known = drops;
        }
    }
}
