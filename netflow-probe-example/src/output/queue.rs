//! A bounded queue between those who render flows and what they are written to.

use core::fmt;
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// What becomes of flows when the queue is full, because whoever reads them is too slow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum WhenFull {
    /// Receiving waits. What comes meanwhile waits in the receive buffers, and is dropped by the kernel when they are
    /// full.
    #[default]
    Wait,
    /// They are refused and counted; receiving goes on, and the account stays exact.
    Refuse,
}

/// What became of flows at the queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueStats {
    /// Lines written, or waiting to be.
    pub lines: u64,
    /// Lines refused because the queue was full.
    pub refused_lines: u64,
    /// How often somebody had to wait for room.
    pub waits: u64,
    /// Octets that wait.
    pub waiting_octets: usize,
    /// The most that ever waited.
    pub most_octets: usize,
}

impl QueueStats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "lines": self.lines,
            "refused_lines": self.refused_lines,
            "waits": self.waits,
            "waiting_octets": self.waiting_octets,
            "most_octets": self.most_octets,
        })
    }
}

/// A thread that writes, and the queue in front of it.
#[derive(Debug)]
pub struct OutputQueue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// An end of the queue that lines go into. Whole lines of several of them never mix.
#[derive(Debug)]
pub struct QueuedOutput {
    shared: Arc<Shared>,
    /// The beginning of a line whose rest has not come.
    begun: Vec<u8>,
    /// Whether what comes is messages behind their lengths, and not lines.
    has_lengths: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Something came, or nothing will come any more.
    came: Condvar,
    /// There is room again.
    room: Condvar,
    limit: usize,
    when_full: WhenFull,
}

#[derive(Default)]
struct State {
    blocks: VecDeque<Vec<u8>>,
    /// Blocks to be filled again.
    empty: Vec<Vec<u8>>,
    stats: QueueStats,
    /// Those who wait for room.
    waiting: usize,
    is_over: bool,
    error: Option<io::Error>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl OutputQueue {
    /// Starts the thread. At most `limit` octets wait for `output`, or one block.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start(output: impl Write + Send + 'static, limit: usize, when_full: WhenFull) -> io::Result<Self> {
        let (state, came, room) = Default::default();
        let shared = Arc::new(Shared { state, came, room, limit, when_full });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("output".to_owned()).spawn(move || of_thread.run(output))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// An end to write to.
    #[must_use]
    pub fn output(&self) -> QueuedOutput {
        QueuedOutput { shared: Arc::clone(&self.shared), begun: Vec::new(), has_lengths: false }
    }

    /// An end to write messages to, each behind its length as a varint: whole ones with each call.
    #[must_use]
    pub fn output_of_messages(&self) -> QueuedOutput {
        QueuedOutput { has_lengths: true, ..self.output() }
    }

    /// What became of lines so far.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.shared.held().stats
    }

    /// Whether somebody waits for room by now.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.shared.held().waiting > 0
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<QueueStats> {
        self.shared.held().is_over = true;
        self.shared.came.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| io::Error::other("the thread that writes flows panicked"))?;
        }
        let state = self.shared.held();
        state.error.as_ref().map_or(Ok(state.stats), |error| Err(again(error)))
    }
}

