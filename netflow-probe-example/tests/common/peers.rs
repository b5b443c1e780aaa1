//! Other programs, started and watched.

use core::time::Duration;
use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

pub(crate) fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} takes too long");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether some process listens on the UDP port: the kernel lists sockets with their ports in hexadecimal.
pub(crate) fn is_bound(port: u16) -> bool {
    let needle = format!(":{port:04X} ");
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .any(|table| fs::read_to_string(table).unwrap_or_default().lines().any(|line| line.contains(&needle)))
}

/// Whether no datagram waits in a socket of the port.
pub(crate) fn is_drained(port: u16) -> bool {
    let needle = format!(":{port:04X} ");
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let mut sockets = tables.iter().flat_map(|table| table.lines()).filter(|line| line.contains(&needle));
    sockets.all(|line| line.contains(":00000000 00:"))
}

/// What a program prints; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program in the background, which does not outlive its test.
pub(crate) struct Background(pub(crate) Child);

impl Background {
    pub(crate) fn terminate(&mut self) {
        run("kill", &["-TERM", &self.0.id().to_string()]);
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// nfcapd, which stores what comes to its port.
pub(crate) struct Nfcapd {
    process: Background,
    pub(crate) port: u16,
}

impl Nfcapd {
    /// Starts it with a folder that is there, and arguments of one's own.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        // Somebody may take a port that is free before it does.
        for _ in 0..5 {
            let port = free_port();
            let child = Command::new("nfcapd")
                .args(["-w", folder.to_str().unwrap(), "-b", "127.0.0.1", "-p", &port.to_string()])
                .args(["-t", "3600"])
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut process = Background(child);
            let mut has_ended = false;
            wait_until("nfcapd's start", || {
                has_ended = process.0.try_wait().unwrap().is_some();
                has_ended || is_bound(port)
            });
            if !has_ended {
                return Self { process, port };
            }
        }
        panic!("nfcapd does not start");
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it has read what was sent.
    pub(crate) fn drained(&self) {
        wait_until("nfcapd's reading", || is_drained(self.port));
    }

    /// Ends it when it has read what was sent: its file is complete then.
    pub(crate) fn finish(mut self) {
        self.drained();
        self.process.terminate();
    }
}
