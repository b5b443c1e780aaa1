//! One thread that receives, decodes and hands flows on.

use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use netflow_codec::ElementRegistry;
use serde_json::Value;
use tracing::{info, warn};

use super::{ListenArgs, account::CollectorAccount, sessions::Sessions, state::State};
use crate::{
    collector::Collector,
    collector_cli::{
        Failure,
        session::watched,
        sinks::{Shared, Sinks, counted, stored, with_messages},
    },
    jobs::ioc::Watch,
    messages::MessageFiles,
    output::{FlowSink, OutputQueue},
    policy::Policy,
    receive::{Receiver, Sockets, StreamListener, StreamStats, now},
    service::Service,
    store::{Store, StoreStats},
};

/// What a worker needs.
pub(super) struct Plan<'p> {
    /// Which of the workers it is, from 0.
    pub(super) number: usize,
    pub(super) args: &'p ListenArgs,
    pub(super) input: Input,
    pub(super) queue: Option<&'p OutputQueue>,
    /// Whether no other worker prints.
    pub(super) is_alone: bool,
    pub(super) store: Option<Store>,
    pub(super) shared: &'p Shared,
    pub(super) messages: Option<Arc<MessageFiles>>,
    pub(super) state: State,
    pub(super) elements: ElementRegistry,
    pub(super) watch: Option<Watch>,
    pub(super) policy: Arc<Policy>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) service: &'p Service<CollectorAccount>,
}

/// Where a worker receives.
pub(super) enum Input {
    Datagrams(Sockets),
    Streams(StreamListener),
}

/// What a worker is asked for while it works. It answers between datagrams, so that nothing is lost for it.
pub(super) enum Ask {
    /// Decide by this policy from now on.
    Policy(Arc<Policy>),
    /// Tell how the exporters do.
    Health(mpsc::Sender<Health>),
    /// Tell what is to outlive the collector.
    State(mpsc::Sender<State>),
}

/// How a worker's exporters do, and what became of flows that are stored and of sessions.
pub(super) struct Health {
    pub(super) exporters: Value,
    pub(super) store: Option<StoreStats>,
    pub(super) sessions: Option<StreamStats>,
}

/// What a worker leaves behind.
pub(super) struct Ended {
    pub(super) account: CollectorAccount,
    pub(super) state: State,
    pub(super) result: Result<(), Failure>,
}

impl Ended {
    /// Of a worker of which nothing is left.
    pub(super) fn panicked() -> Self {
        Self { account: CollectorAccount::default(), state: State::default(), result: Err(Failure::Worker) }
    }
}

/// What workers and their supervisor tell one another.
#[derive(Debug)]
pub(super) struct Activity {
    stop: AtomicBool,
    start: Instant,
    /// When the last datagram was handled, in milliseconds from the start.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { stop: AtomicBool::new(false), start: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Since when nothing came.
    pub(super) fn idle(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    fn note(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(millis, Ordering::Relaxed);
    }
}

/// Ends the whole collector when a worker ends, however it does.
struct EndsAll<'a>(&'a Activity);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Plan<'_> {
    /// Works until it is time to stop.
    pub(super) fn run(mut self, activity: &Activity) -> Ended {
        let _ends = EndsAll(activity);
        let mut collector = self.collector();
        self.restore(&mut collector);
        let Self { number, args, shared, service, asks, .. } = self;
        let exporters = args.metrics_exporters;
        let duties = Duties { number, asks, activity, service, exporters };
        let mut streams = None;
        let result = match self.input {
            Input::Datagrams(sockets) => {
                duties.receive(&mut (sockets.into_receiver(), shared), &mut collector)
            }
            Input::Streams(listener) => {
                let mut sessions = Sessions::new(listener.into_receiver());
                let result = duties.receive(&mut sessions, &mut collector);
                streams = sessions.sessions();
                result
            }
        };
        let written = match &result {
            Err(Failure::Output(_)) => Ok(()),
            _ => collector.finish().map_err(Failure::Output),
        };
        service.conclude(number, CollectorAccount::excerpt(&collector, streams, exporters));
        let is_kept = args.state.is_some() && streams.is_none();
        let state = if is_kept { state_of(&collector) } else { State::default() };
        let account = CollectorAccount {
            cache: collector.cache_report(),
            store: stored(&collector),
            counting: counted(&collector),
            streams,
            account: collector.into_account(),
            exporters,
            ..CollectorAccount::default()
        };
        Ended { account, state, result: result.and(written) }
    }

    /// What is made here, and not by who starts the thread, never leaves the thread.
    fn collector(&mut self) -> Collector<Sinks> {
        let Self {
            number,
            messages,
            args,
            queue,
            store,
            shared,
            elements,
            policy,
            watch,
            input,
            is_alone,
            ..
        } = self;
        let sink = |queue| -> Box<dyn FlowSink> { args.output.sink_of(queue, !*is_alone) };
        let printer = watched(watch.take(), queue.map(sink));
        let printer = with_messages(messages.as_ref(), *number, printer);
        let sinks = shared.staged(&args.output.counting, (printer, store.take()));
        let limits = policy.limits.over(ListenArgs::limits());
        let mut collector = args.output.collector_with(
            limits,
            core::mem::take(elements),
            sinks,
            Arc::clone(policy),
            |fault| warn!("{fault}"),
        );
        collector.forget_after(args.exporter_idle);
        match input {
            Input::Datagrams(_) => collector.with_scopes(args.template_scope.policy()),
            Input::Streams(_) => collector.of_sessions(),
        }
    }

    fn restore(&mut self, collector: &mut Collector<Sinks>) {
        let Some(path) = &self.args.state else { return };
        let State { templates, account } = core::mem::take(&mut self.state);
        collector.restore_account(&account);
        let restored = templates.map(|templates| collector.cache_mut().restore(&templates, now()));
        let path = path.display();
        match restored {
            Some(Ok(restored)) => info!(
                "{} templates of {path} taken, {} were too old; {} sequence numbers, names of {} exporters",
                restored.templates,
                restored.expired,
                account.streams(),
                account.exporters()
            ),
            Some(Err(error)) => warn!("no templates of {path} taken: {error}"),
            None => {}
        }
    }
}

