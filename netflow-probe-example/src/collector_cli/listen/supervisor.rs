//! What is done beside the workers: the control socket, the state file, what the kernel drops.

use core::time::Duration;
use std::{path::Path, sync::mpsc, thread, time::Instant};

use serde_json::{Map, Value};
use tracing::{error, warn};

use super::{
    ListenArgs,
    account::CollectorAccount,
    control::Control,
    state::State,
    worker::{Activity, Ask},
};
use crate::{
    account::health,
    collector_cli::sinks::Shared,
    messages::MessageFiles,
    output::OutputQueue,
    receive::{SocketWatch, now},
    service::Service,
    store::StoreStats,
};

/// Does what is not the workers' work.
pub(super) struct Supervisor<'s> {
    pub(super) args: &'s ListenArgs,
    pub(super) activity: &'s Activity,
    pub(super) sockets: &'s [SocketWatch],
    pub(super) queue: Option<&'s OutputQueue>,
    pub(super) shared: &'s Shared,
    pub(super) messages: Option<&'s MessageFiles>,
    pub(super) service: &'s Service<CollectorAccount>,
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
        let Self { args, activity, sockets, service, control, .. } = &self;
        let mut saved = Instant::now();
        let mut drops = Drops { known: 0, checked: Instant::now() };
        service.ready("receiving");
        while !activity.is_over() {
            if service.stop().is_some() || args.idle_exit.is_some_and(|limit| activity.idle() >= limit) {
                activity.end();
            }
            if drops.checked.elapsed() >= Self::CHECK && !args.output.quiet {
                drops.warn(sockets);
            }
            service.look(self.workers.len(), || self.account());
            if self.queue.is_some_and(OutputQueue::is_waited_for) {
                service.excuse();
            }
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
        service.conclude(self.workers.len(), self.account());
    }

    /// What no worker knows.
    fn account(&self) -> CollectorAccount {
        CollectorAccount {
            sockets: self.sockets.iter().map(SocketWatch::account).collect(),
            queue: self.queue.map(OutputQueue::stats),
            relay: self.shared.relayed(),
            kafka: self.shared.sent_to_kafka(),
            messages: self.messages.map(MessageFiles::stats),
            exporters: self.args.metrics_exporters,
            ..CollectorAccount::default()
        }
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
        if let Some(stats) = answers.iter().filter_map(|answer| answer.store).reduce(StoreStats::and) {
            circumstances.insert("store".to_owned(), stats.to_json());
        }
        if let Some(stats) = answers.iter().find_map(|answer| answer.sessions) {
            circumstances.insert("sessions".to_owned(), stats.to_json());
        }
        let parts = answers.into_iter().map(|answer| answer.exporters).collect();
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
            error!("cannot write {}: {error}", path.display());
        }
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
            warn!("the kernel dropped {new} datagrams: the receive buffer was full, see --receive-buffer");
            self.known = drops;
        }
    }
}
