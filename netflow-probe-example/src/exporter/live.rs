//! Exporting what threads meter, by the clock.

use core::{ops::ControlFlow, time::Duration};

use netflow_codec as codec;
use netflow_flowcache::Timestamp;

use super::Exporter;
use crate::{
    meter::{Clock, FlowSource as _, MeterThreads},
    send::SendError,
};

/// How long to wait for flows before signals are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

impl Exporter<MeterThreads> {
    /// Exports what the threads meter, until `watch` says to stop or all of them have ended, and then what they still have.
    /// `watch` is called ten times a second at least. [`Exporter::finish`] comes next.
    ///
    /// When the clock is set back, flows of the time before are exported as of then, and those of the time that begins in new
    /// sessions: a reader would otherwise take flows later than their datagram for 49.7 days older.
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
        let mut stopping = false;
        while !self.source().is_empty() {
            if !stopping && watch(self).is_break() {
                stopping = true;
                self.source_mut().flush();
            }
            let now = codec::Timestamp::from(clock());
            let until_due = self.poll_timeout().map(|due| due.saturating_since(now));
            self.source_mut().wait(until_due.unwrap_or(PATIENCE).min(PATIENCE));
            let now_lost = self.source().capture_counts().lost();
            self.note_capture_drops(now_lost.saturating_sub(lost));
            lost = now_lost.max(lost);
            if let Some(begun) = self.source_mut().take_new_time() {
                self.restart(begun)?;
            }
            if let Some(meter) = self.source_mut().take_change() {
                self.take_over(meter)?;
            }
            // No flow is later than its datagram, whatever became of the clock meanwhile. While it is behind, flows of the
            // time before it was set back are still to come.
            let newest = self.source().newest_end().max(Timestamp::from_nanos(self.now.as_nanos()));
            self.handle_time(clock().max(newest))?;
        }
        Ok(())
    }
}
