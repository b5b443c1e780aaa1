//! The exporter as a service: signals, log, metrics, systemd, privileges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use common::{
    files::Order,
    scrape::{ask, get, samples},
};
use netflow_probe_example::demo::SyntheticTraffic;
use serde_json::Value;

/// Nothing takes longer on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(30);

/// An exporter that meters what it is fed.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_netflow-exporter"))
            .args(["--read", "-"])
            .args(arguments)
            .env_remove("JOURNAL_STREAM")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let sink = Arc::clone(&lines);
        let reading = thread::spawn(move || {
            for line in stderr.lines() {
                sink.0.lock().unwrap().push(line.unwrap());
                sink.1.notify_all();
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, reading: Some(reading) }
    }

    /// The first line on standard error that is such a one.
    fn line(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let (lines, changed) = &*self.lines;
        let found = |lines: &Vec<String>| lines.iter().find(|line| is_wanted(line)).cloned();
        let (lines, _) =
            changed.wait_timeout_while(lines.lock().unwrap(), LONG, |lines| found(lines).is_none()).unwrap();
        found(&lines).unwrap_or_else(|| panic!("no such line among {lines:#?}"))
    }

    fn stderr(&self) -> String {
        self.lines.0.lock().unwrap().join("\n")
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn metrics(&self) -> SocketAddr {
        let line = self.line(|line| line.contains("metrics at http://"));
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
        address.parse().unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // All that it told has been read.
                if let Some(reading) = self.reading.take() {
                    reading.join().unwrap();
                }
                return status;
            }
            assert!(start.elapsed() < LONG, "it does not end: {}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Frames without end, with the file header first: 8192 a portion.
struct Feed {
    packets: Vec<u8>,
    count: u64,
}

impl Feed {
    fn new() -> Self {
        let mut packets = Vec::new();
        let mut count = 0;
        let _enough = SyntheticTraffic::generate().frames(|frame| {
            packets.extend(Order::Little.pcap_record(
                1_700_000_000,
                count,
                frame.original_length,
                frame.data,
            ));
            count += 1;
            if count == 8_192 { Err(()) } else { Ok(()) }
        });
        Self { packets, count: count.into() }
    }

    /// Feeds an exporter in a thread of its own until told otherwise; gives the frames it was fed.
    fn run<T>(&self, running: &mut Running, meanwhile: impl FnOnce(&Running) -> T) -> (u64, T) {
        let mut stdin = running.stdin.take().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let feeding = scope.spawn(|| {
                let mut fed = 0;
                stdin.write_all(&Order::Little.pcap_header(0xa1b2_3c4d, 1)).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    // Who is told to stop does not read on, and what is left of a portion is not counted.
                    if stdin.write_all(&self.packets).is_err() {
                        break;
                    }
                    fed += self.count;
                }
                drop(stdin);
                fed
            });
            let over = Over(&is_over);
            let result = meanwhile(running);
            drop(over);
            (feeding.join().unwrap(), result)
        })
    }
}

/// Says that it is over, also when a test panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn metrics_are_answered_while_it_meters() {
    let folder = tempfile::tempdir().unwrap();
    let write = folder.path().join("out.pcap");
    let mut running = Running::start(&["--write", write.to_str().unwrap(), "--metrics", "127.0.0.1:0"], &[]);
    let address = running.metrics();
    let (fed, scraped) = Feed::new().run(&mut running, |_| {
        let start = Instant::now();
        loop {
            let (status, body) = get(address, "/metrics");
            assert_eq!(status, "HTTP/1.1 200 OK");
            let now = samples(&body);
            let frames = |samples: &BTreeMap<String, f64>| {
                samples.get("netflow_exporter_frames_total{kind=\"ip\"}").copied()
            };
            if frames(&now) > Some(0.0) {
                let (_, body) = get(address, "/metrics");
                let later = samples(&body);
                // Counters never go back.
                for (name, value) in now.iter().filter(|(name, _)| name.contains("_total")) {
                    assert!(later[name] >= *value, "{name}");
                }
                assert_eq!(get(address, "/health"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
                return later;
            }
            assert!(start.elapsed() < LONG, "{body}");
        }
    });
    assert!(running.wait().success(), "{}", running.stderr());
    let frames = scraped["netflow_exporter_frames_total{kind=\"ip\"}"];
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let fed = fed as f64;
    assert!(frames > 0.0 && frames <= fed, "{frames} of {fed}");
    assert!((frames - scraped["netflow_exporter_packets_total{fate=\"metered\"}"]).abs() < 0.5);
    let name = format!(
        "netflow_exporter_datagrams_total{{destination=\"{}\",version=\"9\",domain=\"0\"}}",
        write.display()
    );
    assert!(scraped.contains_key(&name), "{scraped:#?}");
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"] {
        assert!(scraped[name] > 0.0, "{name}");
    }
}

