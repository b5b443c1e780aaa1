//! What the octets of fields mean, in whole records of v9 and IPFIX.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::net::Ipv4Addr;

use netflow_codec::{
    Batch, CacheLimits, DataType, DecodeErrorKind, Decoder, ElementId, ExportClock, FieldValue, FieldView,
    FlowFields, FlowRecord, Strictness, SysUptime, Timestamp,
};
use proptest::prelude::*;

/// An IPFIX message of domain 1, sent at 1,700,000,000 seconds.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

/// A v9 packet of source 1, sent 10,000 ms after the boot.
fn packet(sets: &[&[u8]]) -> Vec<u8> {
    let header = [0, 9, 0, 2, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    [&header[..], &sets.concat()].concat()
}

/// A template set with template 300, the set id by the version; types of v9 may be above 32767.
fn template(set: u8, fields: &[(u16, u16)]) -> Vec<u8> {
    let length = u8::try_from(8 + 4 * fields.len()).unwrap();
    let count = u8::try_from(fields.len()).unwrap();
    let mut octets = vec![0, set, 0, length, 1, 44, 0, count];
    for (number, length) in fields {
        octets.extend(number.to_be_bytes());
        octets.extend(length.to_be_bytes());
    }
    octets
}

fn data(records: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + records.len()).unwrap().to_be_bytes();
    [&[1, 44][..], &length, records].concat()
}

