//! Whose templates are whose: policies of scopes, sessions, withdrawals.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::similar_names, missing_docs)]

mod common;

use core::net::{IpAddr, SocketAddr};

use common::sets::{at, ipfix, sampling_record, set, template, told, v9, v9_sampling_template};
use netflow_codec::{
    Batch, Decoder, FlowRecord, Protocol, SamplingSource, ScopePolicy, TemplateScope, Transport,
};

const OCTETS: (u16, u16) = (1, 4);
const PACKETS: (u16, u16) = (2, 4);

fn socket(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[test]
fn sessions_of_two_ports_have_templates_of_their_own_if_the_caller_wants() {
    // T2: both addresses and both ports are the caller's key.
    let collector = SocketAddr::from(([198, 51, 100, 1], 4739));
    let mut decoder = Decoder::new();
    for (port, field) in [(1_000, OCTETS), (2_000, PACKETS)] {
        let announced = ipfix(7, 0, &[set(2, &template(300, &[field]))]);
        assert_eq!(told(&mut decoder, &(socket(port), collector), &announced, at(0)), ["New 300"]);
    }
    let data = ipfix(7, 1, &[set(300, &[0, 0, 0, 5])]);
    assert_eq!(told(&mut decoder, &(socket(1_000), collector), &data, at(1)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &(socket(2_000), collector), &data, at(1)), ["data 0/5"]);
    assert_eq!(decoder.cache().scope_count(), 2);
}

#[test]
fn policies_say_whether_the_port_matters() {
    // T1, T2
    for (policy, over_v9, over_ipfix) in [
        (ScopePolicy::by_address(), "data 5/0", "data 5/0"),
        (ScopePolicy::by_address_and_port(), "waits for 300", "waits for 300"),
        (ScopePolicy::by_protocol(), "data 5/0", "waits for 300"),
    ] {
        let mut decoder = Decoder::new().with_scopes(policy);
        let announced = set(0, &template(300, &[OCTETS]));
        told(&mut decoder, &socket(1_000), &v9(7, 0, &[announced]), at(0));
        let announced = set(2, &template(300, &[OCTETS]));
        told(&mut decoder, &socket(1_000), &ipfix(7, 0, &[announced]), at(0));
        let data = set(300, &[0, 0, 0, 5]);
        let datagram = v9(7, 1, core::slice::from_ref(&data));
        assert_eq!(told(&mut decoder, &socket(2_000), &datagram, at(1)), [over_v9]);
        assert_eq!(told(&mut decoder, &socket(2_000), &ipfix(7, 1, &[data]), at(1)), [over_ipfix]);
        let scope = policy.scope(&socket(1_000), Protocol::Ipfix, 7);
        assert!(decoder.cache().get(&scope, 300).is_some());
    }
}

#[test]
fn a_policy_without_domains_shares_templates_between_them() {
    // T3: only on request.
    let announced = v9(1, 0, &[set(0, &template(300, &[OCTETS]))]);
    let data = v9(2, 1, &[set(300, &[0, 0, 0, 5])]);
    let mut apart = Decoder::new();
    let mut together = Decoder::new().with_scopes(ScopePolicy::default().without_domains());
    for (decoder, expected) in [(&mut apart, "waits for 300"), (&mut together, "data 5/0")] {
        told(decoder, &1_u8, &announced, at(0));
        assert_eq!(told(decoder, &1, &data, at(1)), [expected]);
    }
}

/// The rate of the first flow of the last set.
fn rate(decoder: &mut Decoder<SocketAddr>, port: u16, datagram: &[u8]) -> Option<(u32, SamplingSource)> {
    let mut decoded = decoder.decode(&socket(port), datagram, at(1)).unwrap();
    let mut flow: Option<FlowRecord> = None;
    for batch in decoded.by_ref() {
        if let Batch::Data(records) = batch {
            flow = records.flows().next();
        }
    }
    decoded.sampling(&flow.unwrap()).map(|info| (info.interval, info.source))
}

#[test]
fn a_rate_announced_from_another_port_or_domain_holds_for_the_exporter() {
    let options = |domain| {
        let sets = [set(1, &v9_sampling_template(400)), set(400, &sampling_record(1_000))];
        v9(domain, 0, &sets)
    };
    let data = |domain| v9(domain, 1, &[set(0, &template(300, &[OCTETS])), set(300, &[0, 0, 0, 5])]);
    let expected = Some((1_000, SamplingSource::Domain));
    let policy = ScopePolicy::by_address_and_port();
    for (policy, port, domain, expected) in [
        (policy, 1_000, 1, expected),
        // Options from another port.
        (policy, 2_000, 1, expected),
        // Options in another domain.
        (policy, 1_000, 2, expected),
        (policy, 2_000, 2, expected),
        (policy.without_fallback(), 1_000, 1, expected),
        (policy.without_fallback(), 2_000, 1, None),
        (policy.without_fallback(), 1_000, 2, None),
        // Ports that are exporters of their own.
        (ScopePolicy::default(), 2_000, 1, None),
    ] {
        let mut decoder = Decoder::new().with_scopes(policy);
        told(&mut decoder, &socket(1_000), &options(1), at(0));
        assert_eq!(rate(&mut decoder, port, &data(domain)), expected, "{port} {domain} {policy:?}");
    }
}

#[test]
fn the_rate_of_the_own_scope_comes_before_that_of_another() {
    let mut decoder = Decoder::new().with_scopes(ScopePolicy::by_address());
    for (domain, interval) in [(1, 10), (2, 20)] {
        let sets = [set(1, &v9_sampling_template(400)), set(400, &sampling_record(interval))];
        told(&mut decoder, &socket(1_000), &v9(domain, 0, &sets), at(0));
    }
    let data = v9(1, 1, &[set(0, &template(300, &[OCTETS])), set(300, &[0, 0, 0, 5])]);
    assert_eq!(rate(&mut decoder, 1_000, &data), Some((10, SamplingSource::Domain)));
}

#[test]
fn the_end_of_a_session_takes_its_templates_along() {
    // T14: a session is what the caller's key says; the next one of the same key begins with none.
    let mut decoder = Decoder::new().over(Transport::Stream);
    for session in [1, 2] {
        for domain in [7, 8] {
            let announced = ipfix(domain, 0, &[set(2, &template(300, &[OCTETS]))]);
            told(&mut decoder, &session, &announced, at(0));
        }
        told(&mut decoder, &session, &ipfix(7, 0, &[set(301, &[1])]), at(0));
    }
    decoder.cache_mut().remove_exporter(&1);
    let data = ipfix(7, 1, &[set(300, &[0, 0, 0, 5])]);
    assert_eq!(told(&mut decoder, &2, &data, at(1)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &data, at(1)), ["waits for 300"]);
    let cache = decoder.cache();
    assert_eq!((cache.template_count(), cache.exporter_count(), cache.stats().forgotten), (2, 1, 2));
    assert_eq!(cache.stats().pending_drops.forgotten, 1);
    assert_eq!(cache.pending().count(), 2, "the other session's, and what came last");
}

#[test]
fn a_forgotten_scope_leaves_its_neighbours() {
    let mut decoder = Decoder::new();
    for domain in [1, 2] {
        let sets = [set(0, &template(300, &[OCTETS])), set(301, &[1])];
        told(&mut decoder, &9_u8, &v9(domain, 0, &sets), at(0));
    }
    decoder.cache_mut().remove_scope(&TemplateScope::new(9, Protocol::NetFlow9, 1));
    let data = |domain| v9(domain, 1, &[set(300, &[0, 0, 0, 5])]);
    assert_eq!(told(&mut decoder, &9, &data(1), at(1)), ["waits for 300"]);
    assert_eq!(told(&mut decoder, &9, &data(2), at(1)), ["data 5/0"]);
    assert_eq!(decoder.cache().pending().count(), 2);
}

#[test]
fn withdrawals_over_datagrams_are_ignored_and_counted() {
    // T10
    let mut decoder = Decoder::new();
    let announced = ipfix(7, 0, &[set(2, &template(300, &[OCTETS]))]);
    told(&mut decoder, &1, &announced, at(0));
    for id in [300, 2] {
        let withdrawn = ipfix(7, 1, &[set(2, &template(id, &[]))]);
        assert_eq!(told(&mut decoder, &1, &withdrawn, at(1)), [format!("not withdrawn {id}")]);
    }
    let data = ipfix(7, 1, &[set(300, &[0, 0, 0, 5])]);
    assert_eq!(told(&mut decoder, &1, &data, at(1)), ["data 5/0"]);
    assert_eq!((decoder.cache().stats().withdrawals_ignored, decoder.cache().stats().withdrawn), (2, 0));
}

#[test]
fn withdrawals_over_streams_end_the_use_of_a_template_once() {
    // T11, T12
    let mut decoder = Decoder::new().over(Transport::Stream);
    let announced = ipfix(7, 0, &[set(2, &template(300, &[OCTETS]))]);
    let withdrawn = ipfix(7, 1, &[set(2, &template(300, &[]))]);
    let data = ipfix(7, 2, &[set(300, &[0, 0, 0, 5])]);
    told(&mut decoder, &1, &announced, at(0));
    assert_eq!(told(&mut decoder, &1, &withdrawn, at(1)), ["withdrawn 300"]);
    assert_eq!(told(&mut decoder, &1, &withdrawn, at(1)), ["not withdrawn 300"]);
    assert_eq!(told(&mut decoder, &1, &data, at(2)), ["waits for 300"]);
    let stats = *decoder.cache().stats();
    assert_eq!((stats.withdrawn, stats.withdrawals_ignored), (1, 1));
    assert_eq!((decoder.cache().template_count(), decoder.cache().iter().count()), (0, 0));
    // The id can be used again, and what waited is of the template that was announced anew.
    let again = ipfix(7, 2, &[set(2, &template(300, &[PACKETS]))]);
    assert_eq!(told(&mut decoder, &1, &again, at(3)), ["New 300", "recovered 0/5"]);
}

#[test]
fn a_withdrawal_of_all_concerns_its_domain_and_kind() {
    // T13
    let options = {
        let mut record = 400_u16.to_be_bytes().to_vec();
        record.extend([0, 2, 0, 1, 0, 149, 0, 4, 0, 34, 0, 4]);
        record
    };
    let mut decoder = Decoder::new().over(Transport::Stream);
    for domain in [1, 2] {
        let sets = [set(2, &template(300, &[OCTETS])), set(2, &template(301, &[OCTETS])), set(3, &options)];
        told(&mut decoder, &IpAddr::from([192, 0, 2, 1]), &ipfix(domain, 0, &sets), at(0));
    }
    let withdrawn = ipfix(1, 1, &[set(2, &template(2, &[]))]);
    told(&mut decoder, &IpAddr::from([192, 0, 2, 1]), &withdrawn, at(1));
    let left: Vec<_> =
        decoder.cache().iter().map(|entry| (entry.scope.observation_domain, entry.template.id())).collect();
    assert_eq!(left, [(1, 400), (2, 300), (2, 301), (2, 400)]);
}
