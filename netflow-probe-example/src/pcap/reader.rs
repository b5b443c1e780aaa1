//! Reading capture files.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use netflow_flowcache::Timestamp;
use pcap_parser::pcap::{PcapHeader, parse_pcap_header};

use super::{
    CaptureError, CaptureErrorKind, LinkType, MAX_FRAME,
    pcapng::{self, Section},
    resume::{Look, resume},
    window::Window,
};

/// One captured frame, borrowed from the reader until the next one is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// When the frame was captured. A simple packet block of pcapng has no time: the frame then has the time of
    /// the frame before it.
    pub timestamp: Timestamp,
    /// How `data` begins.
    pub link_type: LinkType,
    /// The captured octets, link header first; fewer than `original_length` when the capture cut frames.
    pub data: &'a [u8],
    /// Octets that the frame had on the wire.
    pub original_length: u32,
    /// Index of the capturing interface in its section; 0 in pcap files, which know only one.
    pub interface: u32,
}

/// A capture file being read: pcap in both byte orders with microseconds or nanoseconds, and pcapng; plain, or compressed by
/// gzip or zstd.
///
/// Memory is bounded whatever the file says. A file that ends in the middle of a frame or is corrupt delivers
/// the frames before that place, then one error that says where it is, then nothing more unless it is told to
/// [`resume`](Self::resume).
#[derive(Debug)]
pub struct CaptureFile<R = File> {
    window: Window<R>,
    format: Format,
    file_length: Option<u64>,
    /// Octets of the frame that was delivered last, still at the front of the window.
    delivered: usize,
    failed: bool,
}

/// What the file header says about the records behind it.
#[derive(Debug)]
enum Format {
    Pcap(PcapFormat),
    PcapNg(Section),
}

#[derive(Clone, Copy, Debug)]
struct PcapFormat {
    variant: Variant,
    /// Nanoseconds in one unit of the second time field.
    nanos_per_unit: u64,
    link_type: LinkType,
    /// Of the frame before.
    last_seconds: u32,
}

/// The three layouts of a pcap record.
#[derive(Clone, Copy, Debug)]
enum Variant {
    LittleEndian,
    BigEndian,
    /// Record headers of 24 octets, written by a patched libpcap of the 1990s.
    Modified,
}

/// Where in the window a frame is, and what its header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    /// Octets before the frame's data.
    pub(super) header: usize,
    /// Octets of the frame's data.
    pub(super) captured: usize,
    /// Octets of the whole record or block.
    pub(super) total: usize,
    pub(super) original_length: u32,
    pub(super) timestamp: Timestamp,
    pub(super) link_type: LinkType,
    pub(super) interface: u32,
}

impl CaptureFile<File> {
    /// Opens a capture file and reads its header.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, is empty or is no capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let at_start = |error: io::Error| CaptureError { offset: 0, kind: error.into() };
        let file = File::open(path).map_err(at_start)?;
        let metadata = file.metadata().map_err(at_start)?;
        // A pipe or a device has no length worth a progress bar.
        let file_length = metadata.is_file().then_some(metadata.len());
        Ok(Self { file_length, ..Self::new(file)? })
    }
}

impl<R: Read> CaptureFile<R> {
    /// Reads the header of a capture file that comes from anywhere, as from a pipe. Needs no buffering.
    ///
    /// # Errors
    ///
    /// When nothing can be read or what is read is no capture file.
    pub fn new(source: R) -> Result<Self, CaptureError> {
        let mut window = Window::new(source);
        let format = Format::detect(&mut window).map_err(|kind| CaptureError { offset: 0, kind })?;
        Ok(Self { window, format, file_length: None, delivered: 0, failed: false })
    }

