//! Made-up traffic, the same on every run: some hosts of an office and what they talk to.
//!
//! Addresses are those set aside for documentation (RFC 5737, RFC 3849).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netflow_flowcache::Timestamp;

use crate::pcap::{Frame, LinkType};

/// When the traffic begins: 2026-01-05 08:00:00 UTC.
const START: Timestamp = Timestamp::from_secs(1_767_600_000);
/// Milliseconds that conversations begin in.
const MILLIS: u64 = 90_000;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;
/// Payload of a full packet.
const FULL: u16 = 1_400;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
struct Conversation {
    client: IpAddr,
    server: IpAddr,
    client_port: u16,
    server_port: u16,
    protocol: u8,
    tos: u8,
}

/// A packet of a conversation.
#[derive(Clone, Copy, Debug)]
struct Packet {
    nanos: u64,
    conversation: usize,
    from_client: bool,
    flags: u8,
    payload: u16,
}

/// All packets of the demonstration, in the order of time.
#[derive(Debug)]
pub struct SyntheticTraffic {
    conversations: Vec<Conversation>,
    packets: Vec<Packet>,
    chance: Chance,
}

impl SyntheticTraffic {
    /// Some 100,000 packets of some 10,000 conversations in 90 seconds.
    #[must_use]
    pub fn generate() -> Self {
        let mut traffic = Self { conversations: Vec::new(), packets: Vec::new(), chance: Chance(2026) };
        for _ in 0..4_000 {
            traffic.lookup();
        }
        for _ in 0..2_400 {
            traffic.web();
        }
        for _ in 0..30 {
            traffic.ping();
        }
        for host in 0..6 {
            traffic.download(host);
        }
        // The order of packets at the same time is that of their making.
        traffic.packets.sort_by_key(|packet| packet.nanos);
        traffic
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Shows every packet as a captured frame.
    ///
    /// # Errors
    ///
    /// The first one of `see`.
    pub fn frames<E>(&self, mut see: impl FnMut(&Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut octets = Vec::with_capacity(ETHERNET + IPV6 + TCP + usize::from(FULL));
        for packet in &self.packets {
            let Some(conversation) = self.conversations.get(packet.conversation) else { continue };
            build(&mut octets, conversation, packet);
            see(&Frame {
                timestamp: Timestamp::from_nanos(START.as_nanos() + packet.nanos),
                link_type: LinkType::ETHERNET,
                data: &octets,
                original_length: u32::try_from(octets.len()).unwrap_or(u32::MAX),
                interface: 0,
            })?;
        }
        Ok(())
    }

    /// A name is looked up: two packets.
    fn lookup(&mut self) {
        let server = self.pick(&[(53, 1), (53, 2)]);
        let mut clock = self.begin(server.0, server.1, PROTOCOL_UDP, 0);
        let (question, answer) = (self.between(30, 60), self.between(60, 300));
        self.packet(clock, true, 0, question);
        clock += self.pause(1, 30);
        self.packet(clock, false, 0, answer);
    }

    /// A page is fetched: handshake, request, some packets of answer, goodbye.
    fn web(&mut self) {
        let (port, host) = self.pick(&[(443, 10), (443, 11), (443, 12), (443, 13), (80, 14), (443, 15)]);
        let mut clock = self.begin(port, host, PROTOCOL_TCP, 0);
        let round_trip = self.pause(2, 40);
        self.packet(clock, true, SYN, 0);
        self.packet(clock + round_trip, false, SYN | ACK, 0);
        clock += 2 * round_trip;
        self.packet(clock, true, ACK, 0);
        let request = self.between(200, 900);
        self.packet(clock + 50_000, true, PSH | ACK, request);
        clock += round_trip;
        for answered in 0..self.between(3, 40) {
            clock += self.pause(0, 3) + 20_000;
            self.packet(clock, false, ACK, FULL);
            if answered % 2 == 1 {
                self.packet(clock + 10_000, true, ACK, 0);
            }
        }
        self.packet(clock + 100_000, false, FIN | ACK, 0);
        self.packet(clock + 100_000 + round_trip, true, FIN | ACK, 0);
        self.packet(clock + 100_000 + 2 * round_trip, false, ACK, 0);
    }

    /// Five echo requests and replies.
    fn ping(&mut self) {
        let mut clock = self.begin(0, 1, PROTOCOL_ICMP, 0);
        for _ in 0..5 {
            self.packet(clock, true, 0, 56);
            self.packet(clock + 9_000_000, false, 0, 56);
            clock += 1_000_000_000;
        }
    }

    /// A large file: the flow outlasts the others.
    fn download(&mut self, host: u64) {
        let mut clock = self.begin(443, 40 + host, PROTOCOL_TCP, 0x20) / 3;
        self.packet(clock, true, SYN, 0);
        self.packet(clock + 8_000_000, false, SYN | ACK, 0);
        clock += 16_000_000;
        for sent in 0..5_000 + 900 * host {
            clock += self.pause(2, 9);
            self.packet(clock, false, ACK, FULL);
            if sent % 4 == 3 {
                self.packet(clock + 30_000, true, ACK, 0);
            }
        }
    }

    /// A new conversation of some client with a server; when it begins, in nanoseconds.
    fn begin(&mut self, server_port: u16, server: u64, protocol: u8, tos: u8) -> u64 {
        let ipv6 = protocol != PROTOCOL_ICMP && self.chance.below(5) == 0;
        let client = 1 + self.chance.below(60);
        let client_port = if protocol == PROTOCOL_ICMP { 0 } else { self.between(32_768, 60_999) };
        let conversation = Conversation {
            client: address(ipv6, 0, client),
            server: address(ipv6, 1, server),
            client_port,
            server_port,
            protocol,
            tos,
        };
        self.conversations.push(conversation);
        self.chance.below(MILLIS) * 1_000_000
    }

    /// A packet of the newest conversation.
    fn packet(&mut self, nanos: u64, from_client: bool, flags: u8, payload: u16) {
        let conversation = self.conversations.len().saturating_sub(1);
        self.packets.push(Packet { nanos, conversation, from_client, flags, payload });
    }

    fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let index = self.chance.below(choices.len() as u64);
        usize::try_from(index).ok().and_then(|index| choices.get(index)).copied().unwrap_or_default()
    }

    fn between(&mut self, low: u16, high: u16) -> u16 {
        low + u16::try_from(self.chance.below(u64::from(high - low) + 1)).unwrap_or(0)
    }

    /// Nanoseconds, from a range in milliseconds.
    fn pause(&mut self, low: u64, high: u64) -> u64 {
        low * 1_000_000 + self.chance.below((high - low) * 1_000_000 + 1)
    }
}

/// A host of the office (side 0) or of the world.
fn address(ipv6: bool, side: u16, host: u64) -> IpAddr {
    let host = u16::try_from(host & 0xff).unwrap_or(0);
    if ipv6 {
        return IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, side, 0, 0, 0, 0, host));
    }
    let [_, last] = host.to_be_bytes();
    IpAddr::V4(if side == 0 { Ipv4Addr::new(192, 0, 2, last) } else { Ipv4Addr::new(198, 51, 100, last) })
}

