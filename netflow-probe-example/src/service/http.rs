//! A small answerer of HTTP: two paths, GET only, a few connections at once, nothing waited for long.

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Instant,
};

use tracing::debug;

/// Connections answered at once; others are closed.
const MAX_CONNECTIONS: usize = 16;
/// The most octets of a request.
const MAX_REQUEST: usize = 8_192;
/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Answers requests for paths in threads of its own, as long as the program runs.
///
/// # Errors
///
/// When the system gives no thread.
pub(super) fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> io::Result<()> {
    let answer = Arc::new(answer);
    let open = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("http".to_owned()).spawn(move || {
        loop {
            let (stream, from) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Too many open files pass; nothing else is expected.
                    debug!("cannot accept a connection: {error}");
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let (answer, guard) = (Arc::clone(&answer), Guard(Arc::clone(&open)));
            let spawned = thread::Builder::new().name("http-answer".to_owned()).spawn(move || {
                if let Err(error) = handle(stream, guard, &*answer) {
                    debug!("request of {from}: {error}");
                }
            });
            if let Err(error) = spawned {
                debug!("no thread for a request: {error}");
            }
        }
    })?;
    Ok(())
}

/// Counts a connection as open.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn handle(mut stream: TcpStream, guard: Guard, answer: impl Fn(&str) -> Answer) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let answer = match read_head(&mut stream, deadline)?.as_deref().map(request) {
        Some(Ok(path)) => answer(path),
        Some(Err(refusal)) => refusal,
        None => Answer::text("431 Request Header Fields Too Large", "the request is too long\n"),
    };
    let Answer { status, content_type, body } = answer;
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if Instant::now() >= deadline + PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let written = stream.write(rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    // Who was answered may ask again at once.
    drop(guard);
    stream.shutdown(Shutdown::Write)
}

/// The head of a request; `None` when it is too long.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let octets = stream.read(&mut buffer)?;
        if octets == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(buffer.get(..octets).unwrap_or_default());
        if head.windows(4).any(|window| window == b"\r\n\r\n")
            || head.windows(2).any(|window| window == b"\n\n")
        {
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if head.len() > MAX_REQUEST {
            return Ok(None);
        }
    }
}

/// The path that is asked for, without what stands behind `?`.
fn request(head: &str) -> Result<&str, Answer> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, path, version) = (words.next(), words.next(), words.next());
    match (method, path, version, words.next()) {
        (Some("GET"), Some(path), Some(version), None) if version.starts_with("HTTP/1.") => {
            Ok(path.split('?').next().unwrap_or_default())
        }
        (Some(_), Some(_), Some(version), None) if version.starts_with("HTTP/1.") => {
            Err(Answer::text("405 Method Not Allowed", "only GET is answered\n"))
        }
        _ => Err(Answer::text("400 Bad Request", "not a request of HTTP/1\n")),
    }
}

/// Opens the listening socket.
///
/// # Errors
///
/// When the address is reachable for others and that is not allowed, or it cannot be had.
pub(super) fn listen(address: SocketAddr, is_exposed: bool) -> io::Result<TcpListener> {
    if !address.ip().to_canonical().is_loopback() && !is_exposed {
        return Err(io::Error::other(
            "other machines can reach this address; give one of this machine alone, as 127.0.0.1:9995 or [::1]:9995, or \
             --metrics-exposed",
        ));
    }
    TcpListener::bind(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_get_of_http_1_is_a_request() {
        assert_eq!(request("GET /metrics?x=1 HTTP/1.1\r\n\r\n").unwrap(), "/metrics");
        assert_eq!(request("GET / HTTP/1.0\n\n").unwrap(), "/");
        for (head, status) in [
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /metrics HTTP/2\r\n\r\n", "400"),
            ("GET  /metrics HTTP/1.1\r\n\r\n", "400"),
            ("GET /metrics\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            ("", "400"),
        ] {
            assert!(request(head).unwrap_err().status.starts_with(status), "{head:?}");
        }
    }

    #[test]
    fn addresses_that_others_reach_are_refused() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:0.0.0.0]:0"] {
            let error = listen(address.parse().unwrap(), false).unwrap_err();
            assert!(error.to_string().contains("--metrics-exposed"), "{address}: {error}");
        }
        assert!(listen("127.0.0.1:0".parse().unwrap(), false).is_ok());
        assert!(listen("0.0.0.0:0".parse().unwrap(), true).is_ok());
    }
}
