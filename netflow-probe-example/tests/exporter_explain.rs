//! Configurations of other exporters, written from their vendors' documentation, as ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::too_many_lines, clippy::format_collect, reason = "configurations are long, and few")]

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use netflow_probe_example::{
    config,
    explain::{Dialect, translate},
    exporter_cli::Arguments,
};
use proptest::prelude::*;

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");

/// The translation that the program prints, and what `--check` makes of it: `key = value`, without defaults, and without
/// the type of AS numbers.
fn explained(dialect: &str, text: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("there.conf");
    fs::write(&path, text).unwrap();
    let output = Command::new(EXPORTER).args(["explain-config", dialect]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let toml = String::from_utf8(output.stdout).unwrap();
    let here = folder.path().join("here.toml");
    fs::write(&here, &toml).unwrap();
    let output = Command::new(EXPORTER).arg("--check").arg("--config").arg(&here).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    // All of it is understood, but a build without live capture says that it cannot begin.
    let is_lacking = !cfg!(feature = "live") && told.contains("build --release --features live");
    assert!(output.status.success() || is_lacking, "{told}\n{toml}");
    let effective = String::from_utf8(output.stdout).unwrap();
    let set = effective.lines().filter_map(|line| line.strip_suffix(" # file"));
    let set = set.filter(|line| !line.starts_with("autonomous-system-type")).map(str::to_owned).collect();
    (toml, set)
}

/// The lines that were left out, with their reasons.
fn left(toml: &str) -> Vec<(usize, String)> {
    let (_, rest) = toml.split_once("# Not carried over:\n").unwrap_or_default();
    let mut left: Vec<(usize, String)> = Vec::new();
    for line in rest.lines().take_while(|line| !line.is_empty()) {
        if let Some(line) = line.strip_prefix("# line ") {
            left.push((line.split(':').next().unwrap().parse().unwrap(), String::new()));
        } else {
            left.last_mut().unwrap().1.push_str(line.strip_prefix("#     ").unwrap());
        }
    }
    left
}

fn assert_left(toml: &str, expected: &[(usize, &str)]) {
    let left = left(toml);
    assert_eq!(
        left.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        "{toml}"
    );
    for ((line, reason), (_, part)) in left.iter().zip(expected) {
        assert!(reason.contains(part), "line {line}: {reason:?} has no {part:?}");
    }
}

#[test]
fn classic_commands_of_cisco_in_their_units() {
    let text = "\
hostname edge
!
interface FastEthernet0/0
 ip address 192.0.2.1 255.255.255.0
 ip route-cache flow
!
ip flow-export version 5 origin-as
ip flow-export source Loopback0
ip flow-export destination 192.0.2.10 9996
ip flow-export destination 2001:db8::10 9995 vrf management
ip flow-cache timeout active 1
ip flow-cache timeout inactive 15
ip flow-cache entries 65536
ip flow-export template timeout-rate 5
ip flow-export template refresh-rate 30
ip flow-cache mpls label-positions 1
ip flow-cache timeout active 61
enable secret 5 not-to-be-shown
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"1m\"",
            "inactive-timeout = \"15s\"",
            "max-flows = 65536",
            "collector = [\"192.0.2.10:9996\", \"[2001:db8::10]:9995\"]",
            "export-version = 5",
            "template-refresh-packets = 30",
            "template-refresh = \"5m\"",
        ],
        "{toml}"
    );
    assert!(toml.contains("# The router metered FastEthernet0/0: "), "{toml}");
    assert!(toml.contains("# line 10: the VRF is left out"), "{toml}");
    assert!(
        toml.contains(
            "# line 7: AS numbers come from a table of prefixes here: name one with `attributes`\n\
             autonomous-system-type = \"origin\"\n"
        ),
        "{toml}"
    );
    assert_left(
        &toml,
        &[(8, "an address, not from an interface"), (16, "no counterpart"), (17, "from 1 to 60")],
    );
    // Nothing of other lines is shown.
    assert!(toml.contains("# About something else than flows: lines 1, 4, 18\n"), "{toml}");
    assert!(!toml.contains("not-to-be-shown"));
}