/// Numbers that look random and are always the same (the generator known as `SplitMix64`).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(limit).unwrap_or(0)
    }
}

/// Writes the frame of a packet.
fn build(octets: &mut Vec<u8>, conversation: &Conversation, packet: &Packet) {
    octets.clear();
    let Conversation { client, server, client_port, server_port, protocol, tos } = *conversation;
    let (source, destination, source_port, destination_port) = if packet.from_client {
        (client, server, client_port, server_port)
    } else {
        (server, client, server_port, client_port)
    };
    octets.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    let transport = if protocol == PROTOCOL_TCP { TCP } else { UDP };
    let length = u16::try_from(transport).unwrap_or(0) + packet.payload;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            octets.extend([0x08, 0x00, 0x45, tos]);
            octets.extend((length + 20).to_be_bytes());
            octets.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            octets.extend(source.octets());
            octets.extend(destination.octets());
            let sum = octets.get(ETHERNET..ETHERNET + IPV4).map_or(0, checksum);
            if let Some(field) = octets.get_mut(ETHERNET + 10..ETHERNET + 12) {
                field.copy_from_slice(&sum.to_be_bytes());
            }
        }
        (source, destination) => {
            octets.extend([0x86, 0xdd, 0x60 | tos >> 4, tos << 4, 0, 0]);
            octets.extend(length.to_be_bytes());
            octets.extend([protocol, 64]);
            for address in [source, destination] {
                if let IpAddr::V6(address) = address {
                    octets.extend(address.octets());
                }
            }
        }
    }
    match protocol {
        PROTOCOL_TCP => {
            octets.extend(source_port.to_be_bytes());
            octets.extend(destination_port.to_be_bytes());
            octets.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, packet.flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        PROTOCOL_ICMP => octets.extend([if packet.from_client { 8 } else { 0 }, 0, 0, 0, 0, 1, 0, 1]),
        _ => {
            octets.extend(source_port.to_be_bytes());
            octets.extend(destination_port.to_be_bytes());
            octets.extend(length.to_be_bytes());
            octets.extend([0, 0]);
        }
    }
    octets.resize(octets.len() + usize::from(packet.payload), 0);
}

/// The Internet checksum (RFC 1071).
fn checksum(octets: &[u8]) -> u16 {
    let sum: u32 = octets.as_chunks().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect::{Outcome, dissect};

    #[test]
    fn every_frame_is_an_ip_packet_and_time_never_goes_back() {
        let traffic = SyntheticTraffic::generate();
        let mut last = Timestamp::ZERO;
        let (mut packets, mut ipv6) = (0, 0);
        traffic
            .frames::<()>(|frame| {
                let Outcome::Packet(packet) = dissect(frame.link_type, frame.data, frame.original_length)
                else {
                    panic!("{frame:?}")
                };
                assert_eq!(packet.octets as usize, frame.data.len() - ETHERNET);
                assert!(frame.timestamp >= last);
                last = frame.timestamp;
                packets += 1;
                ipv6 += usize::from(packet.source.is_ipv6());
                Ok(())
            })
            .unwrap();
        assert_eq!(packets, traffic.len());
        assert!(packets > 50_000 && ipv6 > 5_000, "{packets} {ipv6}");
    }
}
