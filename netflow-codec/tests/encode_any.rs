//! Any template, any record, any type: what is encoded is decoded again, and the other way round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{
    BasicListBuilder, Batch, DataType, Decoder, ElementId, ExportClock, ExportTemplate, FieldSource,
    FieldSpecifier, FieldValue, ListSemantic, PacketBuilder, PacketHeader, Protocol, SysUptime,
    TemplateBuilder, Timestamp, Unsigned256,
};
use proptest::prelude::*;

/// A value that owns its octets.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Boolean(bool),
    Mac([u8; 6]),
    V4([u8; 4]),
    V6([u8; 16]),
    Text(String),
    Time(Timestamp),
    Wide(Vec<u8>),
    List(BasicOctets),
    Octets(Vec<u8>),
}

/// The seconds of NTP that are nearest to 1970 end in 2036.
const NTP: u64 = 2_085_978_496;

/// The octets of a basicList.
#[derive(Clone, Debug, PartialEq)]
struct BasicOctets(Vec<u8>);

impl Value {
    fn view(&self) -> FieldValue<'_> {
        match self {
            Self::Unsigned(value) => FieldValue::Unsigned(*value),
            Self::Signed(value) => FieldValue::Signed(*value),
            Self::Float(value) => FieldValue::Float(*value),
            Self::Boolean(value) => FieldValue::Boolean(*value),
            Self::Mac(value) => FieldValue::MacAddress(*value),
            Self::V4(value) => FieldValue::Ipv4Address((*value).into()),
            Self::V6(value) => FieldValue::Ipv6Address((*value).into()),
            Self::Text(value) => FieldValue::String(value),
            Self::Time(value) => FieldValue::DateTime(*value),
            Self::Wide(value) => match Unsigned256::from_octets(value) {
                Some(wide) if value.len() > 8 => FieldValue::Unsigned256(wide),
                _ => FieldValue::Unsigned(value.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))),
            },
            Self::List(octets) => FieldValue::BasicList(netflow_codec::BasicList::parse(&octets.0).unwrap()),
            Self::Octets(value) => FieldValue::Octets(value),
        }
    }
}

/// One IANA element of each type, and what its lengths may be.
const ELEMENTS: &[(u16, DataType)] = &[
    (5, DataType::Unsigned8),
    (7, DataType::Unsigned16),
    (10, DataType::Unsigned32),
    (1, DataType::Unsigned64),
    (520, DataType::Unsigned256),
    (434, DataType::Signed32),
    (311, DataType::Float64),
    (276, DataType::Boolean),
    (56, DataType::MacAddress),
    (8, DataType::Ipv4Address),
    (27, DataType::Ipv6Address),
    (82, DataType::String),
    (313, DataType::OctetArray),
    (150, DataType::DateTimeSeconds),
    (152, DataType::DateTimeMilliseconds),
    (154, DataType::DateTimeMicroseconds),
    (156, DataType::DateTimeNanoseconds),
    (291, DataType::BasicList),
];

/// A field that a protocol allows, and a value that fits into it and reads back as it was.
fn field(protocol: Protocol) -> impl Strategy<Value = (FieldSpecifier, Value)> {
    let v9 = protocol == Protocol::NetFlow9;
    let iana = prop::sample::select(ELEMENTS).prop_flat_map(move |(number, data_type)| {
        of_type(data_type, v9)
            .prop_map(move |(length, value)| (FieldSpecifier::new(ElementId::iana(number), length), value))
    });
    // An element that nobody knows: octets.
    let number = if v9 { (60_000u16..60_010).boxed() } else { (1u16..10).boxed() };
    let unknown = (number, octets(v9)).prop_map(move |(number, (length, value))| {
        let element = ElementId::new(if v9 { 0 } else { 32_473 }, number);
        (FieldSpecifier::new(element, length), value)
    });
    prop_oneof![8 => iana, 1 => unknown]
}

