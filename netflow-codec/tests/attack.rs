//! Floods: memory stays below what is configured, work is linear, and who means well is decoded all the while.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::similar_names, missing_docs)]
#![expect(unsafe_code, reason = "a counting allocator implements an unsafe trait")]

mod common;

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
};
use std::{alloc::System, time::Instant};

use common::sets::{START, at, ipfix, set, template, told, v9};
use netflow_codec::{
    Batch, CacheLimits, Decoder, FieldValue, FieldView, MAX_LIST_DEPTH, Template, Timestamp,
};

/// Counts the octets that a thread holds, and the most it has held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count(less: usize, more: usize) {
    // At thread exit the counters may be gone already.
    let _gone = HELD.try_with(|held| {
        held.set(held.get().saturating_sub(less) + more);
        MOST.with(|most| most.set(most.get().max(held.get())));
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + u64::from(more > 0)));
    });
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most octets held at a time during some work, above those held before; and how many allocations it made.
fn most_held(work: impl FnOnce()) -> (usize, u64) {
    let (held, allocations) = (HELD.get(), ALLOCATIONS.get());
    MOST.set(held);
    work();
    (MOST.get() - held, ALLOCATIONS.get() - allocations)
}

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// An exporter that means well: it has been known for a minute, and is to be decoded whatever comes between.
struct WellMeaning {
    data: Vec<u8>,
}

impl WellMeaning {
    fn new(decoder: &mut Decoder<IpAddr>) -> Self {
        let announced = v9(1, 0, &[set(0, &template(300, &[(1, 4)]))]);
        let data = v9(1, 60, &[set(300, &[0, 0, 0, 5])]);
        told(decoder, &OWN, &announced, at(0));
        let this = Self { data };
        this.send(decoder, at(60));
        this
    }

