//! Word to systemd, when it started the program (`Type=notify`).

use core::time::Duration;
use std::time::Instant;

use sd_notify::NotifyState;
use tracing::debug;

/// Tells systemd again and again that the program is alive, if it wants to hear that.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Half of the time after which systemd gives the program up.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Watchdog {
    pub(super) fn from_environment() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|every| every / 2), last: None }
    }

    /// To be called often. `silence` is how long nothing was heard of the work.
    pub(super) fn keep_alive(&mut self, silence: Duration) {
        let Some(every) = self.every else { return };
        // Half of the time is left for what is slow.
        if silence < every && self.last.is_none_or(|last| last.elapsed() >= every / 2) {
            tell(&[NotifyState::Watchdog]);
            self.last = Some(Instant::now());
        }
    }
}

pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd cannot be told: {error}");
    }
}
