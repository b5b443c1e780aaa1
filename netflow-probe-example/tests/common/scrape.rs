//! What is answered over HTTP for Prometheus.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Nothing takes longer on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(30);

pub(crate) fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

/// Reads the text format of Prometheus, strictly: names with labels, and their values.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut name, mut kind) = (String::new(), String::new());
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, text) = help.split_once(' ').unwrap();
            assert!(text.ends_with('.') && names.insert(of.to_owned()), "{line}");
            of.clone_into(&mut name);
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (of, of_kind) = of.split_once(' ').unwrap();
            assert_eq!(of, name);
            of_kind.clone_into(&mut kind);
            assert!(
                ["counter", "gauge"].contains(&of_kind) && name.ends_with("_total") == (kind == "counter"),
                "{line}"
            );
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(
                sample == name
                    || sample
                        .strip_prefix(&name)
                        .is_some_and(|rest| rest.starts_with('{') && rest.ends_with('}')),
                "{line}"
            );
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    assert!(!kind.is_empty());
    samples
}
