//! Flows of one thread on their way to the exporter, many at once.

use core::{mem, time::Duration};
use std::{
    sync::mpsc::{SyncSender, TrySendError},
    thread,
    time::Instant,
};

use netflow_flowcache::Timestamp;

use super::{Meter, MeteredFlow, change::Turn};

/// Flows that go to the exporter at once.
const BATCH: usize = 256;
/// A flow waits no longer than this for others to go to the exporter with.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long to wait while flows are held back.
pub(super) const HELD: Duration = Duration::from_millis(1);

/// Flows of a thread, all of one time.
pub(super) struct Batch {
    pub(super) thread: usize,
    pub(super) epoch: u32,
    /// When the time of the epoch began.
    pub(super) begun: Timestamp,
    /// How often the rules changed that they were metered by.
    pub(super) rules: u32,
    pub(super) flows: Vec<MeteredFlow>,
}

/// Flows on their way to the exporter.
pub(super) struct Outbox {
    sender: SyncSender<Batch>,
    thread: usize,
    /// How often the clock was set back, and to which time at last.
    epoch: u32,
    begun: Timestamp,
    batch: Vec<MeteredFlow>,
    /// Since when the first of the batch waits.
    since: Option<Instant>,
    pub(super) turn: Turn,
}

impl Outbox {
    pub(super) fn new(sender: SyncSender<Batch>, thread: usize, turn: Turn) -> Self {
        Self {
            sender,
            thread,
            epoch: 0,
            begun: Timestamp::ZERO,
            batch: Vec::with_capacity(BATCH),
            since: None,
            turn,
        }
    }

    /// Takes the flows that have ended, as far as there is room.
    #[inline]
    pub(super) fn take_from(&mut self, meter: &mut Meter) {
        if self.turn.is_settled() || self.settle(meter) {
            self.take_all_from(meter);
        }
    }

    /// Hands on the flows that were metered before a change; whether those of all threads have been.
    #[cold]
    fn settle(&mut self, meter: &mut Meter) -> bool {
        if !self.turn.is_open() {
            return false;
        }
        if let Some(mut old) = self.turn.take_old() {
            self.take_all_from(&mut old.meter);
            if !old.meter.is_empty() || !(self.batch.is_empty() || self.try_send()) {
                self.turn.put_back(old);
                return false;
            }
            self.turn.end(&old, meter);
            if !self.turn.is_open() {
                return false;
            }
        }
        // The exporter hears of it even if this thread has nothing to say for long.
        self.try_send();
        self.turn.settle();
        true
    }

    #[inline]
    fn take_all_from(&mut self, meter: &mut Meter) {
        while self.batch.len() < BATCH || self.try_send() {
            let room = BATCH - self.batch.len();
            let polled = meter.poll_flows(room, |flow| self.batch.push(*flow));
            if polled > 0 && self.since.is_none() {
                self.since = Some(Instant::now());
            }
            if polled < room {
                break;
            }
        }
    }

    /// Has the frames metered that were gathered, and takes the flows that end by them.
    #[inline]
    pub(super) fn take_gathered(&mut self, meter: &mut Meter) {
        while !meter.meter_gathered() {
            self.take_from(meter);
        }
        self.take_from(meter);
    }

    /// Whether the batch could be sent.
    fn try_send(&mut self) -> bool {
        let flows = mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        match self.sender.try_send(self.batch_of(flows)) {
            Ok(()) => {
                self.since = None;
                true
            }
            Err(TrySendError::Full(batch)) => {
                self.batch = batch.flows;
                false
            }
            // Nobody wants them any more.
            Err(TrySendError::Disconnected(_)) => true,
        }
    }

    /// Sends flows that have waited long enough.
    pub(super) fn send_old(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= LONGEST_WAIT) {
            self.try_send();
        }
    }

    /// Sends all flows of a meter that was flushed, however long it takes.
    pub(super) fn send_all(&mut self, meter: &mut Meter) {
        while !self.turn.is_settled() && !self.settle(meter) {
            thread::sleep(HELD);
        }
        while !meter.is_empty() {
            self.take_from(meter);
            if self.batch.len() >= BATCH && !self.send() {
                return;
            }
        }
        if !self.batch.is_empty() {
            self.send();
        }
    }

    /// Sends the batch, and waits for room if need be; whether anybody wants it.
    fn send(&mut self) -> bool {
        self.since = None;
        let flows = mem::take(&mut self.batch);
        self.sender.send(self.batch_of(flows)).is_ok()
    }

    const fn batch_of(&self, flows: Vec<MeteredFlow>) -> Batch {
        Batch { thread: self.thread, epoch: self.epoch, begun: self.begun, rules: self.turn.rules, flows }
    }

    /// Ends the flows of a time that the clock was set back from: they go out before all that comes.
    #[cold]
    pub(super) fn begin_time(&mut self, now: Timestamp, meter: &mut Meter) {
        meter.flush();
        self.send_all(meter);
        self.epoch += 1;
        self.begun = now;
        // Even if this thread has nothing to say for long, the others can go on.
        self.send();
    }
}
