//! The named hot paths, for callgrind: `benches/instructions.sh` runs one after the other and counts instructions.
//!
//! Without an argument the names are listed, each with its records. With a name the case is run twice: once to fill
//! caches and columns, once inside [`measured_hot_path`], which is what the script has callgrind look at.

#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, reason = "a bench")]

use std::env;

use netflow_benches::{
    datagrams::{
        self, IPFIX_FIELDS, IPFIX_RECORDS, IPV4_FIELDS, IPV4_RECORDS, IPV6_FIELDS, IPV6_RECORDS,
        NAMED_FIELDS, NAMED_RECORDS, Protocol, TEMPLATE_ID, V5_RECORDS, mixed_data, mixed_templates,
        template, v9_data, v9_data_with_template, v9_template,
    },
    ours,
    table::Trace,
};
use netflow_codec::{ExportVersion, FlowRecord};

/// Datagrams of a case.
const PACKETS: usize = 16;
/// Exporters of the case with many.
const EXPORTERS: u32 = 64;

/// Packets of a case of the flow table.
const TABLE_PACKETS: usize = 40_000;

type Work = Box<dyn FnMut() -> u64>;

struct Case {
    name: &'static str,
    records: usize,
    work: fn() -> Work,
}

#[inline(never)]
fn measured_hot_path(work: &mut Work) -> u64 {
    core::hint::black_box(work())
}

/// Decodes datagrams with a decoder that was given the templates before.
fn decode(templates: &[u8], datagrams: Vec<Vec<u8>>) -> Work {
    let mut decoder = ours::decoder();
    if !templates.is_empty() {
        ours::flows(&mut decoder, templates);
    }
    Box::new(move || datagrams.iter().fold(0, |sum, datagram| sum ^ ours::flows(&mut decoder, datagram)))
}

fn decode_ipfix(fields: &[(u16, u16)], records: usize) -> Work {
    let data = datagrams::data(Protocol::Ipfix, fields, records, PACKETS, false);
    decode(&template(Protocol::Ipfix, TEMPLATE_ID, fields), data)
}

fn encode(records: usize, mut encode: impl FnMut(&[FlowRecord], &mut Vec<u8>) + 'static) -> Work {
    let flows = datagrams::flows(records * PACKETS, false);
    let mut datagram = Vec::with_capacity(2_048);
    Box::new(move || {
        flows.chunks(records).fold(0, |sum, flows| {
            datagram.clear();
            encode(flows, &mut datagram);
            sum + core::hint::black_box(&datagram).len() as u64
        })
    })
}

fn export(version: ExportVersion, records: usize) -> Work {
    let mut session = ours::session(version);
    let flows = datagrams::flows(records * PACKETS, false);
    let mut datagram = Vec::with_capacity(2_048);
    Box::new(move || ours::export(&mut session, &flows, &mut datagram))
}

/// Packets for a flow table that is in its steady state.
fn table(mut trace: Trace, batches: bool) -> Work {
    Box::new(move || if batches { trace.run_in_batches(TABLE_PACKETS) } else { trace.run(TABLE_PACKETS) })
}

