//! What an exporter says of itself: each table in the words of v9 and of IPFIX, read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{
    ApplicationName, Batch, DataType, Decoder, ElementDescription, ElementId, EncodeError, ExportClock,
    FieldSpecifier, InterfaceName, Interval, NotSent, OptionsData, PacketBuilder, PacketHeader, Protocol,
    Sampler, Selection, Semantics, SysUptime, TemplateBuilder, Timestamp, Units,
};

const BOTH: [Protocol; 2] = [Protocol::NetFlow9, Protocol::Ipfix];

/// The records of options as `name=value`, scopes of v9 by their type's name, through a packet.
fn told(options: &OptionsData) -> Vec<String> {
    let protocol = options.template().protocol();
    let mut builder = PacketBuilder::with_protocol(protocol, 1_472);
    builder.push_template_record(options.template()).unwrap();
    for record in options.records() {
        builder.push_encoded(options.template(), record).unwrap();
    }
    assert_eq!(usize::from(builder.options_records()), options.len());
    let clock = ExportClock::new(Timestamp::from_secs(1_700_000_000), SysUptime::default());
    let mut octets = Vec::new();
    builder.finish(&PacketHeader::new(clock, 0, 0), &mut octets);
    let mut told = Vec::new();
    for batch in Decoder::new().decode(&1, &octets, Timestamp::ZERO).unwrap() {
        match batch {
            Batch::Options(records) => told.extend(records.iter().map(|record| {
                let fields: Vec<_> = record
                    .fields()
                    .map(|field| format!("{}={}", field.name().unwrap(), field.value()))
                    .collect();
                fields.join(" ")
            })),
            Batch::Template(..) => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

#[test]
fn interface_names() {
    let names = [
        InterfaceName { index: 3, name: "eth3", description: "uplink" },
        InterfaceName { index: 70_000, name: "", description: "" },
    ];
    let v9 = OptionsData::interface_names(Protocol::NetFlow9, 300, &names).unwrap();
    assert_eq!(told(&v9)[0], "Interface=3 interfaceName=eth3 interfaceDescription=uplink");
    let ipfix = OptionsData::interface_names(Protocol::Ipfix, 300, &names).unwrap();
    assert_eq!(told(&ipfix)[0], "ingressInterface=3 interfaceName=eth3 interfaceDescription=uplink");
    assert_eq!(told(&ipfix)[1], "ingressInterface=70000 interfaceName= interfaceDescription=");
    // IPFIX needs no more octets than the names have.
    assert_eq!(ipfix.records().map(<[u8]>::len).collect::<Vec<_>>(), [4 + 5 + 7, 6]);
    let long = [InterfaceName { index: 1, name: &"x".repeat(33), description: "" }];
    let refused = OptionsData::interface_names(Protocol::NetFlow9, 300, &long).unwrap_err();
    assert_eq!(refused, EncodeError::ValueTooLarge { element: 82, length: 32 });
    assert!(OptionsData::interface_names(Protocol::Ipfix, 300, &long).is_ok());
    assert!(OptionsData::interface_names(Protocol::Ipfix, 255, &names).is_err());
}

#[test]
fn vrf_names() {
    let v9 = OptionsData::vrf_names(Protocol::NetFlow9, 300, &[(7, "red")]).unwrap();
    assert_eq!(told(&v9), ["System=0 ingressVRFID=7 VRFname=red"]);
    let ipfix = OptionsData::vrf_names(Protocol::Ipfix, 300, &[(7, "red"), (8, "blue")]).unwrap();
    assert_eq!(told(&ipfix), ["ingressVRFID=7 VRFname=red", "ingressVRFID=8 VRFname=blue"]);
}

#[test]
fn applications() {
    // E32, X31
    let application = |id| [ApplicationName { id, name: "http", description: "web" }];
    let v9 = OptionsData::applications(Protocol::NetFlow9, 300, &application(&[3, 0, 80])).unwrap();
    let record = v9.records().next().unwrap();
    assert_eq!(record[..8], [0, 0, 0, 0, 3, 0, 0, 80], "engine, then the selector right-aligned");
    assert_eq!(record.len(), 4 + 4 + 24 + 55);
    let ipfix = OptionsData::applications(Protocol::Ipfix, 300, &application(&[3, 0, 80])).unwrap();
    assert_eq!(ipfix.records().next().unwrap(), b"\x03\0\0\x50\x04http\x03web");
    let long = OptionsData::applications(Protocol::Ipfix, 300, &application(&[13, 1, 2, 3, 4])).unwrap();
    assert_eq!(long.records().next().unwrap(), b"\x05\x0d\x01\x02\x03\x04\x04http\x03web");
    assert!(told(&ipfix)[0].ends_with("applicationName=http applicationDescription=web"));
    for protocol in BOTH {
        let none = OptionsData::applications(protocol, 300, &application(&[]));
        assert_eq!(none.unwrap_err(), EncodeError::ValueType { element: 95 }, "{protocol:?}");
    }
    let wide = OptionsData::applications(Protocol::NetFlow9, 300, &application(&[13, 1, 2, 3, 4]));
    assert_eq!(wide.unwrap_err(), EncodeError::ValueTooLarge { element: 95, length: 4 });
}

#[test]
fn samplers_are_told_in_the_numbers_of_each_protocol() {
    // S18, S23: systematic is 1 in both, random 2 in v9 and 3 in IPFIX.
    let table = |protocol, selection| {
        let samplers = [Sampler { id: 5, name: Some("core"), selection }];
        OptionsData::samplers(protocol, 300, &samplers).map(|options| told(&options).remove(0))
    };
    let systematic = Selection::Systematic { interval: 1, space: 99 };
    let random = Selection::RandomNOutOfN { size: 1, population: 100 };
    assert_eq!(
        table(Protocol::NetFlow9, systematic).unwrap(),
        "System=0 samplerId=5 samplerMode=1 samplerRandomInterval=100 samplerName=core"
    );
    assert_eq!(
        table(Protocol::NetFlow9, random).unwrap(),
        "System=0 samplerId=5 samplerMode=2 samplerRandomInterval=100 samplerName=core"
    );
    assert_eq!(
        table(Protocol::Ipfix, systematic).unwrap(),
        "selectorId=5 selectorAlgorithm=1 samplingPacketInterval=1 samplingPacketSpace=99 selectorName=core"
    );
    assert_eq!(
        table(Protocol::Ipfix, random).unwrap(),
        "selectorId=5 selectorAlgorithm=3 samplingSize=1 samplingPopulation=100 selectorName=core"
    );
    let uniform = Selection::UniformProbabilistic { probability: 0.15 };
    assert_eq!(
        table(Protocol::Ipfix, uniform).unwrap(),
        "selectorId=5 selectorAlgorithm=4 samplingProbability=0.15 selectorName=core"
    );
    assert_eq!(
        table(Protocol::NetFlow9, uniform).unwrap(),
        "System=0 samplerId=5 samplerMode=2 samplerRandomInterval=7 samplerName=core"
    );
    // Two in ten is one in five at random, but nothing that v9 has a word for in a row.
    let two_of_ten = Selection::RandomNOutOfN { size: 2, population: 10 };
    assert!(table(Protocol::NetFlow9, two_of_ten).unwrap().contains("samplerRandomInterval=5"));
    for selection in [
        Selection::Systematic { interval: 2, space: 8 },
        Selection::RandomNOutOfN { size: 3, population: 10 },
    ] {
        assert_eq!(table(Protocol::NetFlow9, selection).unwrap_err(), EncodeError::NotInV9(304));
        assert!(table(Protocol::Ipfix, selection).is_ok());
    }
    let single = OptionsData::sampling(Protocol::NetFlow9, 300, 1, random).unwrap();
    assert_eq!(told(&single), ["System=0 samplingInterval=100 samplingAlgorithm=2"]);
    let single = OptionsData::sampling(Protocol::Ipfix, 300, 9, Selection::OneIn(64)).unwrap();
    assert_eq!(told(&single), ["selectorId=9 samplingInterval=64"]);
}

#[test]
fn selections_that_select_nothing_are_refused() {
    // S28
    for selection in [
        Selection::Systematic { interval: 0, space: 9 },
        Selection::RandomNOutOfN { size: 0, population: 9 },
        Selection::RandomNOutOfN { size: 10, population: 9 },
        Selection::UniformProbabilistic { probability: 0.0 },
        Selection::UniformProbabilistic { probability: 1.5 },
        Selection::UniformProbabilistic { probability: f64::NAN },
        Selection::OneIn(0),
    ] {
        for protocol in BOTH {
            let refused = OptionsData::sampling(protocol, 300, 1, selection).unwrap_err();
            assert_eq!(refused, EncodeError::ValueRange { element: 304 }, "{selection:?}");
        }
    }
    let sampler = |id, selection| Sampler { id, name: None, selection };
    let one = Selection::OneIn(10);
    let mixed = [sampler(1, one), sampler(2, Selection::RandomNOutOfN { size: 1, population: 10 })];
    assert!(OptionsData::samplers(Protocol::Ipfix, 300, &mixed).is_err(), "a template for each method");
    assert!(OptionsData::samplers(Protocol::NetFlow9, 300, &[sampler(256, one)]).is_err());
    assert!(OptionsData::samplers(Protocol::NetFlow9, 300, &[]).is_err());
}

#[test]
fn statistics_and_reliability() {
    // X22
    for protocol in BOTH {
        let mut options = OptionsData::statistics(protocol, 300).unwrap();
        assert!(options.is_empty());
        options.replace_statistics(7, 10, 200, 3_000).unwrap();
        options.replace_statistics(7, 11, 201, 3_001).unwrap();
        let scope = if protocol == Protocol::NetFlow9 { "System=0" } else { "observationDomainId=7" };
        let counts =
            "exportedMessageTotalCount=11 exportedFlowRecordTotalCount=201 exportedOctetTotalCount=3001";
        assert_eq!(told(&options), [format!("{scope} {counts}")]);
    }
    let interval = Interval { from: Timestamp::from_secs(1), until: Timestamp::from_secs(2) };
    let times = "observationTimeMilliseconds=1.000000000 observationTimeMilliseconds=2.000000000";
    let metering = |protocol| OptionsData::metering_reliability(protocol, 300, 7, (5, 600), interval);
    assert_eq!(
        told(&metering(Protocol::Ipfix).unwrap()),
        [format!("observationDomainId=7 ignoredPacketTotalCount=5 ignoredOctetTotalCount=600 {times}")]
    );
    let not_sent = NotSent { flows: 1, packets: 2, octets: 3 };
    let exporting = |address: &str| {
        let address = address.parse().unwrap();
        OptionsData::exporting_reliability(Protocol::Ipfix, 300, address, not_sent, interval).unwrap()
    };
    let counts = "notSentFlowTotalCount=1 notSentPacketTotalCount=2 notSentOctetTotalCount=3";
    assert_eq!(told(&exporting("192.0.2.1")), [format!("exporterIPv4Address=192.0.2.1 {counts} {times}")]);
    assert_eq!(
        told(&exporting("2001:db8::1")),
        [format!("exporterIPv6Address=2001:db8::1 {counts} {times}")]
    );
    assert_eq!(metering(Protocol::NetFlow9).unwrap_err(), EncodeError::NotInV9(164));
}

#[test]
fn flow_keys_are_bits_by_field() {
    let field = |number, length| FieldSpecifier::new(ElementId::iana(number), length);
    let fields = [field(8, 4), field(1, 8), field(7, 2)];
    let template = TemplateBuilder::new(Protocol::Ipfix, 400).fields(fields).build().unwrap();
    let keys = template.flow_key_indicator(|field| field.element.is_directional_key());
    assert_eq!(keys, 0b101);
    let options = OptionsData::flow_keys(Protocol::Ipfix, 300, &[(400, keys)]).unwrap();
    assert_eq!(told(&options), ["templateId=400 flowKeyIndicator=5"]);
    let wide =
        TemplateBuilder::new(Protocol::Ipfix, 400).fields((0..70).map(|_| field(1, 8))).build().unwrap();
    assert_eq!(wide.flow_key_indicator(|_| true), u64::MAX);
    assert!(OptionsData::flow_keys(Protocol::NetFlow9, 300, &[(400, 1)]).is_err());
}

#[test]
fn types_of_enterprise_elements() {
    // X30
    let described = ElementDescription {
        element: ElementId::new(32_473, 7),
        data_type: DataType::Unsigned32,
        semantics: Semantics::DELTA_COUNTER,
        units: Units::PACKETS,
        range: (0, 100),
        name: "answers",
        description: "how many",
    };
    let types = |described| OptionsData::element_types(Protocol::Ipfix, 300, &[described]);
    let expected = "privateEnterpriseNumber=32473 informationElementId=7 informationElementDataType=3 \
                    informationElementSemantics=3 informationElementUnits=3 informationElementRangeBegin=0 \
                    informationElementRangeEnd=100 informationElementName=answers \
                    informationElementDescription=how many";
    assert_eq!(told(&types(described).unwrap()), [expected]);
    let iana = ElementDescription { element: ElementId::iana(7), ..described };
    assert_eq!(types(iana).unwrap_err(), EncodeError::ElementNumber(7));
    for wrong in [
        ElementDescription { name: "a\0b", ..described },
        ElementDescription { name: "", ..described },
        ElementDescription { range: (2, 1), ..described },
        ElementDescription { semantics: Semantics::FLAGS, data_type: DataType::Float64, ..described },
    ] {
        assert_eq!(types(wrong).unwrap_err(), EncodeError::ValueRange { element: 7 });
    }
    assert!(OptionsData::element_types(Protocol::NetFlow9, 300, &[described]).is_err());
}

#[test]
fn options_need_an_options_template() {
    let field = FieldSpecifier::new(ElementId::iana(1), 8);
    let template = TemplateBuilder::new(Protocol::Ipfix, 300).field(field).build().unwrap();
    assert_eq!(OptionsData::new(template).unwrap_err(), EncodeError::NoScope);
}
