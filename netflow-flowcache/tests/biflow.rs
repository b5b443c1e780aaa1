//! Both directions of a conversation in one flow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod common;

use core::net::IpAddr;

use common::{ACK, SYN, at, config, drain, drain_due, secs};
use netflow_flowcache::{
    Biflow, BiflowKey, Config, ExpireReason, FirstPacket, FlowTable, HashSeed, ObservedPacket, SevenTuple,
};

fn table(config: &Config) -> FlowTable<BiflowKey, Biflow> {
    FlowTable::new(config).unwrap()
}

const HOSTS: [[&str; 2]; 2] = [["192.0.2.1", "198.51.100.7"], ["2001:db8::1", "2001:db8::7"]];

/// A TCP packet between two hosts; `0` has port 50,000, `1` has port 443.
fn from(hosts: [&str; 2], sender: usize, flags: u16, octets: u32) -> ObservedPacket {
    let address = |index: usize| hosts[index].parse::<IpAddr>().unwrap();
    let ports = [50_000, 443];
    let mut packet = ObservedPacket::new(address(sender), address(1 - sender), 6, octets);
    (packet.source_port, packet.destination_port) = (ports[sender], ports[1 - sender]);
    (packet.tcp_flags, packet.ttl) = (flags, 60 + sender as u8);
    packet.tos = sender as u8;
    (packet.ingress_interface, packet.egress_interface) = (1 + sender as u32, 2 - sender as u32);
    packet
}

// M26
#[test]
fn a_reverse_packet_joins_and_the_sender_of_the_first_is_the_initiator() {
    for hosts in HOSTS {
        for first in [0, 1] {
            let mut table = table(&config(16));
            table.handle_packet(&from(hosts, first, SYN, 60), at(0));
            table.handle_packet(&from(hosts, 1 - first, SYN | ACK, 70), at(1));
            table.handle_packet(&from(hosts, first, ACK, 50), at(2));
            table.handle_packet(&from(hosts, 1 - first, ACK, 1_500), at(3));
            assert_eq!(table.len(), 1);
            let flow = drain_due(&mut table, at(20))[0];
            assert_eq!((flow.counters.packets, flow.counters.octets), (4, 1_680));
            let halves = flow.directions();
            assert_eq!(halves.key.source(), hosts[first].parse::<IpAddr>().unwrap());
            assert_eq!(halves.key.source_port(), [50_000, 443][first]);
            assert_eq!((halves.forward.packets, halves.forward.octets), (2, 110));
            assert_eq!((halves.reverse.packets, halves.reverse.octets), (2, 1_570));
            assert_eq!((halves.forward.tcp_flags, halves.reverse.tcp_flags), (SYN | ACK, SYN | ACK));
            assert_eq!((halves.forward.first, halves.forward.last), (at(0), at(2)));
            assert_eq!((halves.reverse.first, halves.reverse.last), (at(1), at(3)));
            assert_eq!(
                (halves.forward.minimum_ttl, halves.reverse.maximum_ttl),
                (60 + first as u8, 61 - first as u8)
            );
            assert_eq!(halves.reverse.maximum_length, 1_500);
            assert_eq!(halves.forward.egress_interface, 2 - first as u32);
        }
    }
}

// M26
#[test]
fn who_answers_first_is_not_the_initiator() {
    let mut table = table(&config(16));
    table.handle_packet(&from(HOSTS[0], 1, SYN | ACK, 60), at(0));
    let mut reply = ObservedPacket::new([192, 0, 2, 9].into(), [192, 0, 2, 8].into(), 1, 84);
    reply.destination_port = 0;
    table.handle_packet(&reply, at(0));
    let mut flows = drain_due(&mut table, at(20));
    flows.sort_unstable_by_key(|flow| flow.directions().key.protocol());
    let [icmp, tcp] = [flows[0].directions(), flows[1].directions()];
    assert_eq!((tcp.key.source_port(), tcp.forward.packets, tcp.reverse.packets), (50_000, 0, 1));
    assert_eq!(icmp.key.source(), IpAddr::from([192, 0, 2, 8]));
    assert_eq!((icmp.forward.packets, icmp.reverse.packets), (0, 1));
}

