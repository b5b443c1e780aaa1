//! How samplers are announced: the numbers of v5, v9 and IPFIX, and the reports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    missing_docs
)]

mod common;

use common::{at, packet};
use netflow_flowcache::sample::{
    Announced, AnySampler, Confidence, ConfidenceInterval, Estimate, HashFunction, HashParameters,
    JunosParameters, OptionsRecord, Parameter, ParameterValue, Probability, Property, Sampler, Sampling,
    Secrets, SelectedRanges, SelectionSequence, Selector, selector_algorithm_of_v9, v9_algorithm_of_selector,
};

fn probability(value: f64) -> Sampling {
    Sampling::Probabilistic(Probability::new(value).unwrap())
}

fn junos(rate: u32, run_length: u8, systematic: bool, limit: Option<u32>) -> Sampling {
    let mut parameters = JunosParameters::new(rate);
    parameters.run_length = run_length;
    parameters.systematic = systematic;
    parameters.max_packets_per_second = limit;
    Sampling::Junos(parameters)
}

fn hash() -> HashParameters {
    HashParameters::new(HashFunction::Bob, SelectedRanges::new(&[(6, 9), (1, 3)]).unwrap())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Exactly(u32, u8),
    Rounded(u32, u8),
    Not,
}

fn told(announced: Announced) -> Told {
    match announced {
        Announced::Unsampled => Told::Exactly(1, 0),
        Announced::Exactly(rate) => Told::Exactly(rate.interval, rate.algorithm),
        Announced::Rounded(rate) => Told::Rounded(rate.interval, rate.algorithm),
        Announced::Not => Told::Not,
    }
}

// S22: each method as v5 and v9 can tell it, or that they cannot.
#[test]
fn v5_and_v9_tell_what_they_can() {
    let systematic = |interval, space| Sampling::SystematicCount { interval, space };
    let random = |size, population| Sampling::RandomOutOf { size, population };
    let composite = |parts: &[Sampling]| Sampling::Composite(parts.into());
    for (sampling, v5, v9) in [
        (Sampling::Unsampled, Told::Exactly(1, 0), Told::Exactly(1, 0)),
        (systematic(1, 99), Told::Exactly(100, 1), Told::Exactly(100, 1)),
        (systematic(1, 16_382), Told::Exactly(16_383, 1), Told::Exactly(16_383, 1)),
        (systematic(1, 16_383), Told::Not, Told::Exactly(16_384, 1)),
        (systematic(1, u32::MAX), Told::Not, Told::Not),
        (systematic(3, 7), Told::Rounded(3, 1), Told::Rounded(3, 1)),
        (systematic(2, 8), Told::Rounded(5, 1), Told::Rounded(5, 1)),
        (random(1, 1000), Told::Exactly(1000, 2), Told::Exactly(1000, 2)),
        (random(2, 1000), Told::Exactly(500, 2), Told::Exactly(500, 2)),
        (random(3, 1000), Told::Rounded(333, 2), Told::Rounded(333, 2)),
        (random(1, 100_000), Told::Not, Told::Exactly(100_000, 2)),
        (probability(0.01), Told::Exactly(100, 2), Told::Exactly(100, 2)),
        (probability(0.015), Told::Rounded(67, 2), Told::Rounded(67, 2)),
        (probability(0.0), Told::Not, Told::Not),
        (probability(1e-12), Told::Not, Told::Not),
        (junos(1000, 0, false, None), Told::Exactly(1000, 2), Told::Exactly(1000, 2)),
        (junos(1000, 0, true, None), Told::Exactly(1000, 1), Told::Exactly(1000, 1)),
        (junos(10, 2, false, None), Told::Rounded(4, 2), Told::Rounded(4, 2)),
        (junos(1000, 0, false, Some(1000)), Told::Rounded(1000, 2), Told::Rounded(1000, 2)),
        (Sampling::SystematicTime { interval: 1, space: 9 }, Told::Not, Told::Not),
        (Sampling::Hash(hash()), Told::Not, Told::Not),
        (Sampling::PropertyMatch([Property::Protocol(6)].into()), Told::Not, Told::Not),
        (Sampling::PacketsPerSecond { limit: 1000 }, Told::Not, Told::Not),
        (Sampling::NonUniform, Told::Not, Told::Not),
        (composite(&[systematic(1, 9), random(1, 10)]), Told::Exactly(100, 2), Told::Exactly(100, 2)),
        (composite(&[systematic(1, 9), Sampling::Unsampled]), Told::Exactly(10, 1), Told::Exactly(10, 1)),
        (composite(&[systematic(1, 9), systematic(3, 7)]), Told::Rounded(33, 1), Told::Rounded(33, 1)),
        (composite(&[systematic(1, 9), Sampling::Hash(hash())]), Told::Not, Told::Not),
    ] {
        assert_eq!((told(sampling.v5()), told(sampling.v9())), (v5, v9), "{sampling:?}");
        // The v5 header: mode in the upper bits; nothing where there is nothing to tell.
        let field = match v5 {
            Told::Exactly(1, 0) => Some(0),
            Told::Exactly(interval, mode) | Told::Rounded(interval, mode) => {
                Some(u16::from(mode) << 14 | interval as u16)
            }
            Told::Not => None,
        };
        assert_eq!(sampling.v5().v5_header_field(), field, "{sampling:?}");
        let exact = !matches!(v5, Told::Rounded(..));
        assert_eq!(sampling.v5_header_field(), field.filter(|_| exact), "{sampling:?}");
        // A line of a sampler table says the same.
        let line = sampling.v9_sampler(7, "edge").map(|line| line.map(|field| field.element));
        assert_eq!(line.is_some(), v9 != Told::Not);
        assert!(line.is_none_or(|line| line == [48, 49, 50, 84]));
    }
}

