//! Columns of a row group, encoded.
//!
//! The general writer of the `parquet` crate looks at every value of every column several times. Flows are simpler:
//! most columns have a value in every row or in none, what describes the datagram is the same for all its flows, and
//! few columns have many different values. So values and levels are encoded here, and the crate frames the pages and
//! writes what describes them.
//!
//! - A value that all rows have is one run.
//! - Few different values: a dictionary.
//! - Many: numbers octet by octet, text with its lengths apart.

mod address;
mod delta;
mod dictionary;
mod levels;
mod numbers;
mod places;
mod planes;
mod texts;

use std::io;

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    bloom_filter::Sbbf,
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::ColumnCloseResult,
    },
    errors::{ParquetError, Result},
    file::{
        metadata::ColumnChunkMetaData,
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use zstd::{
    bulk::Compressor,
    zstd_safe::{CParameter, compress_bound},
};

pub(super) use self::numbers::{Number, Order};
use self::{dictionary::Dictionary, levels::Levels};
use super::form::Form;

/// Encodes one column after the other: first its levels and values are given, then it is closed.
pub(super) struct Encoder {
    /// Whether a row has a value; for lists 0: null, 1: empty, 2: an element.
    pub(super) definition: Levels,
    /// 0: a row begins, 1: its list goes on. For lists only.
    pub(super) repetition: Levels,
    compressor: Compressor<'static>,
    compressed: Vec<u8>,
    /// Where the pages of a column go, when nobody has them.
    octets: Vec<u8>,
    level: ZstdLevel,
    /// How addresses are written.
    form: Form,
    /// The data page: levels, then values.
    page: Vec<u8>,
    encoding: Encoding,
    /// The dictionary page, and how many entries it has.
    dictionary: Vec<u8>,
    entries: u32,
    statistics: Option<Statistics>,
    filter: Option<Sbbf>,
    /// Memory that is used again.
    places: Vec<u16>,
    runs: Vec<(u16, u32)>,
    direct: Vec<u16>,
    steps: Vec<u32>,
    spread: Vec<u64>,
    numbers: Dictionary<u64>,
    addresses: Dictionary<core::net::IpAddr>,
}

impl core::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Encoder").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder that compresses as far as this level of zstd goes, with addresses in this form.
    pub(super) fn new(level: i32, form: Form) -> io::Result<Self> {
        Ok(Self {
            definition: Levels::default(),
            repetition: Levels::default(),
            compressor: compressor(level)?,
            compressed: Vec::new(),
            octets: Vec::new(),
            level: ZstdLevel::try_new(level).map_err(io::Error::other)?,
            form,
            page: Vec::new(),
            encoding: Encoding::PLAIN,
            dictionary: Vec::new(),
            entries: 0,
            statistics: None,
            filter: None,
            places: Vec::new(),
            runs: Vec::new(),
            direct: Vec::new(),
            steps: Vec::new(),
            spread: Vec::new(),
            numbers: Dictionary::new(),
            addresses: Dictionary::new(),
        })
    }

    /// Ends the column: its pages, and what describes them. A column that was given no levels has no values.
    pub(super) fn close(&mut self, column: &ColumnDescPtr, rows: u32) -> Result<(Bytes, ColumnCloseResult)> {
        let is_list = column.max_rep_level() > 0;
        self.definition.push(0, if self.definition.len() == 0 { rows } else { 0 });
        if is_list && self.repetition.len() == 0 {
            self.repetition.push(0, self.definition.len());
        }
        self.begin();
        let levels = self.definition.len();
        let filled = self.definition.count(u8::try_from(column.max_def_level()).unwrap_or(0));
        let empty = u64::from(levels) - filled;

        let mut sink = TrackedWrite::new(core::mem::take(&mut self.octets));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut sizes = Sizes::default();
        if self.entries > 0 {
            let buf = compress(&mut self.compressor, &mut self.compressed, &self.dictionary)?;
            let page = Page::DictionaryPage {
                buf: buf.clone(),
                num_values: self.entries,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            sizes.add(&writer.write_page(CompressedPage::new(page, self.dictionary.len()))?);
            self.compressed = buf.into();
        }
        let buf = compress(&mut self.compressor, &mut self.compressed, &self.page)?;
        let page = Page::DataPage {
            buf: buf.clone(),
            num_values: levels,
            encoding: self.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data_page = sizes.add(&writer.write_page(CompressedPage::new(page, self.page.len()))?);
        self.compressed = buf.into();

        let mut encodings = vec![Encoding::RLE, self.encoding];
        let mut metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(Compression::ZSTD(self.level))
            .set_total_compressed_size(sizes.compressed)
            .set_total_uncompressed_size(sizes.uncompressed)
            .set_num_values(levels.into())
            .set_data_page_offset(data_page);
        if self.entries > 0 {
            encodings.push(Encoding::PLAIN);
            metadata = metadata.set_dictionary_page_offset(Some(0));
        }
        metadata = metadata.set_encodings(encodings);
        if let Some(statistics) = self.statistics.take() {
            metadata = metadata.set_statistics(with_nulls(statistics, empty));
        }
        let octets = Bytes::from(sink.into_inner()?);
        let close = ColumnCloseResult {
            bytes_written: octets.len() as u64,
            rows_written: rows.into(),
            metadata: metadata.build()?,
            bloom_filter: self.filter.take(),
            column_index: None,
            offset_index: None,
        };
        self.clear();
        Ok((octets, close))
    }

    /// Takes back the memory of the pages of a column that has been written.
    pub(super) fn recycle(&mut self, octets: Bytes) {
        self.octets = octets.into();
        self.octets.clear();
    }

    fn clear(&mut self) {
        self.definition.clear();
        self.repetition.clear();
        self.page.clear();
        self.dictionary.clear();
        self.encoding = Encoding::PLAIN;
        self.entries = 0;
    }

    /// Begins the data page with the levels, if that was not done before.
    fn begin(&mut self) {
        if self.page.is_empty() {
            let is_list = self.repetition.len() > 0;
            if is_list {
                self.repetition.write(1, &mut self.page);
            }
            self.definition.write(if is_list { 2 } else { 1 }, &mut self.page);
        }
    }

    /// Ends a dictionary: the values of the page are the places gathered before.
    fn push_places(&mut self) {
        self.begin();
        self.encoding = Encoding::RLE_DICTIONARY;
        places::push_places(&mut self.page, self.entries, &self.places);
    }

    /// Ends a dictionary: the values of the page are the runs gathered before.
    fn push_runs(&mut self) {
        self.begin();
        self.encoding = Encoding::RLE_DICTIONARY;
        places::push_runs(&mut self.page, self.entries, &self.runs);
    }

    /// Adds to the runs; those of the same place join.
    fn push_run(&mut self, place: u16, count: u32) {
        match self.runs.last_mut() {
            Some((last, length)) if *last == place => *length += count,
            _ => self.runs.push((place, count)),
        }
    }

    /// All values are the first entry of the dictionary.
    fn push_one(&mut self, count: usize) {
        self.runs.clear();
        self.runs.push((0, u32::try_from(count).unwrap_or(u32::MAX)));
        self.push_runs();
    }
}

/// Octets of the pages so far.
#[derive(Default)]
struct Sizes {
    compressed: i64,
    uncompressed: i64,
}

impl Sizes {
    /// Adds a page; where it begins.
    fn add(&mut self, page: &PageWriteSpec) -> i64 {
        self.compressed += i64::try_from(page.compressed_size).unwrap_or(i64::MAX);
        self.uncompressed += i64::try_from(page.uncompressed_size).unwrap_or(i64::MAX);
        i64::try_from(page.offset).unwrap_or(i64::MAX)
    }
}

/// A compressor of pages. Those of flows have few octets that come again from far away; a small table of places, which
/// stays in the nearest cache, finds as many of them as a large one.
fn compressor(level: i32) -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    if level == 1 {
        compressor.set_parameter(CParameter::HashLog(11))?;
    }
    Ok(compressor)
}

/// Compresses into memory that is used again: whoever drops the octets first hands it back.
fn compress(compressor: &mut Compressor<'_>, compressed: &mut Vec<u8>, octets: &[u8]) -> Result<Bytes> {
    compressed.clear();
    compressed.reserve(compress_bound(octets.len()));
    compressor
        .compress_to_buffer(octets, compressed)
        .map_err(|error| ParquetError::External(Box::new(error)))?;
    Ok(core::mem::take(compressed).into())
}

/// The same statistics, with how many rows have no value.
fn with_nulls(statistics: Statistics, nulls: u64) -> Statistics {
    match statistics {
        Statistics::Int32(of) => {
            Statistics::int32(of.min_opt().copied(), of.max_opt().copied(), None, Some(nulls), false)
        }
        Statistics::Int64(of) => {
            Statistics::int64(of.min_opt().copied(), of.max_opt().copied(), None, Some(nulls), false)
        }
        Statistics::ByteArray(of) => {
            Statistics::byte_array(of.min_opt().cloned(), of.max_opt().cloned(), None, Some(nulls), false)
        }
        other => other,
    }
}
