//! Writes the seed corpus: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`.
//!
//! Everything is made here, from the codec's own encoders and from octets written by hand; the files of one run
//! equal those of the next.

use std::{fs, io, path::Path};

use netflow_codec::{
    Decoder, ElementId, ExportClock, ExportSession, ExportVersion, FieldSpecifier, FlowRecord, PacketBuilder,
    PacketHeader, RecordLayout, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig, SysUptime,
    Timestamp,
};
use netflow_fuzz::decode::Frame;

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
const NOW: Timestamp = Timestamp::from_secs(1_700_003_600);

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, seeds) in [
        ("decode", decode_seeds()),
        ("fields", fields_seeds()),
        ("messages", messages_seeds()),
        ("roundtrip", roundtrip_seeds()),
        ("session", session_seeds()),
        ("snapshot", snapshot_seeds()),
        ("flow_table", flow_table_seeds()),
        ("sampler", sampler_seeds()),
    ] {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        for (name, octets) in seeds {
            fs::write(folder.join(name), octets)?;
        }
    }
    Ok(())
}

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn decode_seeds() -> Seeds {
    let v5 = session(ExportVersion::V5, None);
    let v9 = session(ExportVersion::V9, None);
    let sampled = session(ExportVersion::V9, Some(1_000));
    let data_first = [template_packet(false), data_packet()];
    vec![
        ("v1", frames(&[(0, 0, &fixed(1, 16, 48))])),
        ("v5", frames(&[(0, 0, &v5[0])])),
        ("v5_count_too_large", frames(&[(0, 0, &v5[0][..24 + 48])])),
        ("v7", frames(&[(0, 0, &fixed(7, 24, 52))])),
        ("v6", frames(&[(0, 0, &fixed(6, 24, 52))])),
        ("v8", frames(&[(0, 0, &aggregated())])),
        ("v9", frames(&[(0, 0, &v9[0])])),
        ("v9_options", frames(&[(1, 1, &sampled[0])])),
        ("v9_two_exporters", frames(&[(0, 0, &v9[0]), (1, 0, &data_first[0]), (1, 1, &data_first[1])])),
        ("v9_data_first", frames(&[(2, 0, &data_first[1]), (2, 5, &data_first[0]), (2, 5, &data_first[1])])),
        (
            "v9_redefined",
            frames(&[(0, 0, &data_first[0]), (0, 0, &template_packet(true)), (0, 0, &data_packet())]),
        ),
        (
            "v9_expired",
            frames(&[(0, 0, &data_first[0]), (3, 255, &[]), (3, 255, &[]), (0, 255, &data_first[1])]),
        ),
        ("v9_hand_made", frames(&[(0, 0, &hand_made())])),
        ("v9_variable_length", frames(&[(0, 0, &variable_length())])),
        ("v9_cut_off", frames(&[(0, 0, &hand_made()[..50])])),
        ("unknown_version", frames(&[(0, 0, &[0, 10, 0, 16, 0, 0, 0, 0])])),
    ]
}

/// Snapshots of caches that have decoded something, and damaged ones.
fn snapshot_seeds() -> Seeds {
    let stored = |datagrams: &[Vec<u8>]| {
        let mut decoder = Decoder::<u8>::new();
        for datagram in datagrams {
            decoder.decode(&1, datagram, NOW).expect("it is sound").for_each(drop);
        }
        serde_json::to_string(&decoder.cache().snapshot()).expect("it can be written")
    };
    let one = stored(&[template_packet(false)]);
    let many = [session(ExportVersion::V9, Some(1_000)), session(ExportVersion::Ipfix, Some(100))].concat();
    vec![
        ("empty", stored(&[]).into()),
        ("one_template", one.clone().into()),
        ("many", stored(&many).into()),
        ("another_version", one.replace("\"version\":1", "\"version\":2").into()),
        ("a_record_of_another_length", one.replace("[1,44,0,", "[1,44,1,").into()),
        ("a_template_id_below_256", one.replace("[1,44,0,", "[0,44,0,").into()),
    ]
}