// S23: 1 is 1, 2 is 3; and nothing is copied.
#[test]
fn algorithms_are_converted_both_ways() {
    assert_eq!([0, 1, 2, 3].map(selector_algorithm_of_v9), [None, Some(1), Some(3), None]);
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6].map(v9_algorithm_of_selector),
        [None, Some(1), None, Some(2), Some(2), None, None]
    );
    let random = Sampling::RandomOutOf { size: 1, population: 9 };
    assert_eq!((random.selector_algorithm(), random.v9_algorithm()), (Some(3), Some(2)));
    let [_, mode, interval, _] = random.v9_sampler(1, "").unwrap();
    assert_eq!((mode.value, interval.value), (ParameterValue::Unsigned8(2), ParameterValue::Unsigned32(9)));
}

fn numbers(fields: &[Parameter]) -> Vec<(u16, f64)> {
    let value = |value: &ParameterValue| match value {
        ParameterValue::Boolean(value) => f64::from(u8::from(*value)),
        other => other.as_float().or_else(|| other.as_unsigned().map(|value| value as f64)).unwrap(),
    };
    fields.iter().map(|field| (field.element, value(&field.value))).collect()
}

// S18: every method with the parameters of its algorithm.
#[test]
fn ipfix_tells_algorithm_and_parameters() {
    let ipsx = HashParameters::new(HashFunction::Ipsx, SelectedRanges::new(&[(0, 99)]).unwrap());
    for (sampling, expected) in [
        (Sampling::Unsampled, vec![(304, 1.0), (305, 1.0), (306, 0.0)]),
        (Sampling::SystematicCount { interval: 3, space: 7 }, vec![(304, 1.0), (305, 3.0), (306, 7.0)]),
        (Sampling::SystematicTime { interval: 5, space: 95 }, vec![(304, 2.0), (307, 5.0), (308, 95.0)]),
        (Sampling::RandomOutOf { size: 2, population: 99 }, vec![(304, 3.0), (309, 2.0), (310, 99.0)]),
        (probability(0.15), vec![(304, 4.0), (311, 0.15)]),
        (
            Sampling::PropertyMatch([Property::Protocol(17), Property::DestinationPort(53)].into()),
            vec![(304, 5.0), (4, 17.0), (11, 53.0)],
        ),
        (
            Sampling::Hash(hash()),
            vec![
                (304, 6.0),
                (327, 0.0),
                (328, 8.0),
                (329, 0.0),
                (330, 4_294_967_295.0),
                (331, 1.0),
                (332, 3.0),
                (331, 6.0),
                (332, 9.0),
                (333, 0.0),
            ],
        ),
        (
            Sampling::Hash(ipsx),
            vec![
                (304, 7.0),
                (327, 4.0),
                (328, 4.0),
                (329, 0.0),
                (330, 65_535.0),
                (331, 0.0),
                (332, 99.0),
                (333, 0.0),
            ],
        ),
        (junos(10, 2, false, None), vec![(304, 3.0), (309, 3.0), (310, 12.0)]),
        (junos(10, 2, true, None), vec![(304, 1.0), (305, 3.0), (306, 9.0)]),
        (junos(10, 0, false, None), vec![(304, 4.0), (311, 0.1)]),
        (Sampling::PacketsPerSecond { limit: 5 }, vec![]),
        (Sampling::NonUniform, vec![]),
        (Sampling::Composite([Sampling::Unsampled].into()), vec![]),
    ] {
        let fields = sampling.parameters(Secrets::Keep);
        assert_eq!(numbers(&fields), expected, "{sampling:?}");
        let algorithm =
            expected.first().filter(|_| sampling != Sampling::Unsampled).map(|(_, value)| *value as u16);
        assert_eq!(sampling.selector_algorithm(), algorithm, "{sampling:?}");
    }
}

