//! The peers, each used the way its documentation says.
//!
//! What a peer hands out are values of an enum, one a field. `decode` drops them unread, to the peer's advantage;
//! `decode_and_read` reads the members that [`netflow_benches::consume`] reads of a typed flow, which is the same
//! work as typed decoding.

#![allow(dead_code, reason = "each bench uses a part")]

pub mod netflow_parser {
    use core::{hint::black_box, net::SocketAddr};

    pub use netflow_parser::NetflowPacket;
    use netflow_parser::{AutoScopedParser, NetflowParser};

    pub fn parser(template: Option<&[u8]>) -> NetflowParser {
        let mut parser = NetflowParser::default();
        if let Some(template) = template {
            assert!(parser.parse_bytes(template).is_ok());
        }
        parser
    }

    pub fn decode(parser: &mut NetflowParser, datagram: &[u8]) -> u64 {
        let result = parser.parse_bytes(datagram);
        assert!(result.is_ok());
        black_box(&result).packets.len() as u64
    }

    pub fn packets(parser: &mut NetflowParser, datagrams: &[Vec<u8>]) -> Vec<NetflowPacket> {
        datagrams.iter().flat_map(|datagram| parser.parse_bytes(datagram).packets).collect()
    }

    pub fn encode(packet: &NetflowPacket) -> Vec<u8> {
        match packet {
            NetflowPacket::V5(packet) => packet.to_be_bytes(),
            NetflowPacket::V9(packet) => packet.to_be_bytes().expect("it was decoded"),
            NetflowPacket::IPFix(packet) => packet.to_be_bytes().expect("it was decoded"),
            other => panic!("{other:?}"),
        }
    }

    pub fn scoped(exporters: &[SocketAddr], template: &[u8]) -> AutoScopedParser {
        let mut parser = AutoScopedParser::new();
        for exporter in exporters {
            assert!(parser.parse_from_source(*exporter, template).is_ok());
        }
        parser
    }

    pub fn decode_scoped(parser: &mut AutoScopedParser, exporter: SocketAddr, datagram: &[u8]) -> u64 {
        let result = parser.parse_from_source(exporter, datagram);
        assert!(result.is_ok());
        black_box(&result).packets.len() as u64
    }
}

/// netgauze has the same for both protocols, in types of their own.
macro_rules! netgauze {
    ($name:ident: $packet:ident of $protocol:ident) => {
        pub mod $name {
            use core::hint::black_box;

            use netgauze_flow_pkt::{
                ie::Field,
                $protocol::{DataRecord, Set, TemplatesMap, $packet},
            };
            use netgauze_parse_utils::{
                WritablePduWithOneInput, reader::SliceReader, traits::ParseFromWithOneInput,
            };

            pub fn templates(template: Option<&[u8]>) -> TemplatesMap {
                let mut templates = TemplatesMap::default();
                if let Some(template) = template {
                    packet(&mut templates, template);
                }
                templates
            }

            pub fn packet(templates: &mut TemplatesMap, datagram: &[u8]) -> $packet {
                $packet::parse(&mut SliceReader::new(datagram), templates).expect("the datagram is sound")
            }

            pub fn decode(templates: &mut TemplatesMap, datagram: &[u8]) -> u64 {
                let packet = packet(templates, datagram);
                black_box(&packet).sets().len() as u64
            }

            pub fn decode_and_read(templates: &mut TemplatesMap, datagram: &[u8]) -> u64 {
                let packet = packet(templates, datagram);
                let mut sum = 0u64;
                for set in black_box(&packet).sets() {
                    let Set::Data { records, .. } = set else { continue };
                    for field in records.iter().flat_map(DataRecord::fields) {
                        sum = sum.wrapping_add(match field {
                            Field::octetDeltaCount(octets) => *octets,
                            Field::packetDeltaCount(packets) => packets << 8,
                            Field::flowStartSysUpTime(time) | Field::flowEndSysUpTime(time) => {
                                u64::from(*time)
                            }
                            Field::flowStartMilliseconds(time) | Field::flowEndMilliseconds(time) => {
                                time.timestamp_millis().unsigned_abs()
                            }
                            Field::sourceTransportPort(port) => u64::from(*port) << 16,
                            Field::bgpDestinationAsNumber(number) => u64::from(*number),
                            _ => 0,
                        });
                    }
                }
                sum
            }

            pub fn encode(packet: &$packet, templates: &TemplatesMap, datagram: &mut Vec<u8>) {
                packet.write(datagram, Some(templates)).expect("it was decoded");
            }
        }
    };
}

netgauze!(netgauze: NetFlowV9Packet of netflow);
netgauze!(netgauze_ipfix: IpfixPacket of ipfix);
