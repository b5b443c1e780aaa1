//! Every way in which a rate is announced, and which of them counts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod common;

use common::packets::{ipfix, ipfix_options, ipfix_template, record, set, v5, v9, v9_options, v9_template};
use netflow_codec::{
    Batch, Decoder, ElementId, Quirk, Quirks, SampledUnit, SamplingAlgorithm, SamplingInfo, SamplingSource,
    SelectorAlgorithm, Timestamp,
};

/// Elements, their values in so many octets, and what they mean.
type Announced<'a> = (&'a [u16], &'a [(u64, usize)], Option<(u64, u64, u8, u16, u16)>);

/// Fields, values, what they mean, and whether a typed flow has it.
type OwnRate<'a> = (&'a [(u16, u16)], &'a [(u64, usize)], (u64, u64, u8, u16, &'a str, u16), bool);

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What is known of the rate of each flow in these datagrams, of packets and of flows.
fn resolve(decoder: &mut Decoder<&'static str>, datagrams: &[Vec<u8>]) -> Vec<[Option<SamplingInfo>; 3]> {
    let mut found = Vec::new();
    for datagram in datagrams {
        let mut parts = decoder.decode(&"exporter", datagram, NOW).unwrap();
        while let Some(batch) = parts.next() {
            match batch {
                Batch::Data(records) => {
                    for (record, flow) in records.iter().zip(records.flows()) {
                        let typed = parts.sampling(&flow);
                        let whole = parts.sampling_of(&record, &flow);
                        found.push([typed, whole, parts.flow_sampling_of(&record, &flow)]);
                    }
                }
                Batch::Fixed(records) => {
                    let typed = records.flows().map(|flow| parts.sampling(&flow));
                    found.extend(typed.map(|info| [info, info, None]));
                }
                Batch::Malformed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }
    found
}

/// The rate of the one flow in these datagrams, which is the same by its typed form and by its record.
fn one(datagrams: &[Vec<u8>]) -> Option<SamplingInfo> {
    let found = resolve(&mut Decoder::new(), datagrams);
    let [[typed, whole, _]] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(typed, whole);
    *whole
}

/// Rate, algorithm in the numbers of NetFlow and of IPFIX, source, element.
fn told(info: Option<SamplingInfo>) -> Option<(u64, u64, u8, u16, &'static str, u16)> {
    let info = info?;
    let element = info.element.map_or(0, ElementId::number);
    let (rate, algorithm) = (info.rate, info.algorithm.number());
    assert_eq!(info.interval, rate.interval());
    Some((rate.population(), rate.selected(), algorithm, info.selector.number(), info.source.name(), element))
}

/// A v9 data set of one flow: source, interfaces in and out, sampler, octets.
fn flow(ingress: u64, egress: u64, sampler: u64) -> [Vec<u8>; 2] {
    let fields = [(8, 4), (10, 4), (14, 4), (48, 1), (1, 4)];
    let values = [(0xc000_0201, 4), (ingress, 4), (egress, 4), (sampler, 1), (1_500, 4)];
    [v9_template(256, &fields), set(256, &record(&values))]
}

#[test]
fn v5_headers_announce_mode_and_interval_of_14_bits() {
    // D8, C23
    for (word, expected) in [
        (0x4064, Some((100, 1, 1, 1, "header", 0))),
        (0xbfff, Some((16_383, 1, 2, 3, "header", 0))),
        (0x0001, Some((1, 1, 0, 0, "header", 0))),
        (0x0000, None),
        // A mode without an interval says nothing.
        (0x4000, None),
    ] {
        assert_eq!(told(one(&[v5(word)])), expected, "{word:#x}");
    }
}

#[test]
fn v5_intervals_of_16_bits_are_read_on_request() {
    // 50,000 is 0xc350: mode 3, and 848.
    let mut decoder = Decoder::new();
    assert_eq!(resolve(&mut decoder, &[v5(50_000)])[0][0].unwrap().interval, 848);
    let quirks = Quirks::default().with(Quirk::V5SamplingOf16Bits);
    let mut decoder = decoder.with_quirks(quirks);
    assert_eq!(told(resolve(&mut decoder, &[v5(50_000)])[0][0]), Some((50_000, 1, 0, 0, "header", 0)));
    assert_eq!(told(resolve(&mut decoder, &[v5(100)])[0][0]), Some((100, 1, 0, 0, "header", 0)));
    assert_eq!(decoder.quirk_counts().get(Quirk::V5SamplingOf16Bits), 1, "acted where there were mode bits");
}

#[test]
fn every_way_to_announce_the_rate_of_a_domain_in_v9() {
    // C23: elements and values of the options, what follows.
    let probability = |value: f64| (value.to_bits(), 8);
    let float = |value: f32| (value.to_bits().into(), 4);
    let cases: [Announced<'_>; 17] = [
        (&[34], &[(100, 4)], Some((100, 1, 0, 0, 34))),
        (&[34, 35], &[(100, 4), (1, 1)], Some((100, 1, 1, 1, 34))),
        // Random is 2 here, and 3 as a selectorAlgorithm.
        (&[35, 34], &[(2, 1), (100, 2)], Some((100, 1, 2, 3, 34))),
        (&[50, 49], &[(256, 2), (2, 1)], Some((256, 1, 2, 3, 50))),
        (&[304, 305, 306], &[(1, 2), (1, 4), (99, 4)], Some((100, 1, 1, 1, 305))),
        // Without an algorithm, as Nokia has it.
        (&[305, 306], &[(1, 4), (999, 4)], Some((1_000, 1, 0, 0, 305))),
        // 10 of 25 is no whole number.
        (&[304, 305, 306], &[(1, 2), (10, 4), (15, 4)], Some((5, 2, 1, 1, 305))),
        (&[304, 309, 310], &[(3, 2), (1, 4), (2_000, 4)], Some((2_000, 1, 2, 3, 309))),
        (&[309, 310], &[(3, 4), (2_000, 4)], Some((2_000, 3, 0, 0, 309))),
        (&[304, 311], &[(4, 2), probability(0.125)], Some((8, 1, 2, 4, 311))),
        (&[311], &[float(0.25)], Some((4, 1, 0, 0, 311))),
        (&[304, 307, 308], &[(2, 2), (1_000, 4), (9_000, 4)], Some((10, 1, 0, 2, 307))),
        // The algorithm says which numbers count.
        (&[304, 305, 306, 309, 310], &[(3, 1), (1, 1), (9, 1), (1, 1), (50, 1)], Some((50, 1, 2, 3, 309))),
        // Numbers that say nothing.
        (&[34, 35], &[(0, 4), (1, 1)], None),
        (&[309, 310], &[(0, 4), (0, 4)], None),
        (&[309, 310], &[(10, 4), (5, 4)], None),
        (&[305, 306], &[(0, 4), (9, 4)], None),
    ];
    for (elements, values, expected) in cases {
        let options: Vec<_> = elements
            .iter()
            .zip(values)
            .map(|(element, (_, length))| (*element, u16::try_from(*length).unwrap()))
            .collect();
        let expected = expected.map(|(population, selected, algorithm, selector, element)| {
            (population, selected, algorithm, selector, "domain", element)
        });
        let [template, data] = flow(1, 2, 0);
        // The scope System with an identifier, and, as FortiGate and others have it, with none.
        for scope in [4, 0] {
            let announcement = [
                v9_options(512, &[(1, scope)], &options),
                set(512, &{
                    let mut body = vec![0; scope.into()];
                    body.extend(record(values));
                    body
                }),
            ];
            let datagram = v9(1, &[announcement.concat(), template.clone(), data.clone()]);
            assert_eq!(told(one(&[datagram])), expected, "{elements:?} {values:?}");
        }
        // IPFIX, of the scope meteringProcessId (143).
        let fields = [&[(143, 4)][..], &options].concat();
        let described = [(8, 4), (1, 4)];
        let message = ipfix(
            1,
            &[
                ipfix_options(512, 1, &fields),
                set(512, &[&[0, 0, 0, 7][..], &record(values)].concat()),
                ipfix_template(256, &described),
                set(256, &record(&[(1, 4), (9, 4)])),
            ],
        );
        assert_eq!(told(one(&[message])), expected, "IPFIX: {elements:?} {values:?}");
    }
}

#[test]
fn data_records_may_announce_their_own_rate() {
    // C23: as Huawei and Mikrotik do. The domain's is overruled.
    let domain = [v9_options(512, &[(1, 4)], &[(34, 4)]), set(512, &record(&[(0, 4), (7, 4)]))].concat();
    let numbers: [OwnRate<'_>; 4] = [
        (&[(34, 4)], &[(512, 4)], (512, 1, 0, 0, "record", 34), true),
        (&[(50, 2)], &[(512, 2)], (512, 1, 0, 0, "record", 50), true),
        (&[(304, 2), (305, 4), (306, 4)], &[(1, 2), (2, 4), (5, 4)], (7, 2, 1, 1, "record", 305), false),
        (&[(309, 4), (310, 4)], &[(1, 4), (64, 4)], (64, 1, 0, 0, "record", 309), false),
    ];
    for (fields, values, expected, is_typed) in numbers {
        let described = [&[(8, 4), (1, 4)][..], fields].concat();
        let data = record(&[&[(1, 4), (9, 4)][..], values].concat());
        let datagram = v9(1, &[domain.clone(), v9_template(256, &described), set(256, &data)]);
        let [typed, whole, _] = resolve(&mut Decoder::new(), &[datagram])[0];
        assert_eq!(told(whole), Some(expected));
        // A typed flow has no room for the others: it has the domain's.
        let typed = typed.unwrap();
        let (interval, source) =
            if is_typed { (512, SamplingSource::Record) } else { (7, SamplingSource::Domain) };
        assert_eq!((typed.interval, typed.source), (interval, source));
    }
}

#[test]
fn the_sampler_counts_before_the_interface_before_the_template_before_the_domain() {
    // C23
    let announcements = [
        // Sampler 5, in 2 octets; interface 1; what leaves by interface 2; template 256; the domain.
        (
            v9_options(512, &[(1, 4)], &[(48, 2), (50, 4), (49, 1)]),
            record(&[(0, 4), (5, 2), (50, 4), (2, 1)]),
        ),
        (v9_options(513, &[(2, 4)], &[(34, 4)]), record(&[(1, 4), (40, 4)])),
        (v9_options(514, &[(1, 4)], &[(14, 4), (34, 4)]), record(&[(0, 4), (2, 4), (30, 4)])),
        (v9_options(515, &[(5, 2)], &[(34, 4)]), record(&[(256, 2), (20, 4)])),
        (v9_options(516, &[(1, 4)], &[(34, 4)]), record(&[(0, 4), (10, 4)])),
    ];
    let expected = ["sampler", "interface", "interface", "template", "domain"];
    for known in 0..announcements.len() {
        let sets = announcements[known..].iter().zip(512 + u16::try_from(known).unwrap()..);
        let mut sets: Vec<_> =
            sets.map(|((template, data), id)| [&template[..], &set(id, data)].concat()).collect();
        // In whatever order they come.
        sets.reverse();
        sets.extend(flow(1, 2, 5));
        let (population, _, _, _, source, _) = told(one(&[v9(1, &sets)])).unwrap();
        assert_eq!((population, source), (50 - 10 * known as u64, expected[known]));
    }
    assert_eq!(one(&[v9(1, &flow(1, 2, 5))]), None, "unknown is not 1");
}

#[test]
fn of_flows_that_were_metered_where_they_leave_the_egress_interface_counts() {
    let announce = |interface: u64, rate: u64| set(513, &record(&[(interface, 4), (rate, 4)]));
    let fields = [(10, 4), (14, 4), (61, 1)];
    for (direction, expected) in [(0, 100), (1, 200), (255, 100)] {
        let data = set(256, &record(&[(1, 4), (2, 4), (direction, 1)]));
        let sets = [
            v9_options(513, &[(2, 4)], &[(34, 4)]),
            announce(1, 100),
            announce(2, 200),
            v9_template(256, &fields),
            data,
        ];
        assert_eq!(one(&[v9(1, &sets)]).unwrap().interval, expected);
    }
}

#[test]
fn samplers_have_identifiers_of_any_length_and_ipfix_calls_them_selectors() {
    // C23: options of the scope selectorId (302), as Cisco IOS-XE has them: 304, 309, 310.
    for length in [1, 2, 4, 8] {
        let id = if length == 8 { 0x1_0000_0003 } else { 3 };
        let octets = u16::try_from(length).unwrap();
        let sets = [
            ipfix_options(512, 1, &[(302, octets), (335, 8), (304, 1), (309, 4), (310, 4)]),
            set(
                512,
                &[record(&[(id, length)]), b"sampler1".to_vec(), record(&[(3, 1), (1, 4), (1_000, 4)])]
                    .concat(),
            ),
            ipfix_template(256, &[(8, 4), (302, octets)]),
            set(256, &record(&[(1, 4), (id, length)])),
            set(256, &record(&[(1, 4), (4, length)])),
        ];
        let found = resolve(&mut Decoder::new(), &[ipfix(1, &sets)]);
        let [[_, known, _], [_, other, _]] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(told(*known), Some((1_000, 1, 2, 3, "sampler", 309)));
        assert_eq!(*other, None);
    }
}

#[test]
fn a_chain_of_selectors_multiplies_their_rates() {
    // RFC 5476 section 6.5.1: the sequence 9 is selector 1, then 2. A chain of which one is unknown is unknown.
    let chain = |last: u64| {
        [
            ipfix_options(511, 1, &[(301, 4), (302, 2), (302, 2)]),
            set(511, &record(&[(9, 4), (1, 2), (last, 2)])),
            ipfix_options(512, 1, &[(302, 2), (304, 2), (309, 4), (310, 4)]),
            set(512, &record(&[(1, 2), (3, 2), (1, 4), (10, 4), (2, 2), (3, 2), (2, 4), (5, 4)])),
            ipfix_template(256, &[(8, 4), (301, 4)]),
            set(256, &record(&[(1, 4), (9, 4)])),
        ]
    };
    let found = resolve(&mut Decoder::new(), &[ipfix(1, &chain(2))]);
    assert_eq!(told(found[0][1]), Some((25, 1, 2, 3, "sampler", 309)));
    assert_eq!(resolve(&mut Decoder::new(), &[ipfix(1, &chain(3))])[0][1], None);
}

#[test]
fn the_numbers_of_one_sampler_may_come_in_several_records() {
    // C23: interval, space and algorithm of sampler 7 apart, in any order.
    let options = [
        (v9_options(512, &[(1, 4)], &[(48, 1), (305, 4)]), set(512, &record(&[(0, 4), (7, 1), (10, 4)]))),
        (v9_options(513, &[(1, 4)], &[(48, 1), (306, 4)]), set(513, &record(&[(0, 4), (7, 1), (90, 4)]))),
        (v9_options(514, &[(1, 4)], &[(48, 1), (304, 2)]), set(514, &record(&[(0, 4), (7, 1), (1, 2)]))),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut sets: Vec<_> =
            order.map(|place: usize| [&*options[place].0, &*options[place].1].concat()).to_vec();
        sets.extend(flow(1, 2, 7));
        assert_eq!(told(one(&[v9(1, &sets)])), Some((10, 1, 1, 1, "sampler", 305)));
    }
}

#[test]
fn numbers_of_an_earlier_way_to_say_it_do_not_mix_with_later_ones() {
    let sets = [
        v9_options(512, &[(1, 4)], &[(305, 4), (306, 4), (304, 1)]),
        v9_options(513, &[(1, 4)], &[(309, 4), (310, 4)]),
        v9_options(514, &[(1, 4)], &[(34, 4)]),
    ];
    let steps = [
        (set(512, &record(&[(0, 4), (1, 4), (9, 4), (1, 1)])), 10),
        (set(513, &record(&[(0, 4), (1, 4), (77, 4)])), 77),
        (set(514, &record(&[(0, 4), (33, 4)])), 33),
        (set(512, &record(&[(0, 4), (1, 4), (4, 4), (1, 1)])), 5),
        // 0 says nothing: what was said before stays in force.
        (set(514, &record(&[(0, 4), (0, 4)])), 5),
    ];
    let mut decoder = Decoder::new();
    assert!(resolve(&mut decoder, &[v9(1, &sets)]).is_empty());
    for (step, expected) in steps {
        let datagram = v9(1, &[&[step][..], &flow(1, 2, 0)].concat());
        assert_eq!(resolve(&mut decoder, &[datagram])[0][0].unwrap().interval, expected);
    }
}

#[test]
fn a_later_announcement_applies_to_later_flows_only() {
    // C25: in the order of the datagram.
    let [template, data] = flow(1, 2, 0);
    let rate = |rate: u64| set(512, &record(&[(0, 4), (rate, 4)]));
    let options = v9_options(512, &[(1, 4)], &[(34, 4)]);
    let sets = [options, template, data.clone(), rate(100), data.clone(), rate(200), data];
    let found = resolve(&mut Decoder::new(), &[v9(1, &sets)]);
    let rates: Vec<_> = found.iter().map(|[typed, ..]| typed.map(|info| info.interval)).collect();
    assert_eq!(rates, [None, Some(100), Some(200)]);
}

#[test]
fn sampling_of_flows_is_not_that_of_packets() {
    // RFC 7014: one flow of four is kept; nothing is said of packets.
    for (fields, values, expected) in [
        (vec![(390, 2), (396, 4), (397, 4)], vec![(1, 2), (1, 4), (3, 4)], (4, 1, 1, 1, 396)),
        (vec![(390, 2), (309, 4), (310, 4)], vec![(3, 2), (2, 4), (9, 4)], (9, 2, 2, 3, 309)),
    ] {
        let fields = [&[(143, 4)][..], &fields].concat();
        let values = [&[(7, 4)][..], &values].concat();
        let sets = [
            ipfix_options(512, 1, &fields),
            set(512, &record(&values)),
            ipfix_template(256, &[(8, 4), (1, 4)]),
            set(256, &record(&[(1, 4), (9, 4)])),
        ];
        let [typed, whole, flows] = resolve(&mut Decoder::new(), &[ipfix(1, &sets)])[0];
        assert_eq!((typed, whole), (None, None));
        let flows = flows.unwrap();
        assert_eq!(flows.unit, SampledUnit::Flows);
        let (population, selected, algorithm, selector, _, element) = told(Some(flows)).unwrap();
        assert_eq!((population, selected, algorithm, selector, element), expected);
    }
}

#[test]
fn records_that_mention_a_sampler_without_a_rate_announce_none() {
    // Statistics of a selector (318, 319), and a name (84).
    let sets = [
        v9_options(512, &[(1, 4)], &[(48, 1), (318, 8), (319, 8)]),
        set(512, &record(&[(0, 4), (5, 1), (1_000, 8), (10, 8)])),
        v9_options(513, &[(1, 4)], &[(48, 1), (84, 4)]),
        set(513, &record(&[(0, 4), (5, 1), (0x7365_6d00, 4)])),
    ];
    let datagram = v9(1, &[&sets[..], &flow(1, 2, 5)].concat());
    assert_eq!(one(&[datagram]), None);
}

#[test]
fn a_rate_of_another_domain_counts_where_the_own_has_none() {
    // C23: as Cisco Catalyst 9300 has it; templates and data in one datagram, sampler options under source ID 7.
    let options = [
        v9_options(512, &[(1, 4)], &[(48, 1), (50, 4), (49, 1)]),
        set(512, &record(&[(0, 4), (5, 1), (300, 4), (2, 1)])),
        v9_options(513, &[(5, 2)], &[(34, 4)]),
        set(513, &record(&[(256, 2), (44, 4)])),
    ];
    let own = [v9_options(512, &[(1, 4)], &[(34, 4)]), set(512, &record(&[(0, 4), (9, 4)]))];
    let mut decoder = Decoder::new();
    let found = resolve(&mut decoder, &[v9(7, &options), v9(1, &flow(1, 2, 5)), v9(1, &flow(1, 2, 6))]);
    let info = found[0][0].unwrap();
    assert_eq!(told(Some(info)), Some((300, 1, 2, 3, "sampler", 50)));
    assert!(info.elsewhere && found[0][1].unwrap().elsewhere);
    assert_eq!(found[1][0], None, "template 256 of the other domain is another one");
    assert_eq!(decoder.quirk_counts().get(Quirk::SamplingOfOtherDomains), 2, "each time it was asked for");
    let found = resolve(&mut decoder, &[v9(1, &own), v9(1, &flow(1, 2, 5))]);
    assert!(!found[0][0].unwrap().elsewhere);
    assert_eq!(found[0][0].unwrap().interval, 9, "of the own domain, even if less is said");
    let quirks = Quirks::default().without(Quirk::SamplingOfOtherDomains);
    let found = resolve(&mut Decoder::new().with_quirks(quirks), &[v9(7, &options), v9(1, &flow(1, 2, 5))]);
    assert_eq!(found[0][0], None);
}

#[test]
fn an_exporter_that_announces_without_end_fills_no_memory_and_keeps_what_it_has() {
    let mut decoder = Decoder::new();
    let options = v9_options(512, &[(1, 4)], &[(48, 4), (50, 4)]);
    resolve(&mut decoder, &[v9(1, &[options])]);
    for start in (0..200_000_u64).step_by(2_000) {
        let records: Vec<u8> =
            (start..start + 2_000).flat_map(|id| record(&[(0, 4), (id, 4), (id + 1, 4)])).collect();
        resolve(&mut decoder, &[v9(1, &[set(512, &records)])]);
    }
    assert!(decoder.cache().memory_octets() < 1 << 20, "{}", decoder.cache().memory_octets());
    let rates: Vec<_> = [5, 200]
        .into_iter()
        .map(|id| resolve(&mut decoder, &[v9(1, &flow(1, 2, id))])[0][0].map(|info| info.interval))
        .collect();
    assert_eq!(rates, [Some(6), Some(201)]);
    assert_eq!(decoder.cache().stats().sampling_refused, 200_000 - 1_024);
    // Those that are known can still change.
    resolve(&mut decoder, &[v9(1, &[set(512, &record(&[(0, 4), (5, 4), (77, 4)]))])]);
    assert_eq!(resolve(&mut decoder, &[v9(1, &flow(1, 2, 5))])[0][0].unwrap().interval, 77);
}

#[test]
fn algorithms_are_told_in_both_numberings() {
    let info = SamplingInfo::new(10, SamplingAlgorithm::RANDOM, SamplingSource::Domain).unwrap();
    assert_eq!(info.selector, SelectorAlgorithm::RANDOM_N_OUT_OF_N);
    assert_eq!(SamplingInfo::new(0, SamplingAlgorithm::RANDOM, SamplingSource::Domain), None);
}