#[test]
fn flexible_netflow_takes_what_an_interface_uses() {
    let text = "\
flow record RECORD
 match ipv4 source address
 match ipv4 destination address
 match transport source-port
 match transport destination-port
 match ipv4 protocol
 match application name
 collect counter bytes long
 collect timestamp sys-uptime first
 collect routing next-hop address ipv4
 collect ipv4 ttl minimum
 collect transport tcp flags
 collect interface input
 collect ipv4 protocol
flow exporter COLLECTOR
 description to the collector
 destination 192.0.2.20
 transport udp 2055
 export-protocol ipfix
 template data timeout 120
 option interface-table
 ttl 12
 dscp 46
 source Loopback0
flow exporter OTHER
 destination 192.0.2.99
flow monitor MONITOR
 exporter COLLECTOR
 cache timeout active 60
 cache timeout inactive 10
 cache entries 20000
 record RECORD
sampler SAMPLER
 mode random 1 out-of 128
sampler UNUSED
 mode deterministic 1 out-of 7
interface GigabitEthernet0/0/1
 ip flow monitor MONITOR sampler SAMPLER input
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"60s\"",
            "inactive-timeout = \"10s\"",
            "key = [\"ipv4 source address\", \"ipv4 destination address\", \"transport source-port\", \
             \"transport destination-port\", \"ipv4 protocol\"]",
            "collect = [\"ipv4 ttl minimum\", \"transport tcp flags\"]",
            "max-flows = 20000",
            "sampling = \"random:1:128\"",
            "collector = [\"192.0.2.20:2055\"]",
            "export-version = 10",
            "template-refresh = \"120s\"",
            "ttl = 12",
            "dscp = 46",
        ],
        "{toml}"
    );
    assert_left(
        &toml,
        &[
            (7, "application name"),
            (10, "table of prefixes"),
            (13, "only as a part of the key"),
            (21, "with the templates"),
            (24, "not from an interface"),
            (25, "OTHER is not used"),
            (26, "OTHER is not used"),
            (35, "UNUSED is not used"),
            (36, "UNUSED is not used"),
        ],
    );
    // The same with blanks lost on the way, and as IOS XR has it.
    let flat: String = text.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(explained("cisco", &flat).1, set);
    let xr = "\
flow exporter-map EXP
 version v9
  options interface-table
  template data timeout 300
 !
 transport udp 9996
 destination 192.0.2.30
!
flow monitor-map MON
 record ipv4
 exporter EXP
 cache timeout active 30
!
sampler-map SAM
 random 1 out-of 1000
!
interface HundredGigE0/0/0/1
 flow ipv4 monitor MON sampler SAM ingress
";
    let (toml, set) = explained("cisco", xr);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"30s\"",
            "inactive-timeout = \"15s\"",
            "sampling = \"random:1:1000\"",
            "collector = [\"192.0.2.30:9996\"]",
            "export-version = 9",
            "template-refresh = \"300s\"",
        ],
        "{toml}"
    );
    assert_left(&toml, &[(3, "with the templates")]);
}

#[test]
fn junos_in_braces_and_as_commands() {
    let braces = "\
interfaces {
    ge-0/0/0 {
        unit 0 {
            family inet {
                sampling {
                    input;
                }
                address 192.0.2.1/24;
            }
        }
    }
}
forwarding-options {
    sampling {
        input {
            rate 1000;
            run-length 4;
            max-packets-per-second 7000;
        }
        family inet {
            output {
                flow-active-timeout 60;
                flow-inactive-timeout 15;
                flow-server 192.0.2.10 {
                    port 9995;
                    autonomous-system-type peer;
                    no-local-dump;
                    source-address 192.0.2.1;
                    version9 {
                        template {
                            v4;
                        }
                    }
                }
                inline-jflow {
                    flow-export-rate 10;
                }
            }
        }
    }
}
services {
    flow-monitoring {
        version9 {
            template v4 {
                flow-active-timeout 60;
                template-refresh-rate {
                    packets 480;
                    seconds 300;
                }
                option-refresh-rate packets 480;
                ipv4-template;
            }
            template other {
                flow-active-timeout 10;
            }
        }
    }
}
";
    let (toml, set) = explained("junos", braces);
    let expected = [
        "interface = [\"any\"]",
        "active-timeout = \"60s\"",
        "inactive-timeout = \"15s\"",
        "sampling = \"junos:1000,run-length=4,max-packets-per-second=7000\"",
        "collector = [\"192.0.2.10:9995\"]",
        "export-version = 9",
        "template-refresh-packets = 480",
        "template-refresh = \"300s\"",
        "rate-limit = 10000",
        "source = \"192.0.2.1\"",
    ];
    assert_eq!(set, expected, "{toml}");
    assert!(toml.contains("# The router metered ge-0/0/0: "), "{toml}");
    assert!(toml.contains("autonomous-system-type = \"peer\"\n"), "{toml}");
    assert_left(&toml, &[(51, "with the templates"), (55, "no flow server uses")]);
    assert!(toml.contains("# About something else than flows: lines 8\n"), "{toml}");
    let commands = "\
set interfaces ge-0/0/0 unit 0 family inet sampling input
set interfaces ge-0/0/0 unit 0 family inet address 192.0.2.1/24
set forwarding-options sampling input rate 1000 run-length 4
set forwarding-options sampling input max-packets-per-second 7000
set forwarding-options sampling family inet output flow-active-timeout 60
set forwarding-options sampling family inet output flow-inactive-timeout 15
set forwarding-options sampling family inet output flow-server 192.0.2.10 port 9995
set forwarding-options sampling family inet output flow-server 192.0.2.10 source-address 192.0.2.1
set forwarding-options sampling family inet output flow-server 192.0.2.10 version9 template v4
set forwarding-options sampling family inet output inline-jflow flow-export-rate 10
set services flow-monitoring version9 template v4 template-refresh-rate packets 480 seconds 300
set services flow-monitoring version9 template v4 ipv4-template
deactivate forwarding-options sampling
";
    let (toml, set) = explained("junos", commands);
    assert_eq!(set, expected, "{toml}");
    assert_left(&toml, &[(13, "only what is set")]);
}

