//! How long templates are used, how they are redefined, and what becomes of data that comes at the wrong time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::similar_names, missing_docs)]

mod common;

use core::time::Duration;
use std::{
    sync::{Arc, Mutex},
    thread,
};

use common::sets::{at, ipfix, set, template, told, v9};
use netflow_codec::{
    Batch, CacheLimits, Decoder, PendingDrop, Protocol, Strictness, TemplateLifetime, TemplateScope,
    Transport,
};

const OCTETS: (u16, u16) = (1, 4);
const PACKETS: (u16, u16) = (2, 4);

fn with_limits(change: impl FnOnce(&mut CacheLimits)) -> Decoder<u8> {
    let mut limits = CacheLimits::default();
    change(&mut limits);
    Decoder::with_limits(limits, Strictness::Lenient)
}

fn octets_template(secs: u64) -> Vec<u8> {
    ipfix(7, secs, &[set(2, &template(300, &[OCTETS]))])
}

fn packets_template(secs: u64) -> Vec<u8> {
    ipfix(7, secs, &[set(2, &template(300, &[PACKETS]))])
}

fn data(secs: u64) -> Vec<u8> {
    ipfix(7, secs, &[set(300, &[0, 0, 0, 5])])
}

#[test]
fn a_template_lives_three_times_the_interval_in_which_it_is_announced() {
    // T7, T8
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(0), at(0));
    // 30 minutes while the interval is not known.
    assert_eq!(told(&mut decoder, &1, &data(1_799), at(1_799)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &data(1_800), at(1_800)), ["waits for 300"]);
    assert_eq!(decoder.cache().template_count(), 0);
    // Known again, what waited is decoded; and the interval is known now.
    assert_eq!(told(&mut decoder, &1, &octets_template(2_000), at(2_000)), ["New 300", "recovered 5/0"]);
    assert_eq!(decoder.cache().iter().next().unwrap().interval, Some(Duration::from_secs(2_000)));
    assert_eq!(told(&mut decoder, &1, &data(7_999), at(7_999)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &data(8_000), at(8_000)), ["waits for 300"]);
    assert_eq!((decoder.cache().stats().expired, decoder.cache().stats().new), (2, 2));

    // An interval of 10 minutes: not below 30.
    told(&mut decoder, &2, &octets_template(0), at(0));
    told(&mut decoder, &2, &octets_template(600), at(600));
    assert_eq!(told(&mut decoder, &2, &data(2_399), at(2_399)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &2, &data(2_400), at(2_400)), ["waits for 300"]);
}

#[test]
fn lifetimes_differ_by_protocol_and_can_be_switched_off() {
    // T8
    let v9_template = v9(7, 0, &[set(0, &template(300, &[OCTETS]))]);
    let v9_data = v9(7, 0, &[set(300, &[0, 0, 0, 5])]);
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &v9_template, at(0));
    assert_eq!(told(&mut decoder, &1, &v9_data, at(5_399)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &v9_data, at(5_400)), ["waits for 300"]);

    let mut decoder = with_limits(|limits| limits.lifetime = TemplateLifetime::FOREVER);
    told(&mut decoder, &1, &v9_template, at(0));
    told(&mut decoder, &1, &octets_template(0), at(0));
    assert_eq!(told(&mut decoder, &1, &v9_data, at(1_000_000)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &data(0), at(1_000_000)), ["data 5/0"]);

    // Over streams they are withdrawn instead.
    let mut decoder = with_limits(|_| {}).over(Transport::Stream);
    told(&mut decoder, &1, &octets_template(0), at(0));
    assert_eq!(told(&mut decoder, &1, &data(0), at(1_000_000)), ["data 5/0"]);
}

#[test]
fn a_lifetime_in_packets_ends_with_that_in_time() {
    // T9
    let mut decoder = with_limits(|limits| {
        limits.lifetime = TemplateLifetime::fixed(Duration::from_secs(60));
        limits.lifetime.packets = 5;
    });
    told(&mut decoder, &1, &octets_template(0), at(0));
    for packet in 1..5 {
        assert_eq!(told(&mut decoder, &1, &data(100), at(100)), ["data 5/0"], "{packet}");
    }
    assert_eq!(told(&mut decoder, &1, &data(100), at(100)), ["waits for 300"]);
    // Packets alone do not end it.
    told(&mut decoder, &1, &octets_template(100), at(100));
    for _ in 0..20 {
        assert_eq!(told(&mut decoder, &1, &data(100), at(159)), ["data 5/0"]);
    }
    assert_eq!(told(&mut decoder, &1, &data(100), at(160)), ["waits for 300"]);
}

