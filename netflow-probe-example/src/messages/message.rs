//! The message at hand.

use std::io;

use netflow_codec::{Timestamp, ipfix};

use super::file::OpenFile;

/// A message that grows until its domain, or the second, is another one, or it is long enough.
#[derive(Debug, Default)]
pub(super) struct Message {
    octets: Vec<u8>,
    domain: u32,
    /// The export time.
    second: u32,
    /// Where the open set begins, and its id.
    set: Option<(usize, u16)>,
    /// Data records in it.
    records: u32,
}

impl Message {
    /// Octets of a message, if records are not longer.
    const ENOUGH: usize = 16_384;
    /// Octets that a message can have.
    const MOST: usize = 65_535;
    const SET_HEADER: usize = 4;

    /// Adds a data record.
    pub(super) fn record(
        &mut self,
        domain: u32,
        set: u16,
        record: &[u8],
        now: Timestamp,
        file: &mut OpenFile,
    ) -> io::Result<()> {
        self.add(domain, set, record, now, file)?;
        self.records += 1;
        Ok(())
    }

    /// Adds a template record.
    pub(super) fn template(
        &mut self,
        domain: u32,
        is_options: bool,
        record: &[u8],
        now: Timestamp,
        file: &mut OpenFile,
    ) -> io::Result<()> {
        let set = if is_options { ipfix::OPTIONS_TEMPLATE_SET } else { ipfix::TEMPLATE_SET };
        self.add(domain, set, record, now, file)
    }

    fn add(
        &mut self,
        domain: u32,
        set: u16,
        record: &[u8],
        now: Timestamp,
        file: &mut OpenFile,
    ) -> io::Result<()> {
        let second = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let needed = record.len() + Self::SET_HEADER;
        if ipfix::HEADER_LEN + needed > Self::MOST {
            return Err(io::Error::other(format!("a record of {} octets is too long", record.len())));
        }
        let is_full = self.octets.len() + needed > Self::ENOUGH.max(ipfix::HEADER_LEN + needed);
        if (self.domain, self.second) != (domain, second) || is_full {
            self.end(file)?;
        }
        if self.octets.is_empty() {
            (self.domain, self.second, self.records) = (domain, second, 0);
            self.octets.resize(ipfix::HEADER_LEN, 0);
        }
        if self.set.is_none_or(|(_, open)| open != set) {
            self.end_set();
            self.set = Some((self.octets.len(), set));
            self.octets.extend(set.to_be_bytes());
            self.octets.extend([0; 2]);
        }
        self.octets.extend_from_slice(record);
        Ok(())
    }

    fn end_set(&mut self) {
        let Some((start, _)) = self.set.take() else { return };
        let length = u16::try_from(self.octets.len() - start).unwrap_or(u16::MAX);
        self.put(start + 2, &length.to_be_bytes());
    }

    /// Writes the message, if there is one.
    pub(super) fn end(&mut self, file: &mut OpenFile) -> io::Result<()> {
        if self.octets.is_empty() {
            return Ok(());
        }
        self.end_set();
        let length = u16::try_from(self.octets.len()).unwrap_or(u16::MAX);
        let sequence = file.sequence(self.domain, self.records);
        self.put(0, &ipfix::VERSION.to_be_bytes());
        self.put(2, &length.to_be_bytes());
        self.put(4, &self.second.to_be_bytes());
        self.put(8, &sequence.to_be_bytes());
        self.put(12, &self.domain.to_be_bytes());
        let written = file.write(&self.octets);
        self.octets.clear();
        written
    }

    /// Forgets what was not written.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.set = None;
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    }
}