fn octets(v9: bool) -> BoxedStrategy<(u16, Value)> {
    let variable = if v9 { Just(false).boxed() } else { any::<bool>().boxed() };
    (prop::collection::vec(any::<u8>(), 1..300), variable)
        .prop_map(|(octets, variable)| {
            let length = if variable { 0xffff } else { u16::try_from(octets.len()).unwrap() };
            (length, Value::Octets(octets))
        })
        .boxed()
}

fn of_type(data_type: DataType, v9: bool) -> BoxedStrategy<(u16, Value)> {
    let time = |unit: u64, count: u64| {
        (0..count).prop_map(move |count| Value::Time(Timestamp::from_nanos(count * unit)))
    };
    match data_type {
        DataType::Unsigned8 | DataType::Unsigned16 | DataType::Unsigned32 | DataType::Unsigned64 => {
            let longest = data_type.full_length().unwrap();
            (1..=longest, any::<u64>())
                .prop_map(|(length, value)| (length, Value::Unsigned(value >> (64 - 8 * length))))
                .boxed()
        }
        DataType::Unsigned256 => {
            let longest = if v9 { 8 } else { 32 };
            prop::collection::vec(any::<u8>(), 1..=longest)
                .prop_map(|octets| (u16::try_from(octets.len()).unwrap(), Value::Wide(octets)))
                .boxed()
        }
        DataType::Signed32 => (1..=4u16, any::<i64>())
            .prop_map(|(length, value)| (length, Value::Signed(value >> (64 - 8 * length))))
            .boxed(),
        DataType::Float64 => prop_oneof![
            any::<f32>()
                .prop_filter("a number", |value| !value.is_nan())
                .prop_map(|value| (4, f64::from(value))),
            any::<f64>().prop_filter("a number", |value| !value.is_nan()).prop_map(|value| (8, value)),
        ]
        .prop_map(|(length, value)| (length, Value::Float(value)))
        .boxed(),
        DataType::Boolean => any::<bool>().prop_map(|value| (1, Value::Boolean(value))).boxed(),
        DataType::MacAddress => any::<[u8; 6]>().prop_map(|value| (6, Value::Mac(value))).boxed(),
        DataType::Ipv4Address => any::<[u8; 4]>().prop_map(|value| (4, Value::V4(value))).boxed(),
        DataType::Ipv6Address => any::<[u8; 16]>().prop_map(|value| (16, Value::V6(value))).boxed(),
        DataType::String => ("[^\\x00]{0,80}", 0..4u16, any::<bool>())
            .prop_map(move |(text, spare, variable)| {
                let fixed = u16::try_from(text.len()).unwrap() + spare;
                let length = if variable && !v9 || fixed == 0 { 0xffff } else { fixed };
                (if v9 { fixed.max(1) } else { length }, Value::Text(text))
            })
            .boxed(),
        DataType::DateTimeSeconds => time(1_000_000_000, 1 << 32).prop_map(|value| (4, value)).boxed(),
        DataType::DateTimeMilliseconds => time(1_000_000, 1 << 43).prop_map(|value| (8, value)).boxed(),
        DataType::DateTimeMicroseconds => time(1_000, NTP * 1_000_000).prop_map(|value| (8, value)).boxed(),
        DataType::DateTimeNanoseconds => time(1, NTP * 1_000_000_000).prop_map(|value| (8, value)).boxed(),
        DataType::BasicList => (prop::collection::vec(any::<u32>(), 0..20), any::<bool>())
            .prop_map(move |(values, variable)| {
                let values_of = FieldSpecifier::new(ElementId::iana(14), 4);
                let mut list = BasicListBuilder::new(ListSemantic::ALL_OF, values_of).unwrap();
                for value in values {
                    list.push(FieldValue::Unsigned(value.into())).unwrap();
                }
                let octets = list.octets().to_vec();
                let fixed = u16::try_from(octets.len()).unwrap();
                (if variable && !v9 { 0xffff } else { fixed }, Value::List(BasicOctets(octets)))
            })
            .boxed(),
        _ => octets(v9),
    }
}

