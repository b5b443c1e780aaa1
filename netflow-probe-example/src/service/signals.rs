//! Signals: what the system and its operator ask for.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{io, sync::Arc};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    stop: Arc<AtomicUsize>,
    reload: Arc<AtomicBool>,
    account: Arc<AtomicBool>,
}

impl Signals {
    /// Watches from now on: SIGINT and SIGTERM ask to stop, the second one ends the program at once; SIGHUP asks to reload,
    /// SIGUSR1 for an account.
    pub(super) fn watch() -> io::Result<Self> {
        let this = Self::default();
        let stopping = Arc::new(AtomicBool::new(false));
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15)] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            flag::register_usize(signal, Arc::clone(&this.stop), number)?;
        }
        flag::register(SIGHUP, Arc::clone(&this.reload))?;
        flag::register(SIGUSR1, Arc::clone(&this.account))?;
        Ok(this)
    }

    /// The signal that asked to stop.
    pub(super) fn stop(&self) -> Option<u8> {
        u8::try_from(self.stop.load(Ordering::Relaxed)).ok().filter(|signal| *signal > 0)
    }

    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    pub(super) fn take_account(&self) -> bool {
        self.account.swap(false, Ordering::Relaxed)
    }
}
