//! Configurations of JunOS, written from the vendor's documentation, as ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::too_many_lines, clippy::format_collect, reason = "configurations are long, and few")]

mod common;

use common::explain::{assert_left, explained, left};

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
fn timers_of_templates_go_first_and_what_is_deactivated_counts_for_nothing() {
    let text = "\
services {
    flow-monitoring {
        version-ipfix {
            template FOUR {
                flow-active-timeout 120;
                flow-key {
                    vlan-id;
                    flow-direction;
                    other;
                }
                ipv4-template;
            }
        }
    }
}
interfaces {
    ge-0/0/0 {
        description \"uplink; to { the ISP }\";
        unit 0 {
            family inet {
                sampling {
                    input;
                }
            }
        }
    }
    ge-0/0/1 {
        unit 0 {
            family inet {
                inactive: sampling {
                    input;
                }
            }
        }
    }
}
forwarding-options {
    sampling {
        input {
            rate 1000;
        }
        family inet {
            output {
                flow-active-timeout 300;
                flow-server 192.0.2.40 {
                    port 4739;
                    version-ipfix {
                        template {
                            FOUR;
                        }
                    }
                }
            }
        }
        inactive: instance OLD {
            input {
                rate 10;
            }
        }
    }
}
";
    let (toml, set) = explained("junos", text);
    assert_eq!(
        set,
        [
            "interface = [\"any\"]",
            "active-timeout = \"120s\"",
            "inactive-timeout = \"60s\"",
            "key = [\"ipv4 source address\", \"ipv4 destination address\", \"transport source-port\", \
             \"transport destination-port\", \"ipv4 protocol\", \"ipv4 tos\", \"interface input\", \
             \"datalink vlan\", \"flow direction\"]",
            "sampling = \"junos:1000\"",
            "collector = [\"192.0.2.40:4739\"]",
            "export-version = 10",
            "template-refresh-packets = 4800",
            "template-refresh = \"60s\"",
        ],
        "{toml}"
    );
    assert_left(
        &toml,
        &[(9, "no field of a key"), (31, "is deactivated"), (44, "goes before it"), (57, "is deactivated")],
    );
    assert!(toml.contains("The router metered ge-0/0/0: "), "{toml}");
}
