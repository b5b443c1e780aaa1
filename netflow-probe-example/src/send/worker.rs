//! The thread that serves one collector: it opens sockets, paces, reconnects and resolves the name again, so that the
//! metering never waits for any of that.

use core::{
    iter,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use super::{
    CollectorAddress, Pacer, SendConfig, SendStats, TcpOutput, Transport, UdpOutput,
    mtu::max_datagram_to,
    queue::{Entry, Queue, Taken},
    udp::{is_answer, is_busy},
};

/// Datagrams taken at once.
const BATCH: usize = 64;
/// How often a thread without work looks after its socket.
const TICK: Duration = Duration::from_secs(1);
/// Time between two attempts to open a UDP socket, at least.
const REOPEN: Duration = Duration::from_secs(1);
/// A collector over UDP that was refused is up again when this long no datagram was.
const RECOVERY: Duration = Duration::from_secs(3);
/// Attempts that fail do not make the time between them longer than this, unless it is configured longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// How often the path's MTU is asked for.
const MTU_CHECK: Duration = Duration::from_secs(10);
/// How often a name is resolved while its collector is down.
const RESOLVE_WHEN_DOWN: Duration = Duration::from_secs(10);
/// How long to wait for a last host to say that nobody listens there.
const LAST_ANSWER: Duration = Duration::from_millis(20);
/// Times that a datagram is tried again when the network is too busy.
const BUSY_RETRIES: u32 = 8;

/// What a thread tells besides the counters.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    /// Where datagrams come from.
    pub(super) local: Option<IpAddr>,
    /// Why the last attempt to connect failed, or the last datagram was not taken.
    pub(super) failure: Option<String>,
}

/// What became of a datagram.
enum Fate {
    Sent,
    /// The network refused it.
    NotTaken,
    /// There is nobody to send it to.
    Lost,
}

fn closed_by_collector() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the collector")
}

#[derive(Debug)]
enum Output {
    Udp(UdpOutput),
    Tcp(TcpOutput),
}

#[derive(Debug)]
pub(super) struct Worker {
    queue: Arc<Queue>,
    whereabouts: Arc<Mutex<Whereabouts>>,
    collector: CollectorAddress,
    config: SendConfig,
    addresses: Vec<SocketAddr>,
    /// Attempts to connect so far, which go through the addresses in turn.
    attempts: usize,
    output: Option<Output>,
    pacer: Pacer,
    batch: Vec<Entry>,
    /// When the next attempt may be made, and how long after it the one behind it.
    next_attempt: Instant,
    backoff: Duration,
    /// UDP: when the last datagram was refused.
    refused: Option<Instant>,
    /// UDP: a datagram went out since then and some time later.
    tried_since: bool,
    next_resolve: Instant,
    next_mtu_check: Instant,
}

impl Worker {
    /// A thread's work, begun. A UDP socket is opened at once; when that fails it is tried again later.
    pub(super) fn new(
        queue: Arc<Queue>,
        whereabouts: Arc<Mutex<Whereabouts>>,
        collector: CollectorAddress,
        config: SendConfig,
    ) -> Self {
        let now = Instant::now();
        let mut worker = Self {
            addresses: collector.addresses().collect(),
            attempts: 0,
            output: None,
            pacer: Pacer::new(if collector.transport() == Transport::Udp { config.rate_limit } else { 0 }),
            batch: Vec::with_capacity(BATCH),
            next_attempt: now,
            backoff: config.reconnect,
            refused: None,
            tried_since: false,
            next_resolve: now + config.resolve,
            next_mtu_check: now,
            queue,
            whereabouts,
            collector,
            config,
        };
        if worker.collector.transport() == Transport::Udp {
            worker.connect();
        }
        worker
    }