fn fields_seeds() -> Seeds {
    let field = |enterprise: u32, number: u16, octets: &[u8]| {
        let time = 1_700_000_000_u32.to_be_bytes();
        [&enterprise.to_be_bytes()[..], &number.to_be_bytes(), &time, octets].concat()
    };
    // Lists within lists, one more than are opened.
    let mut nested = vec![255, 0, 4, 0, 1, 6];
    for _ in 0..8 {
        let length = u8::try_from(nested.len()).expect("a list of a few octets");
        nested = [&[3, 1, 35, 255, 255, length][..], &nested].concat();
    }
    // Records of three empty lists, a port and a name.
    let record = [5, 3, 0, 14, 0, 4, 3, 3, 1, 44, 1, 3, 0, 80, 4, b'e', b't', b'h', b'0'];
    let records = [&[3, 1, 44][..], &record, &record].concat();
    let entries = [&[255, 1, 44, 0, 23][..], &record, &[1, 45, 0, 0, 1, 45, 0, 5, 9]].concat();
    vec![
        ("basic_list", field(0, 291, &[3, 0, 14, 0, 4, 0, 0, 0, 7, 0, 0, 0, 9])),
        ("basic_list_of_an_enterprise", field(0, 291, &[3, 128, 1, 0, 2, 0, 0, 126, 217, 1, 2, 3])),
        ("nested_lists", field(0, 291, &nested)),
        ("records", field(0, 292, &records)),
        ("records_of_several_templates", field(0, 293, &entries)),
        ("application", field(0, 95, &[20, 0, 0, 126, 217, 0, 1, 2])),
        ("reverse_octets", field(29_305, 1, &[1, 2, 3])),
        // An element of an enterprise whose list has another type for the reverse direction.
        ("reverse_flags_of_an_enterprise", field(6_871, 16_399, &[1, 2])),
        ("nanoseconds_of_the_next_era", field(0, 156, &[0, 0, 0, 1, 255, 255, 255, 255])),
        ("wide_flags", field(0, 515, &[1; 32])),
        ("name", field(0, 82, b"eth0\0\0")),
    ]
}

fn frames(frames: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut input = Vec::new();
    for (exporter, delay, datagram) in frames {
        Frame { exporter: *exporter, delay: *delay, datagram }.put(&mut input);
    }
    input
}

fn flow(index: u32) -> FlowRecord {
    let mut flow = FlowRecord::default();
    let [.., last] = index.to_be_bytes();
    flow.source = [192, 0, 2, last].into();
    flow.destination = [198, 51, 100, last].into();
    flow.next_hop = [203, 0, 113, 1].into();
    flow.octets = u64::from(index) * 1_000 + 40;
    flow.packets = u64::from(index) + 1;
    flow.start = Timestamp::from_secs(1_700_003_500);
    flow.end = Timestamp::from_millis(1_700_003_512_345);
    flow.source_port = 49_152;
    flow.destination_port = 443;
    flow.protocol = 6;
    flow.tcp_flags = 0x1b;
    flow
}

/// What a session sends for IPv4, IPv6 (v9 only) and labelled flows.
fn session(version: ExportVersion, interval: Option<u32>) -> Vec<Vec<u8>> {
    let mut config = SessionConfig::new(version, BOOT);
    config.sampling = interval
        .and_then(|interval| SamplingInfo::new(interval, SamplingAlgorithm::RANDOM, SamplingSource::Domain));
    let mut session = ExportSession::new(config).expect("the defaults are sound");
    let mut flows = vec![flow(1), flow(2), flow(3)];
    if version == ExportVersion::V9 {
        let mut ipv6 = flow(4);
        ipv6.source = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into();
        ipv6.destination = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into();
        let mut labelled = flow(5);
        labelled.mpls_labels.set(0, [0, 1, 0x41]);
        flows.extend([ipv6, labelled]);
    }
    let mut datagrams = Vec::new();
    for flow in &flows {
        session.handle_flow(flow, NOW).expect("nothing is pending");
    }
    session.flush(NOW);
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
    datagrams
}

fn layout(redefined: bool) -> RecordLayout {
    let numbers: &[(u16, u16)] =
        if redefined { &[(1, 8), (2, 8), (4, 1)] } else { &[(8, 4), (12, 4), (1, 4), (4, 1)] };
    let fields: Vec<_> = numbers
        .iter()
        .map(|(number, length)| FieldSpecifier::new(ElementId::iana(*number), *length))
        .collect();
    RecordLayout::new(300, &fields).expect("the layout is sound")
}

fn finish(mut builder: PacketBuilder) -> Vec<u8> {
    let clock = ExportClock::new(NOW, SysUptime::from_millis(3_600_000));
    let mut datagram = Vec::new();
    builder.finish(&PacketHeader::new(clock, 0, 0), &mut datagram);
    datagram
}

fn template_packet(redefined: bool) -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_472);
    builder.push_template(&layout(redefined)).expect("there is room");
    finish(builder)
}

fn data_packet() -> Vec<u8> {
    let mut builder = PacketBuilder::new(1_472);
    for index in 0..3 {
        builder.push_flow(&layout(false), &flow(index), BOOT).expect("there is room");
    }
    finish(builder)
}

