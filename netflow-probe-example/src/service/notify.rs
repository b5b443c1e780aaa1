//! Word to systemd, when it started the program (`Type=notify`).

use core::time::Duration;
use std::time::Instant;

use sd_notify::NotifyState;
use tracing::debug;

/// Tells systemd again and again that the program is alive, if it wants to hear that.
#[derive(Debug)]
pub struct Watchdog {
    /// Half of the time after which systemd gives the program up.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Watchdog {
    /// As systemd asked for when it started the program.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|every| every / 2), last: None }
    }

    /// To be called often. `silence` is how long nothing was heard of the work.
    pub fn keep_alive(&mut self, silence: Duration) {
        let Some(every) = self.every else { return };
        // Half of the time is left for what is slow.
        if silence < every && self.last.is_none_or(|last| last.elapsed() >= every / 2) {
            tell(&[NotifyState::Watchdog]);
            self.last = Some(Instant::now());
        }
    }
}

/// Tells that the program is ready, or has been reloaded.
pub fn notify_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the program reads its configuration again. [`notify_ready`] has to follow.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells that the program is about to end.
pub fn notify_stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd cannot be told: {error}");
    }
}
