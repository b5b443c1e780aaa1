//! Exporting what threads meter, by the clock.

use core::{ops::ControlFlow, time::Duration};

use super::Exporter;
use crate::{
    meter::{Clock, MeterThreads},
    send::SendError,
};

/// How long to wait for flows before signals are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

impl Exporter<MeterThreads> {
    /// Exports what the threads meter, until `watch` says to stop or all of them have ended. `watch` is called ten times
    /// a second at least. [`Exporter::finish`] then sends the rest.
    ///
    /// # Errors
    ///
    /// When a destination cannot be opened, or a file not written.
    pub fn run(
        &mut self,
        clock: &Clock,
        mut watch: impl FnMut(&mut Self) -> ControlFlow<()>,
    ) -> Result<(), SendError> {
        let mut lost = 0;
        while !self.source().has_ended() && watch(self).is_continue() {
            let now = netflow_codec::Timestamp::from(clock());
            let until_due = self.poll_timeout().map(|due| due.saturating_since(now));
            self.source_mut().wait(until_due.unwrap_or(PATIENCE).min(PATIENCE));
            let now_lost = self.source().capture_counts().lost();
            self.note_capture_drops(now_lost.saturating_sub(lost));
            lost = now_lost.max(lost);
            // Read after the flows have come: none of them is of a time that this clock does not know.
            self.handle_time(clock())?;
        }
        Ok(())
    }
}
