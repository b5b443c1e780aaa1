//! One request and one response a connection, within bounds of size and time.

use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Instant,
};

/// Octets of a request's head, at most.
const HEAD: usize = 16 << 10;
/// Octets of a request's body, at most.
const BODY: usize = 64 << 10;
/// Header fields, at most.
const FIELDS: usize = 64;
/// A request must be there within this time, whatever its pace.
const ASKING: Duration = Duration::from_secs(5);
/// A response must be taken within this time.
const TAKING: Duration = Duration::from_secs(60);

/// What a client still sends is taken off its hands for so long,
const LEAVING: Duration = Duration::from_secs(1);
/// and so many octets of it.
const REST: u64 = 1 << 20;

/// A request, read to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and, behind a question mark, parameters.
    pub(super) target: String,
    fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The value of a header field; `None` when it is not there, or several times.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() { None } else { value }
    }

    /// Whether a header field is there at all.
    pub(super) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Of a document, what it may load.
    pub(super) content_policy: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", content_policy: None, body: body.into() }
    }

    /// A failure in words.
    pub(super) fn failure(status: u16, message: &str) -> Self {
        Self::json(status, serde_json::json!({ "error": { "message": message } }).to_string())
    }
}

/// Reads the request of a connection, and sends what `respond` makes of it. What fails on the way is the client's loss.
pub(super) fn answer(connection: &TcpStream, respond: impl FnOnce(&Request) -> Response) {
    // What is accepted by a socket that does not block may be like it.
    if connection.set_nonblocking(false).is_err() {
        return;
    }
    let mut timed = Timed { connection, until: Instant::now() + ASKING };
    let response = match read(&mut timed) {
        Ok(Some(request)) => {
            let is_head = request.method == "HEAD";
            let mut response = respond(&request);
            if is_head {
                response.body.clear();
            }
            response
        }
        Ok(None) => return,
        Err(Refusal { status, why }) => Response::failure(status, why),
    };
    timed.until = Instant::now() + TAKING;
    if write(&mut timed, &response).is_ok() && connection.shutdown(Shutdown::Write).is_ok() {
        // What was not read would take the response with it, on its way, when the connection is closed.
        timed.until = Instant::now() + LEAVING;
        let _ = io::copy(&mut timed.take(REST), &mut io::sink());
    }
}

/// A connection that is given so much time altogether.
struct Timed<'a> {
    connection: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.set_read_timeout(Some(self.left()?))?;
        self.connection.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.connection.set_write_timeout(Some(self.left()?))?;
        self.connection.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush()
    }
}

/// A request that is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Refusal {
    status: u16,
    why: &'static str,
}

const fn refusal(status: u16, why: &'static str) -> Refusal {
    Refusal { status, why }
}

/// `None` when there is nobody to answer to.
fn read(connection: &mut impl Read) -> Result<Option<Request>, Refusal> {
    let mut octets = Vec::new();
    let (mut request, body_from, length) = loop {
        if let Some(found) = parse_head(&octets)? {
            break found;
        }
        if octets.len() >= HEAD {
            return Err(refusal(431, "the head of the request is longer than 16 KiB"));
        }
        let room = (HEAD - octets.len()).min(4_096);
        if !read_some(connection, &mut octets, room)? {
            return Ok(None);
        }
    };
    let mut body = octets.split_off(body_from.min(octets.len()));
    while body.len() < length {
        let room = (length - body.len()).min(4_096);
        if !read_some(connection, &mut body, room)? {
            return Ok(None);
        }
    }
    body.truncate(length);
    request.body = body;
    Ok(Some(request))
}

/// Whether there was more.
fn read_some(connection: &mut impl Read, octets: &mut Vec<u8>, room: usize) -> Result<bool, Refusal> {
    let mut buffer = [0; 4_096];
    let Some(buffer) = buffer.get_mut(..room) else { return Ok(false) };
    match connection.read(buffer) {
        Ok(0) => Ok(false),
        Ok(count) => {
            octets.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            Err(refusal(408, "the request did not come within 5 seconds"))
        }
        Err(_) => Ok(false),
    }
}

/// The request, where its body begins and how long that is; `None` when the head is not complete.
fn parse_head(octets: &[u8]) -> Result<Option<(Request, usize, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let body_from = match head.parse(octets) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(refusal(431, "more than 64 header fields")),
        Err(_) => return Err(refusal(400, "this is no request of HTTP/1.1")),
    };
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for field in head.headers {
        let value = core::str::from_utf8(field.value)
            .map_err(|_| refusal(400, "the value of a header field is not UTF-8"))?;
        request.fields.push((field.name.to_owned(), value.trim().to_owned()));
    }
    if request.has_field("transfer-encoding") {
        return Err(refusal(501, "bodies in parts are not taken"));
    }
    let length = match (request.has_field("content-length"), request.field("content-length")) {
        (false, _) => 0,
        (true, length) => length
            .and_then(|length| length.parse::<usize>().ok())
            .ok_or(refusal(400, "the length of the body is not understood"))?,
    };
    if length > BODY {
        return Err(refusal(413, "the body of the request is longer than 64 KiB"));
    }
    Ok(Some((request, body_from, length)))
}

/// Sent with every response: a page elsewhere can neither read it, nor show it as a part of its own, and nothing of it
/// is kept.
const GUARDING: &str = "X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n\
    Cache-Control: no-store\r\n\
    Connection: close\r\n";

fn write(connection: &mut impl Write, response: &Response) -> io::Result<()> {
    let reason = match response.status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let policy = response.content_policy.as_deref().unwrap_or("default-src 'none'; frame-ancestors 'none'");
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: {policy}\r\n{GUARDING}\r\n",
        response.status,
        response.content_type,
        response.body.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(&response.body)?;
    connection.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Request>, Refusal> {
        read(&mut text.as_bytes())
    }

    #[test]
    fn a_request_is_read_with_its_body() {
        let text = "PUT /api/profiles?a=b HTTP/1.1\r\nHost: localhost\r\ncontent-LENGTH: 4\r\n\r\nbodyrest";
        let request = parse(text).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/api/profiles?a=b"));
        assert_eq!((request.field("HOST"), request.body.as_slice()), (Some("localhost"), &b"body"[..]));
        // Two of them are none.
        let twice = parse("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap().unwrap();
        assert_eq!((twice.field("host"), twice.has_field("host")), (None, true));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let status =
            |text: &str| parse(text).map(|request| request.is_some()).map_err(|refusal| refusal.status);
        assert_eq!(status("GET /"), Ok(false));
        assert_eq!(status("GET / HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort"), Ok(false));
        assert_eq!(status("\u{1}\u{2}\r\n\r\n"), Err(400));
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000))), Err(431));
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65))), Err(431));
        assert_eq!(status("PUT / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"), Err(413));
        assert_eq!(status("PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"), Err(400));
        assert_eq!(status("PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Err(400));
        assert_eq!(status("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Err(501));
    }
}
