//! The bounded queue between the exporter and the thread that serves a collector.
//!
//! ```text
//! exporter -> push -> | datagrams | -> take -> thread -> socket
//!                       ^ transport session, health, largest datagram: told by the thread
//! ```
//!
//! The thread begins a new transport session when a connection is lost or the collector moves: what waits of the old one
//! is then lost, and counted.

use core::{
    mem,
    ops::AddAssign,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{account::SendStats, config::WhenFull};

/// What a datagram carries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: what RFC 7011 section 4.3 counts")]
pub struct Content {
    /// Flows.
    pub flows: u64,
    /// Their packets.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
}

impl AddAssign for Content {
    fn add_assign(&mut self, other: Self) {
        self.flows += other.flows;
        self.packets += other.packets;
        self.octets += other.octets;
    }
}

/// A datagram that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) datagram: Vec<u8>,
    pub(super) content: Content,
    session: u32,
}

/// What the thread found in the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// Datagrams.
    Some,
    /// Nothing, and it is late.
    Nothing,
    /// Nothing more will come.
    Closed,
}

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    /// The thread waits for datagrams.
    arrived: Condvar,
    /// The exporter waits for room, or the end.
    room: Condvar,
    /// Octets that wait, for a glance.
    octets: AtomicUsize,
    session: AtomicU32,
    down: AtomicBool,
    max_datagram: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    octets: usize,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    /// The thread wants to be woken when so many datagrams wait; `None` if not for datagrams at all.
    wake_at: Option<usize>,
    /// When the thread is to stop, whatever waits.
    closing: Option<Instant>,
    is_done: bool,
    stats: SendStats,
}

/// Buffers kept for use again.
const SPARE: usize = 256;
/// How long a datagram waits for others. To send many in a row takes half the CPU time of sending a few now and a few then:
/// each time a thread wakes, the ways of the network are cold.
const LINGER: Duration = Duration::from_millis(50);
/// How long to sleep before conditions are looked at again that nobody signals.
const GLANCE: Duration = Duration::from_millis(100);

