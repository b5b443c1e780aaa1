//! A page to look at: graphs and tables of a store, served over HTTP.
//!
//! ```text
//! connection -> http (request, within bounds) -> guard (Host, token, origin) -> interface (path -> JSON)
//!                                                                                 -> answers (from the store)
//! ```
//!
//! The page is one document with its style and script in it; nothing is loaded from elsewhere. It only reads, but for
//! the file of profiles, if there is one.

mod alerts;
mod answers;
mod document;
mod exporters;
mod findings;
mod guard;
mod http;
mod interface;
mod parameters;
mod profiles;

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, TrySendError, sync_channel},
    },
    thread,
};

use self::{answers::Answers, findings::Findings, interface::Interface, profiles::Profiles};
pub use self::{
    guard::{Guard, random_token},
    profiles::{Alert, Measure, Profile},
};

/// What is served, and to whom.
#[derive(Clone, Debug)]
pub struct PageConfig {
    /// The store that is looked into.
    pub store: PathBuf,
    /// The file that profiles are kept in; without it they cannot be saved here.
    pub profiles: Option<PathBuf>,
    /// The control socket of the collector, or a file with its health document or its account, for what is said of
    /// exporters.
    pub health: Option<PathBuf>,
    /// Files of indicators that flows are searched for.
    pub indicators: Vec<PathBuf>,
    /// Who may ask.
    pub guard: Guard,
}

/// Requests that are answered at the same time.
const WORKERS: usize = 8;
/// Connections that may wait for one.
const WAITING: usize = 64;

/// Answers requests until `stop` is set.
///
/// # Errors
///
/// When no connection can be accepted any more, or no thread started.
pub fn serve(listener: &TcpListener, config: PageConfig, stop: &AtomicBool) -> io::Result<()> {
    let interface = Arc::new(Interface {
        answers: Answers::new(config.store),
        profiles: Profiles::new(config.profiles),
        health: config.health,
        findings: Findings::new(config.indicators),
        guard: config.guard,
    });
    let (connections, waiting) = sync_channel::<TcpStream>(WAITING);
    let waiting = Arc::new(Mutex::new(waiting));
    for number in 0..WORKERS {
        let (interface, waiting) = (Arc::clone(&interface), Arc::clone(&waiting));
        thread::Builder::new().name(format!("page-{number}")).spawn(move || {
            while let Some(connection) = next(&waiting) {
                http::answer(&connection, |request| interface.respond(request));
            }
        })?;
    }
    listener.set_nonblocking(true)?;
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((connection, _)) => match connections.try_send(connection) {
                // One that nobody has time for is closed.
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => {
                    return Err(io::Error::other("nobody answers any more"));
                }
            },
            // One that was given up, or too many files open: the next may be better.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(())
}

fn next(waiting: &Mutex<Receiver<TcpStream>>) -> Option<TcpStream> {
    // A lock is poisoned only by a panic while waiting, which cannot panic.
    let waiting = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    waiting.recv().ok()
}