impl Drop for OutputQueue {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// The same error, for somebody else.
fn again(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

impl State {
    /// Behind the first error nothing more is written.
    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
            self.blocks.clear();
            self.stats.waiting_octets = 0;
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut output: impl Write) {
        let mut state = self.held();
        loop {
            if let Some(mut block) = state.blocks.pop_front() {
                drop(state);
                let written = output.write_all(&block);
                state = self.held();
                state.stats.waiting_octets -= block.len();
                block.clear();
                state.empty.push(block);
                state.note(written);
                self.room.notify_all();
            } else {
                // Nothing waits: what is written is to be seen.
                let flushed = output.flush();
                state.note(flushed);
                if state.is_over {
                    return;
                }
                state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn push(&self, begun: &mut Vec<u8>, lines: &[u8], count: fn(&[u8]) -> u64) -> io::Result<()> {
        let octets = begun.len() + lines.len();
        let mut state = self.held();
        let mut has_waited = false;
        loop {
            if let Some(error) = &state.error {
                return Err(again(error));
            }
            let waiting = state.stats.waiting_octets;
            if waiting == 0 || waiting + octets <= self.limit {
                break;
            }
            if self.when_full == WhenFull::Refuse {
                state.stats.refused_lines += count(lines);
                begun.clear();
                return Ok(());
            }
            if !has_waited {
                has_waited = true;
                state.stats.waits += 1;
            }
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let mut block = state.empty.pop().unwrap_or_default();
        block.extend_from_slice(begun);
        block.extend_from_slice(lines);
        begun.clear();
        state.stats.lines += count(lines);
        state.stats.waiting_octets += octets;
        state.stats.most_octets = state.stats.most_octets.max(state.stats.waiting_octets);
        state.blocks.push_back(block);
        drop(state);
        self.came.notify_all();
        Ok(())
    }
}

fn count_lines(octets: &[u8]) -> u64 {
    octets.iter().map(|octet| u64::from(*octet == b'\n')).sum()
}

/// How many messages there are, each behind its length.
fn count_messages(mut octets: &[u8]) -> u64 {
    let mut count = 0;
    while !octets.is_empty() {
        let (mut length, mut shift) = (0_usize, 0);
        while let Some((octet, rest)) = octets.split_first() {
            octets = rest;
            length |= usize::from(octet & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
        }
        octets = octets.get(length..).unwrap_or(&[]);
        count += 1;
    }
    count
}

impl Write for QueuedOutput {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.has_lengths {
            self.shared.push(&mut self.begun, octets, count_messages)?;
            return Ok(octets.len());
        }
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = octets.split_at(whole);
        if !lines.is_empty() {
            self.shared.push(&mut self.begun, lines, count_lines)?;
        }
        self.begun.extend_from_slice(rest);
        Ok(octets.len())
    }

    /// Lines are on their way as soon as they are whole.
    fn flush(&mut self) -> io::Result<()> {
        let state = self.shared.held();
        state.error.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes when it is allowed to.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_queue_refuses_is_counted_and_the_rest_is_written() {
        let (allow, allowed) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate(allowed, Arc::clone(&written));
        let mut queue = OutputQueue::start(gate, 100, WhenFull::Refuse).unwrap();
        let mut output = queue.output();
        for line in 0..100_u8 {
            // In two pieces, as buffers have it.
            output.write_all(&[b'a' + line % 26; 5]).unwrap();
            output.write_all(b"xxxx\n").unwrap();
        }
        drop(allow);
        let stats = queue.finish().unwrap();
        assert_eq!((stats.lines, stats.refused_lines, stats.waits), (10, 90, 0));
        assert_eq!((stats.most_octets, stats.waiting_octets), (100, 0));
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 10);
        assert!(written.lines().all(|line| line.len() == 9 && line.ends_with("xxxx")), "{written}");
    }

    #[test]
    fn messages_are_counted_by_their_lengths() {
        let mut octets = vec![2, b'\n', b'\n', 0, 0x80, 1];
        octets.extend([b'\n'; 128]);
        assert_eq!(count_messages(&octets), 3);
        assert_eq!(count_messages(&[0xff; 40]), 1, "a length without an end");
        assert_eq!(count_messages(&[5]), 1);
    }

    #[test]
    fn writers_wait_for_room_and_their_lines_do_not_mix() {
        let (allow, allowed) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate(allowed, Arc::clone(&written));
        let mut queue = OutputQueue::start(gate, 50, WhenFull::Wait).unwrap();
        thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let mut output = queue.output();
                scope.spawn(move || {
                    for _ in 0..200 {
                        output.write_all(&[letter; 3]).unwrap();
                        output.write_all(&[letter, letter, b'\n', letter]).unwrap();
                        output.write_all(&[letter, letter, letter, letter, b'\n']).unwrap();
                    }
                });
            }
            // Only when somebody waits, so that somebody does.
            while queue.stats().waits == 0 {
                thread::yield_now();
            }
            drop(allow);
        });
        let stats = queue.finish().unwrap();
        assert_eq!((stats.lines, stats.refused_lines), (1_600, 0));
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1_600);
        assert!(
            written
                .lines()
                .all(|line| line.len() == 5 && line.bytes().all(|letter| letter == line.as_bytes()[0]))
        );
    }

    #[test]
    fn an_error_reaches_those_who_write_and_who_wait() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut queue = OutputQueue::start(writer, 10, WhenFull::Wait).unwrap();
        let mut output = queue.output();
        let error = loop {
            if let Err(error) = output.write_all(b"a line\n") {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(queue.finish().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
