//! Where threads leave their accounts for whoever asks.

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::Metrics;

/// What a program counted. Its `Display` is for people.
pub trait Account: Clone + fmt::Display + Send + 'static {
    /// Adds what another thread of the program counted.
    fn merge(&mut self, other: Self);

    /// Writes it down for Prometheus.
    fn measure(&self, metrics: &mut Metrics);
}

/// A place for the account of each thread.
#[derive(Debug)]
pub(super) struct Board<A> {
    /// Grows when accounts are asked for.
    asked: AtomicU64,
    slots: Mutex<Vec<Slot<A>>>,
    changed: Condvar,
    start: Instant,
    /// When each thread was last heard of, in milliseconds since the start.
    beats: Vec<AtomicU64>,
    /// What each thread has answered last.
    answered: Vec<AtomicU64>,
}

#[derive(Debug)]
struct Slot<A> {
    account: Option<A>,
    /// The question that it answers.
    answers: u64,
    /// Whether no answer is to be expected any more.
    is_final: bool,
}

impl<A: Account> Board<A> {
    pub(super) fn new(threads: usize) -> Self {
        let slot = || Slot { account: None, answers: 0, is_final: false };
        Self {
            asked: AtomicU64::new(0),
            slots: Mutex::new((0..threads).map(|_| slot()).collect()),
            changed: Condvar::new(),
            start: Instant::now(),
            beats: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            answered: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot<A>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_start(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A thread is alive; leaves its account when one is asked for.
    pub(super) fn look(&self, thread: usize, account: impl FnOnce() -> A) {
        if let Some(beat) = self.beats.get(thread) {
            beat.store(self.since_start(), Ordering::Relaxed);
        }
        let asked = self.asked.load(Ordering::Acquire);
        let Some(answered) = self.answered.get(thread) else { return };
        if answered.swap(asked, Ordering::Relaxed) != asked {
            self.put(thread, account(), asked, false);
        }
    }

    /// All threads are alive, whatever they wait for.
    pub(super) fn excuse(&self) {
        let now = self.since_start();
        self.beats.iter().for_each(|beat| beat.store(now, Ordering::Relaxed));
    }

    /// The last account of a thread.
    pub(super) fn conclude(&self, thread: usize, account: A) {
        self.put(thread, account, u64::MAX, true);
    }

    fn put(&self, thread: usize, account: A, answers: u64, is_final: bool) {
        if let Some(slot) = self.slots().get_mut(thread) {
            *slot = Slot { account: Some(account), answers, is_final };
        }
        self.changed.notify_all();
    }

    /// Asks all threads for their accounts, and waits so long for those who do not answer: what they told last is taken.
    pub(super) fn collect(&self, patience: Duration) -> Option<A> {
        let question = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let open = |slots: &mut Vec<Slot<A>>| slots.iter().any(|slot| slot.answers < question);
        let (slots, _) = self
            .changed
            .wait_timeout_while(self.slots(), patience, open)
            .unwrap_or_else(PoisonError::into_inner);
        let accounts: Vec<A> = slots.iter().filter_map(|slot| slot.account.clone()).collect();
        drop(slots);
        accounts.into_iter().reduce(|mut sum, other| {
            sum.merge(other);
            sum
        })
    }

    /// How long ago the thread was heard of that was not heard of for longest; those that have ended aside.
    pub(super) fn silence(&self) -> Duration {
        let now = self.since_start();
        let slots = self.slots();
        let alive = self.beats.iter().zip(slots.iter()).filter(|(_, slot)| !slot.is_final);
        let oldest = alive.map(|(beat, _)| beat.load(Ordering::Relaxed)).min();
        Duration::from_millis(now.saturating_sub(oldest.unwrap_or(now)))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u64);

    impl fmt::Display for Count {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)
        }
    }

    impl Account for Count {
        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }

        fn measure(&self, metrics: &mut Metrics) {
            metrics.counter("count_total", "Counted.", &[], self.0);
        }
    }

    #[test]
    fn accounts_are_made_only_when_asked_for_and_summed() {
        let board = Arc::new(Board::new(2));
        board.look(0, || unreachable!("nobody asked"));
        let asking = {
            let board = Arc::clone(&board);
            thread::spawn(move || board.collect(Duration::from_secs(30)))
        };
        let mut answers = [0, 0];
        while !asking.is_finished() {
            for (thread, answers) in answers.iter_mut().enumerate() {
                board.look(thread, || {
                    *answers += 1;
                    Count(10 * (thread as u64 + 1))
                });
            }
            thread::yield_now();
        }
        assert_eq!(asking.join().unwrap(), Some(Count(30)));
        assert_eq!(answers, [1, 1]);
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for_forever() {
        let board = Board::new(2);
        assert_eq!(board.collect(Duration::ZERO), None);
        board.look(0, || Count(5));
        assert_eq!(board.collect(Duration::ZERO), Some(Count(5)));
        // Who has ended has answered for good.
        board.conclude(0, Count(7));
        board.conclude(1, Count(1));
        assert_eq!(board.collect(Duration::from_secs(30)), Some(Count(8)));
        assert_eq!(board.silence(), Duration::ZERO);
    }
}