/// What of a collector outlives it.
fn state_of(collector: &Collector<Sinks>) -> State {
    State { templates: Some(collector.decoder().cache().snapshot()), account: collector.account().saved() }
}

/// What datagrams or messages come from.
pub(super) trait Source {
    /// Handles what is there, in portions: so a flood cannot keep the rest from being done. Whether anything came.
    fn fetch(&mut self, collector: &mut Collector<Sinks>) -> Result<bool, Failure>;

    /// Waits for something, at most so long.
    fn wait(&mut self, at_most: Duration) -> io::Result<()>;

    /// What became of sessions, where there are any.
    fn sessions(&self) -> Option<StreamStats> {
        None
    }
}

/// Whom a worker listens to besides.
struct Duties<'d> {
    number: usize,
    asks: mpsc::Receiver<Ask>,
    activity: &'d Activity,
    service: &'d Service<CollectorAccount>,
    exporters: usize,
}

impl Duties<'_> {
    /// How long to wait before looking whether to stop.
    const LOOK: Duration = Duration::from_millis(100);
    /// How long what had come before the end is fetched behind it.
    const REST: Duration = Duration::from_secs(1);

    fn receive(&self, source: &mut impl Source, collector: &mut Collector<Sinks>) -> Result<(), Failure> {
        while !self.activity.is_over() {
            if source.fetch(collector)? {
                self.activity.note();
            } else {
                // What came is printed as soon as there is time.
                collector.flush().map_err(Failure::Output)?;
                source.wait(Self::LOOK).map_err(Failure::Receive)?;
            }
            collector.tick(now()).map_err(Failure::Output)?;
            for ask in self.asks.try_iter() {
                ask.answer(collector, source.sessions());
            }
            let account = || CollectorAccount::excerpt(collector, source.sessions(), self.exporters);
            self.service.look(self.number, account);
        }
        let over = Instant::now();
        while over.elapsed() < Self::REST && source.fetch(collector)? {}
        Ok(())
    }
}

impl Ask {
    fn answer(self, collector: &mut Collector<Sinks>, sessions: Option<StreamStats>) {
        match self {
            Self::Policy(policy) => collector.set_policy(policy),
            // Whoever does not wait any more needs no answer.
            Self::Health(to) => {
                let health =
                    Health { exporters: collector.health(now()), store: stored(collector), sessions };
                drop(to.send(health));
            }
            Self::State(to) => drop(to.send(state_of(collector))),
        }
    }
}

/// Datagrams, which are handed on as they came besides.
impl Source for (Receiver, &Shared) {
    fn fetch(&mut self, collector: &mut Collector<Sinks>) -> Result<bool, Failure> {
        const PORTIONS: usize = 16;
        let (receiver, shared) = self;
        let before = collector.account().datagrams();
        for _ in 0..PORTIONS {
            let so_far = collector.account().datagrams();
            for datagram in receiver.receive().map_err(Failure::Receive)? {
                shared.hand_on(datagram.source, datagram.payload);
                collector
                    .handle_datagram(datagram.source, datagram.payload, datagram.received)
                    .map_err(Failure::Output)?;
            }
            if collector.account().datagrams() == so_far {
                break;
            }
        }
        Ok(collector.account().datagrams() > before)
    }

    /// While datagrams come, what follows within a moment is waited for, too: waking up for each of them would take longer
    /// than handling it. The receive buffer holds what comes meanwhile.
    fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let (receiver, _) = self;
        match receiver.pause() {
            Some(pause) => {
                thread::sleep(pause.min(at_most));
                Ok(())
            }
            None => receiver.wait(at_most),
        }
    }
}
