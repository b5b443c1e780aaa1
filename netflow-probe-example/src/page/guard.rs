//! Who may ask: what keeps other pages, and other people, from what is served.

use core::net::IpAddr;
use std::{fs::File, io, io::Read as _};

use super::http::{Request, Response};

/// Checks of a request before anything of it is looked at.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Who does not know it gets nothing but the empty page.
    pub token: Option<String>,
    /// Names by which the server may be called, besides `localhost` and addresses.
    pub names: Vec<String>,
}

/// A token that nobody can guess.
///
/// # Errors
///
/// When the system gives no random octets.
pub fn random_token() -> io::Result<String> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(format!("{:032x}", u128::from_be_bytes(octets)))
}

impl Guard {
    /// Whether the server is called by a name of its own. A name that somebody makes point here, so that the browser
    /// takes their page and this server for one (DNS rebinding), is none.
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Response> {
        let host = request.field("host").unwrap_or_default();
        if self.is_known(host) {
            return Ok(());
        }
        Err(Response::failure(421, "this server is not called by the name in Host; see --name"))
    }

    /// Whether the request may see data: it knows the token, if there is one, and no other page has sent it.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        // Browsers say where a request comes from; other programs do not and need not.
        let from_elsewhere =
            request.has_field("sec-fetch-site") && request.field("sec-fetch-site") != Some("same-origin");
        let origin =
            request.field("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        if from_elsewhere || (request.has_field("origin") && origin != request.field("host")) {
            return Err(Response::failure(403, "requests of other pages are not answered"));
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = request.field("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| is_same(given, token)) {
            return Ok(());
        }
        Err(Response::failure(401, "the token is missing or wrong"))
    }

    fn is_known(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Takes as long whichever octet differs.
fn is_same(given: &str, token: &str) -> bool {
    let differences = given.bytes().zip(token.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_can_make_point_here_are_not_known() {
        let guard = Guard { token: None, names: vec!["flows.example.net".to_owned()] };
        for known in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.0.2.1",
            "flows.example.net:8080",
        ] {
            assert!(guard.is_known(known), "{known}");
        }
        for unknown in ["", "evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "[::1"] {
            assert!(!guard.is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn tokens_are_the_same_only_as_a_whole() {
        assert!(is_same("abc", "abc"));
        assert!(!is_same("ab", "abc") && !is_same("", "abc") && !is_same("abd", "abc"));
        let (one, other) = (random_token().unwrap(), random_token().unwrap());
        assert!(one.len() == 32 && one != other);
    }
}