/// A template, and records of values that fit it.
fn case(protocol: Protocol) -> impl Strategy<Value = (Vec<FieldSpecifier>, usize, Vec<Vec<Value>>)> {
    let fields = prop::collection::vec(field(protocol), 1..12);
    (fields, 0..3usize).prop_map(move |(fields, scopes)| {
        let (specifiers, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let scopes = if protocol == Protocol::Ipfix { scopes.min(specifiers.len()) } else { 0 };
        (specifiers, scopes, vec![values.clone(), values])
    })
}

struct Record<'a>(&'a [FieldSpecifier], &'a [Value]);

impl FieldSource for Record<'_> {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.repeated_field(element, 0)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        let mut pairs = self.0.iter().zip(self.1).filter(|(field, _)| field.element == element);
        pairs.nth(occurrence).map(|(_, value)| value.view())
    }
}

fn build(protocol: Protocol, fields: &[FieldSpecifier], scopes: usize) -> ExportTemplate {
    let builder = TemplateBuilder::new(protocol, 300);
    let builder = fields[..scopes].iter().fold(builder, |builder, scope| builder.scope(*scope));
    builder.fields(fields[scopes..].iter().copied()).build().unwrap()
}

fn finish(builder: &mut PacketBuilder) -> Vec<u8> {
    let clock = ExportClock::new(Timestamp::from_secs(1_700_000_000), SysUptime::from_millis(5));
    let mut octets = Vec::new();
    builder.finish(&PacketHeader::new(clock, 7, 9), &mut octets);
    octets
}

/// Encodes, decodes, compares the values, encodes what was decoded and compares the octets.
fn there_and_back(protocol: Protocol, fields: &[FieldSpecifier], scopes: usize, records: &[Vec<Value>]) {
    let template = build(protocol, fields, scopes);
    let mut builder = PacketBuilder::with_protocol(protocol, 65_535);
    builder.push_template_record(&template).unwrap();
    for record in records {
        builder.push_record(&template, &Record(fields, record)).unwrap();
    }
    let octets = finish(&mut builder);

    let mut decoder = Decoder::new();
    let mut seen = 0;
    builder.push_template_record(&template).unwrap();
    for batch in decoder.decode(&1, &octets, Timestamp::ZERO).unwrap() {
        match batch {
            Batch::Template(known, _) => {
                assert_eq!((known.fields(), known.scope_count()), (fields, scopes));
            }
            Batch::Data(batch) | Batch::Options(batch) => {
                for (record, expected) in batch.iter().zip(records) {
                    let values: Vec<_> = record.fields().map(|field| field.value()).collect();
                    for (value, expected) in values.iter().zip(expected) {
                        assert_same(value, &expected.view());
                    }
                    assert_eq!(values.len(), expected.len());
                    builder.push_record(&template, &record).unwrap();
                    seen += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, records.len());
    assert_eq!(finish(&mut builder), octets);
}

fn assert_same(value: &FieldValue<'_>, expected: &FieldValue<'_>) {
    match (value, expected) {
        // Microseconds are read with what the low bits of the fraction leave.
        (FieldValue::DateTime(value), FieldValue::DateTime(expected)) => {
            let behind = value.as_nanos() - expected.as_nanos();
            assert!(behind < 1_000, "{value:?} {expected:?}");
        }
        _ => assert_eq!(value, expected),
    }
}

proptest! {
    #[test]
    fn ipfix_records_of_any_type_come_back((fields, scopes, records) in case(Protocol::Ipfix)) {
        // E26, E27
        there_and_back(Protocol::Ipfix, &fields, scopes, &records);
    }

    #[test]
    fn v9_records_of_any_type_come_back((fields, scopes, records) in case(Protocol::NetFlow9)) {
        // E26, E27
        there_and_back(Protocol::NetFlow9, &fields, scopes, &records);
    }
}