    fn send(&self, decoder: &mut Decoder<IpAddr>, now: Timestamp) {
        let mut flows = 0;
        for batch in decoder.decode(&OWN, &self.data, now).unwrap() {
            if let Batch::Data(records) = batch {
                flows += records.flows().map(|flow| flow.octets).sum::<u64>();
            }
        }
        assert_eq!(flows, 5);
    }
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

/// Packets of nothing but smallest templates, `count` in all and no two the same. The source ID changes when all
/// template ids have been used.
fn smallest_templates(count: u32, per_packet: u32, mut send: impl FnMut(u32, &[u8])) {
    let ids = u32::from(u16::MAX) - 255;
    let mut number = 0;
    let mut packets = 0;
    let mut body = Vec::new();
    while number < count {
        body.clear();
        let domain = number / ids;
        let until = (number + per_packet).min(count).min((domain + 1) * ids);
        for number in number..until {
            let [_, _, high, low] = (256 + number % ids).to_be_bytes();
            // Another element in each domain: no two templates are the same.
            let [_, _, element_high, element] = (1 + domain).to_be_bytes();
            body.extend([high, low, 0, 1, element_high, element, 0, 4]);
        }
        number = until;
        send(packets, &v9(domain, 61, &[set(0, &body)]));
        packets += 1;
    }
}

/// Smaller where checks make it slow; CI runs the full size with optimisation.
const MILLION: u32 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
const LIMIT: usize = 32 << 20;

fn pass(decoder: &mut Decoder<IpAddr>, exporter: IpAddr, datagram: &[u8]) {
    decoder.decode(&exporter, datagram, at(61)).unwrap().for_each(drop);
}

#[test]
fn a_million_templates_of_one_exporter_stay_within_its_quota() {
    // T19, D67: 65 KiB of smallest templates a packet, and those of its neighbours in use all the while.
    let mut decoder = Decoder::new();
    let (most, _) = most_held(|| {
        let other = WellMeaning::new(&mut decoder);
        smallest_templates(MILLION, 8_180, |_, packet| {
            pass(&mut decoder, address(1), packet);
            other.send(&mut decoder, at(61));
        });
    });
    let cache = decoder.cache();
    assert_eq!(cache.stats().new, 1 + u64::from(MILLION));
    // One packet of 64 KiB is held besides.
    assert!(most < (4 << 20) + (256 << 10), "{most}");
    assert!(cache.memory_octets() <= (4 << 20) + (64 << 10), "{}", cache.memory_octets());
    assert_eq!(cache.stats().evicted_templates, u64::from(MILLION) + 1 - cache.template_count() as u64);
}

#[test]
fn a_million_templates_of_ten_thousand_exporters_stay_within_the_limit() {
    // T19
    let mut decoder = Decoder::new();
    let (most, _) = most_held(|| {
        let other = WellMeaning::new(&mut decoder);
        smallest_templates(MILLION, 100, |number, packet| {
            pass(&mut decoder, address(number % 10_000), packet);
            if number % 10 == 0 {
                other.send(&mut decoder, at(61));
            }
        });
    });
    let cache = decoder.cache();
    assert!(cache.stats().new >= u64::from(MILLION));
    assert!(most < LIMIT, "{most}");
    assert!(cache.memory_octets() <= LIMIT && cache.template_count() > 10_000, "{}", cache.template_count());
    assert!(most <= cache.memory_octets() + (1 << 20), "{most} {}", cache.memory_octets());
    let stats = cache.stats();
    assert!(stats.evicted_scopes > 1_000);
    assert_eq!(stats.evictions.cache_octets, stats.evicted_templates, "{stats:?}");
}

#[test]
fn made_up_addresses_and_domains_push_out_nobody_else() {
    // T19, T20
    let announced = |domain: u32| v9(domain, 61, &[set(0, &template(300, &[(1, 4)]))]);
    for own_addresses in [true, false] {
        let mut decoder = Decoder::new();
        let (most, _) = most_held(|| {
            let other = WellMeaning::new(&mut decoder);
            let mut packet = announced(0);
            for number in 0..MILLION {
                packet[16..20].copy_from_slice(&number.to_be_bytes());
                let sender = if own_addresses { address(number) } else { address(1) };
                pass(&mut decoder, sender, &packet);
            }
            // Not a word of it in between.
            other.send(&mut decoder, at(62));
        });
        let cache = decoder.cache();
        assert!(most < LIMIT, "{most}");
        let (scopes, evicted) = (cache.scope_count(), cache.stats().evicted_scopes);
        assert_eq!(scopes, if own_addresses { 4_096 } else { 257 });
        assert_eq!(evicted, u64::from(MILLION) + 1 - scopes as u64);
    }
}

#[test]
fn newcomers_are_served_while_a_flood_of_made_up_addresses_goes_on() {
    // T20: who becomes established is safe from then on, and a quarter of the room is theirs until then.
    let mut decoder = Decoder::<IpAddr>::new();
    let template_packet = |secs| v9(1, secs, &[set(0, &template(300, &[(1, 4)]))]);
    let data = |secs| v9(1, secs, &[set(300, &[0, 0, 0, 5])]);
    let mut forged = 0;
    let mut flood = |decoder: &mut Decoder<IpAddr>, secs: u64, count: u32| {
        for _ in 0..count {
            forged += 1;
            let packet = template_packet(secs);
            decoder.decode(&address(forged), &packet, at(secs)).unwrap().for_each(drop);
        }
    };
    // Established exporters fill their share and more.
    for number in 0..5_000 {
        let exporter = address(0x80_0000 + number);
        told(&mut decoder, &exporter, &template_packet(0), at(0));
    }
    for number in 1_000..5_000 {
        let exporter = address(0x80_0000 + number);
        told(&mut decoder, &exporter, &data(40), at(40));
    }
    told(&mut decoder, &OWN, &template_packet(50), at(50));
    for secs in 51..90 {
        flood(&mut decoder, secs, 900);
        assert_eq!(told(&mut decoder, &OWN, &data(secs), at(secs)), ["data 5/0"], "{secs}");
    }
    flood(&mut decoder, 90, 20_000);
    assert_eq!(told(&mut decoder, &OWN, &data(91), at(91)), ["data 5/0"]);
}

/// Sends data sets without a template: large ones, or as many small ones as a packet holds.
fn unknown_data(decoder: &mut Decoder<IpAddr>, packets: u32, small: bool, own_addresses: bool) {
    let body = if small {
        (0..5_400u16).map(|number| set(256 + number, &[1; 8])).collect::<Vec<_>>().concat()
    } else {
        set(256, &vec![1; 65_000])
    };
    let mut packet = v9(0, 61, &[body]);
    for number in 0..packets {
        packet[16..20].copy_from_slice(&number.to_be_bytes());
        let sender = if own_addresses { address(number) } else { address(1) };
        pass(decoder, sender, &packet);
    }
}

#[test]
fn data_without_templates_stays_within_the_limit() {
    // T23, D66: large sets, and packets of smallest ones, from endless domains and addresses.
    let limits = CacheLimits::default();
    for small in [false, true] {
        let packets = if small { 100 } else { 4_000 };
        for own_addresses in [false, true] {
            let mut decoder = Decoder::new();
            let (most, _) = most_held(|| {
                let other = WellMeaning::new(&mut decoder);
                unknown_data(&mut decoder, packets, small, own_addresses);
                other.send(&mut decoder, at(61));
            });
            let limit =
                if own_addresses { limits.pending_octets } else { limits.pending_octets_per_exporter };
            // The packet itself, the sets it is made of, and the account of what was dropped.
            let besides = 1 << 20;
            assert!(most <= limit + besides, "{small} {own_addresses}: {most}");
            let cache = decoder.cache();
            assert!(cache.pending().map(|set| set.octets).sum::<usize>() > limit / 200);
            assert_eq!(cache.scope_count(), 1, "data makes no scope");
            let waiting = cache.pending().count() as u64;
            assert_eq!(cache.stats().pending_kept - cache.stats().pending_dropped, waiting);
        }
    }
}

#[test]
fn data_that_waits_for_an_established_exporter_outlives_a_flood() {
    // T23
    let mut decoder = Decoder::new();
    let _other = WellMeaning::new(&mut decoder);
    told(&mut decoder, &OWN, &v9(1, 61, &[set(301, &[0, 0, 0, 7])]), at(61));
    unknown_data(&mut decoder, 1_000, false, true);
    let announced = v9(1, 62, &[set(0, &template(301, &[(1, 4)]))]);
    assert_eq!(told(&mut decoder, &OWN, &announced, at(62)), ["New 301", "recovered 7/0"]);
}

#[test]
fn the_work_of_a_flood_is_linear_in_its_length() {
    // D67: twice as much makes about twice the allocations, and does not take many times as long.
    type Flood = fn(&mut Decoder<IpAddr>, u32);
    let floods: [(&str, Flood); 5] = [
        ("templates", |decoder, count| {
            smallest_templates(count, 8_180, |_, packet| pass(decoder, address(1), packet));
        }),
        ("exporters", |decoder, count| {
            smallest_templates(count, 4, |number, packet| pass(decoder, address(number), packet));
        }),
        ("domains", |decoder, count| {
            let mut packet = v9(0, 61, &[set(0, &template(300, &[(1, 4)]))]);
            for number in 0..count / 4 {
                packet[16..20].copy_from_slice(&number.to_be_bytes());
                pass(decoder, address(1), &packet);
            }
        }),
        ("sets", |decoder, count| unknown_data(decoder, count / 2_000, true, false)),
        ("sets of many", |decoder, count| unknown_data(decoder, count / 2_000, true, true)),
    ];
    for (name, flood) in floods {
        let measure = |count: u32| {
            let mut allocations = 0;
            let times = (0..3).map(|_| {
                let mut decoder = Decoder::new();
                let begin = Instant::now();
                allocations = most_held(|| flood(&mut decoder, count)).1;
                begin.elapsed()
            });
            (times.min().unwrap(), allocations)
        };
        let (time, allocations) = measure(MILLION / 20);
        let (doubled_time, doubled_allocations) = measure(MILLION / 10);
        assert!(doubled_allocations < 3 * allocations, "{name}: {allocations} {doubled_allocations}");
        assert!(doubled_time < time * 6, "{name}: {time:?} {doubled_time:?}");
    }
}

const BASIC_LIST: u16 = 291;
const SUB_TEMPLATE_LIST: u16 = 292;

/// A value of variable length, its length in three octets.
fn variable(value: &[u8]) -> Vec<u8> {
    [&[255][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// Lists within one another, down to so many levels, each so many times in the next as long as there is room for it.
fn nested_lists(header: &[u8], levels: u32, width: usize, innermost: &[u8], room: usize) -> Vec<u8> {
    let mut list = [header, innermost].concat();
    for _ in 1..levels {
        let value = variable(&list);
        let width = if width * value.len() + header.len() < room { width } else { 1 };
        list = [header, &value.repeat(width)].concat();
    }
    list
}

/// Reads every value within a field, and how many there are.
fn read_all(field: &FieldView<'_>, own: &Template) -> usize {
    match field.value() {
        FieldValue::BasicList(list) => {
            assert_eq!(list.fault(), None);
            1 + list.iter().map(|value| read_all(&value, own)).sum::<usize>()
        }
        FieldValue::SubTemplateList(list) => {
            1 + list
                .records(own)
                .flat_map(|record| record.fields().map(|field| read_all(&field, own)))
                .sum::<usize>()
        }
        _ => 1,
    }
}

#[test]
fn lists_within_lists_are_read_in_proportion_to_their_octets_without_allocating() {
    // D59, D67: each octet is looked at once a level, and there are eight levels whatever a message says.
    let basic = [&[255][..], &BASIC_LIST.to_be_bytes(), &[0xff, 0xff]].concat();
    let octets_of = |element: u16| [&[255][..], &element.to_be_bytes(), &[0, 1]].concat();
    let own = [&[255][..], &300u16.to_be_bytes()].concat();
    let room = 64_000;
    for (name, element, value) in [
        ("as deep as it gets", BASIC_LIST, nested_lists(&basic, 7_000, 1, &[], room)),
        ("as wide as it gets", BASIC_LIST, nested_lists(&basic, 12, 3, &[], room)),
        ("of smallest values", BASIC_LIST, [octets_of(4), vec![6; room]].concat()),
        ("of lists that are none", BASIC_LIST, [octets_of(BASIC_LIST), vec![6; room]].concat()),
        ("records of themselves, deep", SUB_TEMPLATE_LIST, nested_lists(&own, 9_000, 1, &[], room)),
        ("records of themselves, wide", SUB_TEMPLATE_LIST, nested_lists(&own, 12, 3, &[], room)),
    ] {
        let mut decoder = Decoder::new();
        let other = WellMeaning::new(&mut decoder);
        told(
            &mut decoder,
            &address(1),
            &ipfix(1, 61, &[set(2, &template(300, &[(element, 0xffff)]))]),
            at(61),
        );
        let message = ipfix(1, 61, &[set(300, &variable(&value))]);
        let mut values = 0;
        let mut read = |decoder: &mut Decoder<IpAddr>| {
            let mut batches = decoder.decode(&address(1), &message, at(61)).unwrap();
            while let Some(batch) = batches.next() {
                let Batch::Data(records) = batch else { panic!("{name}: {batch:?}") };
                let template = batches.template(300).unwrap();
                values = records
                    .iter()
                    .flat_map(|record| record.fields())
                    .map(|field| read_all(&field, template))
                    .sum();
            }
        };
        read(&mut decoder);
        let (most, allocations) = most_held(|| read(&mut decoder));
        assert_eq!((most, allocations), (0, 0), "{name}");
        assert!(values > 7 && values < message.len() * usize::from(MAX_LIST_DEPTH), "{name}: {values}");
        other.send(&mut decoder, at(62));
    }
}

#[test]
fn the_allocator_counts() {
    let (most, allocations) = most_held(|| drop((vec![0u8; 1_000], vec![0u8; 500])));
    assert_eq!((most, allocations), (1_500, 2));
    assert_eq!(START, 1_700_000_000);
}
