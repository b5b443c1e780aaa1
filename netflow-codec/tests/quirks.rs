//! What real devices do, in datagrams made by hand: each quirk on and off, and counted when it acted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod common;

use common::packets::{
    ipfix, ipfix_options, ipfix_template, record, set, v5, v9, v9_at, v9_options, v9_template,
};
use netflow_codec::{
    Batch, CacheLimits, DecodeError, DecodeErrorKind, Decoder, ElementId, FieldValue, FlowFields, FlowRecord,
    Quirk, QuirkSetting, Quirks, SamplingInfo, Strictness, Timestamp,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What came of some datagrams.
#[derive(Default)]
struct Outcome {
    flows: Vec<FlowRecord>,
    /// What is known of the rate of each flow.
    sampling: Vec<Option<SamplingInfo>>,
    options: usize,
    missing: usize,
    errors: Vec<DecodeError>,
    /// How often the quirk in question acted.
    acted: u64,
}

/// Decodes with a quirk on, and with it off.
fn both(quirk: Quirk, datagrams: &[Vec<u8>]) -> [Outcome; 2] {
    let on = Quirks::default().with(quirk);
    [on, on.without(quirk)].map(|quirks| decode(quirk, Decoder::new().with_quirks(quirks), datagrams))
}

fn decode(quirk: Quirk, mut decoder: Decoder<&'static str>, datagrams: &[Vec<u8>]) -> Outcome {
    let mut outcome = Outcome::default();
    for datagram in datagrams {
        let mut parts = decoder.decode(&"exporter", datagram, NOW).unwrap();
        while let Some(batch) = parts.next() {
            match batch {
                Batch::Fixed(records) => {
                    for flow in records.flows() {
                        outcome.sampling.push(parts.sampling(&flow));
                        outcome.flows.push(flow);
                    }
                }
                Batch::Data(records) => {
                    for (data, flow) in records.iter().zip(records.flows()) {
                        // The compiled plan and the walk over the fields agree.
                        assert_eq!(data.to_flow(records.clock()), flow);
                        outcome.sampling.push(parts.sampling_of(&data, &flow));
                        outcome.flows.push(flow);
                    }
                }
                Batch::Options(records) => outcome.options += records.count(),
                Batch::TemplateMissing { .. } => outcome.missing += 1,
                Batch::Malformed(error) => outcome.errors.push(error),
                _ => {}
            }
        }
    }
    outcome.acted = decoder.quirk_counts().get(quirk);
    outcome
}

/// A v9 packet with a template 256 of these fields and one record of these values.
fn one_record(fields: &[(u16, u16)], values: &[(u64, usize)]) -> Vec<u8> {
    v9(1, &[v9_template(256, fields), set(256, &record(values))])
}

/// The same in IPFIX.
fn one_ipfix_record(fields: &[(u16, u16)], values: &[(u64, usize)]) -> Vec<u8> {
    ipfix(1, &[ipfix_template(256, fields), set(256, &record(values))])
}

#[test]
fn every_quirk_has_a_test_here() {
    let tests = include_str!("quirks.rs");
    for quirk in Quirk::ALL {
        // That one is of accounts of sequence numbers, and tested there.
        let is_of_accounts = *quirk == Quirk::SequenceCountsTemplates;
        assert!(is_of_accounts || tests.contains(&format!("(Quirk::{quirk:?}, ")), "{quirk}");
    }
}

#[test]
fn uptimes_of_8_octets() {
    // Nexus 7700: LAST_SWITCHED (21) and FIRST_SWITCHED (22) in 8 octets, IN_BYTES (1) in 4. The header's sysUpTime is
    // 60,000 at 1,700,000,000: the flow was 50,000 to 55,000.
    let datagram = one_record(&[(21, 8), (22, 8), (1, 4)], &[(55_000, 8), (50_000, 8), (9, 4)]);
    let [on, off] = both(Quirk::LongUptimes, &[datagram.clone(), datagram]);
    assert_eq!(
        (on.flows[0].start, on.flows[0].end),
        (Timestamp::from_secs(1_699_999_990), Timestamp::from_secs(1_699_999_995))
    );
    assert_eq!(on.acted, 1, "once, when the template was learned");
    assert!(!off.flows[0].has(FlowFields::START) && off.flows[0].octets == 9);
    assert_eq!(off.acted, 0);
}

#[test]
fn forwarding_status_of_4_octets() {
    // forwardingStatus (89): 00 00 00 | 01 000010, forwarded not fragmented.
    let datagram = one_ipfix_record(&[(89, 4), (1, 8)], &[(0x42, 4), (9, 8)]);
    let [on, off] = both(Quirk::WideForwardingStatus, &[datagram]);
    assert_eq!((on.flows[0].forwarding_status, on.acted), (0x42, 1));
    assert!(!off.flows[0].has(FlowFields::FORWARDING_STATUS) && off.acted == 0);
}

#[test]
fn total_counters_alone() {
    // octetTotalCount (85), packetTotalCount (86) in 8 octets.
    let datagram = one_record(&[(85, 8), (86, 8)], &[(5_000_000_000, 8), (7, 8)]);
    let [on, off] = both(Quirk::PermanentCounters, &[datagram]);
    assert_eq!((on.flows[0].octets, on.flows[0].packets, on.acted), (5_000_000_000, 7, 1));
    assert!(!off.flows[0].has(FlowFields::OCTETS) && !off.flows[0].has(FlowFields::PACKETS));
    // Beside delta counters they are no quirk.
    let datagram = one_record(&[(85, 8), (1, 4)], &[(5_000_000_000, 8), (7, 4)]);
    let [on, off] = both(Quirk::PermanentCounters, &[datagram]);
    assert_eq!([on.flows[0].octets, off.flows[0].octets, on.acted], [7, 7, 0]);
}

#[test]
fn firewall_events_with_zeros_for_counters() {
    // ASA: firewallEvent (233) | IN_BYTES (1), IN_PKTS (2), both 0 | initiatorOctets (231), initiatorPackets (298).
    let fields = [(233, 1), (1, 4), (2, 4), (231, 4), (298, 4)];
    let values = [(2, 1), (0, 4), (0, 4), (1_500, 4), (3, 4)];
    let [on, off] = both(Quirk::InitiatorCounters, &[one_record(&fields, &values)]);
    assert_eq!((on.flows[0].octets, on.flows[0].packets, on.acted), (1_500, 3, 1));
    assert_eq!((off.flows[0].octets, off.flows[0].packets, off.acted), (0, 0, 0));
    // Without an event, 1 and 2 are what they say.
    let [on, _] = both(Quirk::InitiatorCounters, &[one_record(&fields[1..], &values[1..])]);
    assert_eq!((on.flows[0].octets, on.acted), (0, 0));
}

#[test]
fn icmp_type_and_code_in_fields_of_their_own() {
    // protocolIdentifier 1 | icmpTypeIPv4 (176) 8, icmpCodeIPv4 (177) 0: and 58 | 178, 179: 128, 4.
    for (protocol, elements, values, expected) in
        [(1, [176, 177], [8, 0], 0x0800), (58, [178, 179], [128, 4], 0x8004)]
    {
        let fields = [(4, 1), (elements[0], 1), (elements[1], 1), (1, 4)];
        let values = [(protocol, 1), (values[0], 1), (values[1], 1), (9, 4)];
        let [on, off] = both(Quirk::IcmpTypeAndCode, &[one_ipfix_record(&fields, &values)]);
        assert_eq!((on.flows[0].icmp_type_code, on.flows[0].octets, on.acted), (expected, 9, 1));
        assert!(!off.flows[0].has(FlowFields::ICMP_TYPE_CODE) && off.flows[0].octets == 9 && off.acted == 0);
    }
    // Apart from each other they are no pair.
    let fields = [(176, 1), (4, 1), (177, 1)];
    let [on, _] = both(Quirk::IcmpTypeAndCode, &[one_ipfix_record(&fields, &[(8, 1), (1, 1), (0, 1)])]);
    assert!(!on.flows[0].has(FlowFields::ICMP_TYPE_CODE) && on.acted == 0);
    // With element 32 there is nothing to join.
    let fields = [(176, 1), (177, 1), (32, 2)];
    let [on, _] = both(Quirk::IcmpTypeAndCode, &[one_ipfix_record(&fields, &[(8, 1), (0, 1), (0x0301, 2)])]);
    assert_eq!((on.flows[0].icmp_type_code, on.acted), (0x0301, 0));
}

#[test]
fn fields_without_octets() {
    // D22: SRX: options of the scope System (1) of length 0: samplingInterval (34) 100.
    let options = v9(1, &[v9_options(512, &[(1, 0)], &[(34, 4)]), set(512, &record(&[(100, 4)]))]);
    // A template of IPFIX: octetDeltaCount (1) of length 0 | packetDeltaCount (2).
    let integers = one_ipfix_record(&[(1, 0), (2, 4)], &[(7, 4)]);
    let [on, off] = both(Quirk::ZeroLengthFields, &[options, integers]);
    assert_eq!((on.options, on.flows[0].packets, on.errors.len(), on.acted), (1, 7, 0, 2));
    assert!(!on.flows[0].has(FlowFields::OCTETS));
    let kinds: Vec<_> = off.errors.iter().map(|error| error.kind).collect();
    assert_eq!(kinds, [DecodeErrorKind::ZeroLengthField(512), DecodeErrorKind::ZeroLengthField(256)]);
    assert_eq!((off.missing, off.acted), (2, 0));
}

#[test]
fn variable_length_in_v9() {
    // D30: H3C: template 256: octets (1), interfaceName (82) of length 65535. Record: 9 | length 4, "eth0" | padding.
    let template = v9_template(256, &[(1, 4), (82, 0xffff)]);
    let data = set(256, &[0, 0, 0, 9, 4, b'e', b't', b'h', b'0', 0, 0, 0]);
    let datagram = v9(1, &[template, data]);
    let [on, off] = both(Quirk::V9VariableLength, core::slice::from_ref(&datagram));
    assert_eq!((on.flows[0].octets, on.errors.len(), on.acted), (9, 0, 1));
    assert_eq!(off.errors[0].kind, DecodeErrorKind::VariableLengthInV9(256));
    assert_eq!((off.missing, off.acted), (1, 0));
    // By the letter it is off, unless it is asked for.
    let strict = || Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let refused = decode(Quirk::V9VariableLength, strict(), core::slice::from_ref(&datagram));
    assert_eq!(refused.errors[0].kind, DecodeErrorKind::VariableLengthInV9(256));
    let quirks = Quirks::RFC.with(Quirk::V9VariableLength);
    let taken = decode(Quirk::V9VariableLength, strict().with_quirks(quirks), &[datagram]);
    assert_eq!((taken.flows.len(), taken.acted), (1, 1));
}

#[test]
fn datagrams_filled_with_zeros() {
    // Palo Alto: a packet of 1,400 octets, of which template and data are a few.
    for zeros in [4, 40, 1_301] {
        let mut datagram = one_record(&[(8, 4), (1, 4)], &[(1, 4), (9, 4)]);
        datagram.resize(datagram.len() + zeros, 0);
        let [on, off] = both(Quirk::ZeroFilledDatagrams, &[datagram]);
        assert_eq!((on.flows.len(), on.errors.len(), on.acted), (1, 0, 1), "{zeros}");
        assert_eq!((off.flows.len(), off.errors.len(), off.acted), (1, 1, 0), "{zeros}");
    }
    // Zeros before something else are no filling.
    let mut datagram = one_record(&[(8, 4), (1, 4)], &[(1, 4), (9, 4)]);
    datagram.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    let [on, _] = both(Quirk::ZeroFilledDatagrams, &[datagram]);
    assert_eq!((on.errors.len(), on.acted), (1, 0));
}

#[test]
fn padding_that_its_set_does_not_count() {
    // RouterOS: records of 9, 10 and 11 octets in sets of 13, 14 and 15, each followed by zeros up to a multiple of 4.
    for length in 9..=11 {
        let fields = [(8, 4), (1, 4), (5, u16::try_from(length - 8).unwrap())];
        let data = set(256, &record(&[(1, 4), (9, 4), (0, length - 8)]));
        let mut padded = data.clone();
        padded.resize(16, 0);
        let datagram = v9(1, &[v9_template(256, &fields), padded.clone(), padded.clone(), padded]);
        let [on, off] = both(Quirk::UncountedPadding, core::slice::from_ref(&datagram));
        assert_eq!((on.flows.len(), on.errors.len(), on.acted), (3, 0, 3), "{length}");
        assert!(off.flows.len() < 3 && off.acted == 0, "{length}: {:?}", off.errors);
        // Sets that are not padded at all are found where they are, those of templates too.
        let again = v9_template(257, &fields);
        let datagram = v9(1, &[v9_template(256, &fields), data.clone(), data.clone(), again, data.clone()]);
        for outcome in both(Quirk::UncountedPadding, &[datagram]) {
            assert_eq!((outcome.flows.len(), outcome.errors.len(), outcome.acted), (3, 0, 0), "{length}");
        }
    }
}

#[test]
fn fractions_of_times_that_count_units() {
    // Netscaler: seconds since 1900, microseconds in 154 and 155; VPP: nanoseconds in 156 and 157. Half a second.
    let secs = 1_700_000_000_u64 + 2_208_988_800;
    for (elements, half) in [([154, 155], 500_000), ([156, 157], 500_000_000)] {
        let fields = [(elements[0], 8), (elements[1], 8)];
        let values = [(secs << 32, 8), (secs << 32 | half, 8)];
        let [on, off] = both(Quirk::DecimalTimeFractions, &[one_ipfix_record(&fields, &values)]);
        let expected = Timestamp::from_millis(1_700_000_000_500);
        assert_eq!((on.flows[0].start, on.flows[0].end, on.acted), (NOW, expected, 1));
        assert!(off.flows[0].end < expected && off.acted == 0);
    }
}

#[test]
fn the_uptime_where_the_unix_time_belongs() {
    // softflowd 0.9.9: sysUpTime 60,000 ms, Unix time 60 s. LAST_SWITCHED (21), FIRST_SWITCHED (22): 50 and 55 s.
    let sets = [v9_template(256, &[(22, 4), (21, 4)]), set(256, &record(&[(50_000, 4), (55_000, 4)]))];
    let mut old = v5(0);
    // Bytes 8 to 11 are the Unix seconds, 24 to 31 of the record first and last.
    old[8..12].copy_from_slice(&[0, 0, 0, 60]);
    old[48..56].copy_from_slice(&record(&[(50_000, 4), (55_000, 4)]));
    let [on, off] = both(Quirk::UptimeAsUnixTime, &[v9_at(60_000, 60, 1, 1, &sets), old]);
    for flow in &on.flows {
        assert_eq!((flow.start.as_secs(), flow.end.as_secs()), (1_699_999_990, 1_699_999_995));
    }
    for flow in &off.flows {
        assert_eq!((flow.start.as_secs(), flow.end.as_secs()), (50, 55));
    }
    assert_eq!((on.flows.len(), on.acted, off.acted), (2, 2, 0));
    // A time of this century is one.
    let [on, _] = both(Quirk::UptimeAsUnixTime, &[v9(1, &sets)]);
    assert_eq!(on.acted, 0);
}

#[test]
fn intervals_of_16_bits_in_v5_headers() {
    // Juniper: 50,000 is c3 50, of which the first two bits are the mode.
    let [on, off] = both(Quirk::V5SamplingOf16Bits, &[v5(50_000)]);
    assert_eq!((on.sampling[0].unwrap().interval, on.acted), (50_000, 1));
    assert_eq!((off.sampling[0].unwrap().interval, off.acted), (0x0350, 0));
}

#[test]
fn intervals_with_reversed_octets() {
    // RouterOS: samplingInterval (34) in the data: 01 00 00 00 for 1, and 0 for nothing.
    let of = |interval| one_record(&[(8, 4), (34, 4)], &[(1, 4), (interval, 4)]);
    let [on, off] = both(Quirk::SwappedSamplingInterval, &[of(0x0100_0000), of(0), of(1_000)]);
    let intervals = |outcome: &Outcome| {
        outcome.sampling.iter().map(|info| info.map(|info| info.interval)).collect::<Vec<_>>()
    };
    assert_eq!((intervals(&on), on.acted), (vec![Some(1), None, Some(1_000)], 1));
    assert_eq!((intervals(&off), off.acted), (vec![Some(16_777_216), None, Some(1_000)], 0));
}

/// A packet with this announcement of the scope System and a flow that names this sampler.
fn announced(options: &[(u16, u16)], values: &[(u64, usize)], sampler: Option<u64>) -> Vec<u8> {
    let fields: &[(u16, u16)] = if sampler.is_some() { &[(8, 4), (48, 1)] } else { &[(8, 4)] };
    let mut flow = record(&[(1, 4)]);
    flow.extend(sampler.map(|sampler| u8::try_from(sampler).unwrap()));
    v9(
        1,
        &[
            v9_options(512, &[(1, 4)], options),
            set(512, &[record(&[(0, 4)]), record(values)].concat()),
            v9_template(256, fields),
            set(256, &flow),
        ],
    )
}

#[test]
fn algorithms_that_do_not_exist() {
    // Fortinet: samplingInterval (34) 67, samplingAlgorithm (35) 131.
    let datagram = announced(&[(34, 4), (35, 1)], &[(67, 4), (131, 1)], None);
    let [on, off] = both(Quirk::UnknownSamplingAlgorithm, &[datagram]);
    assert_eq!((on.sampling[0], on.acted), (None, 1));
    assert_eq!((off.sampling[0].unwrap().interval, off.acted), (67, 0));
}

#[test]
fn a_packet_interval_without_a_space() {
    // samplingPacketInterval (305) 1,000 alone; 1 alone could be anything.
    let [on, off] = both(Quirk::BareSamplingPacketInterval, &[announced(&[(305, 4)], &[(1_000, 4)], None)]);
    assert_eq!((on.sampling[0].unwrap().interval, on.acted), (1_000, 1));
    assert_eq!((off.sampling[0], off.acted), (None, 0));
    let [on, _] = both(Quirk::BareSamplingPacketInterval, &[announced(&[(305, 4)], &[(1, 4)], None)]);
    assert_eq!((on.sampling[0], on.acted), (None, 0));
}

#[test]
fn sampler_0_for_the_last_one_announced() {
    // C7600: FLOW_SAMPLER_ID (48) 3, interval (50) 100; the data names sampler 0.
    let options = [(48, 1), (50, 4)];
    let datagram = announced(&options, &[(3, 1), (100, 4)], Some(0));
    let [on, off] = both(Quirk::SamplerZeroIsLast, &[datagram]);
    assert_eq!((on.sampling[0].unwrap().interval, on.acted), (100, 1));
    assert_eq!((off.sampling[0], off.acted), (None, 0));
    // Other samplers that are not known stay so.
    let [on, _] = both(Quirk::SamplerZeroIsLast, &[announced(&options, &[(3, 1), (100, 4)], Some(4))]);
    assert_eq!((on.sampling[0], on.acted), (None, 0));
}

#[test]
fn one_sampler_that_no_record_names() {
    let options = [(48, 1), (50, 4)];
    let [on, off] = both(Quirk::LoneSampler, &[announced(&options, &[(3, 1), (100, 4)], None)]);
    assert_eq!((on.sampling[0].unwrap().interval, on.acted), (100, 1));
    assert_eq!((off.sampling[0], off.acted), (None, 0));
    // Of two, either may be meant.
    let two =
        [announced(&options, &[(3, 1), (100, 4)], None), announced(&options, &[(4, 1), (200, 4)], None)];
    let [on, _] = both(Quirk::LoneSampler, &two);
    assert_eq!((on.sampling[1], on.acted), (None, 1));
}

#[test]
fn rates_under_another_source_id() {
    // Catalyst 9300: options under source ID 7, data under 1.
    let options = [v9_options(512, &[(1, 4)], &[(34, 4)]), set(512, &record(&[(0, 4), (300, 4)]))];
    let [on, off] = both(Quirk::SamplingOfOtherDomains, &[v9(7, &options), one_record(&[(8, 4)], &[(1, 4)])]);
    let info = on.sampling[0].unwrap();
    assert_eq!((info.interval, info.elsewhere, on.acted), (300, true, 1));
    assert_eq!((off.sampling[0], off.acted), (None, 0));
}

/// Decodes with a quirk that cannot be switched off, and says that it cannot.
fn always(quirk: Quirk, datagrams: &[Vec<u8>]) -> Outcome {
    assert_eq!(quirk.setting(), QuirkSetting::Always);
    let [_, off] = both(quirk, datagrams);
    assert!(off.errors.is_empty(), "{:?}", off.errors);
    off
}

#[test]
fn both_address_families_in_one_record() {
    // IOS-XR: IPV4_SRC_ADDR (8) 0 | IPV6_SRC_ADDR (27) 2001:db8::1; and the other way round.
    let fields = [(8, 4), (27, 16)];
    let of = |four: u32, six: u128| {
        v9(1, &[v9_template(256, &fields), set(256, &[&four.to_be_bytes()[..], &six.to_be_bytes()].concat())])
    };
    let outcome = always(Quirk::BothAddressFamilies, &[of(0, 0x2001_0db8 << 96 | 1), of(0xc000_0201, 0)]);
    let sources: Vec<_> = outcome.flows.iter().map(|flow| flow.source.to_string()).collect();
    assert_eq!(sources, ["2001:db8::1", "192.0.2.1"]);
}

#[test]
fn an_element_more_than_once() {
    // ISR (HSL): L4_SRC_PORT (7) twice.
    let datagram = one_record(&[(7, 2), (11, 2), (7, 2)], &[(1_000, 2), (53, 2), (2_000, 2)]);
    let outcome = always(Quirk::RepeatedElements, &[datagram]);
    assert_eq!((outcome.flows[0].source_port, outcome.flows[0].destination_port), (1_000, 53));
}

#[test]
fn a_last_packet_later_than_the_header() {
    // D12: CSCei12353: sysUpTime 60,000; first 50,000, last 61,500.
    let datagram = one_record(&[(22, 4), (21, 4)], &[(50_000, 4), (61_500, 4)]);
    let outcome = always(Quirk::LastInFuture, &[datagram]);
    assert_eq!(outcome.flows[0].end, Timestamp::from_millis(1_700_000_001_500));
}

#[test]
fn v9_types_with_the_highest_bit() {
    // D29: TrustSec: 34000 in 2 octets, 44999 in 32; then IN_BYTES (1).
    let values = [&[0, 5][..], &[0xab; 32], &[0, 0, 0, 9]].concat();
    let datagram = v9(1, &[v9_template(256, &[(34_000, 2), (44_999, 32), (1, 4)]), set(256, &values)]);
    assert_eq!(always(Quirk::HighV9Types, &[datagram]).flows[0].octets, 9);
}

#[test]
fn short_values_with_long_lengths() {
    // PTX: interfaceName (82) of variable length: ff 00 04 "eth0"; then octetDeltaCount (1).
    let template = ipfix_template(256, &[(82, 0xffff), (1, 4)]);
    let data = set(256, &[255, 0, 4, b'e', b't', b'h', b'0', 0, 0, 0, 9]);
    assert_eq!(always(Quirk::LongFormLengths, &[ipfix(1, &[template, data])]).flows[0].octets, 9);
}

#[test]
fn numbers_of_odd_widths() {
    // IN_BYTES (1) in 3 octets, IN_PKTS (2) in 5, INPUT_SNMP (10) in 8, FLOW_SAMPLER_ID (48) in 4.
    let fields = [(1, 3), (2, 5), (10, 8), (48, 4)];
    let outcome =
        always(Quirk::OddWidths, &[one_record(&fields, &[(70_000, 3), (1 << 33, 5), (7, 8), (9, 4)])]);
    let flow = &outcome.flows[0];
    assert_eq!((flow.octets, flow.packets, flow.ingress_interface, flow.sampler_id), (70_000, 1 << 33, 7, 9));
}

#[test]
fn odd_padding() {
    // D26, D28: records of 9 octets: one and padding of ff ff ff; one and 7 octets that are no record; one alone.
    let fields = [(8, 4), (1, 4), (4, 1)];
    let data = record(&[(1, 4), (9, 4), (6, 1)]);
    for padding in [&[0xff; 3][..], &[0; 7], &[]] {
        let sets = [v9_template(256, &fields), set(256, &[&data, padding].concat())];
        assert_eq!(always(Quirk::OddPadding, &[v9(1, &sets)]).flows.len(), 1);
    }
}

#[test]
fn a_count_of_sets() {
    // D14: nProbe: the count (octets 2 and 3) is 2, of sets; there are 4 records.
    let mut datagram = v9(1, &[v9_template(256, &[(1, 4)]), set(256, &[0; 12])]);
    datagram[2..4].copy_from_slice(&2_u16.to_be_bytes());
    assert_eq!(always(Quirk::CountIsAHint, &[datagram]).flows.len(), 3);
}

#[test]
fn options_without_a_scope() {
    // D21: option scope length 0, option length 4: samplingInterval (34).
    let sets = [v9_options(512, &[], &[(34, 4)]), set(512, &record(&[(100, 4)]))];
    let datagrams = [v9(1, &sets), one_record(&[(8, 4)], &[(1, 4)])];
    let outcome = always(Quirk::OptionsWithoutScope, &datagrams);
    assert_eq!((outcome.options, outcome.sampling[0].unwrap().interval), (1, 100));
}

#[test]
fn application_ids_of_9_octets() {
    // D63: Fortinet: applicationId (95): engine 20 | enterprise 12356 | 4 octets.
    assert_eq!(always(Quirk::LongApplicationIds, &[]).errors.len(), 0);
    let octets = [20, 0, 0, 0x30, 0x44, 0, 0, 0, 7];
    let field = netflow_codec::FieldView::new(ElementId::iana(95), &octets);
    let id = field.as_application_id().unwrap();
    assert_eq!((id.enterprise(), id.selector()), (Some(12_356), Some(7)));
    assert_eq!(field.value(), FieldValue::Octets(&octets));
}

#[test]
fn exporters_may_have_quirks_of_their_own() {
    let mut decoder: Decoder<&str> = Decoder::new();
    let juniper = Quirks::default().with(Quirk::V5SamplingOf16Bits);
    decoder.set_quirks_of("juniper", Some(juniper));
    assert_eq!((decoder.quirks(&"juniper"), decoder.quirks(&"other")), (juniper, Quirks::default()));
    let mut interval = |exporter| {
        let datagram = v5(50_000);
        let mut parts = decoder.decode(&exporter, &datagram, NOW).unwrap();
        parts.sampling(&FlowRecord::EMPTY).unwrap().interval
    };
    assert_eq!([interval("juniper"), interval("other"), interval("juniper")], [50_000, 848, 50_000]);
    decoder.set_quirks_of("juniper", None);
    assert_eq!(decoder.quirks(&"juniper"), Quirks::default());
}

#[test]
fn options_of_ipfix_with_zero_length_scopes() {
    // meteringProcessId (143) of length 0 | samplingInterval (34).
    let sets = [ipfix_options(512, 1, &[(143, 0), (34, 4)]), set(512, &record(&[(100, 4)]))];
    let [on, off] = both(Quirk::ZeroLengthFields, &[ipfix(1, &sets)]);
    assert_eq!((on.options, on.acted, off.options, off.missing), (1, 1, 0, 1));
}

#[test]
fn damage_is_survived_with_every_quirk_on_and_with_none() {
    let samples = [
        v5(50_000),
        announced(&[(34, 4), (35, 1)], &[(0x0100_0000, 4), (131, 1)], Some(0)),
        one_record(
            &[(21, 8), (22, 8), (85, 8), (233, 1), (1, 4), (231, 4)],
            &[(5, 8), (6, 8), (7, 8), (1, 1), (0, 4), (9, 4)],
        ),
        one_ipfix_record(
            &[(154, 8), (155, 8), (176, 1), (177, 1), (89, 4), (301, 4), (302, 8)],
            &[(1, 8), (2, 8), (8, 1), (0, 1), (3, 4), (9, 4), (1, 8)],
        ),
        ipfix(
            1,
            &[
                ipfix_options(512, 1, &[(302, 2), (304, 2), (305, 4), (306, 4), (311, 8)]),
                set(512, &[0xff; 40]),
            ],
        ),
    ];
    let all = Quirk::ALL.iter().fold(Quirks::NONE, |quirks, quirk| quirks.with(*quirk));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for quirks in [all, Quirks::NONE] {
        let mut decoder = Decoder::new().with_quirks(quirks);
        for _ in 0..20_000 {
            let mut datagram = samples[next(samples.len())].clone();
            for _ in 0..next(4) {
                let place = next(datagram.len());
                datagram[place] = u8::try_from(next(256)).unwrap();
            }
            datagram.truncate(datagram.len() - next(3));
            datagram.resize(datagram.len() + next(4), 0);
            let Ok(mut parts) = decoder.decode(&"exporter", &datagram, NOW) else { continue };
            let mut batches = 0;
            while let Some(batch) = parts.next() {
                batches += 1;
                assert!(batches < 1_000);
                let Batch::Data(records) = batch else { continue };
                for (data, flow) in records.iter().zip(records.flows()) {
                    assert_eq!(data.to_flow(records.clock()), flow);
                    let rates = [
                        parts.sampling(&flow),
                        parts.sampling_of(&data, &flow),
                        parts.flow_sampling_of(&data, &flow),
                    ];
                    assert!(rates.into_iter().flatten().all(|info| info.interval > 0));
                }
            }
        }
    }
}