/// Has each record's fields and typed flow seen.
fn records(datagram: &[u8], mut see: impl FnMut(&[FieldView<'_>], &FlowRecord, &ExportClock)) {
    let mut seen = 0;
    for batch in Decoder::new().decode(&1, datagram, Timestamp::ZERO).unwrap() {
        match batch {
            Batch::Data(records) => {
                for (record, flow) in records.iter().zip(records.flows()) {
                    let fields: Vec<_> = record.fields().collect();
                    see(&fields, &flow, &record.clock(records.clock()));
                    seen += 1;
                }
            }
            Batch::Template(..) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(seen > 0);
}

fn value(number: u16, octets: &[u8]) -> FieldValue<'_> {
    FieldView::new(ElementId::iana(number), octets).value()
}

fn at(number: u16, octets: &[u8], export: Timestamp) -> FieldValue<'_> {
    FieldView::new(ElementId::iana(number), octets).value_at(&ExportClock::without_uptime(export))
}

#[test]
fn types_of_v9_above_32767_are_no_enterprise_elements() {
    // D29, D32
    let datagram = packet(&[
        &template(0, &[(33_000, 12), (40_000, 20), (65_000, 2), (4, 1)]),
        &data(&[&[7; 12][..], b"alice\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &[1, 2], &[17]].concat()),
    ]);
    records(&datagram, |fields, flow, _| {
        let names: Vec<_> = fields.iter().map(FieldView::name).collect();
        let expected = [Some("NF_F_INGRESS_ACL_ID"), Some("NF_F_USERNAME"), None, Some("protocolIdentifier")];
        assert_eq!(names, expected);
        assert!(fields.iter().all(|field| field.element().enterprise() == 0));
        assert_eq!(fields[0].value(), FieldValue::Octets(&[7; 12]));
        assert_eq!(fields[1].value(), FieldValue::String("alice"));
        assert_eq!((fields[2].element().number(), fields[2].octets()), (65_000, &[1, 2][..]));
        assert_eq!(flow.protocol, 17);
    });
}

#[test]
fn unknown_elements_keep_number_enterprise_and_octets_and_do_not_shift_the_others() {
    // D32: 32473/999 between two that are known.
    let template = [0, 2, 0, 24, 1, 44, 0, 3, 0, 7, 0, 2, 0x83, 0xe7, 0, 3, 0, 0, 0x7e, 0xd9, 0, 4, 0, 1];
    let datagram = message(&[&template, &data(&[0, 80, 1, 2, 3, 6])]);
    records(&datagram, |fields, flow, _| {
        assert_eq!(fields[1].element(), ElementId::new(32_473, 999));
        assert_eq!((fields[1].name(), fields[1].value()), (None, FieldValue::Octets(&[1, 2, 3])));
        assert_eq!((flow.source_port, flow.protocol), (80, 6));
    });
}

#[test]
fn repeated_elements_are_all_there_in_order() {
    // D33: adjacent and apart.
    for numbers in [[8, 8, 4], [8, 4, 8]] {
        let fields = numbers.map(|number| (number, if number == 8 { 4 } else { 1 }));
        let octets: Vec<u8> = fields
            .iter()
            .enumerate()
            .flat_map(|(index, (_, length))| vec![u8::try_from(index).unwrap() + 1; usize::from(*length)])
            .collect();
        for datagram in [
            packet(&[&template(0, &fields), &data(&octets)]),
            message(&[&template(2, &fields), &data(&octets)]),
        ] {
            records(&datagram, |seen, flow, _| {
                let seen: Vec<_> =
                    seen.iter().map(|field| (field.element().number(), field.octets()[0])).collect();
                let expected: Vec<_> = numbers.into_iter().zip(1..).collect();
                assert_eq!(seen, expected);
                // The first of two addresses that are not zero.
                assert_eq!(flow.source, Ipv4Addr::new(1, 1, 1, 1));
            });
        }
    }
}

#[test]
fn a_v9_record_without_version_and_addresses_is_ipv4() {
    // D34
    let datagram = packet(&[&template(0, &[(1, 4), (7, 2)]), &data(&[0, 0, 0, 1, 0, 80])]);
    records(&datagram, |_, flow, _| {
        assert!(!flow.is_ipv6());
        assert!(!flow.has(FlowFields::SOURCE) && flow.source == Ipv4Addr::UNSPECIFIED);
    });
}

#[test]
fn counters_have_one_to_eight_octets() {
    // D31
    for length in 0..=16_u16 {
        let octets: Vec<u8> = (0..length).map(|index| u8::from(index + 1 == length)).collect();
        let expected =
            if (1..=8).contains(&length) { FieldValue::Unsigned(1) } else { FieldValue::Octets(&octets) };
        // IN_BYTES.
        assert_eq!(value(1, &octets), expected, "{length}");
        if length == 0 {
            continue;
        }
        let datagram = packet(&[&template(0, &[(1, length), (4, 1)]), &data(&[&octets[..], &[6]].concat())]);
        records(&datagram, |_, flow, _| {
            assert_eq!(flow.has(FlowFields::OCTETS), length <= 8, "{length}");
            assert_eq!((flow.octets, flow.protocol), (u64::from(length <= 8), 6), "{length}");
        });
    }
}

#[test]
fn reduced_integers_keep_their_value_and_sign() {
    // D49
    for length in 1..=8 {
        let view = |octets| FieldView::new(ElementId::iana(1), octets);
        let full = [0xff; 8];
        let octets = &full[..length];
        let unsigned = view(octets).value_as(DataType::Unsigned64);
        assert_eq!(unsigned, FieldValue::Unsigned(u64::MAX >> (64 - 8 * length)));
        assert_eq!(view(octets).value_as(DataType::Signed64), FieldValue::Signed(-1));
    }
    // mibObjectValueInteger, signed32.
    assert_eq!(value(434, &[0xff]), FieldValue::Signed(-1));
    assert_eq!(value(434, &[0x80, 0, 0, 0]), FieldValue::Signed(i32::MIN.into()));
}

#[test]
fn integers_of_up_to_256_bits() {
    // D49: tcpOptionsFull, which mostly comes reduced.
    let number = ElementId::from_name("tcpOptionsFull").unwrap().number();
    assert_eq!(value(number, &[1, 0]), FieldValue::Unsigned(256));
    let octets = [&[1][..], &[0; 31]].concat();
    let FieldValue::Unsigned256(wide) = value(number, &octets) else {
        panic!("{:?}", value(number, &octets))
    };
    assert!(wide.bit(248) && !wide.bit(0));
    assert_eq!(value(number, &[0; 33]), FieldValue::Octets(&[0; 33]));
}

#[test]
fn floats_of_four_octets() {
    // D50
    assert_eq!(value(311, &0.5f32.to_be_bytes()), FieldValue::Float(0.5));
    assert_eq!(value(311, &0.15f64.to_be_bytes()), FieldValue::Float(0.15));
    let view = FieldView::new(ElementId::iana(311), &[0x3f, 0xc0, 0, 0]);
    assert_eq!(view.value_as(DataType::Float32), FieldValue::Float(1.5));
    assert_eq!(value(311, &[0, 0, 0x80]), FieldValue::Octets(&[0, 0, 0x80]));
}

#[test]
fn reduced_size_of_types_that_forbid_it_is_not_interpreted() {
    // D51
    let cases = [(8, 3), (27, 15), (56, 5), (150, 3), (152, 4), (154, 7), (156, 4), (276, 2), (8, 16)];
    for (number, length) in cases {
        let octets = vec![1; usize::from(length)];
        assert_eq!(value(number, &octets), FieldValue::Octets(&octets), "{number} {length}");
        assert_eq!(at(number, &octets, Timestamp::ZERO), FieldValue::Octets(&octets), "{number} {length}");
    }
    // Nor does it become a member of the flow.
    let datagram = message(&[&template(2, &[(8, 3), (152, 4), (4, 1)]), &data(&[1, 2, 3, 0, 0, 0, 9, 6])]);
    records(&datagram, |_, flow, _| assert_eq!(flow.fields, FlowFields::PROTOCOL));
    // Strict: the message is discarded.
    for (number, length) in cases {
        let datagram = message(&[&template(2, &[(4, 1), (number, length)]), &data(&[6; 17])]);
        let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
        let error = strict.decode(&1, &datagram, Timestamp::ZERO).unwrap_err();
        let kind = DecodeErrorKind::FieldLength { template_id: 300, element: number, length };
        assert_eq!((error.kind, strict.cache().template_count()), (kind, 0));
    }
    // What may be reduced is: a counter, float64, and any length of octets and text.
    let fields = [(1, 3), (311, 4), (82, 40), (95, 9), (10, 1), (6, 1)];
    let datagram = message(&[&template(2, &fields), &data(&[0; 58])]);
    let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    assert!(strict.decode(&1, &datagram, Timestamp::ZERO).is_ok());
}

#[test]
fn booleans_are_one_and_two_only() {
    // D52: dataRecordsReliability.
    let cases = [
        (0, FieldValue::Octets(&[0])),
        (1, FieldValue::Boolean(true)),
        (2, FieldValue::Boolean(false)),
        (255, FieldValue::Octets(&[255])),
    ];
    for (octet, expected) in cases {
        assert_eq!(value(276, &[octet]), expected);
    }
}

#[test]
fn ill_formed_text_is_ignored_and_the_record_is_kept() {
    // D53: overlong, a lone surrogate, cut off, continued out of nowhere.
    for text in
        [&[0xc0, 0xaf, b'x', b'y'][..], &[0xed, 0xa0, 0x80, b'x'], &[b'a', b'b', 0xe2, 0x82], &[0x80; 4]]
    {
        let datagram = message(&[&template(2, &[(82, 4), (4, 1)]), &data(&[text, &[6]].concat())]);
        records(&datagram, |fields, flow, _| {
            assert_eq!(fields[0].value(), FieldValue::Octets(text));
            assert_eq!(flow.protocol, 6);
        });
    }
}

#[test]
fn text_loses_trailing_zeros_for_display_only() {
    // D54: a sampler's name.
    let octets = [&b"sampler1"[..], &[0; 32]].concat();
    let view = FieldView::new(ElementId::iana(84), &octets);
    assert_eq!(view.value(), FieldValue::String("sampler1"));
    assert_eq!(view.octets(), octets);
    // A zero within stays.
    assert_eq!(value(84, b"a\0b\0"), FieldValue::String("a\0b"));
}

#[test]
fn microseconds_ignore_the_low_eleven_bits() {
    // D55
    let second = 2_208_988_800_u64 + 1_700_000_000;
    let export = Timestamp::from_secs(1_700_000_000);
    for fraction in [0_u64, 1, 0x7ff] {
        let octets = (second << 32 | fraction).to_be_bytes();
        let expected = FieldValue::DateTime(export);
        assert_eq!((value(154, &octets), at(154, &octets, export)), (expected, expected));
    }
    let octets = (second << 32 | 0x8000_07ff).to_be_bytes();
    let half = FieldValue::DateTime(Timestamp::from_nanos(1_700_000_000_500_000_000));
    assert_eq!(at(154, &octets, export), half);
    // Nanoseconds use all of them: 0x8000_07ff is 2047 / 2^32 of a second more than a half.
    let FieldValue::DateTime(nanos) = at(156, &octets, export) else { panic!() };
    assert_eq!(nanos, Timestamp::from_nanos(1_700_000_000_500_000_476));
}

#[test]
fn times_are_of_the_era_nearest_to_the_export() {
    // D56: 2036-02-07 06:28:15, :16 and :17, where the NTP era ends, and 2106-02-07, where 32 bits of Unix time do.
    const NTP_END: u64 = 2_085_978_496;
    const UNIX_END: u64 = 1 << 32;
    for secs in [NTP_END - 1, NTP_END, NTP_END + 1] {
        let ntp = (((secs + 2_208_988_800) & 0xffff_ffff) << 32).to_be_bytes();
        for export in [NTP_END - 2, NTP_END, NTP_END + 600] {
            for number in [154, 156] {
                let time = at(number, &ntp, Timestamp::from_secs(export));
                assert_eq!(
                    time,
                    FieldValue::DateTime(Timestamp::from_secs(secs)),
                    "{number} {secs} {export}"
                );
            }
        }
    }
    for secs in [UNIX_END - 600, UNIX_END - 1, UNIX_END, UNIX_END + 5] {
        let octets = u32::try_from(secs & 0xffff_ffff).unwrap().to_be_bytes();
        let time = at(150, &octets, Timestamp::from_secs(UNIX_END + 10));
        assert_eq!(time, FieldValue::DateTime(Timestamp::from_secs(secs)));
    }
    // The typed flow as well: microseconds of 2036, exported then.
    let ntp = (2_000_u64 << 32).to_be_bytes();
    let mut datagram = message(&[&template(2, &[(154, 8)]), &data(&ntp)]);
    let export = u32::try_from(NTP_END + 2_001).unwrap();
    datagram[4..8].copy_from_slice(&export.to_be_bytes());
    records(&datagram, |_, flow, _| assert_eq!(flow.start, Timestamp::from_secs(NTP_END + 2_000)));
}

#[test]
fn delta_microseconds_count_back_from_the_export() {
    // D57
    let export = Timestamp::from_secs(1_700_000_000);
    for delta in [0, 1, u32::MAX] {
        let expected = Timestamp::from_nanos(export.as_nanos() - u64::from(delta) * 1_000);
        let octets = delta.to_be_bytes();
        for number in [158, 159] {
            assert_eq!(at(number, &octets, export), FieldValue::DateTime(expected));
        }
        let both = [octets, octets].concat();
        let datagram = message(&[&template(2, &[(158, 4), (159, 4)]), &data(&both)]);
        records(&datagram, |_, flow, _| assert_eq!((flow.start, flow.end), (expected, expected)));
    }
    // An export time of nothing does not wrap.
    assert_eq!(at(158, &[1, 0, 0, 0], Timestamp::ZERO), FieldValue::DateTime(Timestamp::ZERO));
}

#[test]
fn uptimes_in_ipfix_are_dated_only_where_the_boot_is_known() {
    // D58
    let boot = 1_699_999_000_000_u64.to_be_bytes();
    let uptimes = [&10_000_u32.to_be_bytes()[..], &20_000_u32.to_be_bytes()].concat();
    let without = message(&[&template(2, &[(22, 4), (21, 4)]), &data(&uptimes)]);
    records(&without, |fields, flow, clock| {
        assert_eq!(fields[0].value_at(clock), FieldValue::Unsigned(10_000));
        assert!(!flow.has(FlowFields::START) && !flow.has(FlowFields::END));
    });
    let within =
        message(&[&template(2, &[(22, 4), (21, 4), (160, 8)]), &data(&[&uptimes[..], &boot].concat())]);
    records(&within, |fields, flow, clock| {
        let expected = [1_699_999_010, 1_699_999_020].map(Timestamp::from_secs);
        assert_eq!([0, 1].map(|at: usize| fields[at].value_at(clock)), expected.map(FieldValue::DateTime));
        assert_eq!([flow.start, flow.end], expected);
    });
    // The header of v9 says the uptime.
    let datagram = packet(&[&template(0, &[(22, 4)]), &data(&9_000_u32.to_be_bytes())]);
    records(&datagram, |fields, _, clock| {
        assert_eq!(fields[0].value_at(clock), FieldValue::DateTime(Timestamp::from_secs(1_699_999_999)));
    });
}

#[test]
fn applications_labels_statuses_and_flags() {
    // D63, D64, D65
    let view = |number, octets| FieldView::new(ElementId::iana(number), octets);
    let application = view(95, &[0x12, 0x88, 0xcc]).as_application_id().unwrap();
    assert_eq!((application.engine().0, application.selector()), (18, Some(35_020)));
    for octets in [&[0x85][..], &[0, 0, 0, 0x85]] {
        let status = view(89, octets).as_forwarding_status().unwrap();
        assert_eq!((status.forwarding(), status.reason()), (netflow_codec::Forwarding::Dropped, 5));
    }
    let label = view(70, &[0, 0, 0x11]).as_mpls_label().unwrap();
    assert_eq!((label.label(), label.traffic_class(), label.is_bottom_of_stack()), (1, 0, true));
    assert_eq!(view(70, &[0, 1]).as_mpls_label(), None);
    for (octets, flags) in [(&[0x12][..], 0x12), (&[1, 0x12], 0x112)] {
        assert_eq!(view(6, octets).as_tcp_flags().unwrap().0, flags);
        let length = u16::try_from(octets.len()).unwrap();
        let datagram = message(&[&template(2, &[(6, length)]), &data(octets)]);
        records(&datagram, |_, flow, _| assert_eq!(flow.tcp_flags, flags));
    }
}

/// Every data type there is.
fn data_types() -> Vec<DataType> {
    (0..=u8::MAX).filter_map(DataType::from_number).collect()
}

proptest! {
    #[test]
    fn any_octets_have_a_value_of_any_type(
        octets in prop::collection::vec(any::<u8>(), 0..600),
        enterprise in prop_oneof![Just(0), Just(9), Just(29_305), Just(6_871), any::<u32>()],
        number in any::<u16>(),
        unix in any::<u64>(),
        uptime in any::<u32>(),
    ) {
        // D66, as far as values go.
        let field = FieldView::new(ElementId::new(enterprise, number), &octets);
        let unix = Timestamp::from_nanos(unix);
        let clocks = [ExportClock::new(unix, SysUptime::from_millis(uptime)), ExportClock::without_uptime(unix)];
        let mut values = vec![field.value()];
        for data_type in data_types() {
            values.push(field.value_as(data_type));
            values.extend(clocks.iter().map(|clock| field.value_as_at(data_type, clock)));
        }
        for value in values {
            // Whatever was understood has a text.
            prop_assert!(octets.is_empty() || !value.to_string().is_empty() || value == FieldValue::String(""));
        }
        let _ = (field.as_unsigned(), field.as_tcp_flags(), field.as_mpls_label());
        prop_assert!(field.as_forwarding_status().is_none_or(|status| !status.to_string().is_empty()));
        prop_assert!(field.as_application_id().is_none_or(|id| !id.to_string().is_empty()));
    }
}