    /// The next frame, `None` at the end of the file and after an error.
    ///
    /// # Errors
    ///
    /// When the file is cut off or corrupt; the error names the place.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.failed {
            return Ok(None);
        }
        self.window.consume(self.delivered);
        self.delivered = 0;
        let near = match &mut self.format {
            Format::Pcap(format) => format.record(self.window.data()),
            Format::PcapNg(_) => None,
        };
        let located = match near {
            Some(located) => located,
            None => match self.locate()? {
                Some(located) => located,
                None => return Ok(None),
            },
        };
        self.delivered = located.total;
        let data = self.window.data().get(located.header..).unwrap_or(&[]);
        Ok(Some(Frame {
            timestamp: located.timestamp,
            link_type: located.link_type,
            data: data.get(..located.captured).unwrap_or(data),
            original_length: located.original_length,
            interface: located.interface,
        }))
    }

    /// Where the next frame is, once all of it has been read.
    #[inline(never)]
    fn locate(&mut self) -> Result<Option<Located>, CaptureError> {
        let located = self.format.locate(&mut self.window);
        self.failed = located.is_err();
        located
    }

    /// Goes on behind damage: after an error of [`Self::next_frame`], looks for the next place where frames seem sound.
    ///
    /// Returns how many octets were left out, those of the broken frame included; `None` when the file has no such place, or
    /// cannot be read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn resume(&mut self) -> Result<Option<u64>, CaptureError> {
        if !self.failed {
            return Ok(None);
        }
        let offset = self.window.offset();
        let found = match &self.format {
            Format::Pcap(format) => {
                let format = *format;
                resume(&mut self.window, |data| format.look(data))
            }
            Format::PcapNg(section) => resume(&mut self.window, |data| section.look(data)),
        };
        let found = found.map_err(|error| CaptureError { offset, kind: error.into() })?;
        self.failed = found.is_none();
        Ok(found)
    }

    /// Octets of the file that were read and delivered, the last frame included; of a compressed file those that were
    /// decompressed.
    #[must_use]
    pub fn octets_read(&self) -> u64
    where
        R: Read,
    {
        self.window.compressed_octets().unwrap_or_else(|| self.window.offset() + self.delivered as u64)
    }

    /// Octets of the whole file; `None` when it is a pipe or did not come from [`CaptureFile::open`].
    #[must_use]
    pub const fn file_length(&self) -> Option<u64> {
        self.file_length
    }
}

impl Format {
    const PCAP_HEADER: usize = 24;
    /// Magic numbers as they stand in the file, and what they mean; only the first two formats are read.
    const LOOKALIKES: [(&'static [u8], &'static str); 4] = [
        (&[0xFD, 0x37, 0x7A, 0x58, 0x5A], "xz: decompress it first"),
        (&[0x04, 0x22, 0x4D, 0x18], "lz4: decompress it first"),
        (b"snoop\0", "a snoop file"),
        (&[0x0C, 0xA5], "an nfdump file"),
    ];

    fn detect<R: Read>(window: &mut Window<R>) -> Result<Self, CaptureErrorKind> {
        window.fill(Self::PCAP_HEADER)?;
        let data = window.data();
        if data.is_empty() {
            return Err(CaptureErrorKind::Empty);
        }
        if data.starts_with(&pcapng::SECTION_HEADER) {
            return Ok(Self::PcapNg(Section::default()));
        }
        let magic = data.first_chunk::<4>().copied().map(u32::from_le_bytes);
        let Some(0xA1B2_C3D4 | 0xA1B2_3C4D | 0xA1B2_CD34 | 0xD4C3_B2A1 | 0x4D3C_B2A1) = magic else {
            let known = Self::LOOKALIKES.iter().find(|(first, _)| data.starts_with(first));
            return Err(CaptureErrorKind::NotACapture { looks_like: known.map(|(_, name)| *name) });
        };
        // The magic number was checked, so the only way to fail is a lack of octets.
        let Ok((_, header)) = parse_pcap_header(data) else {
            return Err(CaptureErrorKind::CutOff {
                needed: Self::PCAP_HEADER as u64,
                available: data.len() as u64,
            });
        };
        window.consume(Self::PCAP_HEADER);
        Ok(Self::Pcap(PcapFormat::new(&header)))
    }

