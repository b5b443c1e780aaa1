//! What the kernel runs on each packet: whether it is captured, and how many octets of it.
//!
//! The first is compiled by libpcap from what the user wants. Where nothing behind the headers is looked at, the second is
//! added here: of the packets that most are only the headers are kept. So twice as many fit into the ring, and half as many
//! cache lines, which another core has written, have to be read.

use pcap::{Active, Capture};
use socket2::{SockFilter, SockRef};

use super::{Way, handle::reason};
use crate::pcap::LinkType;

/// The filter that lets pass what goes one way and what the user wants.
pub(super) fn filter_of(filter: &str, way: Way) -> String {
    let filter = filter.trim();
    let direction = match way {
        Way::In => "inbound",
        Way::Out => "outbound",
        Way::Unknown => return filter.to_owned(),
    };
    if filter.is_empty() { direction.to_owned() } else { format!("{direction} and ({filter})") }
}

/// Has the kernel filter, and keep up to `snaplen` octets of each packet; no more than the headers of common packets, if
/// these `headers_suffice`.
///
/// libpcap applies a new filter to the first frames itself, and cannot tell their direction there: all would be dropped.
/// So the filter is given to the kernel without libpcap's knowledge, where the kernel has the same headers.
pub(super) fn set_filter(
    capture: &mut Capture<Active>,
    filter: &str,
    snaplen: u32,
    headers_suffice: bool,
) -> Result<(), String> {
    let failed = |error| format!("filter: {}", reason(error));
    let link_type = LinkType(capture.get_datalink().0.cast_unsigned());
    if matches!(link_type, LinkType::LINUX_SLL | LinkType::LINUX_SLL2) {
        return capture.filter(filter, true).map_err(failed);
    }
    let program = capture.compile(filter, true).map_err(failed)?;
    let instructions: Option<Vec<Instruction>> = program
        .get_instructions()
        .iter()
        .map(|instruction| Instruction::parse(&instruction.to_string()))
        .collect();
    let mut instructions = instructions.ok_or("filter: an instruction that cannot be read")?;
    if headers_suffice && link_type == LinkType::ETHERNET {
        keep_headers(&mut instructions, snaplen);
    }
    let given = |program: &[Instruction]| {
        let program: Vec<SockFilter> = program.iter().map(|instruction| instruction.given()).collect();
        SockRef::from(&*capture).attach_filter(&program)
    };
    given(&instructions).map_err(|error| format!("filter: the kernel does not take it: {error}"))
}

/// An instruction of the classic packet filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Instruction {
    operation: u16,
    /// Instructions to leave out if the comparison holds, and if not.
    jumps: [u8; 2],
    operand: u32,
}

/// `A` becomes the length of the packet; 16 bits of it; 8 bits of it.
const LENGTH: u16 = 0x80;
const LOAD_16: u16 = 0x28;
const LOAD_8: u16 = 0x30;
/// Whether `A` is the operand; at least the operand; has a bit of it.
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
/// Leave out so many instructions.
const GO_ON_AT: u16 = 0x05;
/// The end: keep so many octets.
const KEEP: u16 = 0x06;

impl Instruction {
    const fn new(operation: u16, operand: u32, jumps: [u8; 2]) -> Self {
        Self { operation, jumps, operand }
    }

    /// From what the library prints: operation, two jumps, operand.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let mut next = || numbers.next();
        Some(Self {
            operation: next()?.parse().ok()?,
            jumps: [next()?.parse().ok()?, next()?.parse().ok()?],
            operand: next()?.parse().ok()?,
        })
    }

    fn given(self) -> SockFilter {
        let [jump_true, jump_false] = self.jumps;
        SockFilter::new(self.operation, jump_true, jump_false, self.operand)
    }
}

/// Has a program that accepts packets keep nothing but the headers of those that [`crate::dissect`] reads nothing else of:
/// TCP, UDP or ICMP in whole IP packets without options and extension headers, on Ethernet without tags.
fn keep_headers(program: &mut Vec<Instruction>, snaplen: u32) {
    /// Octets of a transport header that are read, those to the flags of TCP.
    const TRANSPORT: u32 = 14;
    const OF_IPV4: u32 = 14 + 20 + TRANSPORT;
    const OF_IPV6: u32 = 14 + 40 + TRANSPORT;
    let tail = [
        // Nothing is read beyond the end of a packet: the kernel would drop it.
        Instruction::new(LENGTH, 0, [0, 0]),
        Instruction::new(AT_LEAST, OF_IPV4, [0, 17]),
        Instruction::new(LOAD_16, 12, [0, 0]),
        Instruction::new(EQUAL, 0x0800, [1, 0]),
        Instruction::new(EQUAL, 0x86DD, [8, 14]),
        // IPv4: no options, no fragment.
        Instruction::new(LOAD_8, 14, [0, 0]),
        Instruction::new(EQUAL, 0x45, [0, 12]),
        Instruction::new(LOAD_16, 20, [0, 0]),
        Instruction::new(ANY_BIT, 0x3FFF, [10, 0]),
        Instruction::new(LOAD_8, 23, [0, 0]),
        Instruction::new(EQUAL, 6, [6, 0]),
        Instruction::new(EQUAL, 17, [5, 0]),
        Instruction::new(EQUAL, 1, [4, 6]),
        // IPv6: no extension header.
        Instruction::new(LOAD_8, 20, [0, 0]),
        Instruction::new(EQUAL, 6, [3, 0]),
        Instruction::new(EQUAL, 17, [2, 0]),
        Instruction::new(EQUAL, 58, [1, 2]),
        Instruction::new(KEEP, OF_IPV4.min(snaplen), [0, 0]),
        Instruction::new(KEEP, OF_IPV6.min(snaplen), [0, 0]),
        Instruction::new(KEEP, snaplen, [0, 0]),
    ];
    let end = program.len();
    for (position, instruction) in program.iter_mut().enumerate() {
        if instruction.operation == KEEP && instruction.operand > 0 {
            let distance = u32::try_from(end - position - 1).unwrap_or(u32::MAX);
            *instruction = Instruction::new(GO_ON_AT, distance, [0, 0]);
        }
    }
    program.extend(tail);
}