// S11: the initialiser is left out unless asked for, and never printed.
#[test]
fn initialisers_are_told_only_when_asked_for() {
    let mut parameters = hash();
    parameters.initialiser = Some(0x005E_C2E7);
    let sampling = Sampling::Hash(parameters);
    let told = |secrets| sampling.parameters(secrets).iter().find(|field| field.element == 334).cloned();
    assert_eq!(told(Secrets::default()), None);
    assert_eq!(told(Secrets::Tell).unwrap().value, ParameterValue::Unsigned64(0x005E_C2E7));
    assert!(!format!("{sampling:?}").contains(&0x005E_C2E7_u32.to_string()));
}

fn octets(record: &OptionsRecord) -> Vec<u8> {
    let mut octets = Vec::new();
    record.write(&mut octets);
    octets
}

fn elements(record: &OptionsRecord) -> Vec<u16> {
    record.parameters().map(|parameter| parameter.element).collect()
}

// S15, S17, S18: the reports of a sequence, by element and octet.
#[test]
fn sequences_report_themselves() {
    let samplers = [
        Sampling::PropertyMatch([Property::Protocol(6)].into()),
        Sampling::SystematicCount { interval: 1, space: 9 },
        Sampling::PacketsPerSecond { limit: 1_000_000 },
    ];
    let samplers = samplers.map(|sampling| sampling.sampler(0).unwrap());
    let mut sequence = SelectionSequence::new(40, samplers)
        .unwrap()
        .observed_at(Parameter::new(10, ParameterValue::Unsigned32(3)));
    for number in 0..100 {
        sequence.select(&packet(number), at(0));
    }
    let report = sequence.sequence_report();
    assert_eq!(elements(&report), [301, 10, 302, 302, 302]);
    assert_eq!(octets(&report)[..12], [0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 3]);
    // Limits have no algorithm, so no report; they are counted all the same.
    let selectors: Vec<Vec<u16>> =
        sequence.selector_reports(Secrets::Keep).map(|report| elements(&report)).collect();
    assert_eq!(selectors, [vec![302, 304, 4], vec![302, 304, 305, 306]]);
    let statistics = sequence.statistics_report();
    assert_eq!(elements(&statistics), [301, 318, 319, 318, 319, 318, 319]);
    assert_eq!(
        numbers(&statistics.fields).iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        [100.0, 100.0, 100.0, 10.0, 10.0, 10.0]
    );
    let named = Selector::new(9, AnySampler::from(netflow_flowcache::sample::Unsampled::new())).named("edge");
    let report = named.report(Secrets::Keep).unwrap();
    assert_eq!(octets(&report)[18..], *b"\x04edge");
    assert_eq!(report.get(335), Some(&ParameterValue::Text("edge".to_owned())));
}

// S18: text of any length keeps its field's form.
#[test]
fn long_names_are_told_with_three_octets_of_length() {
    let write = |length: usize| {
        let mut octets = Vec::new();
        ParameterValue::Text("x".repeat(length)).write(&mut octets);
        octets
    };
    assert_eq!((write(254)[0], write(254).len()), (254, 255));
    assert_eq!((&write(255)[..3], write(255).len()), (&[255, 0, 255][..], 258));
    assert_eq!((&write(70_000)[..3], write(70_000).len()), (&[255, 255, 255][..], 65_538));
}