#[test]
fn a_clock_that_goes_back_ends_no_lifetime() {
    // T7
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(1_000), at(1_000));
    told(&mut decoder, &1, &octets_template(0), at(0));
    assert_eq!(told(&mut decoder, &1, &data(0), at(0)), ["data 5/0"]);
    assert_eq!(decoder.cache().iter().next().unwrap().last_announced, at(1_000));
}

#[test]
fn repetitions_and_redefinitions_over_streams_are_told_apart() {
    // T15
    let mut decoder = with_limits(|_| {}).over(Transport::Stream);
    assert_eq!(told(&mut decoder, &1, &octets_template(0), at(0)), ["New 300"]);
    assert_eq!(told(&mut decoder, &1, &octets_template(1), at(1)), ["Refreshed 300"]);
    let fault = "template 300 was redefined without a withdrawal, at octet 20";
    assert_eq!(told(&mut decoder, &1, &packets_template(2), at(2)), ["Replaced 300", fault]);
    assert_eq!(told(&mut decoder, &1, &data(2), at(2)), ["data 0/5"]);
    assert_eq!(decoder.cache().stats().replaced_without_withdrawal, 1);
    // Datagrams may be redefined at any time.
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(0), at(0));
    assert_eq!(told(&mut decoder, &1, &packets_template(2), at(2)), ["Replaced 300"]);
    assert_eq!(decoder.cache().stats().replaced_without_withdrawal, 0);
}

#[test]
fn data_that_a_redefinition_overtook_is_decoded_with_the_template_before() {
    // T24: export times 10, 20, 15.
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(10), at(10));
    told(&mut decoder, &1, &packets_template(20), at(20));
    assert_eq!(told(&mut decoder, &1, &data(15), at(20)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &data(20), at(20)), ["data 0/5"]);
    // So is the template before, when it comes once more: it is not taken for a redefinition.
    assert_eq!(told(&mut decoder, &1, &octets_template(15), at(21)), ["Late 300"]);
    assert_eq!(told(&mut decoder, &1, &data(21), at(21)), ["data 0/5"]);
    let stats = *decoder.cache().stats();
    assert_eq!((stats.late_data, stats.late_templates, stats.replaced), (1, 1, 1));
    // Later than datagrams are ever late, the exporter's clock was set.
    assert_eq!(told(&mut decoder, &1, &data(15), at(31)), ["data 0/5"]);
    assert_eq!(told(&mut decoder, &1, &octets_template(15), at(31)), ["Replaced 300"]);
    // None is kept when the caller does not want it.
    let mut decoder = with_limits(|limits| limits.late_data = Duration::ZERO);
    told(&mut decoder, &1, &octets_template(10), at(10));
    told(&mut decoder, &1, &packets_template(20), at(20));
    assert_eq!(told(&mut decoder, &1, &data(15), at(20)), ["data 0/5"]);
}

#[test]
fn data_that_waited_is_not_decoded_with_a_later_redefinition() {
    // T24: its own template expired, then data came, then another template.
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(0), at(0));
    for secs in [2_000, 2_020] {
        assert_eq!(told(&mut decoder, &1, &data(secs), at(secs)), ["waits for 300"]);
    }
    // That of 2,000 is older than the redefinition, that of 2,020 overtook it.
    assert_eq!(told(&mut decoder, &1, &packets_template(2_010), at(2_030)), ["New 300", "recovered 0/5"]);
    let cache = decoder.cache();
    assert_eq!((cache.stats().pending_drops.superseded, cache.stats().pending_dropped), (1, 1));
    let dropped = cache.dropped().next().unwrap();
    assert_eq!((dropped.reason, dropped.waited), (PendingDrop::Superseded, Duration::from_secs(30)));
    assert_eq!((dropped.scope.exporter, dropped.template_id, dropped.octets), (1, 300, 4));
}

#[test]
fn a_template_and_its_data_may_be_swapped_on_the_way() {
    // T25: by the sets that wait, and by the export times behind a redefinition.
    let mut decoder = with_limits(|_| {});
    assert_eq!(told(&mut decoder, &1, &data(11), at(11)), ["waits for 300"]);
    assert_eq!(told(&mut decoder, &1, &octets_template(10), at(11)), ["New 300", "recovered 5/0"]);
    assert_eq!(told(&mut decoder, &1, &octets_template(12), at(12)), ["Refreshed 300"]);
    let waits = decoder.cache().pending().count();
    assert_eq!(waits, 0, "delivered once");
}

