//! Meters in threads of their own, each with its own frames and its own flow table.
//!
//! ```text
//! frames -> meter --.
//! frames -> meter ---+-> bounded queue -> exporter
//! ```
//!
//! Metering never waits for the exporter: while the queue is full, flows that have ended stay in their table, which has
//! its own rules for when it is full.

use core::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
    vec,
};

use netflow_codec::{EncodeError, ExportVersion, OptionsData, SamplingInfo};
use netflow_flowcache::{ConfigError, Timestamp, sample::SelectionSequence};

use super::{
    FlowSource, Meter, MeterAccount, MeterConfig, MeteredFlow, REORDER,
    change::{Change, Request, Turn},
    outbox::{Batch, HELD, Outbox},
    sampling,
};
use crate::capture::{CaptureCounts, FrameSource};

/// Batches that may wait for the exporter, for each thread.
const QUEUE: usize = 32;
/// How long to wait for a frame before the time is told all the same.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long flows of a newer time wait for threads that have not come to it.
const LONGEST_HOLD: Duration = Duration::from_secs(2);
/// How often it is noted what was counted.
const NOTE: Duration = Duration::from_secs(1);
/// How long at most the frames are read that came before the end.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// Where a thread reads the time while no frame tells it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    })
}

/// Meters that run in threads: what an exporter takes flows from.
pub struct MeterThreads {
    flows: Receiver<Batch>,
    /// Received and not yet polled.
    batch: vec::IntoIter<MeteredFlow>,
    /// How often the clock was set back, as far as flows are handed out.
    epoch: u32,
    /// The same of each thread.
    epochs: Vec<u32>,
    /// Flows of a newer time, until all threads have come to it.
    held: VecDeque<Batch>,
    held_since: Option<Instant>,
    /// When the time of the flows to come began, if nobody has asked about it yet.
    new_time: Option<Timestamp>,
    /// Whether somebody asks.
    is_asked: bool,
    /// Whether all threads have ended and all that they sent was received.
    ended: bool,
    threads: Vec<JoinHandle<()>>,
    notes: Vec<Arc<Mutex<Note>>>,
    stop: Arc<AtomicBool>,
    /// What all samplers are; their statistics are those of the threads.
    sampler: SelectionSequence,
    /// How often the rules changed by which the flows at hand are metered.
    rules: u32,
    /// Changes that were asked for, until flows are metered so.
    asked: VecDeque<(u32, MeterConfig)>,
    requests: Vec<Arc<Request>>,
    /// The number of the first thread among all that meter.
    first: usize,
}

/// What a thread has counted, as of its last note.
#[derive(Clone, Debug, Default)]
struct Note {
    meter: MeterAccount,
    capture: CaptureCounts,
}

