//! The traces: made by a generator in C, read into memory, taken apart.

use core::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use netflow_flowcache::{ObservedPacket, Timestamp};

/// A capture file in memory: little-endian pcap of Ethernet frames, microseconds.
#[derive(Debug)]
pub struct Trace {
    octets: Vec<u8>,
}

/// Makes trace `A` or `B`, or finds the one made before.
///
/// # Errors
///
/// What is missing: the generator, or a C compiler.
pub fn generate(name: &str) -> Result<Trace, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = env::var_os("NETFLOW_SHARED").map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let source = shared.join("tools/gen_traffic.c");
    if !source.is_file() {
        return Err(format!("no generator of traces at {} (set NETFLOW_SHARED)", source.display()));
    }
    let folder = env::temp_dir().join("netflow-traces");
    let capture = folder.join(format!("{name}.pcap"));
    if !capture.is_file() {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let program = folder.join("generate");
        run(Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(&source).arg("-lm"))?;
        // Made beside and moved, so that a trace is whole or not there.
        let part = folder.join(format!("{name}.part"));
        run(Command::new(&program).arg(name).arg(&part))?;
        fs::rename(&part, &capture).map_err(|error| error.to_string())?;
    }
    Ok(Trace { octets: fs::read(&capture).map_err(|error| error.to_string())? })
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", output.status)) }
}

impl Trace {
    /// Hands out the packets, taken apart one after the other.
    #[inline(always)]
    pub fn for_each(&self, mut visit: impl FnMut(&ObservedPacket, Timestamp)) {
        let mut rest = self.octets.get(24..).unwrap_or(&[]);
        let mut place = (NOTHING, Timestamp::ZERO);
        while take_apart(&mut rest, &mut place).is_some() {
            visit(&place.0, place.1);
        }
    }

    /// Hands out the packets in lists of [`BATCH`].
    pub fn for_each_batch(&self, mut visit: impl FnMut(&[(ObservedPacket, Timestamp)])) {
        let mut rest = self.octets.get(24..).unwrap_or(&[]);
        let mut batch = [(NOTHING, Timestamp::ZERO); BATCH];
        loop {
            let places = batch.iter_mut();
            let filled = places.map_while(|place| take_apart(&mut rest, place)).count();
            if filled == 0 {
                return;
            }
            read_ahead(rest);
            visit(batch.get(..filled).unwrap_or(&[]));
        }
    }
}

/// Reads the frames of the next batch, so that they are near when it is their turn. Where a frame begins says the one before
/// it: with other work between the batches, each of them would be waited for.
fn read_ahead(rest: &[u8]) {
    let lines = rest.get(..128 * BATCH).unwrap_or(rest).chunks(64);
    black_box(lines.fold(0, |read, line| read ^ line.first().copied().unwrap_or(0)));
}

/// Packets of a batch.
pub const BATCH: usize = 64;

/// A place for a packet.
const NOTHING: ObservedPacket =
    ObservedPacket::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, 0);

/// Writes the next packet into its place: a copy would wait until the single members have reached the cache.
#[inline(always)]
fn take_apart(rest: &mut &[u8], place: &mut (ObservedPacket, Timestamp)) -> Option<()> {
    let (header, behind) = rest.split_first_chunk::<16>()?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (frame, next) = behind.split_at_checked(word(8) as usize)?;
    *rest = next;
    place.1 = Timestamp::from_nanos(u64::from(word(0)) * 1_000_000_000 + u64::from(word(4)) * 1_000);
    packet(frame, &mut place.0)
}

/// An Ethernet frame with IPv4 or IPv6 and a transport header, which is all that the traces have.
#[inline(always)]
fn packet(frame: &[u8], packet: &mut ObservedPacket) -> Option<()> {
    let (ethernet, ip) = frame.split_first_chunk::<14>()?;
    let transport = if ethernet[12] == 0x08 {
        let (header, behind) = ip.split_first_chunk::<20>()?;
        let octets = u16::from_be_bytes([header[2], header[3]]);
        *packet = ObservedPacket::new(v4(header, 12), v4(header, 16), header[9], octets.into());
        (packet.tos, packet.ttl) = (header[1], header[8]);
        behind
    } else {
        let (header, behind) = ip.split_first_chunk::<40>()?;
        let octets = 40 + u32::from(u16::from_be_bytes([header[4], header[5]]));
        *packet = ObservedPacket::new(v6(header, 8), v6(header, 24), header[6], octets);
        (packet.tos, packet.ttl) = (header[0] << 4 | header[1] >> 4, header[7]);
        behind
    };
    // Without branches: protocols come at random.
    let all_or_none = |which: bool| 0_u16.wrapping_sub(u16::from(which));
    let is_tcp = all_or_none(packet.protocol == 6);
    let has_ports = is_tcp | all_or_none(packet.protocol == 17);
    let ports = transport.first_chunk::<4>()?;
    let (first, second) =
        (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
    packet.source_port = first & has_ports;
    packet.destination_port = (second & has_ports) | (first & !has_ports);
    packet.tcp_flags = u16::from(transport.get(13).copied().unwrap_or(0)) & is_tcp;
    Some(())
}

#[inline(always)]
fn v4(header: &[u8; 20], at: usize) -> IpAddr {
    let octets = header.get(at..).and_then(|octets| octets.first_chunk::<4>()).copied().unwrap_or_default();
    IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes(octets)))
}

#[inline(always)]
fn v6(header: &[u8; 40], at: usize) -> IpAddr {
    let octets = header.get(at..).and_then(|octets| octets.first_chunk::<16>()).copied().unwrap_or_default();
    IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(octets)))
}