#[test]
fn junos_of_old_with_cflowd() {
    let text = "\
forwarding-options {
    sampling {
        input { family inet { rate 10; } }
        output {
            cflowd 192.0.2.10 { port 2055; version 5; local-dump; autonomous-system-type origin; }
            interface sp-1/0/0 { engine-id 3; engine-type 2; }
            file filename sampled;
        }
    }
}
";
    let (toml, set) = explained("junos", text);
    assert!(set.contains(&"sampling = \"junos:10\"".to_owned()), "{toml}");
    assert!(
        set.contains(&"export-version = 5".to_owned()) && set.contains(&"source-id = 515".to_owned()),
        "{toml}"
    );
    assert_eq!(left(&toml).into_iter().map(|(line, _)| line).collect::<Vec<_>>(), [5, 7], "{toml}");
}

#[test]
fn pmacct_with_its_probe() {
    let text = "\
! a probe
daemonize: true
interface: eth0
FILTER
promisc: false
aggregate[probe]: src_host, dst_host, src_port, dst_port, proto, tos, src_as, tag
plugins: nfprobe[probe], print[shell]
nfprobe_receiver[probe]: 192.0.2.10:2100
nfprobe_version[probe]: 9
nfprobe_timeouts[probe]: tcp=15:maxlife=1800:general=30
nfprobe_engine[probe]: 77
nfprobe_hoplimit[probe]: 8
nfprobe_maxflows[probe]: 8192
sampling_rate: 10
print_output[shell]: json
nfprobe_receiver[nobody]: 192.0.2.11:2100
this is nothing
";
    // Filters are compiled by libpcap, which not every build has.
    let filter = "pcap_filter: net 192.0.2.0/24 and not port 2100";
    let text = text.replace("FILTER", if cfg!(feature = "live") { filter } else { "! no filter" });
    let (toml, mut set) = explained("pmacct", &text);
    if cfg!(feature = "live") {
        assert_eq!(set.remove(1), "filter = \"net 192.0.2.0/24 and not port 2100\"");
    }
    assert_eq!(
        set,
        [
            "interface = [\"eth0\"]",
            "no-promiscuous = true",
            "active-timeout = \"1800s\"",
            "inactive-timeout = \"30s\"",
            "inactive-timeout-tcp = \"15s\"",
            "inactive-timeout-udp = \"300s\"",
            "inactive-timeout-icmp = \"300s\"",
            "tcp-end = \"300s\"",
            "tcp-reset = \"120s\"",
            "max-flows = 8192",
            "sampling = \"random:1:10\"",
            "collector = [\"192.0.2.10:2100\"]",
            "export-version = 9",
            "source-id = 77",
            "ttl = 8",
        ],
        "{toml}"
    );
    assert_left(
        &toml,
        &[
            (2, "foreground"),
            (6, "tag: is not in the records"),
            (7, "shell exports no flows"),
            (15, "print exports no flows"),
            (16, "no plugin has this name"),
            (17, "not `key: value`"),
        ],
    );
    // Other fields are another key.
    let (toml, set) = explained("pmacct", "plugins: nfprobe\naggregate: src_host, dst_host, vlan, src_mac\n");
    let key = "key = [\"ipv4 source address\", \"ipv4 destination address\", \"datalink mac source address\", \
               \"datalink vlan\"]";
    assert!(set.contains(&key.to_owned()), "{toml}");
    // What is the default there is said.
    let (toml, set) = explained("pmacct", "plugins: nfprobe\n");
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"604800s\"",
            "inactive-timeout = \"3600s\"",
            "inactive-timeout-udp = \"300s\"",
            "inactive-timeout-icmp = \"300s\"",
            "tcp-end = \"300s\"",
            "tcp-reset = \"120s\"",
            "collector = [\"127.0.0.1:2100\"]",
            "export-version = 10",
        ],
        "{toml}"
    );
}