impl core::fmt::Debug for MeterThreads {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MeterThreads").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl MeterThreads {
    /// Begins to meter: each meter in a thread with a source of frames. They are configured alike.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start<S: FrameSource + 'static>(
        workers: Vec<(Meter, S)>,
        sampler: SelectionSequence,
        clock: &Clock,
    ) -> io::Result<Self> {
        let (sender, flows) = sync_channel(QUEUE * workers.len().max(1));
        let mut this = Self {
            flows,
            batch: Vec::new().into_iter(),
            epoch: 0,
            epochs: vec![0; workers.len()],
            held: VecDeque::new(),
            held_since: None,
            new_time: None,
            is_asked: false,
            ended: false,
            threads: Vec::new(),
            notes: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
            sampler,
            rules: 0,
            asked: VecDeque::new(),
            requests: Vec::new(),
            first: 0,
        };
        let turns: Arc<[AtomicU32]> = workers.iter().map(|_| AtomicU32::new(0)).collect();
        for (number, (meter, source)) in workers.into_iter().enumerate() {
            let note = Arc::new(Mutex::new(Note { meter: meter.account(), ..Note::default() }));
            let request = Arc::<Request>::default();
            this.requests.push(Arc::clone(&request));
            let worker = Worker {
                meter,
                source,
                outbox: Outbox::new(sender.clone(), number, Turn::new(number, Arc::clone(&turns), request)),
                newest: Timestamp::ZERO,
                note: Arc::clone(&note),
                stop: Arc::clone(&this.stop),
                clock: Arc::clone(clock),
            };
            let thread = thread::Builder::new().name(format!("meter-{number}"));
            this.threads.push(thread.spawn(move || worker.run())?);
            this.notes.push(note);
        }
        Ok(this)
    }

    /// Says that these threads are numbered from `first` on, where there are others besides.
    pub const fn number_from(&mut self, first: usize) {
        self.first = first;
    }

    /// Meters otherwise from now on, as `config` says, and no longer as `before`: flows metered so far end, and
    /// [`Self::take_change`] says when all of them have been polled. Packets go on being metered meanwhile.
    ///
    /// # Errors
    ///
    /// When there can be no such tables: then all stays as it was.
    pub fn change(&mut self, config: &MeterConfig, before: &MeterConfig) -> Result<(), ConfigError> {
        let before = self.asked.back().map_or(before, |(_, asked)| asked);
        if config == before {
            return Ok(());
        }
        let threads = self.first..self.first + self.requests.len();
        let changes: Result<Vec<_>, _> = threads.map(|thread| Change::new(config, before, thread)).collect();
        let rules = self.asked.back().map_or(self.rules, |(rules, _)| *rules) + 1;
        for (request, change) in self.requests.iter().zip(changes?) {
            request.put(rules, change);
        }
        self.asked.push_back((rules, config.clone()));
        Ok(())
    }

    /// How flows are metered that are polled from now on, if that is another way than before; says it once. They are there to
    /// be polled only when this was asked.
    pub fn take_change(&mut self) -> Option<MeterConfig> {
        let mut config = None;
        while let Some((rules, _)) = self.asked.front()
            && *rules <= self.rules
        {
            config = self.asked.pop_front().map(|(_, config)| config);
        }
        let config = config?;
        self.sampler = config.sampling.sequence(config.seed);
        Some(config)
    }

    /// Whether flows of other rules are at hand, of which nobody has been told.
    fn has_changed(&self) -> bool {
        self.asked.front().is_some_and(|(rules, _)| *rules <= self.rules)
    }

    /// Waits until there are flows to poll, but no longer than `patience`.
    pub fn wait(&mut self, patience: Duration) {
        if !self.batch.as_slice().is_empty() || self.ended {
            // Flows are at hand, but the collectors take no more at the moment.
            thread::sleep(patience.min(HELD));
            return;
        }
        match self.flows.recv_timeout(patience) {
            Ok(batch) => self.take(batch),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.ended = true,
        }
        self.release();
    }

    /// Which time the clock was set back to, when it was and all flows of the time before have been polled; says it once.
    /// Flows of the time that has begun are there to be polled only when this was asked.
    pub const fn take_new_time(&mut self) -> Option<Timestamp> {
        self.is_asked = true;
        self.new_time.take()
    }

    /// When the newest of the flows at hand ended.
    #[must_use]
    pub fn newest_end(&self) -> Timestamp {
        let ends = self.batch.as_slice().iter().map(|flow| flow.record.end.as_nanos());
        Timestamp::from_nanos(ends.max().unwrap_or(0))
    }

    fn take(&mut self, batch: Batch) {
        if let Some(epoch) = self.epochs.get_mut(batch.thread) {
            *epoch = batch.epoch;
        }
        if batch.epoch > self.epoch || batch.rules > self.rules {
            self.held_since.get_or_insert_with(Instant::now);
            self.held.push_back(batch);
        } else {
            self.batch = batch.flows.into_iter();
        }
    }

    /// Goes on to flows that are held, when those before have been polled.
    fn release(&mut self) {
        if !self.batch.as_slice().is_empty() || self.new_time.is_some() || self.has_changed() {
            return;
        }
        // Flows metered by other rules come behind all that were metered before them.
        if let Some(next) = self.held.iter().map(|batch| batch.rules).min()
            && next > self.rules
        {
            self.rules = next;
            return;
        }
        let is_at_hand = |batch: &Batch| batch.epoch <= self.epoch && batch.rules <= self.rules;
        if let Some(position) = self.held.iter().position(is_at_hand)
            && let Some(batch) = self.held.remove(position)
        {
            self.batch = batch.flows.into_iter();
            return;
        }
        let all_came = self.ended || self.epochs.iter().all(|epoch| *epoch > self.epoch);
        let is_late = self.held_since.is_some_and(|since| since.elapsed() >= LONGEST_HOLD);
        if !self.held.is_empty() && (all_came || is_late) {
            self.epoch += 1;
            self.held_since = self.held.iter().any(|batch| batch.epoch > self.epoch).then(Instant::now);
            let begun = self.held.iter().filter(|batch| batch.epoch == self.epoch).map(|batch| batch.begun);
            self.new_time = begun.min().filter(|_| self.is_asked);
        } else if self.held.is_empty() {
            self.held_since = None;
        }
    }

    /// Whether all threads have ended, as they do only when they are told to, or fail.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// What was captured, and what was not, as of the last second.
    #[must_use]
    pub fn capture_counts(&self) -> CaptureCounts {
        self.notes.iter().fold(CaptureCounts::default(), |sum, note| sum + lock(note).capture)
    }
}

impl Drop for MeterThreads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread may wait for room in the queue.
        while self.flows.recv().is_ok() {}
        for thread in self.threads.drain(..) {
            // One that failed has told why.
            let _ended = thread.join();
        }
    }
}

impl FlowSource for MeterThreads {
    #[inline]
    fn poll_flow(&mut self) -> Option<MeteredFlow> {
        loop {
            if let Some(flow) = self.batch.next() {
                return Some(flow);
            }
            self.release();
            if !self.batch.as_slice().is_empty() {
                continue;
            }
            if self.is_asked || !self.stop.load(Ordering::Relaxed) || self.is_empty() {
                return None;
            }
            // They are about to end: all that they still send is wanted.
            match self.flows.recv() {
                Ok(batch) => self.take(batch),
                Err(_) => self.ended = true,
            }
        }
    }