impl Queue {
    pub(super) fn new(capacity: usize, max_datagram: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            arrived: Condvar::new(),
            room: Condvar::new(),
            octets: AtomicUsize::new(0),
            session: AtomicU32::new(0),
            down: AtomicBool::new(false),
            max_datagram: AtomicUsize::new(max_datagram),
        }
    }

    /// Puts a datagram in and leaves an empty buffer in its place. One to `keep` gets in whatever waits: templates that
    /// are sent only once.
    pub(super) fn push(
        &self,
        datagram: &mut Vec<u8>,
        content: Content,
        session: u32,
        when_full: WhenFull,
        keep: bool,
    ) {
        let mut state = self.lock();
        if !keep {
            while self.is_full(&state, datagram.len()) {
                if when_full == WhenFull::Drop || self.is_down() || state.closing.is_some() {
                    state.stats.overflow += 1;
                    state.stats.not_sent += content;
                    datagram.clear();
                    return;
                }
                // It may be waiting for more.
                if state.wake_at.take().is_some() {
                    self.arrived.notify_one();
                }
                state = self.room.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if session != self.session() || state.is_done {
            state.stats.lost += 1;
            state.stats.not_sent += content;
            datagram.clear();
            return;
        }
        let buffer = state.spare.pop().unwrap_or_default();
        state.octets += datagram.len();
        self.octets.store(state.octets, Ordering::Relaxed);
        state.waiting.push_back(Entry { datagram: mem::replace(datagram, buffer), content, session });
        if state.wake_at.is_some_and(|count| state.waiting.len() >= count || self.is_congested()) {
            state.wake_at = None;
            self.arrived.notify_one();
        }
    }

    /// An empty queue takes any datagram.
    fn is_full(&self, state: &State, octets: usize) -> bool {
        !state.waiting.is_empty() && state.octets + octets > self.capacity
    }

    /// Whether more than half of the room is taken.
    pub(super) fn is_congested(&self) -> bool {
        self.octets.load(Ordering::Relaxed) > self.capacity / 2
    }

    /// Takes up to `limit` datagrams of the present transport session; those in `batch` have been dealt with. Waits until
    /// `late`.
    /// Where there is something at once it lingers for more of it.
    pub(super) fn take(&self, batch: &mut Vec<Entry>, limit: usize, late: Instant) -> Taken {
        let mut state = self.lock();
        let mut has_lingered = false;
        for mut entry in batch.drain(..) {
            if state.spare.len() < SPARE {
                entry.datagram.clear();
                state.spare.push(entry.datagram);
            }
        }
        loop {
            // Many at once cost less than each by itself, and who waits so is not woken by each of them.
            let may_linger = !has_lingered && state.closing.is_none() && !self.is_congested();
            if may_linger && (1..limit).contains(&state.waiting.len()) {
                has_lingered = true;
                state.wake_at = Some(limit);
                state = self.arrived.wait_timeout(state, LINGER).unwrap_or_else(PoisonError::into_inner).0;
                state.wake_at = None;
                continue;
            }
            while batch.len() < limit
                && let Some(entry) = state.waiting.pop_front()
            {
                state.octets -= entry.datagram.len();
                batch.push(entry);
            }
            if !batch.is_empty() {
                self.octets.store(state.octets, Ordering::Relaxed);
                self.room.notify_all();
                return Taken::Some;
            }
            if state.closing.is_some() {
                return Taken::Closed;
            }
            let wait = late.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                state.wake_at = None;
                return Taken::Nothing;
            }
            state.wake_at = Some(1);
            state = self.arrived.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `late` or, what it tells, the closing.
    pub(super) fn wait(&self, late: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let wait = late.saturating_duration_since(Instant::now());
            if state.closing.is_some() || wait.is_zero() {
                return state.closing.is_some();
            }
            // Datagrams that come meanwhile need not wake anybody.
            state.wake_at = None;
            state = self.arrived.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What waits is sent until `deadline`; then the thread ends.
    pub(super) fn begin_close(&self, deadline: Instant) {
        self.lock().closing = Some(deadline);
        self.arrived.notify_all();
    }

    /// Whether the thread has ended, and nothing waits any more.
    pub(super) fn is_done(&self) -> bool {
        self.lock().is_done
    }

    /// Nothing more comes: the thread is to send what waits until `deadline`. Waits for it, a little longer at most.
    pub(super) fn close(&self, deadline: Instant) {
        self.begin_close(deadline);
        let mut state = self.lock();
        let patience = deadline + GLANCE * 5;
        while !state.is_done {
            let wait = patience.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            state = self.room.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.is_done {
            // The thread is held up by the resolver. Nothing of what waits will be sent.
            state.is_done = true;
            self.discard(&mut state);
        }
    }

    /// Whether the thread has to stop now.
    pub(super) fn must_stop(&self) -> bool {
        self.lock().closing.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// When the thread has to stop, once that is known.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().closing
    }

    /// The thread sends nothing more.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        self.discard(&mut state);
        state.is_done = true;
        self.room.notify_all();
    }

    /// A new transport session: what waits of the old one is lost.
    pub(super) fn begin_session(&self) {
        let mut state = self.lock();
        self.discard(&mut state);
        self.session.fetch_add(1, Ordering::Relaxed);
        self.room.notify_all();
    }

    fn discard(&self, state: &mut State) {
        for entry in mem::take(&mut state.waiting) {
            state.stats.lost += 1;
            state.stats.not_sent += entry.content;
        }
        state.octets = 0;
        self.octets.store(0, Ordering::Relaxed);
    }

    /// The present transport session. Datagrams of others are not sent.
    pub(super) fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    /// Whether the collector is known not to get what is sent.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Octets of a datagram at most.
    pub(super) fn max_datagram(&self) -> usize {
        self.max_datagram.load(Ordering::Relaxed)
    }

    pub(super) fn set_max_datagram(&self, octets: usize) {
        self.max_datagram.store(octets, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> SendStats {
        self.lock().stats
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut SendStats)) {
        count(&mut self.lock().stats);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters and datagrams stay good whatever happened to who held it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether it is of this transport session.
    pub(super) const fn is_of(&self, session: u32) -> bool {
        self.session == session
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const ONE: Content = Content { flows: 1, packets: 2, octets: 3 };

    fn push(queue: &Queue, octets: usize, keep: bool) {
        queue.push(&mut vec![0; octets], ONE, 0, WhenFull::Drop, keep);
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        // X33
        let queue = Queue::new(100, 1_472);
        (0..10).for_each(|_| push(&queue, 30, false));
        let stats = queue.stats();
        assert_eq!((stats.overflow, stats.not_sent), (7, Content { flows: 7, packets: 14, octets: 21 }));
        push(&queue, 30, true);
        let mut batch = Vec::new();
        assert_eq!(queue.take(&mut batch, 100, soon()), Taken::Some);
        assert_eq!(batch.len(), 4);
        // One that is larger than all of the room gets through when nothing else waits.
        push(&queue, 300, false);
        assert_eq!(queue.take(&mut batch, 100, soon()), Taken::Some);
        assert_eq!((batch.len(), queue.stats().overflow), (1, 7));
    }

    #[test]
    fn who_waits_for_more_is_woken_when_there_is_enough_of_it() {
        let queue = Queue::new(100, 1_472);
        for (enough, octets, pushes) in [(1, 3, 1), (3, 3, 3), (64, 30, 2), (64, 60, 1)] {
            queue.lock().wake_at = Some(enough);
            for pushed in 1..=pushes {
                assert!(queue.lock().wake_at.is_some(), "{enough} {pushed}");
                push(&queue, octets, false);
            }
            assert_eq!(queue.lock().wake_at, None, "{enough}");
            let mut batch = Vec::new();
            assert_eq!(queue.take(&mut batch, pushes, soon()), Taken::Some);
            assert_eq!((batch.len(), queue.lock().wake_at), (pushes, None));
        }
        assert_eq!(queue.stats(), SendStats::default());
    }

    #[test]
    fn who_can_wait_waits_for_room_and_not_for_a_collector_that_is_down() {
        let queue = Arc::new(Queue::new(100, 1_472));
        let other = Arc::clone(&queue);
        let pushing = thread::spawn(move || {
            (0..50).for_each(|_| other.push(&mut vec![0; 40], ONE, 0, WhenFull::Wait, false));
        });
        let (mut batch, mut taken) = (Vec::new(), 0);
        while taken < 50 {
            assert_eq!(queue.take(&mut batch, 1, soon()), Taken::Some);
            taken += batch.len();
        }
        pushing.join().unwrap();
        assert_eq!(queue.stats(), SendStats::default());
        queue.set_down(true);
        (0..5).for_each(|_| queue.push(&mut vec![0; 40], ONE, 0, WhenFull::Wait, false));
        assert_eq!(queue.stats().overflow, 3);
    }

    #[test]
    fn a_lost_connection_takes_with_it_what_waits() {
        // X16
        let queue = Queue::new(1_000, 1_472);
        (0..3).for_each(|_| push(&queue, 30, false));
        queue.begin_session();
        assert_eq!((queue.session(), queue.stats().lost, queue.stats().not_sent.flows), (1, 3, 3));
        // The exporter has not heard of it yet.
        push(&queue, 30, false);
        assert_eq!((queue.stats().lost, queue.stats().overflow), (4, 0));
        assert_eq!(queue.take(&mut Vec::new(), 1, Instant::now()), Taken::Nothing);
    }

    #[test]
    fn the_end_is_waited_for_and_no_longer_than_it_may_take() {
        let queue = Arc::new(Queue::new(1_000, 1_472));
        push(&queue, 30, false);
        let other = Arc::clone(&queue);
        let thread = thread::spawn(move || {
            let mut batch = Vec::new();
            assert_eq!(other.take(&mut batch, 9, soon()), Taken::Some);
            assert_eq!(other.take(&mut batch, 9, soon()), Taken::Closed);
            other.finish();
        });
        queue.close(soon());
        thread.join().unwrap();
        // Nobody serves this one.
        let queue = Queue::new(1_000, 1_472);
        push(&queue, 30, false);
        queue.close(Instant::now());
        assert_eq!((queue.stats().lost, queue.stats().not_sent), (1, ONE));
    }
}