#[test]
fn what_our_flags_refuse_is_left_out_with_their_reason() {
    let text = "plugins: nfprobe\nnfprobe_version: 8\nnfprobe_timeouts: maxlife=9999999\nsnaplen: 7\nnfprobe_source_ip: nowhere.\n";
    let (toml, set) = explained("pmacct", text);
    assert!(set.iter().all(|line| !line.starts_with("snaplen")), "{toml}");
    assert_left(&toml, &[(2, "accepted are 5, 9, 10"), (3, "at most 20d"), (4, "64"), (5, "nowhere.")]);
}

#[test]
fn what_check_will_say_is_said_before() {
    let mut child = Command::new(EXPORTER)
        .args(["explain-config", "cisco", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"ip flow-export version 9\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let toml = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success()
            && toml.contains("# --check does not accept this yet: ")
            && toml.contains("--collector"),
        "{toml}"
    );
}

#[test]
fn a_file_without_end_is_refused() {
    let output = Command::new(EXPORTER).args(["explain-config", "junos", "/dev/zero"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than"));
}

const WORDS: &[&str] = &[
    "ip",
    "flow-export",
    "destination",
    "192.0.2.1",
    "9996",
    "version",
    "5",
    "flow-cache",
    "timeout",
    "active",
    "1",
    "flow",
    "exporter",
    "monitor",
    "record",
    "sampler",
    "A",
    "transport",
    "udp",
    "interface",
    "mode",
    "random",
    "out-of",
    "{",
    "}",
    ";",
    "set",
    "forwarding-options",
    "sampling",
    "input",
    "rate",
    "output",
    "flow-server",
    "port",
    "family",
    "inet",
    "services",
    "flow-monitoring",
    "version9",
    "template",
    "/*",
    "*/",
    "#",
    "\"",
    "[",
    "]",
    "plugins:",
    "nfprobe",
    "nfprobe_timeouts:",
    "tcp=1",
    "maxlife=2",
    "aggregate[A]:",
    "src_host,",
    "!",
    "\u{e9}",
    "\u{0}",
    "99999999999999999999",
    "-1",
    "match",
    "ipv4",
    "address",
];

fn hostile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let separator = proptest::sample::select(&[" ", " ", " ", "\n", "\n ", "\t", ""][..]);
    proptest::collection::vec((word, separator), 0..80)
        .prop_map(|parts| parts.into_iter().map(|(word, separator)| format!("{word}{separator}")).collect())
}

fn is_sound(dialect: Dialect, text: &str) {
    let command = <Arguments as clap::CommandFactory>::command();
    let mut translation = translate(dialect, text);
    translation
        .refuse(|toml| config::arguments(&command, toml).map(drop).map_err(|faults| faults.join("; ")));
    let toml = translation.to_toml("x");
    config::arguments(&command, &toml).unwrap_or_else(|faults| panic!("{faults:?}\n{toml}"));
    // Every line is accounted for, those aside that only open or close blocks, or are comments.
    let mut known = translation.carried();
    known.extend(translation.left().iter().map(|(line, _)| line));
    known.extend(translation.unrelated());
    if dialect != Dialect::Junos {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            assert!(
                line.is_empty() || line.starts_with(['!', '#']) || known.contains(&number),
                "line {number}: {line:?}\n{toml}"
            );
        }
    }
    let count = text.lines().count();
    assert!(known.iter().all(|line| (1..=count).contains(line)), "{known:?} of {count}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics_and_all_translations_are_configurations(text in hostile()) {
        for dialect in [Dialect::Cisco, Dialect::Junos, Dialect::Pmacct] {
            is_sound(dialect, &text);
        }
    }
}

#[test]
fn large_and_deep_texts_end_soon() {
    for text in [
        "{".repeat(500_000),
        "a {".repeat(200_000),
        "a;".repeat(500_000),
        "set forwarding-options sampling input rate 1 ".repeat(20_000),
        "ip flow-export destination 192.0.2.1 1\n".repeat(20_000),
        "flow monitor A\n".repeat(50_000),
        "plugins: nfprobe\n".repeat(20_000),
        "/*".repeat(500_000),
        "forwarding-options sampling output flow-server 192.0.2.1 port 1;\n".repeat(20_000),
    ] {
        for dialect in [Dialect::Cisco, Dialect::Junos, Dialect::Pmacct] {
            let translation = translate(dialect, &text);
            assert!(translation.to_toml("x").len() < 40_000_000);
        }
    }
}
