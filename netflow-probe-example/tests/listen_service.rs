//! The collector as a service: metrics, log, systemd, privileges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    fs,
    net::UdpSocket,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    process::Command,
};

use collector_datagrams::{PLAIN, options_template, plain, set, template, v5, v9};
use common::{
    listening::{Listening, PROGRAM},
    peers::wait_until,
    scrape::{get, samples},
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(30);

fn sender(host: u8) -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::new(127, 0, 8, host), 0)).unwrap()
}

/// Where the metrics of a collector are.
fn metrics(collector: &Listening) -> SocketAddr {
    let found = || {
        let told = collector.told();
        let line = told.lines().find(|line| line.contains("metrics at http://"))?;
        line.split("http://").nth(1)?.split('/').next()?.parse().ok()
    };
    wait_until("metrics", || found().is_some());
    found().unwrap()
}

fn scrape(address: SocketAddr) -> BTreeMap<String, f64> {
    let (status, body) = get(address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    samples(&body)
}

/// A message of IPFIX with these sets.
fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = [&[0, 10][..], &length.to_be_bytes()].concat();
    for word in [1_700_000_000, sequence, 3] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets);
    message
}

#[test]
fn metrics_tell_what_came_what_was_lost_and_what_was_wrong() {
    // C39
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[cache]\ntemplates-per-scope = 2\n[exporter.\"127.0.8.1\"]\nname = \"core-1\"\n")
        .unwrap();
    let collector = Listening::start(&[
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--metrics",
        "127.0.0.1:0",
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let to = collector.addresses[0];
    let address = metrics(&collector);
    // v5: flows 0 to 4, 5 to 9 late, 10 to 14 twice, 20 to 24: five are lost.
    let one = sender(1);
    for sequence in [0, 10, 5, 10, 20] {
        one.send_to(&v5(sequence, 5), to).unwrap();
    }
    // v9: three packets, of which the second has no template, and one is lost before the last.
    let two = sender(2);
    let data = |id| set(id, &plain(1, 7));
    two.send_to(&v9(3, 0, &[template(256, &PLAIN), data(256)]), to).unwrap();
    two.send_to(&v9(3, 1, &[data(300)]), to).unwrap();
    let options = [options_template(257, &[(41, 4)]), set(257, &[0; 8])].concat();
    two.send_to(&v9(3, 3, &[options]), to).unwrap();
    // A third template takes the place of another one.
    two.send_to(&v9(3, 4, &[template(258, &PLAIN)]), to).unwrap();
    // IPFIX: a record, then two are lost.
    let three = sender(3);
    let announced = set(2, &[1, 0, 0, 1, 0, 1, 0, 4]);
    three.send_to(&ipfix(0, &[announced, set(256, &[0; 4])]), to).unwrap();
    three.send_to(&ipfix(3, &[set(256, &[0; 4])]), to).unwrap();
    // Garbage.
    sender(4).send_to(&[0, 77, 1, 2], to).unwrap();
    sender(4).send_to(&[0, 9, 1, 2], to).unwrap();
    let count = |samples: &BTreeMap<String, f64>| samples.get("netflow_collector_datagrams_total").copied();
    wait_until("receiving", || count(&scrape(address)) == Some(13.0));
    let found = scrape(address);
    for (name, value) in [
        ("sound_datagrams_total{version=\"5\"}", 5),
        ("sound_datagrams_total{version=\"9\"}", 4),
        ("records_total{kind=\"flow\"}", 28),
        ("records_total{kind=\"options\"}", 1),
        ("template_records_total{kind=\"flow\"}", 3),
        ("sets_without_template_total", 1),
        ("malformed_total{reason=\"unsupported_version\"}", 1),
        ("malformed_total{reason=\"truncated\"}", 1),
        ("lost{unit=\"flows\"}", 5),
        ("lost{unit=\"packets\"}", 1),
        ("lost{unit=\"records\"}", 2),
        ("late_datagrams{unit=\"flows\"}", 1),
        ("duplicate_datagrams{unit=\"flows\"}", 1),
        ("sequence_received_total{unit=\"flows\"}", 20),
        ("templates_total{change=\"new\"}", 4),
        ("template_evictions_total{what=\"templates\"}", 1),
        ("waiting_sets", 1),
        ("refused_datagrams_total{reason=\"not_allowed\"}", 0),
        ("exporters", 4),
        ("exporter_info{exporter=\"127.0.8.1\",name=\"core-1\"}", 1),
        ("exporter_datagrams_total{exporter=\"127.0.8.2\"}", 4),
        ("exporter_records_total{exporter=\"127.0.8.2\",kind=\"flow\"}", 1),
        ("exporter_records_total{exporter=\"127.0.8.2\",kind=\"options\"}", 1),
        ("exporter_template_records_total{exporter=\"127.0.8.2\"}", 3),
        ("exporter_sets_without_template_total{exporter=\"127.0.8.2\"}", 1),
        ("exporter_template_evictions_total{exporter=\"127.0.8.2\"}", 1),
        ("exporter_malformed_total{exporter=\"127.0.8.4\"}", 2),
        ("exporter_lost{exporter=\"127.0.8.1\",unit=\"flows\"}", 5),
        ("exporter_lost{exporter=\"127.0.8.2\",unit=\"packets\"}", 1),
        ("exporter_lost{exporter=\"127.0.8.3\",unit=\"records\"}", 2),
        ("exporter_late_datagrams{exporter=\"127.0.8.1\",unit=\"flows\"}", 1),
        ("exporter_duplicate_datagrams{exporter=\"127.0.8.1\",unit=\"flows\"}", 1),
    ] {
        let name = format!("netflow_collector_{name}");
        assert_eq!(found.get(&name), Some(&f64::from(value)), "{name} in {found:#?}");
    }
    // One of each socket.
    let drops = found.keys().filter(|name| name.starts_with("netflow_collector_kernel_drops_total{")).count();
    assert_eq!(drops, 2);
    assert!(found["process_resident_memory_bytes"] > 0.0);
    assert_eq!(get(address, "/health"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    // Counters never go back.
    one.send_to(&v5(15, 5), to).unwrap();
    wait_until("receiving", || count(&scrape(address)) == Some(14.0));
    let later = scrape(address);
    for (name, value) in found.iter().filter(|(name, _)| name.contains("_total")) {
        assert!(later[name] >= *value, "{name}");
    }
    assert!((later["netflow_collector_lost{unit=\"flows\"}"]).abs() < 0.5);
    assert_eq!(collector.terminate().summary["datagrams"], 14);
}

#[test]
fn metrics_stay_bounded_however_many_exporters_there_are() {
    let collector =
        Listening::start(&["--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--metrics-exporters", "3"]);
    let address = metrics(&collector);
    for host in 1..=10 {
        sender(host).send_to(&v5(0, 1), collector.addresses[0]).unwrap();
    }
    wait_until("receiving", || scrape(address).get("netflow_collector_datagrams_total") == Some(&10.0));
    let found = scrape(address);
    let shown = found.keys().filter(|name| name.starts_with("netflow_collector_exporter_datagrams_total"));
    assert_eq!(shown.count(), 3);
    assert_eq!(found["netflow_collector_exporters_not_shown"].to_bits(), 7.0_f64.to_bits());
    assert_eq!(
        found["netflow_collector_sequence_received_total{unit=\"flows\"}"].to_bits(),
        10.0_f64.to_bits()
    );
}

#[test]
fn in_json_every_line_is_an_object_and_so_is_the_account() {
    let collector = Listening::start_told(&["--bind", "127.0.0.1:0", "--log-format", "json"], |line| {
        serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned()
    });
    let one = sender(1);
    one.send_to(&v5(0, 3), collector.addresses[0]).unwrap();
    one.send_to(&v5(9, 3), collector.addresses[0]).unwrap();
    sender(2).send_to(&[0, 77], collector.addresses[0]).unwrap();
    let objects = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let accounts = |text: &str| -> Vec<Value> {
        let objects = objects(text).into_iter().filter(|line| line["message"] == "account");
        objects.map(|line| line["account"].clone()).collect()
    };
    wait_until("telling", || {
        collector.signal("-USR1");
        accounts(&collector.told()).iter().any(|account| account["netflow_collector_datagrams_total"] == 3)
    });
    let left = collector.terminate();
    let lines = objects(&left.stderr);
    assert!(
        lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()),
        "{lines:#?}"
    );
    let warned = lines.iter().any(|line| {
        line["level"] == "WARN"
            && line["message"].as_str().unwrap().contains("6 flows before this datagram are missing")
    });
    assert!(warned, "{lines:#?}");
    assert_eq!(accounts(&left.stderr).last().unwrap()["netflow_collector_datagrams_total"], 3);
}

#[test]
fn sigusr1_tells_the_account_for_people() {
    let collector = Listening::start(&["--bind", "127.0.0.1:0"]);
    sender(1).send_to(&v5(0, 3), collector.addresses[0]).unwrap();
    wait_until("telling", || {
        collector.signal("-USR1");
        collector.told().lines().any(|line| line == "records      3 of flows, 0 of options")
    });
}

#[test]
fn levels_of_messages_are_obeyed() {
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--log-level", "error"]);
    let one = sender(1);
    one.send_to(&v5(0, 3), collector.addresses[0]).unwrap();
    one.send_to(&v5(9, 3), collector.addresses[0]).unwrap();
    collector.drained();
    let left = collector.terminate();
    assert!(
        !left.stderr.contains("are missing") && left.stderr.contains("lost         6 flows"),
        "{}",
        left.stderr
    );
}

#[test]
fn systemd_is_told_how_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--quiet", "--output", "/dev/null"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "60000000")
        .spawn()
        .unwrap();
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
    let signal =
        |signal: &str| Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(until("READY=1").contains("STATUS=receiving"));
    signal("-HUP");
    assert!(until("RELOADING=1").contains("MONOTONIC_USEC="));
    assert!(until("READY=1").contains("STATUS=reloaded"));
    signal("-TERM");
    until("STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert!(told.iter().any(|line| line == "WATCHDOG=1"), "{told:?}");
}

#[test]
fn privileges_are_given_up_once_sockets_are_open() {
    if !nix::unistd::Uid::effective().is_root() {
        common::skip("only root can become somebody else");
        return;
    }
    let user = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    for (path, owner) in [(&ours, None), (&theirs, Some(user.uid))] {
        fs::create_dir(path).unwrap();
        nix::unistd::chown(path, owner, None).unwrap();
    }
    let output = theirs.join("flows");
    let control = theirs.join("control");
    let arguments = [
        "--bind",
        "127.0.0.1:0",
        "--user",
        "nobody",
        "--workers",
        "2",
        "--control",
        control.to_str().unwrap(),
    ];
    let collector = Listening::start_with_output(&arguments, Some(&output));
    sender(1).send_to(&v5(0, 2), collector.addresses[0]).unwrap();
    wait_until("printing", || collector.printed().lines().count() == 2);
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{}/task", collector.child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(field("Uid:"), vec![user.uid.to_string(); 4]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        threads += 1;
    }
    assert!(threads >= 4, "{threads}");
    assert_eq!(collector.terminate().summary["datagrams"], 1);
    // What that user may not write is told at the start.
    let ended = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--user", "nobody", "--store"])
        .arg(ours.join("store"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && told.contains("Permission denied"), "{told}");
    let unknown = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--user", "no-such-user"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        "netflow-collector: --user no-such-user: there is no such user\n"
    );
}

#[test]
fn what_a_reload_changes_only_at_the_next_start_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.toml");
    let write = |text: &str| common::replace(&path, text);
    write("workers = 1\n[service]\nlog-level = \"info\"\n");
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--config", path.to_str().unwrap()]);
    write("workers = 2\n");
    collector.signal("-HUP");
    wait_until("reloading", || collector.told().contains("in force after a restart: "));
    let told = collector.told();
    let line = told.lines().find(|line| line.contains("in force after a restart")).unwrap();
    assert!(line.contains("workers"), "{line}");
    write("workers = 0\n");
    collector.signal("-HUP");
    wait_until("refusing", || collector.told().contains("not reloaded"));
    assert!(
        collector.told().contains("collector.toml:1: `workers`: \"0\" is not accepted"),
        "{}",
        collector.told()
    );
    collector.terminate();
}
