//! IPFIX messages over TCP (RFC 7011 section 10.4), if wanted within TLS.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use std::{
    collections::HashMap,
    io::{self, Read as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    time::Instant,
};

use netflow_codec::{DecodeError, Timestamp, ipfix::MessageFramer};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{BindError, now};

/// How many sessions there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Sessions of one address at a time.
    pub sessions_of_address: usize,
    /// How long a session may be without a whole message.
    pub idle: Duration,
    /// How long a new session may take for its first one.
    pub first_message: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            sessions: 1_024,
            sessions_of_address: 32,
            idle: Duration::from_secs(1_800),
            first_message: Duration::from_secs(60),
        }
    }
}

/// What happens to sessions.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// A session begins.
    Opened,
    /// A message.
    Message {
        /// Its octets.
        message: &'a [u8],
        /// When its last octet was fetched.
        received: Timestamp,
    },
    /// The session has ended.
    Closed(Closed),
    /// There is none: the connection was closed at once.
    TurnedAway(TurnedAway),
}

/// Why a connection is no session.
#[derive(Debug)]
pub enum TurnedAway {
    /// Its sender may not send.
    NotAllowed,
    /// There are so many sessions already.
    TooMany(usize),
    /// There are so many sessions of its address already.
    TooManyOfAddress(usize),
    /// It failed.
    Failed(io::Error),
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("its sender is none of those that may send"),
            Self::TooMany(sessions) => write!(f, "there are {sessions} already, see --tcp-sessions"),
            Self::TooManyOfAddress(sessions) => write!(f, "there are {sessions} of its address already"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// Why a session ended.
#[derive(Debug)]
pub enum Closed {
    /// The exporter closed it, between two messages.
    InOrder,
    /// What came is no message, or only a part of one: where the next one begins nobody knows.
    Malformed(DecodeError),
    /// The connection failed, or the other side is none that may speak.
    Failed(io::Error),
    /// No whole message came for so long.
    Idle(Duration),
}

/// What became of sessions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamStats {
    /// Sessions so far.
    pub opened: u64,
    /// Sessions now.
    pub open: usize,
    /// Connections that were refused because there were too many.
    pub refused: u64,
    /// Connections of senders that may not send.
    pub not_allowed: u64,
    /// Sessions that ended without order: malformed, failed, or idle.
    pub broken: u64,
}

impl StreamStats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Self { opened, open, refused, not_allowed, broken } = self;
        serde_json::json!({
            "opened": opened, "open": open, "refused": refused, "not_allowed": not_allowed, "broken": broken,
        })
    }
}

/// Sockets that accept sessions, and what is needed for it.
#[derive(Debug)]
pub struct StreamListener {
    listeners: Vec<(TcpListener, Security)>,
    limits: StreamLimits,
}

/// What sessions of a socket are wrapped in.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// Nothing.
    #[default]
    Plain,
    /// TLS, with certificates of both sides.
    #[cfg(feature = "tls")]
    Tls(super::tls::ServerTls),
}

impl StreamListener {
    /// No socket so far.
    #[must_use]
    pub const fn new(limits: StreamLimits) -> Self {
        Self { listeners: Vec::new(), limits }
    }

    /// Accepts sessions at this address, too. Returns the address, with the port that the system chose for 0.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn bind(&mut self, address: SocketAddr, security: Security) -> Result<SocketAddr, BindError> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        };
        let (bound, listener) = bind().map_err(|error| BindError { address, error })?;
        self.listeners.push((listener, security));
        Ok(bound)
    }

    /// Whether there is no socket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Makes ready to receive.
    #[must_use]
    pub fn into_receiver(self) -> StreamReceiver {
        StreamReceiver {
            listener: self,
            sessions: Vec::new(),
            of_address: HashMap::new(),
            buffer: vec![0; MessageFramer::CAPACITY].into(),
            stats: StreamStats::default(),
        }
    }
}

/// The sessions of some listening sockets.
#[derive(Debug)]
pub struct StreamReceiver {
    listener: StreamListener,
    sessions: Vec<Session>,
    of_address: HashMap<IpAddr, usize>,
    buffer: Box<[u8]>,
    stats: StreamStats,
}

#[derive(Debug)]
struct Session {
    peer: SocketAddr,
    connection: Connection,
    framer: MessageFramer,
    /// When the last whole message came, or the session began.
    last: Instant,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Session>,
}

impl StreamReceiver {
    /// Sessions accepted of a socket in a turn.
    const ACCEPTS: usize = 32;

    /// What became of sessions so far.
    #[must_use]
    pub const fn stats(&self) -> StreamStats {
        StreamStats { open: self.sessions.len(), ..self.stats }
    }

