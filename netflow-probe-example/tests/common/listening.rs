//! A collector that listens, as a program.

use core::net::SocketAddr;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use serde_json::Value;
use tempfile::TempDir;

use super::peers::{is_drained, wait_until};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// A listening collector, which does not outlive its test.
pub(crate) struct Listening {
    pub(crate) child: Child,
    stderr: Option<JoinHandle<()>>,
    told: Arc<Mutex<String>>,
    /// Of UDP.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Of TCP.
    pub(crate) streams: Vec<SocketAddr>,
    folder: TempDir,
    output: PathBuf,
}

/// What a collector left behind.
pub(crate) struct Left {
    /// What it printed.
    pub(crate) output: String,
    /// The same as JSON, when it is that.
    pub(crate) flows: Vec<Value>,
    pub(crate) stderr: String,
    pub(crate) summary: Value,
}

impl Listening {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with_output(arguments, None)
    }

    pub(crate) fn start_with_output(arguments: &[&str], output: Option<&Path>) -> Self {
        Self::begin(arguments, output, str::to_owned)
    }

    /// One that says where it listens in lines from which `message` takes the text.
    pub(crate) fn start_told(arguments: &[&str], message: impl Fn(&str) -> String) -> Self {
        Self::begin(arguments, None, message)
    }

    fn begin(arguments: &[&str], output: Option<&Path>, message: impl Fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Also for a collector that becomes somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let output = output.map_or_else(|| folder.path().join("flows"), Path::to_owned);
        let mut command = Command::new(PROGRAM);
        command.arg("listen").args(arguments).arg("--summary").arg(folder.path().join("summary.json"));
        command.arg("--output").arg(&output);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut addresses, mut streams) = (Vec::new(), Vec::new());
        let count = |names: &[&str]| arguments.iter().filter(|argument| names.contains(argument)).count();
        for _ in 0..count(&["--bind", "--bind-tcp", "--bind-tls"]) {
            let line = next_line(&mut stderr, &message);
            let (over, address) = line.trim().rsplit_once(' ').expect("an address");
            let addresses = if over == "listening on" { &mut addresses } else { &mut streams };
            addresses.push(address.parse().unwrap_or_else(|_| panic!("{line}")));
        }
        let told = Arc::default();
        let stderr = Some(read_on(stderr, Arc::clone(&told)));
        Self { child, stderr, told, addresses, streams, folder, output }
    }

    /// Waits until nothing waits in the sockets.
    pub(crate) fn drained(&self) {
        wait_until("receiving", || self.addresses.iter().all(|address| is_drained(address.port())));
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What it has said on standard error so far.
    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Ends it in order.
    pub(crate) fn terminate(self) -> Left {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Left {
        self.stderr.take().unwrap().join().unwrap();
        let stderr = self.told();
        assert!(self.child.wait().unwrap().success(), "{stderr}");
        let is_file = self.output.is_file();
        let output = if is_file { fs::read_to_string(&self.output).unwrap() } else { String::new() };
        let flows = output.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let summary = fs::read(self.folder.path().join("summary.json")).unwrap();
        Left { output, flows, stderr, summary: serde_json::from_slice(&summary).unwrap() }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The next line, which says where it listens.
fn next_line(stderr: &mut BufReader<ChildStderr>, message: impl Fn(&str) -> String) -> String {
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    line = message(&line);
    if !line.starts_with("listening") {
        stderr.read_to_string(&mut line).unwrap();
        panic!("{line}");
    }
    line
}

/// Somebody has to read what it says, or it waits.
fn read_on(stderr: BufReader<ChildStderr>, told: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in stderr.lines() {
            let mut told = told.lock().unwrap();
            told.push_str(&line.unwrap());
            told.push('\n');
        }
    })
}