#[cfg(test)]
mod tests {
    use pcap::Linktype;

    use super::*;

    #[test]
    fn filters_are_kept_together() {
        assert_eq!(filter_of(" udp or tcp ", Way::In), "inbound and (udp or tcp)");
        assert_eq!(filter_of("", Way::Out), "outbound");
        assert_eq!(filter_of("ip6", Way::Unknown), "ip6");
    }

    fn compiled(filter: &str) -> Vec<Instruction> {
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = dead.compile(filter, true).unwrap();
        program.get_instructions().iter().map(|one| Instruction::parse(&one.to_string()).unwrap()).collect()
    }

    #[test]
    fn the_instructions_of_a_filter_are_read_from_what_is_printed() {
        assert!(compiled("udp port 53 or vlan 7").len() > 5);
        assert!(Instruction::parse("1 2 3").is_none() && Instruction::parse("6 0 0 x").is_none());
    }

    /// What a program keeps of a packet, as the kernel would run it; 0 for what is not captured.
    fn kept(program: &[Instruction], packet: &[u8]) -> u32 {
        let (mut a, mut at) = (0, 0);
        loop {
            let Instruction { operation, jumps, operand } = program[at];
            let from = operand as usize;
            at += 1;
            let holds = match operation {
                KEEP => return operand,
                GO_ON_AT => {
                    at += from;
                    continue;
                }
                LENGTH => {
                    a = u32::try_from(packet.len()).unwrap();
                    continue;
                }
                LOAD_16 | LOAD_8 => {
                    let octets = if operation == LOAD_16 { 2 } else { 1 };
                    let Some(octets) = packet.get(from..from + octets) else { return 0 };
                    a = octets.iter().fold(0, |a, octet| a << 8 | u32::from(*octet));
                    continue;
                }
                EQUAL => a == operand,
                AT_LEAST => a >= operand,
                ANY_BIT => a & operand != 0,
                other => panic!("operation {other:#x}"),
            };
            at += usize::from(jumps[usize::from(!holds)]);
        }
    }

    fn packet(kind: u16, at: &[(usize, u8)], length: usize) -> Vec<u8> {
        let mut packet = vec![0; 200];
        packet[12..14].copy_from_slice(&kind.to_be_bytes());
        for (place, octet) in at {
            packet[*place] = *octet;
        }
        packet.truncate(length);
        packet
    }

    #[test]
    fn of_common_packets_the_headers_are_kept_and_of_others_what_may_be_headers() {
        let mut program = compiled("ip or ip6 or arp");
        let refused = packet(0x8100, &[], 200);
        assert_eq!(kept(&program, &refused), 0);
        keep_headers(&mut program, 256);
        assert_eq!(kept(&program, &refused), 0);
        for protocol in [6, 17, 1] {
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x45), (20, 0x40), (23, protocol)], 200)), 48);
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x45), (23, protocol)], 47)), 256);
            // Options, fragments.
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x46), (23, protocol)], 200)), 256);
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x45), (20, 0x20), (23, protocol)], 200)), 256);
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x45), (21, 1), (23, protocol)], 200)), 256);
        }
        for protocol in [6, 17, 58] {
            assert_eq!(kept(&program, &packet(0x86DD, &[(14, 0x60), (20, protocol)], 200)), 68);
        }
        // Tunnels, extension headers, fragments, the other ICMP.
        for protocol in [0, 4, 41, 44, 47, 58, 132] {
            assert_eq!(kept(&program, &packet(0x0800, &[(14, 0x45), (23, protocol)], 200)), 256);
        }
        for protocol in [0, 1, 4, 41, 43, 44, 60] {
            assert_eq!(kept(&program, &packet(0x86DD, &[(14, 0x60), (20, protocol)], 200)), 256);
        }
        for length in 14..48 {
            assert_eq!(kept(&program, &packet(0x0806, &[], length)), 256);
        }
    }

    #[test]
    fn no_more_is_kept_than_was_asked_for() {
        let mut program = compiled("");
        keep_headers(&mut program, 64);
        assert_eq!(kept(&program, &packet(0x86DD, &[(20, 6)], 200)), 64);
        assert_eq!(kept(&program, &packet(0x8100, &[], 200)), 64);
    }
}