const CASES: &[Case] = &[
    Case { name: "decode-v5", records: V5_RECORDS * PACKETS, work: || decode(&[], datagrams::v5(PACKETS)) },
    Case {
        name: "decode-v9-20-fields",
        records: IPV4_RECORDS * PACKETS,
        work: || decode(&v9_template(&IPV4_FIELDS), v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS)),
    },
    Case {
        name: "decode-v9-ipv6-mpls",
        records: IPV6_RECORDS * PACKETS,
        work: || decode(&v9_template(&IPV6_FIELDS), v9_data(&IPV6_FIELDS, IPV6_RECORDS, PACKETS)),
    },
    Case {
        name: "decode-v9-template-in-each-packet",
        records: IPV4_RECORDS * PACKETS,
        work: || decode(&[], v9_data_with_template(&IPV4_FIELDS, IPV4_RECORDS, PACKETS)),
    },
    Case {
        name: "decode-v9-16-templates-mixed",
        records: IPV4_RECORDS * PACKETS,
        work: || decode(&mixed_templates(), mixed_data(6, PACKETS)),
    },
    Case {
        name: "decode-v9-many-exporters",
        records: IPV4_RECORDS * EXPORTERS as usize,
        work: || {
            let mut decoder = ours::decoder();
            for exporter in 0..EXPORTERS {
                ours::flows_of(&mut decoder, &exporter, &mixed_templates());
            }
            let data = mixed_data(IPV4_RECORDS, EXPORTERS as usize);
            Box::new(move || {
                (0..EXPORTERS).zip(&data).fold(0, |sum, (exporter, datagram)| {
                    sum ^ ours::flows_of(&mut decoder, &exporter, datagram)
                })
            })
        },
    },
    Case {
        name: "decode-ipfix-20-fields",
        records: IPFIX_RECORDS * PACKETS,
        work: || decode_ipfix(&IPFIX_FIELDS, IPFIX_RECORDS),
    },
    Case {
        name: "decode-ipfix-variable-length",
        records: NAMED_RECORDS * PACKETS,
        work: || decode_ipfix(&NAMED_FIELDS, NAMED_RECORDS),
    },
    Case {
        name: "project-v9-7-of-20-fields",
        records: IPV4_RECORDS * PACKETS,
        work: || {
            let (mut decoder, mut projection) = (ours::decoder(), ours::five_tuple());
            ours::flows(&mut decoder, &v9_template(&IPV4_FIELDS));
            let data = v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
            Box::new(move || {
                let projected = |datagram: &Vec<u8>| ours::projected(&mut decoder, &mut projection, datagram);
                data.iter().map(projected).fold(0, |sum, values| sum ^ values)
            })
        },
    },
    Case {
        name: "columns-v9-20-fields",
        records: IPV4_RECORDS * PACKETS,
        work: || {
            let (mut decoder, mut columns) = (ours::decoder(), ours::columns());
            ours::flows(&mut decoder, &v9_template(&IPV4_FIELDS));
            let data = v9_data(&IPV4_FIELDS, IPV4_RECORDS, PACKETS);
            Box::new(move || {
                let columned = |datagram: &Vec<u8>| ours::columned(&mut decoder, &mut columns, datagram);
                data.iter().map(columned).fold(0, |sum, values| sum ^ values)
            })
        },
    },
    Case {
        name: "encode-v5",
        records: V5_RECORDS * PACKETS,
        work: || {
            let mut encoder = ours::V5Encoder::new();
            encode(V5_RECORDS, move |flows, datagram| encoder.encode(flows, datagram))
        },
    },
    Case {
        name: "encode-v9-20-fields",
        records: IPV4_RECORDS * PACKETS,
        work: || {
            let mut encoder = ours::TemplateEncoder::new();
            encode(IPV4_RECORDS, move |flows, datagram| encoder.encode(flows, datagram))
        },
    },
    Case {
        name: "encode-ipfix-20-fields",
        records: IPFIX_RECORDS * PACKETS,
        work: || {
            let mut encoder = ours::TemplateEncoder::ipfix();
            encode(IPFIX_RECORDS, move |flows, datagram| encoder.encode(flows, datagram))
        },
    },
    Case { name: "export-v5", records: V5_RECORDS * PACKETS, work: || export(ExportVersion::V5, V5_RECORDS) },
    Case {
        name: "export-v9",
        records: IPV4_RECORDS * PACKETS,
        work: || export(ExportVersion::V9, IPV4_RECORDS),
    },
    Case {
        name: "export-ipfix",
        records: IPV4_RECORDS * PACKETS,
        work: || export(ExportVersion::Ipfix, IPV4_RECORDS),
    },
    Case { name: "table-hot", records: TABLE_PACKETS, work: || table(Trace::hot(), false) },
    Case { name: "table-half-new", records: TABLE_PACKETS, work: || table(Trace::misses(), false) },
    Case { name: "table-half-new-batches", records: TABLE_PACKETS, work: || table(Trace::misses(), true) },
];

fn main() {
    let Some(name) = env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        for case in CASES {
            println!("{} {}", case.name, case.records);
        }
        return;
    };
    let case = CASES.iter().find(|case| case.name == name).expect("a name of the list");
    let mut work = (case.work)();
    core::hint::black_box(work());
    measured_hot_path(&mut work);
}
