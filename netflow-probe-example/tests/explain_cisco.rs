//! Configurations of Cisco's routers, written from the vendor's documentation, as ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::too_many_lines, clippy::format_collect, reason = "configurations are long, and few")]

mod common;

use common::explain::{assert_left, explained};

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
fn a_whole_router_with_classic_commands() {
    let text = "\
version 15.7
hostname EDGE
ip cef
ip flow-cache timeout active 1
flow-sampler-map MAP
 mode random one-out-of 100
!
interface GigabitEthernet0/0
 description *** Uplink ***
 ip address 203.0.113.2 255.255.255.252
 ip flow ingress
 ip flow egress
 ipv6 flow ingress
 flow-sampler MAP
 no cdp enable
!
ip flow-capture vlan-id
ip flow-capture ttl
ip flow-capture ip-id
ip flow-export version 9 origin-as bgp-nexthop
ip flow-export destination 192.0.2.10 2055
ip flow-export destination 192.0.2.11 2055 sctp
ip flow-export destination 192.0.2.12 2055
no ip flow-export destination 192.0.2.12 2055
ip flow-top-talkers
 top 50
 sort-by bytes
!
ip flow-aggregation cache prefix
 export destination 192.0.2.13 9991
 enabled
!
end
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"1m\"",
            "inactive-timeout = \"15s\"",
            "collect = [\"interface output\", \"transport tcp flags\", \"datalink vlan\", \"ipv4 ttl minimum\", \
             \"ipv4 ttl maximum\"]",
            "sampling = \"random:1:100\"",
            "collector = [\"192.0.2.10:2055\", \"192.0.2.11:2055\"]",
            "export-version = 9",
            "template-refresh-packets = 20",
            "template-refresh = \"30m\"",
        ],
        "{toml}"
    );
    assert!(toml.contains("# line 22: SCTP is not spoken"), "{toml}");
    assert_left(
        &toml,
        &[
            (19, "not in the records"),
            (20, "bgp-nexthop"),
            (23, "line 24 takes it back"),
            (25, "netflow-collector"),
            (26, "netflow-collector"),
            (27, "netflow-collector"),
            (29, "netflow-collector"),
            (30, "netflow-collector"),
            (31, "netflow-collector"),
        ],
    );
}

#[test]
fn commands_cut_short_are_written_out() {
    let text = "\
conf t
ip flow-ca time inact 20
ip flow-ex dest 192.0.2.10 2055
ip flow-exp ver 9 peer-as
ip flow-cac time act 5
int gi0/0
 ip flow ing
 exit
flow exp EXP
 dest 192.0.2.99
 trans udp 4739
 templ data time 300
flow mon MON
 exp EXP
 rec netflow-original
 cac time inact 20
sampler SAM
mode rand 1 out 64
int gi0/1
 ip flow mon MON sampl SAM in
end
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"5m\"",
            "inactive-timeout = \"20s\"",
            "sampling = \"random:1:64\"",
            "collector = [\"192.0.2.10:2055\", \"192.0.2.99:4739\"]",
            "export-version = 9",
            "template-refresh = \"300s\"",
        ],
        "{toml}"
    );
    // It could be another command, too.
    assert_left(&toml, &[(2, "is not understood")]);
    assert!(toml.contains("The router metered gi0/0, gi0/1: "), "{toml}");
}

#[test]
fn several_monitors_and_parts_that_are_not_there() {
    let text = "\
flow record FOUR
 match ipv4 tos
 match ipv4 source address
 collect ipv4 dscp
 collect counter bytes layer2
 match application name
flow record SIX
 match ipv6 source address
 match ipv6 flow-label
flow exporter FIRST
 destination 192.0.2.20
 template timeout 30
 template data timeout 120
 dscp 10
 no dscp 10
flow exporter SECOND
 destination 2001:db8::20
 transport udp 9996
flow monitor FOUR-IN
 record FOUR
 exporter FIRST
 exporter SECOND
 exporter THIRD
 cache timeout active 60
 cache permanent
flow monitor SIX-IN
 record SIX
 exporter FIRST
 cache timeout active 120
flow monitor PORTS
 record netflow ipv4 protocol-port
interface Te0/0/0
 ip flow monitor FOUR-IN input
 ipv6 flow monitor SIX-IN sampler NONE input
 ip flow monitor PORTS output
 ip flow monitor GONE output
 no ip flow monitor GONE output
 datalink flow monitor LAYER2 input
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"60s\"",
            "inactive-timeout = \"15s\"",
            "key = [\"ipv4 tos\", \"ipv4 source address\", \"ipv6 source address\", \"ipv6 flow-label\"]",
            "cache = \"permanent\"",
            "collector = [\"192.0.2.20:9995\", \"[2001:db8::20]:9996\"]",
            "export-version = 9",
            "template-refresh = \"120s\"",
        ],
        "{toml}"
    );
    assert_left(
        &toml,
        &[
            (5, "layer 3"),
            (6, "is no field of a key"),
            (12, "one of its own"),
            (14, "line 15 takes it back"),
            (23, "there is no THIRD"),
            (29, "line 24 has another value"),
            (31, "say its fields with `key`"),
            (34, "there is no NONE"),
            (36, "line 37 takes it back"),
            (38, "only IP flows"),
        ],
    );
    // What would be right is for the help.
    assert!(!toml.contains("transport icmp ipv4|ipv6 type-code"), "{toml}");
}

#[test]
fn a_switch_of_nx_os_and_one_with_mls() {
    let text = "\
feature netflow
flow timeout active 60
flow timeout inactive 20
flow exporter EXP
  destination 192.0.2.77 use-vrf management
  transport udp 2055
  version 9
    template data timeout 20
flow record REC
  match ipv4 source address
  match ip protocol
  match ip tos
  collect counter bytes
flow monitor MON
  record REC
  exporter EXP
sampler SAM
  mode 2 out-of 100
interface Ethernet1/1
  ip flow monitor MON input sampler SAM
";
    let (toml, set) = explained("cisco", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"60s\"",
            "inactive-timeout = \"20s\"",
            "key = [\"ipv4 source address\", \"ipv4 protocol\", \"ipv4 tos\"]",
            "sampling = \"random:2:100\"",
            "collector = [\"192.0.2.77:2055\"]",
            "export-version = 9",
            "template-refresh = \"20s\"",
        ],
        "{toml}"
    );
    assert_left(&toml, &[]);
    assert!(toml.contains("# line 5: the VRF is left out"), "{toml}");
    let text = "\
mls aging long 64
mls sampling packet-based 512 8192
ip flow-export version 5
ip flow-export destination 192.0.2.78 9996
interface Vlan10
 ip flow ingress
 mls netflow sampling
";
    let (toml, set) = explained("cisco", text);
    assert!(set.contains(&"sampling = \"1:512\"".to_owned()), "{toml}");
    assert_left(&toml, &[(1, "no counterpart"), (7, "no counterpart")]);
}