/// Two records of a fixed layout, all octets different.
fn fixed(version: u16, header: usize, record: usize) -> Vec<u8> {
    let mut datagram: Vec<u8> = (0..=u8::MAX).cycle().take(header + 2 * record).collect();
    datagram[..4].copy_from_slice(&[0, version.to_be_bytes()[1], 0, 2]);
    datagram
}

/// Two v8 records of flows by AS.
fn aggregated() -> Vec<u8> {
    let mut datagram = fixed(8, 28, 28);
    datagram[22..24].copy_from_slice(&[1, 2]);
    datagram
}

fn v9(sets: &[&[u16]]) -> Vec<u8> {
    let mut words = vec![9, 4, 0, 0xffff, 0x6553, 0xf100, 0, 1, 0, 7];
    for set in sets {
        words.extend(*set);
    }
    words.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// A template set, an options template set, data for both, a reserved set.
fn hand_made() -> Vec<u8> {
    v9(&[
        &[0, 20, 256, 3, 7, 2, 11, 2, 61, 2],
        &[1, 22, 257, 4, 8, 2, 4, 48, 2, 50, 2, 0],
        &[257, 12, 0, 3, 1, 100],
        &[256, 12, 80, 443, 1, 0],
        &[2, 8, 1, 2],
    ])
}

/// A template with a field of variable length, which lenient decoders take.
fn variable_length() -> Vec<u8> {
    v9(&[&[0, 16, 256, 2, 82, 0xffff, 4, 2], &[256, 12, 0x0361, 0x6263, 6, 0]])
}

/// Seeds of the structured targets are choices in the order of the members; numbers without pattern will do.
fn numbers(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let step = move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56).to_be_bytes()[7]
    };
    core::iter::repeat_with(step).take(count).collect()
}

fn roundtrip_seeds() -> Seeds {
    vec![
        ("v9_small", [&[0][..], &1_472u16.to_le_bytes(), &numbers(1, 200)].concat()),
        ("v9_large", [&[0][..], &1_472u16.to_le_bytes(), &numbers(2, 2_000)].concat()),
        ("v9_narrow", [&[0][..], &200u16.to_le_bytes(), &numbers(3, 1_000)].concat()),
        ("v5_small", [&[1][..], &1_472u16.to_le_bytes(), &numbers(4, 200)].concat()),
        ("v5_large", [&[1][..], &1_472u16.to_le_bytes(), &numbers(5, 2_000)].concat()),
        ("v5_narrow", [&[1][..], &80u16.to_le_bytes(), &numbers(6, 1_000)].concat()),
        ("ipfix_small", [&[2][..], &1_472u16.to_le_bytes(), &numbers(7, 200)].concat()),
        ("ipfix_large", [&[2][..], &1_472u16.to_le_bytes(), &numbers(8, 2_000)].concat()),
        ("ipfix_narrow", [&[2][..], &200u16.to_le_bytes(), &numbers(9, 1_000)].concat()),
    ]
}

/// Streams whole, damaged and cut off, and v9 packets with their lengths before them.
fn messages_seeds() -> Seeds {
    let stream = session(ExportVersion::Ipfix, Some(100)).concat();
    let mut damaged = stream.clone();
    damaged[40..60].fill(0xff);
    let mut packets = vec![9];
    for packet in session(ExportVersion::V9, Some(100)) {
        packets.extend(u16::try_from(packet.len()).expect("a datagram").to_be_bytes());
        packets.extend(packet);
    }
    vec![
        ("stream", [&[7][..], &stream].concat()),
        ("damaged", [&[1][..], &damaged].concat()),
        ("cut_off", [&[255][..], &stream[..stream.len() - 5]].concat()),
        ("packets", packets),
    ]
}

fn session_seeds() -> Seeds {
    vec![
        ("lenient_udp", [&[0, 0][..], &numbers(11, 600)].concat()),
        ("lenient_stream", [&[0, 1][..], &numbers(12, 2_000)].concat()),
        ("strict_udp", [&[1, 0][..], &numbers(13, 600)].concat()),
        ("strict_stream", [&[1, 1][..], &numbers(14, 2_000)].concat()),
    ]
}

fn flow_table_seeds() -> Seeds {
    vec![
        ("one_flow", [&[0; 8][..], &[1, 1], &numbers(1, 100)].concat()),
        ("small", [&[0; 8][..], &[8, 4], &numbers(2, 500)].concat()),
        ("large", [&[0; 8][..], &[255, 255], &numbers(3, 3_000)].concat()),
    ]
}

fn sampler_seeds() -> Seeds {
    vec![
        ("small", numbers(1, 300)),
        ("medium", numbers(2, 1_200)),
        ("large", numbers(3, 6_000)),
        ("other", numbers(4, 3_000)),
        ("nested", [&[0; 8][..], &numbers(13, 2_500)].concat()),
    ]
}
