//! Metering otherwise while it goes on: the flows of before end, and none that is metered after the change is handed out
//! before them.
//!
//! ```text
//! asked for -> each thread takes a new table, and empties the old one meanwhile -> all have done so: flows of the new one
//! ```
//!
//! No packet waits for it, and no record holds packets that were metered in two ways (RFC 3917 sections 5.2 and 5.3).

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use netflow_flowcache::{ConfigError, sample::SelectionSequence};

use super::{
    Meter, MeterAccount, MeterConfig, batch::Gathered, intake::Intake, seed_of_thread, table::Table,
    table_of_thread,
};

/// How a meter is to go on.
#[derive(Debug)]
pub(super) struct Change {
    table: Table,
    /// `None`: packets are selected as before.
    sampler: Option<SelectionSequence>,
    config: MeterConfig,
}

impl Change {
    /// To `config`, for one thread out of several that meter as `before` says.
    pub(super) fn new(
        config: &MeterConfig,
        before: &MeterConfig,
        thread: usize,
    ) -> Result<Self, ConfigError> {
        let chance = seed_of_thread(config.seed, thread);
        let is_sampled_alike = (&config.sampling, config.seed) == (&before.sampling, before.seed);
        Ok(Self {
            table: table_of_thread(config, thread)?,
            sampler: (!is_sampled_alike).then(|| config.sampling.sequence_of_thread(config.seed, chance)),
            config: config.clone(),
        })
    }
}

impl Meter {
    /// Meters otherwise from now on, as `config` says, and no longer as `before`. All flows have to be polled before.
    ///
    /// # Errors
    ///
    /// When there can be no such table: then all stays as it was.
    pub fn change(&mut self, config: &MeterConfig, before: &MeterConfig) -> Result<(), ConfigError> {
        let old = self.begin_change(Change::new(config, before, 0)?);
        self.end_change(&old);
        Ok(())
    }

    /// Goes on with another table and gives back the flows of before, which have ended.
    fn begin_change(&mut self, change: Change) -> Self {
        let mut table = change.table;
        table.handle_timeout(self.table.clock());
        if let Some(sampler) = change.sampler {
            self.intake.set_sampler(sampler);
        }
        self.intake.set_rules(&change.config.rules);
        let idle = SelectionSequence::clone(&self.intake.sampler);
        let mut old = Self {
            table: core::mem::replace(&mut self.table, table),
            intake: Intake::new(&change.config.rules, idle),
            gathered: Gathered::default(),
            past: MeterAccount::default(),
        };
        old.flush();
        old
    }

    /// Takes over what was counted of the flows of before.
    fn end_change(&mut self, old: &Self) {
        self.past.add(&old.account_of_flows());
    }

    /// What was counted of flows, without what was counted of frames and packets on their way to them.
    fn account_of_flows(&self) -> MeterAccount {
        let MeterAccount {
            metered_packets, metered_octets, ignored_packets, ignored_octets, expired, ..
        } = self.account();
        MeterAccount {
            metered_packets,
            metered_octets,
            ignored_packets,
            ignored_octets,
            expired,
            ..MeterAccount::default()
        }
    }
}

/// What one thread is asked for.
#[derive(Debug, Default)]
pub(super) struct Request {
    is_there: AtomicBool,
    change: Mutex<Option<(u32, Change)>>,
}

impl Request {
    /// Asks for a change, in the place of one that nobody has looked at.
    pub(super) fn put(&self, rules: u32, mut change: Change) {
        let mut waiting = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, unseen)) = waiting.take() {
            change.sampler = change.sampler.or(unseen.sampler);
        }
        *waiting = Some((rules, change));
        self.is_there.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<(u32, Change)> {
        if !self.is_there.swap(false, Ordering::Acquire) {
            return None;
        }
        self.change.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A thread's part in changes: which rules its flows are of, and whether it is their turn.
#[derive(Debug)]
pub(super) struct Turn {
    thread: usize,
    /// How often the rules have changed of the flows that are handed out.
    pub(super) rules: u32,
    /// The same of all threads.
    all: Arc<[AtomicU32]>,
    /// Whether no change is under way.
    is_settled: bool,
    request: Arc<Request>,
    old: Option<Old>,
}

/// The flows of before a change.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) meter: Meter,
    /// How often the rules have changed behind them.
    rules: u32,
}

impl Turn {
    pub(super) const fn new(thread: usize, all: Arc<[AtomicU32]>, request: Arc<Request>) -> Self {
        Self { thread, rules: 0, all, is_settled: true, request, old: None }
    }

    /// Begins a change, if one is asked for and the last one is over: whether that is so.
    pub(super) fn follow(&mut self, meter: &mut Meter) -> bool {
        if !self.is_settled || !self.request.is_there.load(Ordering::Relaxed) {
            return false;
        }
        let Some((rules, change)) = self.request.take() else { return false };
        self.old = Some(Old { meter: meter.begin_change(change), rules });
        self.is_settled = false;
        true
    }

    /// Whether no change is under way: flows of the meter may be handed on.
    #[inline]
    pub(super) const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The change is over.
    pub(super) const fn settle(&mut self) {
        self.is_settled = true;
    }

    /// The flows of before, which go first.
    pub(super) const fn take_old(&mut self) -> Option<Old> {
        self.old.take()
    }

    pub(super) fn put_back(&mut self, old: Old) {
        self.old = Some(old);
    }

    /// All flows of before have been handed on.
    pub(super) fn end(&mut self, old: &Old, meter: &mut Meter) {
        meter.end_change(&old.meter);
        self.rules = old.rules;
        if let Some(of_thread) = self.all.get(self.thread) {
            of_thread.store(old.rules, Ordering::Release);
        }
    }

    /// Whether no thread has flows of rules before these.
    pub(super) fn is_open(&self) -> bool {
        self.all.iter().all(|rules| rules.load(Ordering::Acquire) >= self.rules)
    }

    /// What a meter has counted, with the flows of before.
    pub(super) fn account(&self, meter: &Meter) -> MeterAccount {
        let mut account = meter.account();
        if let Some(old) = &self.old {
            account.add(&old.meter.account_of_flows());
        }
        account
    }
}

impl Drop for Turn {
    /// Nobody waits for a thread that has ended.
    fn drop(&mut self) {
        if let Some(of_thread) = self.all.get(self.thread) {
            of_thread.store(u32::MAX, Ordering::Release);
        }
    }
}