    fn locate<R: Read>(&mut self, window: &mut Window<R>) -> Result<Option<Located>, CaptureError> {
        match self {
            // A record is consumed only after its frame was delivered: the window still begins with it.
            Self::Pcap(format) => {
                format.locate(window).map_err(|kind| CaptureError { offset: window.offset(), kind })
            }
            Self::PcapNg(section) => section.locate(window),
        }
    }
}

impl PcapFormat {
    fn new(header: &PcapHeader) -> Self {
        let variant = if header.is_modified_format() {
            Variant::Modified
        } else if header.is_bigendian() {
            Variant::BigEndian
        } else {
            Variant::LittleEndian
        };
        Self {
            variant,
            nanos_per_unit: if header.is_nanosecond_precision() { 1 } else { 1_000 },
            // The upper bits tell whether frames end with a check sequence.
            link_type: LinkType(header.network.0.cast_unsigned() & 0x03FF_FFFF),
            last_seconds: 0,
        }
    }

    fn locate<R: Read>(&mut self, window: &mut Window<R>) -> Result<Option<Located>, CaptureErrorKind> {
        let header = self.header();
        if !window.fill(header)? {
            return match window.data().len() {
                0 => Ok(None),
                available => {
                    Err(CaptureErrorKind::CutOff { needed: header as u64, available: available as u64 })
                }
            };
        }
        let Some(fields) = window.data().first_chunk::<16>() else {
            return Err(CaptureErrorKind::Corrupt("a record that cannot be read"));
        };
        let [_, _, captured, _] = self.words(fields);
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
        if captured > MAX_FRAME {
            return Err(CaptureErrorKind::TooLong { length: captured as u64, limit: MAX_FRAME as u64 });
        }
        let total = header + captured;
        if !window.fill(total)? {
            return Err(CaptureErrorKind::CutOff {
                needed: total as u64,
                available: window.data().len() as u64,
            });
        }
        Ok(self.record(window.data()))
    }

    /// The record that these octets begin with, if it is one and they are all of it.
    #[inline]
    fn record(&mut self, data: &[u8]) -> Option<Located> {
        let [seconds, units, captured, original_length] = self.words(data.first_chunk::<16>()?);
        let (header, captured) = (self.header(), usize::try_from(captured).ok()?);
        if captured > MAX_FRAME || data.len() < header + captured {
            return None;
        }
        self.last_seconds = seconds;
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(units) * self.nanos_per_unit;
        Some(Located {
            header,
            captured,
            total: header + captured,
            original_length,
            timestamp: Timestamp::from_nanos(nanos),
            link_type: self.link_type,
            interface: 0,
        })
    }

    /// Whether a record seems to begin here.
    fn look(self, data: &[u8]) -> Look {
        let header = self.header();
        let Some(fields) = data.first_chunk::<16>() else { return Look::Short };
        let [seconds, fraction, captured, original] = self.words(fields);
        let fractions = if self.nanos_per_unit == 1 { 1_000_000_000 } else { 1_000_000 };
        // Some two years around the frame before; any time before the first frame.
        let near = self.last_seconds == 0 || self.last_seconds.abs_diff(seconds) < 1 << 26;
        if !near || fraction >= fractions || captured == 0 || captured > original || original > 1 << 20 {
            return Look::Unsound;
        }
        usize::try_from(captured).map_or(Look::Unsound, |captured| Look::Sound(header + captured))
    }

    /// Octets of a record header.
    #[inline]
    const fn header(self) -> usize {
        if matches!(self.variant, Variant::Modified) { 24 } else { 16 }
    }

    /// The fields that all record headers begin with: seconds and their fraction, captured and original length.
    #[inline]
    fn words(self, fields: &[u8; 16]) -> [u32; 4] {
        let word = |octets: [u8; 4]| match self.variant {
            Variant::BigEndian => u32::from_be_bytes(octets),
            Variant::LittleEndian | Variant::Modified => u32::from_le_bytes(octets),
        };
        match fields.as_chunks::<4>() {
            (&[a, b, c, d], _) => [word(a), word(b), word(c), word(d)],
            // Sixteen octets are four words.
            _ => [0; 4],
        }
    }
}
