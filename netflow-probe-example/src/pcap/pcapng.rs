//! The blocks of a pcapng file: sections, interfaces and the frames in them.
//!
//! Only the framing (type, length, length again) is read here; the bodies are parsed by `pcap-parser` once a
//! whole block is in the window, so that its "incomplete" always means a corrupt block and never a cut file.

use std::io::Read;

use netflow_flowcache::Timestamp;
use pcap_parser::{
    Block, OptionCode, SectionHeaderBlock,
    pcapng::{InterfaceDescriptionBlock, parse_block_be, parse_block_le},
};

use super::{
    CaptureError, CaptureErrorKind, LinkType, MAX_FRAME, reader::Located, resume::Look, window::Window,
};

/// Block type of a section header, the same in both byte orders: the first octets of every pcapng file.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

const INTERFACE_DESCRIPTION: u32 = 1;
/// The packet block that the enhanced packet block replaced.
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Octets around the body of every block.
const FRAMING: usize = 12;
/// Octets before the data of an enhanced packet block and of the obsolete packet block.
const ENHANCED_HEADER: usize = 28;
/// Octets before the data of a simple packet block.
const SIMPLE_HEADER: usize = 12;
/// Octets of the longest block that is kept in memory: a frame and generous options.
const MAX_BLOCK: usize = MAX_FRAME + (MAX_FRAME / 2);
/// Interfaces of one section that are remembered.
const MAX_INTERFACES: usize = 65_536;

/// What is known of the section being read.
#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
    last_timestamp: Timestamp,
}

/// What an interface description says about the frames of the interface.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: LinkType,
    /// Octets after which frames were cut; 0 when they were not.
    snap_length: u32,
    resolution: Resolution,
    /// Seconds to add to every time.
    offset: i64,
}

/// How units of time become nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resolution {
    /// Nanoseconds per unit.
    Multiply(u64),
    /// Units per nanosecond.
    Divide(u64),
    /// Units of two to the minus this.
    Shift(u8),
}

/// What a block turned out to be.
enum Step {
    Frame(Located),
    NoFrame,
    End,
}