#[test]
fn bad_requests_are_refused_and_slow_ones_keep_nobody_waiting() {
    let running = Running::start(&["--write", "/dev/null", "--metrics", "[::1]:0"], &[]);
    let address = running.metrics();
    // Who says nothing, and more of them than are answered at once: those above are closed.
    let idle: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("\u{fffd}\u{0} \r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        assert_eq!(ask(address, request).0, status, "{request:?}");
    }
    assert_eq!(get(address, "/").0, "HTTP/1.1 200 OK");
    // Nothing was fed yet: there are no accounts, and the process is known all the same.
    let found = samples(&get(address, "/metrics").1);
    assert!(
        found.contains_key("process_open_fds") && !found.contains_key("netflow_exporter_metered_bytes_total")
    );
    drop(idle);
    // A head without end.
    let mut stream = TcpStream::connect(address).unwrap();
    let header = format!("X: {}\r\n", "x".repeat(1_000));
    let mut refused = stream.write_all(b"GET / HTTP/1.1\r\n").is_err();
    for _ in 0..20 {
        refused |= stream.write_all(header.as_bytes()).is_err();
    }
    let mut answer = Vec::new();
    // What was sent behind what was read makes the system reset the connection, which may swallow the answer.
    refused |= stream.read_to_end(&mut answer).is_err();
    assert!(refused || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(address, "/").0, "HTTP/1.1 200 OK");
}

#[test]
fn metrics_are_for_this_machine_unless_told_otherwise() {
    let mut running = Running::start(&["--write", "/dev/null", "--metrics", "0.0.0.0:0"], &[]);
    assert_eq!(running.wait().code(), Some(1));
    running.line(|line| {
        line.starts_with("netflow-exporter: --metrics 0.0.0.0:0: ") && line.contains("--metrics-exposed")
    });
    let running =
        Running::start(&["--write", "/dev/null", "--metrics", "0.0.0.0:0", "--metrics-exposed"], &[]);
    assert!(running.metrics().port() > 0);
}

#[test]
fn sigusr1_tells_the_account_while_it_meters() {
    let mut running =
        Running::start(&["--write", "/dev/null", "--log-format", "json", "--log-level", "debug"], &[]);
    running.line(|line| line.contains("metering capture files"));
    let (_, account) = Feed::new().run(&mut running, |running| {
        running.signal("-USR1");
        running.line(|line| line.contains("\"account\""))
    });
    let account: Value = serde_json::from_str(&account).unwrap();
    let frames = &account["account"]["netflow_exporter_frames_total"][0];
    assert_eq!(frames["kind"], "ip");
    assert!(frames["value"].as_u64().unwrap() > 0, "{account:#}");
    assert!(running.wait().success());
    // Each line is an object; the last one is the closing account.
    let stderr = running.stderr();
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{stderr}");
    let last = &lines.last().unwrap()["account"]["netflow_exporter_frames_total"][0]["value"];
    assert!(last.as_u64() >= frames["value"].as_u64());
}

#[test]
fn sigterm_sends_what_was_metered() {
    // X26
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let address = collector.local_addr().unwrap().to_string();
    let mut running = Running::start(&["--collector", &address, "--rate-limit", "0"], &[]);
    let stop = |running: &Running| {
        running.signal("-USR1");
        running.line(|line| line.starts_with("packets read"));
        running.signal("-TERM");
        running.line(|line| line.contains("stopping"))
    };
    let (fed, _) = Feed::new().run(&mut running, stop);
    assert_eq!(running.wait().code(), Some(143));
    let told = running.stderr();
    let number = |label: &str| -> Vec<u64> {
        let lines = told.lines().filter_map(|line| line.strip_prefix(label)?.split_whitespace().next());
        lines.map(|number| number.parse().unwrap()).collect()
    };
    // What was asked for, and the closing one: everything that was read is in flows that were sent.
    let (read, metered, records, sent) =
        (number("packets read"), number("  metered"), number("flow records"), number("  flows exported"));
    assert_eq!((read.len(), sent.len()), (2, 2), "{told}");
    // The last portion may have been taken in part.
    assert!(read[1] > 0 && read[1] <= fed + 8_192 && metered[1] == read[1], "{told}");
    assert_eq!(records[1], sent[1], "{told}");
    let mut buffer = [0; 2_000];
    assert!(collector.recv(&mut buffer).is_ok());
}