    /// Serves the collector until the queue is closed.
    pub(super) fn run(mut self) {
        let mut is_last_chance = false;
        loop {
            if self.output.is_none() && Instant::now() >= self.next_attempt {
                self.connect();
            }
            if self.output.is_none() {
                self.look_after();
                if self.queue.wait(self.next_attempt.min(Instant::now() + TICK)) {
                    if is_last_chance || !self.has_time() {
                        break;
                    }
                    is_last_chance = true;
                    thread::sleep(self.next_attempt.saturating_duration_since(Instant::now()));
                }
                continue;
            }
            match self.queue.take(&mut self.batch, BATCH, Instant::now() + TICK) {
                Taken::Some => self.send(),
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            self.look_after();
        }
        if self.refused.is_none() && matches!(self.output, Some(Output::Udp(_))) {
            thread::sleep(LAST_ANSWER);
            self.hear_answers();
        }
        self.queue.finish();
    }

    /// Whether there will be another attempt to connect before the end.
    fn has_time(&self) -> bool {
        self.queue.deadline().is_none_or(|deadline| self.next_attempt < deadline)
    }

    fn connect(&mut self) {
        let now = Instant::now();
        let Some(address) = self.addresses.get(self.attempts % self.addresses.len().max(1)).copied() else {
            return self.connect_failed(&io::Error::other("the name has no address"));
        };
        self.attempts = self.attempts.wrapping_add(1);
        let result = match self.collector.transport() {
            Transport::Udp => UdpOutput::connect(address, &self.config).map(Output::Udp),
            Transport::Tcp => {
                let patience =
                    self.queue.deadline().map_or(Duration::MAX, |end| end.saturating_duration_since(now));
                TcpOutput::connect(address, &self.config, patience).map(Output::Tcp)
            }
        };
        match result {
            Ok(output) => {
                let local = match &output {
                    Output::Udp(udp) => udp.local().map(|address| address.ip()),
                    Output::Tcp(tcp) => tcp.local(),
                };
                self.tell(|whereabouts| *whereabouts = Whereabouts { local, failure: None });
                self.output = Some(output);
                self.backoff = self.config.reconnect;
                // Counted from this attempt, should the connection be lost at once.
                self.next_attempt = now + self.pause(self.config.reconnect);
                self.queue.count(|stats| stats.connections += 1);
                self.queue.set_down(false);
                self.check_mtu();
            }
            Err(error) => self.connect_failed(&error),
        }
    }

    fn connect_failed(&mut self, error: &io::Error) {
        self.tell(|whereabouts| whereabouts.failure = Some(error.to_string()));
        self.queue.count(|stats| stats.failed_connections += 1);
        self.queue.set_down(true);
        self.next_attempt = Instant::now() + self.pause(self.backoff);
        self.backoff = self.backoff.saturating_mul(2).min(LONGEST_BACKOFF.max(self.config.reconnect));
    }

    fn pause(&self, between_connections: Duration) -> Duration {
        if self.collector.transport() == Transport::Udp { REOPEN } else { between_connections }
    }

    /// Sends the datagrams at hand.
    fn send(&mut self) {
        let batch = core::mem::take(&mut self.batch);
        let session = self.queue.session();
        let mut counted = SendStats::default();
        let mut rest = batch.as_slice();
        while let Some((entry, behind)) = rest.split_first() {
            rest = behind;
            let run = self.send_run(entry, behind, session);
            counted.sent += run as u64;
            if run > 0 {
                rest = behind.get(run - 1..).unwrap_or_default();
                continue;
            }
            let fate = if entry.is_of(session) { self.send_one(entry) } else { Fate::Lost };
            match fate {
                Fate::Sent => counted.sent += 1,
                Fate::NotTaken => {
                    counted.errors += 1;
                    counted.not_sent += entry.content;
                }
                Fate::Lost => {
                    counted.lost += 1;
                    counted.not_sent += entry.content;
                }
            }
        }
        self.queue.count(|stats| {
            stats.sent += counted.sent;
            stats.errors += counted.errors;
            stats.lost += counted.lost;
            stats.not_sent += counted.not_sent;
        });
        // The buffers are given back with the next call of `take`.
        self.batch = batch;
    }

    /// Sends a datagram and those behind it that can go along at once; how many were sent. It is none where there is a
    /// single one, or where anything is amiss: then they are to be sent one by one.
    fn send_run(&mut self, first: &Entry, behind: &[Entry], session: u32) -> usize {
        let Some(Output::Udp(udp)) = &self.output else { return 0 };
        if self.refused.is_some() || !first.is_of(session) || self.queue.must_stop() {
            return 0;
        }
        let others = behind.iter().take_while(|entry| entry.is_of(session));
        let lengths = iter::once(first).chain(others).map(|entry| entry.datagram.len());
        let possible = udp.run_length(lengths);
        if possible < 2 {
            return 0;
        }
        self.pacer.wait();
        let mut run = 1;
        while run < possible && self.pacer.may_send_another() {
            run += 1;
        }
        let Some(Output::Udp(udp)) = &mut self.output else { return 0 };
        let datagrams = iter::once(first).chain(behind).take(run).map(|entry| &*entry.datagram);
        let result = if run == 1 { udp.send(&first.datagram) } else { udp.send_run(datagrams) };
        match result {
            Ok(()) => run,
            Err(error) => {
                if is_answer(&error) {
                    let count = udp.drain_answers().max(1);
                    self.note_answers(&error, count);
                }
                0
            }
        }
    }

    fn send_one(&mut self, entry: &Entry) -> Fate {
        let queue = Arc::clone(&self.queue);
        let result = match &mut self.output {
            None => return Fate::Lost,
            Some(Output::Udp(_)) => return self.send_datagram(entry),
            Some(Output::Tcp(tcp)) if tcp.is_closed() => Err(closed_by_collector()),
            Some(Output::Tcp(tcp)) => tcp.send(&entry.datagram, || queue.must_stop()),
        };
        match result {
            Ok(()) => Fate::Sent,
            Err(error) => {
                self.disconnect(&error);
                Fate::Lost
            }
        }
    }

    fn send_datagram(&mut self, entry: &Entry) -> Fate {
        if self.queue.must_stop() {
            self.output = None;
            return Fate::Lost;
        }
        self.pacer.wait();
        let mut busy = 0;
        let mut answers = 0;
        loop {
            let Some(Output::Udp(udp)) = &mut self.output else { return Fate::Lost };
            let Err(error) = udp.send(&entry.datagram) else {
                self.tried_since |= self.refused.is_some_and(|refused| refused.elapsed() >= RECOVERY / 3);
                return Fate::Sent;
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                _ if is_answer(&error) && answers < 2 => {
                    answers += 1;
                    let count = udp.drain_answers().max(1);
                    self.note_answers(&error, count);
                }
                // The network is too busy.
                _ if is_busy(&error) => busy += 1,
                _ => {
                    return self.not_taken(&error);
                }
            }
            if busy > 0 {
                if busy > BUSY_RETRIES || self.queue.must_stop() {
                    return self.not_taken(&error);
                }
                self.queue.count(|stats| stats.congested += 1);
                self.pacer.slow_down();
                self.pacer.wait();
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The network does not take a datagram.
    fn not_taken(&mut self, error: &io::Error) -> Fate {
        self.tell(|whereabouts| whereabouts.failure = Some(error.to_string()));
        if error.raw_os_error() == Some(nix::libc::EMSGSIZE) {
            self.check_mtu();
        } else if !is_answer(error) && Instant::now() >= self.next_attempt {
            // The interface may be gone, or its address: another socket may do.
            self.output = None;
            self.connect();
        }
        Fate::NotTaken
    }

    /// Earlier datagrams were refused.
    fn note_answers(&mut self, error: &io::Error, count: u64) {
        self.queue.count(|stats| stats.refused += count);
        self.tell(|whereabouts| whereabouts.failure = Some(error.to_string()));
        self.refused = Some(Instant::now());
        self.tried_since = false;
        self.queue.set_down(true);
    }

    fn hear_answers(&mut self) {
        let Some(Output::Udp(udp)) = &mut self.output else { return };
        if let Some((error, count)) = udp.take_answers().filter(|(error, _)| is_answer(error)) {
            self.note_answers(&error, count);
        }
    }

    /// The connection is lost, and all that waits for it.
    fn disconnect(&mut self, error: &io::Error) {
        self.tell(|whereabouts| whereabouts.failure = Some(error.to_string()));
        self.output = None;
        self.queue.set_down(true);
        self.queue.begin_session();
    }

    /// What is to be done now and then.
    fn look_after(&mut self) {
        let now = Instant::now();
        if let Some(Output::Tcp(tcp)) = &self.output
            && tcp.is_closed()
        {
            self.disconnect(&closed_by_collector());
        }
        self.hear_answers();
        if self.tried_since && self.refused.is_some_and(|refused| refused.elapsed() >= RECOVERY) {
            self.refused = None;
            self.tried_since = false;
            self.queue.set_down(false);
            self.tell(|whereabouts| whereabouts.failure = None);
        }
        if now >= self.next_mtu_check {
            self.check_mtu();
        }
        let early =
            self.queue.is_down() && now + self.config.resolve >= self.next_resolve + RESOLVE_WHEN_DOWN;
        if self.collector.has_name() && (now >= self.next_resolve || early) {
            self.resolve();
        }
    }

    /// Looks for the collector's address again. A UDP collector that has moved gets a session of its own.
    fn resolve(&mut self) {
        self.next_resolve = Instant::now() + self.config.resolve;
        let Ok(addresses) = self.collector.resolve() else { return };
        if addresses.is_empty() {
            return;
        }
        let has_moved = match &self.output {
            Some(Output::Udp(udp)) => !addresses.contains(&udp.remote()),
            _ => false,
        };
        if self.addresses != addresses {
            self.addresses = addresses;
            self.attempts = 0;
        }
        if has_moved {
            self.output = None;
            self.refused = None;
            self.queue.begin_session();
            self.connect();
        }
    }

    fn check_mtu(&mut self) {
        self.next_mtu_check = Instant::now() + MTU_CHECK;
        if let Some(Output::Udp(udp)) = &self.output {
            let octets = max_datagram_to(self.config.mtu, udp.path_mtu(), udp.remote().is_ipv6());
            self.queue.set_max_datagram(octets);
        }
    }

    fn tell(&self, tell: impl FnOnce(&mut Whereabouts)) {
        tell(&mut self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