#[test]
fn what_waits_and_what_waited_in_vain_is_visible() {
    // T23
    let mut decoder = with_limits(|limits| {
        limits.pending_octets_per_exporter = 3_000;
        limits.pending_age = Duration::from_secs(100);
    });
    let large = ipfix(7, 0, &[set(301, &[0; 3_000])]);
    assert_eq!(told(&mut decoder, &1, &large, at(0)), ["lacks 301"]);
    told(&mut decoder, &1, &data(10), at(10));
    let waiting: Vec<_> = decoder.cache().pending().collect();
    assert_eq!((waiting.len(), waiting[0].template_id, waiting[0].octets), (1, 300, 4));
    assert_eq!((waiting[0].scope.exporter, waiting[0].scope.observation_domain), (1, 7));
    assert_eq!((waiting[0].origin.received, waiting[0].origin.offset), (at(10), 16));
    for _ in 0..3 {
        let sets = ipfix(7, 50, &[set(302, &[0; 1_000])]);
        told(&mut decoder, &1, &sets, at(50));
    }
    decoder.cache_mut().handle_timeout(at(151));
    let reasons: Vec<_> = decoder
        .cache()
        .dropped()
        .map(|dropped| (dropped.template_id, dropped.reason.name(), dropped.waited.as_secs()))
        .collect();
    let expected = [
        (301, "too_large", 0),
        (300, "exporter_quota", 40),
        (302, "exporter_quota", 0),
        (302, "expired", 101),
        (302, "expired", 101),
    ];
    assert_eq!(reasons, expected);
    let drops = decoder.cache().stats().pending_drops;
    assert_eq!((drops.too_large, drops.exporter_quota, drops.expired, drops.total()), (1, 2, 2, 5));
    assert_eq!(decoder.cache().pending().count(), 0);
}

#[test]
fn the_cache_shows_what_it_knows() {
    // T26
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &3, &octets_template(0), at(0));
    told(&mut decoder, &3, &octets_template(60), at(60));
    told(&mut decoder, &2, &packets_template(5), at(5));
    let shown: Vec<_> = decoder
        .cache()
        .iter()
        .map(|entry| {
            let scope = entry.scope;
            assert_eq!((scope.protocol, scope.observation_domain), (Protocol::Ipfix, 7));
            let field = entry.template.fields()[0];
            let element = field.element.number();
            (scope.exporter, entry.template.id(), element, entry.last_announced, entry.announcements)
        })
        .collect();
    assert_eq!(shown, [(2, 300, 2, at(5), 1), (3, 300, 1, at(60), 2)]);
}

#[test]
fn records_keep_their_template_when_it_is_redefined_meanwhile() {
    // T28
    let mut decoder = with_limits(|_| {});
    told(&mut decoder, &1, &octets_template(0), at(0));
    let datagram = data(1);
    let Some(Batch::Data(records)) = decoder.decode(&1, &datagram, at(1)).unwrap().next() else {
        panic!("data")
    };
    told(&mut decoder, &1, &packets_template(2), at(2));
    assert_eq!(records.flows().map(|flow| (flow.octets, flow.packets)).collect::<Vec<_>>(), [(5, 0)]);
    decoder.cache_mut().remove_exporter(&1);
    drop(decoder);
    assert_eq!(records.flows().map(|flow| (flow.octets, flow.packets)).collect::<Vec<_>>(), [(5, 0)]);
}

#[test]
fn readers_in_other_threads_never_see_half_a_template() {
    // T28: one thread redefines, others take the template and read it without holding anything.
    let decoder = Arc::new(Mutex::new(with_limits(|_| {})));
    let scope = TemplateScope::new(1, Protocol::Ipfix, 7);
    told(&mut decoder.lock().unwrap(), &1, &octets_template(0), at(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (decoder, scope) = (Arc::clone(&decoder), scope.clone());
            thread::spawn(move || {
                let mut seen = [0; 2];
                while seen[0] < 50 || seen[1] < 50 {
                    let template = decoder.lock().unwrap().cache().get(&scope, 300).cloned();
                    let template = template.unwrap();
                    let fields = template.fields();
                    let one = fields.len() == 1
                        && fields[0].element.number() == 1
                        && template.minimum_length() == 4;
                    let two = fields.len() == 2
                        && fields[1].element.number() == 2
                        && template.minimum_length() == 12;
                    assert!(one != two, "{template:?}");
                    seen[usize::from(two)] += 1;
                    thread::yield_now();
                }
            })
        })
        .collect();
    let mut secs = 0;
    while !readers.iter().all(thread::JoinHandle::is_finished) {
        secs += 1;
        let fields = [(1, 4), (2, 8)];
        let fields = if secs % 2 == 0 { &fields[..1] } else { &fields };
        let datagram = ipfix(7, secs, &[set(2, &template(300, fields))]);
        told(&mut decoder.lock().unwrap(), &1, &datagram, at(secs));
        thread::yield_now();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}