#[test]
fn the_second_signal_ends_it_at_once() {
    // Nothing is fed: the first signal is seen, but the work has no occasion to stop.
    let mut running = Running::start(&["--write", "/dev/null", "--log-level", "debug"], &[]);
    running.line(|line| line.contains("metering capture files"));
    running.signal("-INT");
    running.line(|line| line.contains("stopping"));
    running.signal("-INT");
    assert_eq!(running.wait().code(), Some(130));
    assert!(!running.stderr().contains("packets read"));
}

#[test]
fn sighup_reads_the_configuration_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exporter.toml");
    let write = |text: &str| common::replace(&path, text);
    write("[export]\nmtu = 1400\n");
    let running = Running::start(
        &["--write", "/dev/null", "--config", path.to_str().unwrap(), "--log-level", "debug"],
        &[],
    );
    running.line(|line| line.contains("metering capture files"));
    running.signal("-HUP");
    running.line(|line| line.contains("reloaded: the arguments are as they were"));
    write("[export]\nmtu = 1300\n[metering]\nbiflow = true\n");
    running.signal("-HUP");
    let line = running.line(|line| line.contains("reloaded: in force"));
    assert!(line.ends_with("reloaded: in force: mtu; in force after a restart: biflow"), "{line}");
    write("[export]\nmtu = 13\n");
    running.signal("-HUP");
    let line = running.line(|line| line.contains("not reloaded"));
    assert!(line.contains("exporter.toml:2: `mtu`: \"13\" is not accepted"), "{line}");
}

#[test]
fn systemd_is_told_how_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "60000000")];
    let mut running = Running::start(&["--write", "/dev/null"], &environment);
    let mut told = Vec::new();
    let mut until = |wanted: &str| {
        let mut buffer = [0; 4_096];
        loop {
            let octets =
                socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: no {wanted} in {told:?}"));
            let message = String::from_utf8(buffer[..octets].to_vec()).unwrap();
            told.extend(message.lines().map(str::to_owned));
            if message.lines().any(|line| line == wanted) {
                return message;
            }
        }
    };
    // In whichever order: the service thread and the work tell it.
    let first = until("READY=1");
    assert!(first.contains("STATUS=metering capture files"), "{first}");
    running.signal("-HUP");
    let reloading = until("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(until("READY=1").contains("STATUS=reloaded"));
    running.signal("-TERM");
    until("STOPPING=1");
    drop(running.stdin.take());
    running.wait();
    assert!(told.iter().any(|line| line == "WATCHDOG=1"), "{told:?}");
}

#[test]
fn privileges_are_given_up_for_good() {
    if !nix::unistd::Uid::effective().is_root() {
        common::skip("only root can become somebody else");
        return;
    }
    let user = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let running = Running::start(&["--write", "/dev/null", "--user", "nobody", "--log-level", "debug"], &[]);
    running.line(|line| line.contains("metering capture files"));
    // All threads.
    let tasks = fs::read_dir(format!("/proc/{}/task", running.child.id())).unwrap();
    let mut count = 0;
    for task in tasks {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(field("Uid:"), vec![user.uid.to_string(); 4]);
        assert_eq!(field("Gid:"), vec![user.gid.to_string(); 4]);
        assert_eq!(field("Groups:"), [user.gid.to_string()]);
        for capabilities in ["CapEff:", "CapPrm:", "CapInh:"] {
            assert_eq!(field(capabilities), ["0000000000000000"]);
        }
        count += 1;
    }
    assert!(count >= 2);
    let mut running = Running::start(&["--write", "/dev/null", "--user", "no-such-user"], &[]);
    assert_eq!(running.wait().code(), Some(1));
    running.line(|line| line == "netflow-exporter: --user no-such-user: there is no such user");
}