    fn flush(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.ended && self.batch.as_slice().is_empty() && self.held.is_empty()
    }

    /// The threads hear of it from their frames.
    fn end_time(&mut self, _now: Timestamp, _set_back: bool) {}

    fn has_old(&self, _now: Timestamp, _set_back: bool) -> bool {
        !self.batch.as_slice().is_empty()
    }

    fn account(&self) -> MeterAccount {
        let mut sum = MeterAccount::default();
        let mut capture = CaptureCounts::default();
        for note in &self.notes {
            let note = lock(note);
            sum.add(&note.meter);
            capture += note.capture;
        }
        sum.capture = Some(capture);
        sum
    }

    fn selection(&self) -> &SelectionSequence {
        &self.sampler
    }

    fn sampling(&self) -> Option<SamplingInfo> {
        sampling::announce(&self.sampler)
    }

    fn sampling_in(&self, version: ExportVersion) -> Option<SamplingInfo> {
        sampling::announce_in(&self.sampler, version)
    }

    fn selection_reports(&self, first_template: u16) -> Result<Vec<OptionsData>, EncodeError> {
        sampling::reports(&self.sampler, first_template)
    }

    fn selection_statistics(&self, first_template: u16) -> Option<Result<OptionsData, EncodeError>> {
        let sum = self.account();
        let counts = sum.selectors.iter().map(|selector| selector.statistics);
        sampling::statistics_of(&self.sampler, first_template, counts)
    }
}

/// The lock of a note; a thread that failed while it wrote leaves what it wrote.
fn lock(note: &Mutex<Note>) -> std::sync::MutexGuard<'_, Note> {
    note.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread.
struct Worker<S> {
    meter: Meter,
    source: S,
    outbox: Outbox,
    note: Arc<Mutex<Note>>,
    stop: Arc<AtomicBool>,
    clock: Clock,
    /// The newest time seen since the clock was set back.
    newest: Timestamp,
}

impl<S: FrameSource> Worker<S> {
    fn run(mut self) {
        let mut noted = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            if self.read() == 0 {
                let now = (self.clock)();
                let behind = u64::try_from(self.source.delay().as_nanos()).unwrap_or(u64::MAX);
                let now = Timestamp::from_nanos(now.as_nanos().saturating_sub(behind));
                tell_time(&mut self.newest, now, &mut self.meter, &mut self.outbox);
                self.meter.handle_timeout(now);
                self.outbox.take_from(&mut self.meter);
            }
            self.outbox.send_old();
            if self.outbox.turn.follow(&mut self.meter) || noted.elapsed() >= NOTE {
                let counts = self.source.counts();
                self.write_note(counts);
                noted = Instant::now();
            }
        }
        self.drain();
        let counts = self.source.close();
        let Self { mut meter, mut outbox, note, .. } = self;
        meter.flush();
        // The account is complete before the exporter hears that this was all.
        *lock(&note) = Note { meter: outbox.turn.account(&meter), capture: counts };
        outbox.send_all(&mut meter);
        *lock(&note) = Note { meter: meter.account(), capture: counts };
    }

    /// Meters frames that are there; how many.
    fn read(&mut self) -> usize {
        let Self { meter, source, outbox, newest, .. } = self;
        source.keep_headers(meter.headers_suffice());
        let read = source.read(PATIENCE, |frame, point| {
            if !meter.can_gather(frame.timestamp) || is_set_back(*newest, frame.timestamp) {
                outbox.take_gathered(meter);
            }
            tell_time(newest, frame.timestamp, meter, outbox);
            meter.gather_frame_at(frame, point);
        });
        outbox.take_gathered(meter);
        read
    }

    /// Meters what was captured before the end.
    fn drain(&mut self) {
        self.source.stop();
        let delay = self.source.delay();
        let end = Instant::now();
        // What the kernel still collects comes after the delay.
        while (self.read() > 0 || end.elapsed() < delay) && end.elapsed() < LONGEST_DRAIN {}
    }

    fn write_note(&self, capture: CaptureCounts) {
        *lock(&self.note) = Note { meter: self.outbox.turn.account(&self.meter), capture };
    }
}

/// Looks whether the clock was set back.
#[inline]
fn tell_time(newest: &mut Timestamp, now: Timestamp, meter: &mut Meter, outbox: &mut Outbox) {
    if now >= *newest {
        *newest = now;
    } else if is_set_back(*newest, now) {
        outbox.begin_time(now, meter);
        *newest = now;
    }
}

/// Whether a time is too far behind the newest one to be merely late.
#[inline]
fn is_set_back(newest: Timestamp, now: Timestamp) -> bool {
    now.saturating_add(REORDER).as_nanos() < newest.as_nanos()
}
