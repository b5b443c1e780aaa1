//! What is kept between datagrams, templates and data that waits for them, stays where it belongs and within bounds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;

use common::seen::{decode, look, packet};
use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, Learned, Protocol, Strictness, TemplateLifetime,
    TemplateScope, Timestamp,
};

#[test]
fn data_before_its_template_waits_for_it() {
    // C15, T23, D35
    let data = [1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0];
    let template = [0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2];
    let mut decoder = Decoder::new();
    let seen = look(&mut decoder, 1, &packet(1, &data), Timestamp::from_secs(1)).unwrap();
    assert_eq!((seen.records, seen.missing), (0, 1));
    // Another domain's template is another template.
    let seen = look(&mut decoder, 1, &packet(2, &template), Timestamp::from_secs(2)).unwrap();
    assert_eq!((seen.records, seen.recovered), (0, 0));
    let seen = look(&mut decoder, 1, &packet(1, &template), Timestamp::from_secs(3)).unwrap();
    assert_eq!((seen.records, seen.recovered), (2, 1));
    let seen = look(&mut decoder, 1, &packet(1, &template), Timestamp::from_secs(4)).unwrap();
    assert_eq!((seen.records, seen.recovered), (0, 0), "once is enough");

    // Too late: dropped and counted.
    look(&mut decoder, 3, &packet(1, &data), Timestamp::from_secs(10));
    let seen = look(&mut decoder, 3, &packet(1, &template), Timestamp::from_secs(1_000)).unwrap();
    assert_eq!((seen.recovered, decoder.cache().stats().pending_dropped), (0, 1));
}

#[test]
fn waiting_data_is_bounded_in_octets_and_drops_the_oldest() {
    // T23, D66
    let mut limits = CacheLimits::default();
    limits.pending_octets_per_exporter = 3_000;
    limits.pending_octets = 9_000;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let mut set = vec![1, 44, 2, 0];
    set.resize(512, 0);
    for exporter in 0..100 {
        for _ in 0..20 {
            look(&mut decoder, exporter, &packet(1, &set), Timestamp::ZERO);
        }
    }
    let waiting: usize = decoder.cache().pending().map(|set| set.octets).sum();
    assert!(waiting <= 9_000 && waiting > 3_000, "{waiting}");
    let stats = *decoder.cache().stats();
    assert_eq!(stats.pending_dropped + decoder.cache().pending().count() as u64, 2_000);
}

#[test]
fn redefinition_takes_effect_at_once_and_refresh_changes_nothing() {
    // T5, T6, D35, T4
    let old = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let new = [0, 0, 0, 12, 1, 44, 0, 1, 0, 7, 0, 2];
    let options = [0, 1, 0, 20, 1, 44, 0, 4, 0, 4, 0, 1, 0, 0, 0, 34, 0, 2, 0, 0];
    let data = [1, 44, 0, 6, 0, 80];
    let mut octets = packet(1, &old);
    for set in [&data[..], &new, &data, &new, &data, &options, &data] {
        octets.extend(set);
    }
    let mut decoder = Decoder::new();
    let mut log = Vec::new();
    for batch in decoder.decode(&1, &octets, Timestamp::from_secs(7)).unwrap() {
        log.push(match batch {
            Batch::Template(_, Learned::New) => "new".into(),
            Batch::Template(_, Learned::Refreshed) => "refreshed".into(),
            Batch::Template(_, Learned::Replaced) => "replaced".into(),
            Batch::Data(records) => format!("{} flows", records.count()),
            Batch::Options(records) => format!("{} options", records.count()),
            other => panic!("{other:?}"),
        });
    }
    let expected = ["new", "2 flows", "replaced", "1 flows", "refreshed", "1 flows", "replaced", "1 options"];
    assert_eq!(log, expected);
    let entry = decoder.cache().iter().next().unwrap();
    assert_eq!((entry.template.is_options(), entry.last_announced), (true, Timestamp::from_secs(7)));
}

#[test]
fn a_refused_template_leaves_the_valid_one_in_place() {
    // T22, when strict. Lenient decoding takes the exporter at its word, see the test of templates of nothing.
    let mut decoder = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]), Timestamp::ZERO);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 0]), Timestamp::ZERO);
    let seen = look(&mut decoder, 1, &packet(1, &[1, 44, 0, 5, 6]), Timestamp::ZERO).unwrap();
    assert_eq!(seen.records, 1);
}

#[test]
fn scopes_are_independent() {
    // T1, T3, T16
    let template = |field: u8, length: u8| [0, 0, 0, 12, 0xff, 0xff, 0, 1, 0, field, 0, length];
    let mut decoder = Decoder::new();
    look(&mut decoder, 1, &packet(1, &template(4, 1)), Timestamp::ZERO);
    look(&mut decoder, 1, &packet(2, &template(7, 2)), Timestamp::ZERO);
    look(&mut decoder, 2, &packet(1, &template(8, 4)), Timestamp::ZERO);
    let data = [0xff, 0xff, 0, 8, 1, 2, 3, 4];
    for (exporter, domain, records) in [(1, 1, 4), (1, 2, 2), (2, 1, 1)] {
        let seen = look(&mut decoder, exporter, &packet(domain, &data), Timestamp::ZERO).unwrap();
        assert_eq!(seen.records, records);
    }
    let scope = TemplateScope::new(1, Protocol::NetFlow9, 2);
    assert_eq!(decoder.cache().get(&scope, 0xffff).unwrap().minimum_length(), 2);
    decoder.cache_mut().remove_scope(&scope);
    assert!(decoder.cache().get(&scope, 0xffff).is_none());
    assert_eq!(decoder.cache().template_count(), 2);
}

