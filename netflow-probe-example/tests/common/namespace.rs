//! Networks made for one test: a network namespace with virtual Ethernet, gone with the test.

use core::sync::atomic::{AtomicU32, Ordering};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::peers::{Background, run, wait_until};

/// Whether this test may make network namespaces; when not, it is to be skipped, which was then reported.
pub(crate) fn can_make_networks() -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        super::skip("network namespaces need root");
        return false;
    }
    ["ip", "tcpreplay"].iter().all(|program| super::has_program(program))
}

/// A network namespace with a cable from `out0` to `in0` in it, and nothing that sends by itself.
pub(crate) struct Network {
    name: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Network {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nfx-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let network = Self { name, folder: tempfile::tempdir().unwrap() };
        network.ip(&["link", "set", "lo", "up"]);
        // Otherwise the kernel asks for routers and for its own addresses.
        let quiet = "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done";
        assert!(network.command("sh").args(["-c", quiet]).status().unwrap().success());
        network.plug();
        network
    }

    /// Makes the cable.
    pub(crate) fn plug(&self) {
        self.ip(&[
            "link", "add", "out0", "mtu", "9000", "type", "veth", "peer", "name", "in0", "mtu", "9000",
        ]);
        for end in ["out0", "in0"] {
            self.ip(&["link", "set", end, "up"]);
        }
        self.wait_for_link("out0");
    }

    /// Waits until what is sent into an end of the cable comes out at the other.
    pub(crate) fn wait_for_link(&self, end: &str) {
        let state = format!("/sys/class/net/{end}/operstate");
        wait_until("the link", || {
            self.command("cat").arg(&state).output().is_ok_and(|output| output.stdout.starts_with(b"up"))
        });
        // Whoever changes an interface waits for the change before: now that is complete.
        self.ip(&["link", "set", end, "alias", "ready"]);
    }

    pub(crate) fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name], arguments].concat());
    }

    /// A program in this network.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a program that says on standard error what it does; that goes into the file `name`.
    pub(crate) fn start(&self, name: &str, program: &str, arguments: &[&str]) -> Started {
        let log = self.path(name);
        let child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Started { child: Background(child), log }
    }

    /// Plays captures into an end of the cable, so many packets a second.
    pub(crate) fn play(&self, end: &str, rate: u32, captures: &[PathBuf]) {
        for capture in captures {
            let output = self
                .command("tcpreplay")
                .args(["-q", "-i", end, "--pps", &rate.to_string()])
                .arg(capture)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
            let failed = told.lines().find_map(|line| line.trim().strip_prefix("Failed packets:"));
            assert_eq!(failed.map(str::trim), Some("0"), "{told}");
        }
    }

    /// Packets that came in by an interface so far.
    pub(crate) fn received(&self, interface: &str) -> u64 {
        let path = format!("/sys/class/net/{interface}/statistics/rx_packets");
        let output = self.command("cat").arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or(0)
    }

    /// Whether a UDP port is bound in this network.
    pub(crate) fn is_bound(&self, port: u16) -> bool {
        let needle = format!(":{port:04X} ");
        let output = self.command("cat").args(["/proc/net/udp", "/proc/net/udp6"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().any(|line| line.contains(&needle))
    }

    /// Whether no datagram waits at a UDP port of this network.
    pub(crate) fn is_drained(&self, port: u16) -> bool {
        let needle = format!(":{port:04X} ");
        let output = self.command("cat").args(["/proc/net/udp", "/proc/net/udp6"]).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        table.lines().filter(|line| line.contains(&needle)).all(|line| line.contains(":00000000 00:"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A program that was started.
pub(crate) struct Started {
    pub(crate) child: Background,
    log: PathBuf,
}

impl Started {
    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something so many times.
    pub(crate) fn wait_for(&mut self, text: &str, times: usize) {
        wait_until(text, || {
            if self.said().matches(text).count() >= times {
                return true;
            }
            if let Some(status) = self.child.0.try_wait().unwrap() {
                panic!("{status} before {text}: {}", self.said());
            }
            false
        });
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        run("kill", &[signal, &self.child.0.id().to_string()]);
    }

    /// Ends it; everything it said.
    pub(crate) fn terminate(mut self) -> String {
        self.child.terminate();
        self.said()
    }
}

/// The numbers of a closing account, by what stands before them.
pub(crate) fn number(account: &str, label: &str) -> u64 {
    account
        .lines()
        .filter_map(|line| line.trim().strip_prefix(label))
        .filter_map(|rest| rest.strip_prefix(' '))
        .filter_map(|rest| rest.split_whitespace().next())
        .find_map(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {label} in {account}"))
}