// M26
#[test]
fn the_initiator_stays_over_active_timeouts_even_when_the_other_end_goes_on_first() {
    let mut config = config(16);
    config.timeouts.active = secs(10);
    for poll_each in [true, false] {
        let mut table = table(&config);
        let mut flows = Vec::new();
        table.handle_packet(&from(HOSTS[0], 0, SYN, 60), at(0));
        for second in 1..60 {
            // Only the server speaks.
            table.handle_packet(&from(HOSTS[0], 1, ACK, 1_500), at(second));
            if poll_each {
                flows.extend(drain(&mut table));
            }
        }
        flows.extend(drain_due(&mut table, at(200)));
        assert_eq!(flows.len(), 6);
        for flow in &flows {
            assert_eq!(flow.directions().key.source_port(), 50_000, "the client began it");
        }
        let packets: Vec<_> = flows
            .iter()
            .map(|flow| (flow.directions().forward.packets, flow.directions().reverse.packets))
            .collect();
        assert_eq!(packets, [(1, 9), (0, 10), (0, 10), (0, 10), (0, 10), (0, 10)]);
        // After a silence, whoever speaks first is the initiator.
        table.handle_packet(&from(HOSTS[0], 1, ACK, 1_500), at(300));
        assert_eq!(drain_due(&mut table, at(400))[0].directions().key.source_port(), 443);
    }
}

// M27
#[test]
fn halves_of_two_domains_do_not_join() {
    let mut table = table(&config(16));
    table.handle_packet(&from(HOSTS[0], 0, ACK, 60), at(0));
    let mut back = from(HOSTS[0], 1, ACK, 60);
    back.observation_domain = 7;
    table.handle_packet(&back, at(0));
    let flows = drain_due(&mut table, at(20));
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow.directions().reverse.packets == 0));
    let mut domains: Vec<_> = flows.iter().map(|flow| flow.key.observation_domain()).collect();
    domains.sort_unstable();
    assert_eq!(domains, [0, 7]);
}

// M20, M26: the two directions are those of two flows.
#[test]
fn directions_add_up_to_the_flows_of_a_table_without_them() {
    let mut both = FlowTable::<BiflowKey, (Biflow, FirstPacket)>::new(&config(1_000)).unwrap();
    let mut single = FlowTable::<SevenTuple>::new(&Config::new(4_000, HashSeed::from_u64(3))).unwrap();
    let mut random = 1_u64;
    for number in 0..20_000 {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let host = (random >> 33) as u8 % 200;
        let mut packet =
            from(HOSTS[usize::from(host % 2)], (random >> 41) as usize % 2, ACK, 40 + u32::from(host));
        packet.source_port =
            packet.source_port.wrapping_add(if packet.source_port == 443 { 0 } else { host.into() });
        packet.destination_port = packet.destination_port.wrapping_add(if packet.destination_port == 443 {
            0
        } else {
            host.into()
        });
        both.handle_packet(&packet, at(number / 2_000));
        single.handle_packet(&packet, at(number / 2_000));
    }
    both.flush(ExpireReason::FORCED_END);
    single.flush(ExpireReason::FORCED_END);
    let mut halves = Vec::new();
    for flow in drain(&mut both) {
        let directions = flow.directions();
        let key = directions.key;
        let ends = (key.source(), key.source_port(), key.destination(), key.destination_port());
        halves.push((ends, directions.forward.packets, directions.forward.octets));
        let ends = (ends.2, ends.3, ends.0, ends.1);
        halves.push((ends, directions.reverse.packets, directions.reverse.octets));
        assert_eq!(directions.forward.packets + directions.reverse.packets, flow.counters.packets);
    }
    let mut expected: Vec<_> = drain(&mut single)
        .iter()
        .map(|flow| {
            let key = flow.key;
            let ends = (key.source(), key.source_port(), key.destination(), key.destination_port());
            (ends, flow.counters.packets, flow.counters.octets)
        })
        .collect();
    halves.sort_unstable();
    expected.sort_unstable();
    assert_eq!(halves, expected);
    assert_eq!(halves.len(), 400);
}