    /// Accepts sessions from whom `allows` says so, and gives what has come of each session, in turns, to `handle`.
    /// Whether anything came.
    ///
    /// # Errors
    ///
    /// Those of `handle`.
    pub fn receive(
        &mut self,
        allows: impl Fn(IpAddr) -> bool,
        mut handle: impl FnMut(SocketAddr, StreamEvent<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.accept(allows, &mut handle)?;
        let mut came = false;
        let mut number = 0;
        while let Some(session) = self.sessions.get_mut(number) {
            let before = session.framer.messages();
            let limits = &self.listener.limits;
            let closed = session.receive(&mut self.buffer, limits, &mut handle)?;
            came |= session.framer.messages() > before;
            let Some(closed) = closed else {
                number += 1;
                continue;
            };
            let session = self.sessions.swap_remove(number);
            self.stats.broken += u64::from(!matches!(closed, Closed::InOrder));
            if let Some(count) = self.of_address.get_mut(&session.peer.ip()) {
                *count -= 1;
                if *count == 0 {
                    self.of_address.remove(&session.peer.ip());
                }
            }
            handle(session.peer, StreamEvent::Closed(closed))?;
        }
        Ok(came)
    }

    fn accept(
        &mut self,
        allows: impl Fn(IpAddr) -> bool,
        handle: &mut impl FnMut(SocketAddr, StreamEvent<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for (listener, security) in &self.listener.listeners {
            for _ in 0..Self::ACCEPTS {
                // What failed before it was accepted, or for want of descriptors, is tried again in the next turn.
                let Ok((stream, peer)) = listener.accept() else { break };
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let of_address = self.of_address.get(&peer.ip()).copied().unwrap_or(0);
                let limits = &self.listener.limits;
                let admitted = if !allows(peer.ip()) {
                    self.stats.not_allowed += 1;
                    Err(TurnedAway::NotAllowed)
                } else if self.sessions.len() >= limits.sessions {
                    self.stats.refused += 1;
                    Err(TurnedAway::TooMany(limits.sessions))
                } else if of_address >= limits.sessions_of_address {
                    self.stats.refused += 1;
                    Err(TurnedAway::TooManyOfAddress(of_address))
                } else {
                    Connection::new(stream, security).map_err(|error| {
                        self.stats.broken += 1;
                        TurnedAway::Failed(error)
                    })
                };
                let connection = match admitted {
                    Ok(connection) => connection,
                    Err(reason) => {
                        handle(peer, StreamEvent::TurnedAway(reason))?;
                        continue;
                    }
                };
                self.stats.opened += 1;
                *self.of_address.entry(peer.ip()).or_default() += 1;
                let framer = MessageFramer::new();
                self.sessions.push(Session { peer, connection, framer, last: Instant::now() });
                handle(peer, StreamEvent::Opened)?;
            }
        }
        Ok(())
    }

    /// Waits until something has come, at most so long; a signal ends the wait early.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub fn wait(&self, at_most: Duration) -> io::Result<()> {
        let listeners = self.listener.listeners.iter().map(|(listener, _)| listener.as_fd());
        let sessions = self.sessions.iter().map(|session| session.connection.stream.as_fd());
        let mut waiting: Vec<_> =
            listeners.chain(sessions).map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        let millis = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX);
        match poll(&mut waiting, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Session {
    /// Takes what one read gives. The inner value says how the session ended, if it has.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        limits: &StreamLimits,
        handle: &mut impl FnMut(SocketAddr, StreamEvent<'_>) -> io::Result<()>,
    ) -> io::Result<Option<Closed>> {
        let octets = match self.connection.read(buffer) {
            Ok(0) => {
                return Ok(Some(match self.framer.finish() {
                    Ok(()) => Closed::InOrder,
                    Err(error) => Closed::Malformed(error),
                }));
            }
            Ok(octets) => octets,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                let limit = if self.framer.messages() == 0 { limits.first_message } else { limits.idle };
                return Ok((self.last.elapsed() >= limit).then_some(Closed::Idle(limit)));
            }
            Err(error) => return Ok(Some(Closed::Failed(error))),
        };
        let mut input = buffer.get(..octets).unwrap_or_default();
        let received = now();
        while !input.is_empty() {
            let taken = self.framer.handle_input(input);
            input = input.get(taken..).unwrap_or_default();
            while let Some(message) = self.framer.poll_message() {
                match message {
                    Ok(message) => handle(self.peer, StreamEvent::Message { message, received })?,
                    // RFC 7011 section 9.1: the session may be closed.
                    Err(error) => return Ok(Some(Closed::Malformed(error))),
                }
                self.last = Instant::now();
            }
        }
        Ok(None)
    }
}

impl Connection {
    fn new(stream: TcpStream, security: &Security) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        match security {
            Security::Plain => Ok(Self {
                stream,
                #[cfg(feature = "tls")]
                tls: None,
            }),
            #[cfg(feature = "tls")]
            Security::Tls(server) => Ok(Self { stream, tls: Some(server.session()?) }),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.read(&mut self.stream, buffer);
        }
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MESSAGE: [u8; 20] = [0, 10, 0, 20, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 4];

    /// Receives until `done`; what happened, in words.
    fn events(receiver: &mut StreamReceiver, mut done: impl FnMut(&[String]) -> bool) -> Vec<String> {
        let mut events = Vec::new();
        while !done(&events) {
            receiver.wait(Duration::from_millis(20)).unwrap();
            receiver
                .receive(
                    |address| address != IpAddr::from([127, 0, 0, 9]),
                    |peer, event| {
                        let what = match event {
                            StreamEvent::Opened => "opened".to_owned(),
                            StreamEvent::Message { message, .. } => format!("{} octets", message.len()),
                            StreamEvent::Closed(Closed::Failed(_)) => "failed".to_owned(),
                            StreamEvent::Closed(closed) => format!("{closed:?}"),
                            StreamEvent::TurnedAway(reason) => format!("turned away: {reason}"),
                        };
                        events.push(format!("{} {what}", peer.ip()));
                        Ok(())
                    },
                )
                .unwrap();
        }
        events
    }

    fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        socket.into()
    }

    fn listening(limits: StreamLimits) -> (StreamReceiver, SocketAddr) {
        let mut listener = StreamListener::new(limits);
        let address = listener.bind("127.0.0.1:0".parse().unwrap(), Security::Plain).unwrap();
        (listener.into_receiver(), address)
    }

    #[test]
    fn sessions_end_each_in_its_way_and_do_not_disturb_one_another() {
        // C12, C13
        let (mut receiver, to) = listening(StreamLimits::default());
        let [mut good, mut cut, mut bad] = [1, 2, 3].map(|host| connect([127, 0, 0, host], to));
        good.write_all(&[MESSAGE, MESSAGE].concat()).unwrap();
        cut.write_all(&MESSAGE[..7]).unwrap();
        bad.write_all(&[0, 9, 0, 20]).unwrap();
        drop(cut);
        let told = events(&mut receiver, |events| {
            events.iter().filter(|event| event.contains("Malformed")).count() == 2
                && events.iter().filter(|event| event.contains("20 octets")).count() == 2
        });
        assert!(
            told.iter().any(|event| event.starts_with("127.0.0.2 Malformed") && event.contains("Truncated"))
        );
        assert!(
            told.iter()
                .any(|event| event.starts_with("127.0.0.3 Malformed")
                    && event.contains("UnsupportedVersion(9)"))
        );
        // The one that is left goes on, in pieces.
        good.write_all(&MESSAGE[..3]).unwrap();
        good.write_all(&MESSAGE[3..]).unwrap();
        drop(good);
        let told = events(&mut receiver, |events| events.iter().any(|event| event.contains("InOrder")));
        assert_eq!(told, ["127.0.0.1 20 octets", "127.0.0.1 InOrder"]);
        let stats = receiver.stats();
        assert_eq!((stats.opened, stats.open, stats.broken), (3, 0, 2));
    }

    #[test]
    fn sessions_are_bounded_in_all_of_an_address_and_by_who_may_send() {
        // C18, C19
        let limits = StreamLimits { sessions: 4, sessions_of_address: 2, ..StreamLimits::default() };
        let (mut receiver, to) = listening(limits);
        let stranger = connect([127, 0, 0, 9], to);
        let many: Vec<_> = (0..12).map(|number| connect([127, 0, 0, 1 + number / 4], to)).collect();
        let is_turned_away = |event: &&String| event.contains("turned away");
        let told = events(&mut receiver, |events| events.iter().filter(is_turned_away).count() == 9);
        let turned_away: Vec<_> = told.iter().filter(is_turned_away).map(String::as_str).collect();
        assert_eq!(turned_away[0], "127.0.0.9 turned away: its sender is none of those that may send");
        assert_eq!(turned_away[1], "127.0.0.1 turned away: there are 2 of its address already");
        assert_eq!(turned_away[8], "127.0.0.3 turned away: there are 4 already, see --tcp-sessions");
        let stats = receiver.stats();
        assert_eq!((stats.open, stats.opened, stats.refused, stats.not_allowed), (4, 4, 8, 1));
        drop((stranger, many));
        while receiver.stats().open > 0 {
            receiver.receive(|_| true, |_, _| Ok(())).unwrap();
        }
        assert!(receiver.of_address.is_empty());
    }

    #[test]
    fn a_session_without_a_whole_message_is_closed_whatever_trickles_in() {
        let limits = StreamLimits { first_message: Duration::from_millis(50), ..StreamLimits::default() };
        let (mut receiver, to) = listening(limits);
        let mut slow = connect([127, 0, 0, 1], to);
        slow.write_all(&MESSAGE[..2]).unwrap();
        let told = events(&mut receiver, |events| events.iter().any(|event| event.contains("Idle")));
        assert_eq!(told, ["127.0.0.1 opened", "127.0.0.1 Idle(50ms)"]);
    }
}
