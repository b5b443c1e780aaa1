//! Configurations of pmacctd, written from its documentation, as ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::too_many_lines, clippy::format_collect, reason = "configurations are long, and few")]

mod common;

use common::explain::{assert_left, explained};
use netflow_probe_example::explain::{Dialect, translate};

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
fn of_several_probes_the_first_one_is_carried_over() {
    let text = "\
! edge
pcap_interface: eth0
pcap_ifindex: sys
plugins: nfprobe[lan], nfprobe[wan], print[dbg]
aggregate: src_host, dst_host, src_port, dst_port, proto, tos
nfprobe_receiver[lan]: 192.0.2.60:2055
nfprobe_receiver[wan]: [2001:db8::61]:4739
nfprobe_version[lan]: 9
nfprobe_version[wan]: 10
nfprobe_hoplimit[lan]: 16
nfprobe_hoplimit[wan]: 16
sampling_rate[wan]: 10
print_output[dbg]: json
aggregate_filter[lan]: src net 10.0.0.0/8
pmacctd_ext_sampling_rate: 100
";
    let (toml, set) = explained("pmacct", text);
    for line in [
        "collector = [\"192.0.2.60:2055\", \"[2001:db8::61]:4739\"]",
        "export-version = 9",
        "ttl = 16",
        "interface = [\"eth0\"]",
    ] {
        assert!(set.contains(&line.to_owned()), "{line} {toml}");
    }
    assert!(!set.iter().any(|line| line.starts_with("sampling")), "{toml}");
    assert_left(
        &toml,
        &[
            (4, "dbg exports no flows"),
            (9, "of the plugin wan alone"),
            (12, "of the plugin wan alone"),
            (13, "exports no flows"),
            (14, "with `filter`"),
            (15, "tell the collector"),
        ],
    );
    assert!(toml.contains("# There were 2 probes: "), "{toml}");
}

#[test]
fn where_a_receiver_is_not_understood_nobody_else_gets_flows() {
    let (toml, _) = explained("pmacct", "plugins: nfprobe\nnfprobe_receiver: 192.0.2.60:2055\n");
    assert!(!toml.contains("127.0.0.1:2100"), "{toml}");
    let (toml, _) = explained("pmacct", "plugins: nfprobe\n");
    assert!(toml.contains("127.0.0.1:2100"), "{toml}");
    let translation = translate(Dialect::Pmacct, "plugins: nfprobe\nnfprobe_receiver: 192.0.2.60\n");
    assert!(!translation.to_toml("x").contains("127.0.0.1:2100"));
    assert_eq!(translation.left()[0].0, 2);
}