impl Section {
    /// Finds the next frame; all other blocks before it are read or skipped.
    pub(super) fn locate<R: Read>(
        &mut self,
        window: &mut Window<R>,
    ) -> Result<Option<Located>, CaptureError> {
        // A block is at least as long as its framing, so that every turn makes progress.
        loop {
            let offset = window.offset();
            match self.next_block(window).map_err(|kind| CaptureError { offset, kind })? {
                Step::Frame(located) => {
                    self.last_timestamp = located.timestamp;
                    return Ok(Some(located));
                }
                Step::NoFrame => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// Reads or skips one block; that of a frame stays in the window.
    fn next_block<R: Read>(&mut self, window: &mut Window<R>) -> Result<Step, CaptureErrorKind> {
        if !window.fill(FRAMING)? {
            return match window.data().len() {
                0 => Ok(Step::End),
                available => {
                    Err(CaptureErrorKind::CutOff { needed: FRAMING as u64, available: available as u64 })
                }
            };
        }
        let is_section_header = window.data().starts_with(&SECTION_HEADER);
        if is_section_header {
            self.begin(window.data())?;
        }
        let (block_type, length) = (self.u32_at(window.data(), 0), self.u32_at(window.data(), 4));
        // "This value MUST be a multiple of 4" (pcapng, general block structure).
        if !length.is_multiple_of(4) || length < 12 {
            return Err(CaptureErrorKind::Corrupt("a block length that no block can have"));
        }
        let is_read = is_section_header
            || matches!(
                block_type,
                INTERFACE_DESCRIPTION | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET
            );
        if !is_read {
            self.skip(window, length)?;
            return Ok(Step::NoFrame);
        }
        let length = self.read_block(window, length)?;
        let block = window.data().get(..length).unwrap_or(&[]);
        if let Some(located) = self.handle(block_type, block)? {
            return Ok(Step::Frame(located));
        }
        window.consume(length);
        Ok(Step::NoFrame)
    }

    /// Whether a block seems to begin here.
    pub(super) fn look(&self, data: &[u8]) -> Look {
        let Some((&block_type, rest)) = data.split_first_chunk::<4>() else { return Look::Short };
        let Some(&[l0, l1, l2, l3, m0, m1, m2, m3]) = rest.first_chunk() else { return Look::Short };
        let is_section = block_type == SECTION_HEADER;
        let big_endian = match [m0, m1, m2, m3] {
            [0x1A, 0x2B, 0x3C, 0x4D] if is_section => true,
            [0x4D, 0x3C, 0x2B, 0x1A] if is_section => false,
            _ if is_section => return Look::Unsound,
            _ => self.big_endian,
        };
        let number = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        // The types that are in use, with those of a few programs besides the standard's.
        let is_known = is_section || (1..=10).contains(&number(block_type)) || number(block_type) == 0x0BAD;
        let length = number([l0, l1, l2, l3]);
        let Ok(octets) = usize::try_from(length) else { return Look::Unsound };
        if !is_known || !length.is_multiple_of(4) || !(FRAMING..=MAX_BLOCK).contains(&octets) {
            return Look::Unsound;
        }
        match data.get(octets - 4..octets) {
            Some(again) if again == [l0, l1, l2, l3] => Look::Sound(octets),
            Some(_) => Look::Unsound,
            None => Look::Short,
        }
    }

    /// Takes the byte order of a new section and forgets the interfaces of the old one.
    fn begin(&mut self, block: &[u8]) -> Result<(), CaptureErrorKind> {
        self.big_endian = match block.get(8..12) {
            Some([0x4D, 0x3C, 0x2B, 0x1A]) => false,
            Some([0x1A, 0x2B, 0x3C, 0x4D]) => true,
            _ => return Err(CaptureErrorKind::Corrupt("a section header without byte order")),
        };
        self.interfaces.clear();
        Ok(())
    }

    /// Drops a block that carries no frames, however long.
    fn skip<R: Read>(&self, window: &mut Window<R>, length: u32) -> Result<(), CaptureErrorKind> {
        let body = u64::from(length) - 4;
        let available = window.skip(body)?;
        if available < body || !window.fill(4)? {
            let available = available + window.data().len() as u64;
            return Err(CaptureErrorKind::CutOff { needed: length.into(), available });
        }
        if self.u32_at(window.data(), 0) != length {
            return Err(CaptureErrorKind::Corrupt("a block whose two lengths differ"));
        }
        window.consume(4);
        Ok(())
    }

    /// Brings a whole block into the window.
    fn read_block<R: Read>(&self, window: &mut Window<R>, length: u32) -> Result<usize, CaptureErrorKind> {
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if octets > MAX_BLOCK {
            return Err(CaptureErrorKind::TooLong { length: length.into(), limit: MAX_BLOCK as u64 });
        }
        if !window.fill(octets)? {
            let available = window.data().len() as u64;
            return Err(CaptureErrorKind::CutOff { needed: length.into(), available });
        }
        if self.u32_at(window.data(), octets - 4) != length {
            return Err(CaptureErrorKind::Corrupt("a block whose two lengths differ"));
        }
        Ok(octets)
    }

    fn handle(&mut self, block_type: u32, block: &[u8]) -> Result<Option<Located>, CaptureErrorKind> {
        if block_type == OBSOLETE_PACKET {
            return self.obsolete_packet(block).map(Some);
        }
        let parsed = if self.big_endian { parse_block_be(block) } else { parse_block_le(block) };
        let Ok((_, parsed)) = parsed else {
            return Err(CaptureErrorKind::Corrupt(match block_type {
                INTERFACE_DESCRIPTION => "an interface description that cannot be read",
                SIMPLE_PACKET | ENHANCED_PACKET => "a packet block whose parts exceed it",
                _ => "a section header that cannot be read",
            }));
        };
        match parsed {
            Block::SectionHeader(header) => check_version(&header)?,
            Block::InterfaceDescription(description) => self.add_interface(&description)?,
            Block::EnhancedPacket(packet) => {
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let place = (ENHANCED_HEADER, packet.caplen, block.len());
                return self.enhanced(place, packet.origlen, packet.if_id, units).map(Some);
            }
            Block::SimplePacket(packet) => {
                return self.simple(packet.origlen, packet.data.len(), block.len()).map(Some);
            }
            _ => {}
        }
        Ok(None)
    }

    fn add_interface(&mut self, block: &InterfaceDescriptionBlock<'_>) -> Result<(), CaptureErrorKind> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(CaptureErrorKind::Corrupt("more than 65536 interfaces in one section"));
        }
        // The parser's own reading of these two options knows neither powers of two nor big-endian offsets.
        let option = |code: OptionCode| block.options.iter().find(|option| option.code == code);
        let resolution = option(OptionCode::IfTsresol).and_then(|option| option.value().first().copied());
        let offset = option(OptionCode::IfTsoffset).and_then(|option| option.value().first_chunk().copied());
        self.interfaces.push(Interface {
            link_type: LinkType(block.linktype.0.cast_unsigned()),
            snap_length: block.snaplen,
            resolution: Resolution::new(resolution.unwrap_or(6)),
            offset: offset.map_or(0, if self.big_endian { i64::from_be_bytes } else { i64::from_le_bytes }),
        });
        Ok(())
    }

    /// `place`: octets before the data, octets of data, octets of the block.
    fn enhanced(
        &self,
        (header, captured, total): (usize, u32, usize),
        original_length: u32,
        interface: u32,
        units: u64,
    ) -> Result<Located, CaptureErrorKind> {
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
        if captured > MAX_FRAME {
            return Err(CaptureErrorKind::TooLong { length: captured as u64, limit: MAX_FRAME as u64 });
        }
        let described = self.interface(interface)?;
        let timestamp = described.timestamp(units);
        let link_type = described.link_type;
        Ok(Located { header, captured, total, original_length, timestamp, link_type, interface })
    }

    /// A simple packet block belongs to the first interface and does not say how much of it was captured.
    fn simple(&self, original_length: u32, room: usize, total: usize) -> Result<Located, CaptureErrorKind> {
        let interface = self.interface(0)?;
        let snap_length = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = usize::try_from(original_length.min(snap_length)).unwrap_or(usize::MAX).min(room);
        Ok(Located {
            header: SIMPLE_HEADER,
            captured,
            total,
            original_length,
            timestamp: self.last_timestamp,
            link_type: interface.link_type,
            interface: 0,
        })
    }

    /// ```text
    /// type (4) length (4) interface (2) drops (2) time (4 + 4) captured (4) original (4) data ...
    /// ```
    fn obsolete_packet(&self, block: &[u8]) -> Result<Located, CaptureErrorKind> {
        let captured = self.u32_at(block, 20);
        let room = block.len().saturating_sub(ENHANCED_HEADER + 4);
        if block.len() < ENHANCED_HEADER + 4 || usize::try_from(captured).is_ok_and(|octets| octets > room) {
            return Err(CaptureErrorKind::Corrupt("a packet block whose parts exceed it"));
        }
        let first_two = self.u32_at(block, 8);
        let interface = if self.big_endian { first_two >> 16 } else { first_two & 0xFFFF };
        let units = u64::from(self.u32_at(block, 12)) << 32 | u64::from(self.u32_at(block, 16));
        let place = (ENHANCED_HEADER, captured, block.len());
        self.enhanced(place, self.u32_at(block, 24), interface, units)
    }

    fn interface(&self, interface: u32) -> Result<&Interface, CaptureErrorKind> {
        usize::try_from(interface)
            .ok()
            .and_then(|index| self.interfaces.get(index))
            .ok_or(CaptureErrorKind::UnknownInterface { interface, described: self.interfaces.len() })
    }

    /// The number at `position`, 0 when there is none.
    fn u32_at(&self, data: &[u8], position: usize) -> u32 {
        let octets = data.get(position..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) }
    }
}

impl Interface {
    /// The point in time of `units`, within what a [`Timestamp`] can hold.
    fn timestamp(&self, units: u64) -> Timestamp {
        let nanos = self.resolution.nanos(units).saturating_add(i128::from(self.offset) * 1_000_000_000);
        Timestamp::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

impl Resolution {
    /// From option `if_tsresol`: a negative power of ten or, with the highest bit set, of two.
    fn new(option: u8) -> Self {
        match option {
            0..=9 => Self::Multiply(10_u64.pow(9 - u32::from(option))),
            10..=0x7F => Self::Divide(10_u64.checked_pow(u32::from(option) - 9).unwrap_or(u64::MAX)),
            0x80.. => Self::Shift(option & 0x7F),
        }
    }

    fn nanos(self, units: u64) -> i128 {
        let units = i128::from(units);
        match self {
            Self::Multiply(factor) => units * i128::from(factor),
            Self::Divide(divisor) => units / i128::from(divisor),
            Self::Shift(bits) => (units * 1_000_000_000) >> bits,
        }
    }
}

fn check_version(header: &SectionHeaderBlock<'_>) -> Result<(), CaptureErrorKind> {
    let (major, minor) = (header.major_version, header.minor_version);
    if major == 1 { Ok(()) } else { Err(CaptureErrorKind::Version { major, minor }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_becomes_nanoseconds() {
        assert_eq!(Resolution::new(0).nanos(3), 3_000_000_000);
        assert_eq!(Resolution::new(6).nanos(1_500_000), 1_500_000_000);
        assert_eq!(Resolution::new(9).nanos(7), 7);
        assert_eq!(Resolution::new(12).nanos(5_999), 5);
        assert_eq!(Resolution::new(0x8A).nanos(512), 500_000_000);
        assert_eq!(Resolution::new(0xFF).nanos(u64::MAX), 0);
        assert_eq!(Resolution::new(0x7F).nanos(u64::MAX), 1);
    }

    #[test]
    fn times_out_of_range_stay_in_range() {
        let interface = |option, offset| Interface {
            link_type: LinkType::ETHERNET,
            snap_length: 0,
            resolution: Resolution::new(option),
            offset,
        };
        assert_eq!(interface(0, 0).timestamp(u64::MAX), Timestamp::MAX);
        assert_eq!(interface(6, i64::MIN).timestamp(5), Timestamp::ZERO);
        assert_eq!(interface(6, i64::MAX).timestamp(5), Timestamp::MAX);
        assert_eq!(interface(0, -1).timestamp(5), Timestamp::from_secs(4));
    }
}