#[test]
fn expired_templates_are_not_used() {
    // T7
    let mut limits = CacheLimits::default();
    limits.lifetime = TemplateLifetime::fixed(Duration::from_secs(60));
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]), Timestamp::from_secs(100));
    let data = packet(1, &[1, 44, 0, 5, 6]);
    assert_eq!(look(&mut decoder, 1, &data, Timestamp::from_secs(159)).unwrap().records, 1);
    assert_eq!(look(&mut decoder, 1, &data, Timestamp::from_secs(160)).unwrap().missing, 1);
    assert_eq!((decoder.cache().stats().expired, decoder.cache().template_count()), (1, 0));
}

#[test]
fn a_flood_of_templates_stays_within_the_limits_and_is_counted() {
    // T19, T20, D67
    let mut limits = CacheLimits::default();
    limits.scopes = 50;
    limits.scopes_per_exporter = 50;
    limits.templates_per_scope = 20;
    limits.template_octets = 400_000;
    limits.fields_per_template = 8;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let mut learned = 0;
    for exporter in 0..200u32 {
        let mut set = vec![0, 0, 0, 0];
        for id in 256..356u16 {
            set.extend(id.to_be_bytes());
            set.extend([0, 1, 0, 4, 0, 1]);
        }
        let length = u16::try_from(set.len()).unwrap().to_be_bytes();
        set[2..4].copy_from_slice(&length);
        learned +=
            look(&mut decoder, exporter, &packet(exporter % 7, &set), Timestamp::ZERO).unwrap().templates;
    }
    assert_eq!(learned, 20_000);
    let cache = decoder.cache();
    assert!(cache.scope_count() <= 50 && cache.template_count() <= 1_000);
    assert!(cache.memory_octets() < 1_000_000, "{}", cache.memory_octets());
    let stats = *cache.stats();
    assert_eq!(stats.new, 20_000);
    assert_eq!(stats.evicted_templates + cache.template_count() as u64, 20_000);

    let mut set = vec![0, 0, 0, 44, 1, 44, 0, 9];
    set.extend([0, 4, 0, 1].repeat(9));
    let seen = look(&mut decoder, 1, &packet(1, &set), Timestamp::ZERO).unwrap();
    let kind = DecodeErrorKind::TooManyFields { template_id: 300, fields: 9, limit: 8 };
    assert_eq!(seen.errors, [(24, kind)]);
}

#[test]
fn one_exporter_cannot_evict_the_templates_of_others() {
    // C17, T19: thousands of made-up domains, with data and with templates.
    let template = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let data = [1, 44, 0, 5, 6];
    let mut decoder = Decoder::new();
    look(&mut decoder, 1, &packet(1, &template), Timestamp::ZERO);
    for domain in 0..10_000 {
        let set = if domain % 2 == 0 { &data[..] } else { &template[..] };
        look(&mut decoder, 2, &packet(domain, set), Timestamp::ZERO);
    }
    assert_eq!(look(&mut decoder, 1, &packet(1, &data), Timestamp::ZERO).unwrap().records, 1);
    assert_eq!(decoder.cache().scope_count(), 257);
    // Its own newest domain is still there.
    assert_eq!(look(&mut decoder, 2, &packet(9_999, &data), Timestamp::ZERO).unwrap().records, 1);
}

#[test]
fn waiting_data_of_the_silent_does_not_keep_out_that_of_others() {
    // C17, T23
    let mut set = vec![1, 44, 0xea, 0x60];
    set.resize(60_000, 0);
    let mut decoder = Decoder::new();
    for exporter in 0..1_000 {
        look(&mut decoder, exporter, &packet(1, &set), Timestamp::from_secs(1_000));
    }
    let waiting = |decoder: &Decoder<u32>| decoder.cache().pending().map(|set| set.octets).sum::<usize>();
    assert!(waiting(&decoder) <= 16 << 20);
    // Later than the age of all of them.
    let template = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    look(&mut decoder, 5_000, &packet(1, &[1, 44, 0, 5, 6]), Timestamp::from_secs(2_000));
    assert_eq!(waiting(&decoder), 1);
    let seen = look(&mut decoder, 5_000, &packet(1, &template), Timestamp::from_secs(2_001)).unwrap();
    assert_eq!(seen.records, 1);
}

#[test]
fn a_flood_of_fields_of_no_octets_meets_the_limit_of_fields() {
    // T19
    let mut set = vec![0, 0, 0xfa, 0x08, 1, 44, 0x3e, 0x80];
    set.extend([0, 4, 0, 0].repeat(16_000));
    let seen = decode(&packet(1, &set));
    let kind = DecodeErrorKind::TooManyFields { template_id: 300, fields: 16_000, limit: 1_024 };
    assert_eq!((seen.templates, seen.errors), (0, vec![(24, kind)]));
}

#[test]
fn the_largest_template_is_taken_when_the_limits_permit() {
    // T21, D40
    let mut limits = CacheLimits::default();
    limits.fields_per_template = u16::MAX;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let fields = 16_370u16;
    let mut set = vec![0, 0];
    set.extend((8 + 4 * fields).to_be_bytes());
    set.extend([1, 44]);
    set.extend(fields.to_be_bytes());
    set.extend([0, 4, 0, 1].repeat(fields.into()));
    assert_eq!(look(&mut decoder, 1, &packet(1, &set), Timestamp::ZERO).unwrap().templates, 1);
    let mut data = vec![1, 44];
    data.extend((4 + fields).to_be_bytes());
    data.resize(4 + usize::from(fields), 6);
    assert_eq!(look(&mut decoder, 1, &packet(1, &data), Timestamp::ZERO).unwrap().records, 1);
}