// S19
#[test]
fn confidence_is_told_by_three_values_or_not_at_all() {
    let estimate = Estimate::of_packets(400, 0.01).unwrap();
    let interval = estimate.interval(Confidence::P95);
    let report = estimate.accuracy_report(2, Confidence::P95);
    assert_eq!(elements(&report), [303, 320, 321, 336, 337, 338]);
    assert_eq!(ConfidenceInterval::from_record(&report), Some(interval));
    assert!(interval.lower < estimate.value && estimate.value < interval.upper && interval.level == 0.95);
    for missing in [336, 337, 338] {
        let mut two = report.clone();
        two.fields.retain(|field| field.element != missing);
        assert_eq!(ConfidenceInterval::from_record(&two), None, "without {missing}");
    }
    for (upper, lower, level) in [(1.0, 2.0, 0.5), (2.0, 1.0, 1.5), (2.0, 1.0, -0.1), (f64::NAN, 1.0, 0.5)] {
        assert_eq!(ConfidenceInterval::from_values(Some(upper), Some(lower), Some(level)), None);
    }
    // Nothing estimated: no relative error to tell.
    let nothing = Estimate::of_packets(0, 0.5).unwrap();
    assert_eq!(elements(&nothing.accuracy_report(2, Confidence::P99)), [303, 320, 336, 337, 338]);
}

#[cfg(feature = "codec")]
mod decoded {
    use netflow_codec::{ElementId, FieldSpecifier, FieldValue, Protocol, TemplateBuilder};

    use super::*;

    // S18: the octets of the reports of RFC 5476 (figures H and K), with the widths that those have.
    #[test]
    fn reports_fill_the_templates_of_the_rfc() {
        let write = |sampling: Sampling, fields: &[(u16, u16)], id: u64| {
            let report = Selector::new(id, sampling.sampler(0).unwrap()).report(Secrets::Keep).unwrap();
            let field =
                |(number, length): &(u16, u16)| FieldSpecifier::new(ElementId::iana(*number), *length);
            let template = TemplateBuilder::new(Protocol::Ipfix, 263)
                .scope(FieldSpecifier::new(ElementId::iana(302), 4))
                .fields(fields.iter().map(field))
                .build()
                .unwrap();
            let mut octets = Vec::new();
            template.encode(&report, &mut octets).unwrap();
            octets
        };
        let systematic = Sampling::SystematicCount { interval: 1, space: 9 };
        assert_eq!(write(systematic, &[(304, 1), (305, 1), (306, 1)], 15), [0, 0, 0, 15, 1, 1, 9]);
        let uniform = write(probability(0.15), &[(304, 1), (311, 4)], 20);
        assert_eq!(uniform, [0, 0, 0, 20, 4, 0x3e, 0x19, 0x99, 0x9a]);
    }

    // S17, S18: as options of IPFIX, with elements that come several times.
    #[test]
    fn reports_become_options_as_they_are() {
        let parts = [
            Sampling::Hash(hash()),
            Sampling::PropertyMatch(
                [
                    Property::Source("2001:db8::1".parse().unwrap()),
                    Property::Destination("192.0.2.1".parse().unwrap()),
                    Property::SourceMac([1, 2, 3, 4, 5, 6]),
                    Property::Octets(77),
                ]
                .into(),
            ),
            Sampling::SystematicTime { interval: 1, space: 2 },
        ];
        let sequence = SelectionSequence::new(1, parts.map(|part| part.sampler(0).unwrap())).unwrap();
        let estimate = Estimate::of_packets(400, 0.01).unwrap();
        let reports = sequence
            .selector_reports(Secrets::Tell)
            .chain([sequence.sequence_report(), sequence.statistics_report()])
            .chain([estimate.accuracy_report(2, Confidence::P95)]);
        let mut count = 0;
        for (id, report) in (300..).zip(reports) {
            let options = report.to_options(id).unwrap();
            assert_eq!(options.template().fields().len(), report.parameters().count());
            let encoded: Vec<u8> = options.records().flatten().copied().collect();
            assert_eq!(encoded, octets(&report), "{report:?}");
            count += 1;
        }
        assert_eq!(count, 6);
        assert!(sequence.sequence_report().to_options(255).is_err());
        assert_eq!(
            netflow_codec::FieldSource::field(&sequence.sequence_report(), ElementId::new(9, 302)),
            None::<FieldValue<'_>>
        );
    }

    // S22, S23
    #[test]
    fn rates_become_sampling_information() {
        let rate = Sampling::RandomOutOf { size: 1, population: 100 }.v9().rate().unwrap();
        let info = rate.to_sampling_info().unwrap();
        assert_eq!((info.interval, info.algorithm.number()), (100, 2));
    }
}
