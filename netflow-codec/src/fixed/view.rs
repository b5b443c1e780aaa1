//! The view that versions with records of one length have in common.

/// A datagram of `HEADER_LEN` octets of header and records of `RECORD_LEN` octets: its type `Packet`.
macro_rules! packet_of_records {
    ($version:literal) => {
        #[doc = concat!("A v", $version, " datagram, borrowed.")]
        #[derive(Clone, Copy, Debug)]
        pub struct Packet<'a> {
            header: &'a [u8; HEADER_LEN],
            records: &'a [[u8; RECORD_LEN]],
            trailing: usize,
        }

        impl<'a> Packet<'a> {
            /// Checks header and length.
            ///
            /// # Errors
            ///
            /// When the datagram is shorter than its header or than the records the header announces
            /// ([`DecodeErrorKind::RecordCount`]), or of another version.
            pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
                let packet = Self::parse_lenient(datagram)?;
                match packet.missing_records() {
                    Some(kind) => Err(DecodeError::new(0, kind)),
                    None => Ok(packet),
                }
            }

            /// As [`Self::parse`], but takes the whole records that are there when the header announces more;
            /// [`Self::missing_records`] tells.
            ///
            /// # Errors
            ///
            /// When the datagram is shorter than its header, or of another version.
            pub fn parse_lenient(datagram: &'a [u8]) -> Result<Self, DecodeError> {
                let (header, body) = header_of(datagram, VERSION)?;
                let (whole, _) = body.as_chunks::<RECORD_LEN>();
                let records = whole.get(..usize::from(u16_in(header, 2))).unwrap_or(whole);
                Ok(Self { header, records, trailing: body.len() - size_of_val(records) })
            }

            /// The header.
            #[must_use]
            pub const fn header(&self) -> Header<'a> {
                Header(self.header)
            }

            /// The records in order.
            #[must_use]
            pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'a>> + use<'a> {
                self.records.iter().map(Record)
            }

            /// The mismatch, when the header announces more records than the datagram holds.
            #[must_use]
            pub fn missing_records(&self) -> Option<DecodeErrorKind> {
                let announced = self.header().count();
                let available = u16::try_from(self.records.len()).unwrap_or(u16::MAX);
                (announced > available).then_some(DecodeErrorKind::RecordCount { announced, available })
            }

            /// Octets behind the last record, which are tolerated.
            #[must_use]
            pub const fn trailing_octets(&self) -> usize {
                self.trailing
            }
        }

        impl Header<'_> {
            /// Records announced.
            #[must_use]
            pub const fn count(&self) -> u16 {
                u16_in(self.0, 2)
            }

            /// Unix time and uptime of sending.
            #[must_use]
            pub const fn clock(&self) -> ExportClock {
                let nanos = u32_in(self.0, 8) as u64 * 1_000_000_000 + u32_in(self.0, 12) as u64;
                ExportClock::new(Timestamp::from_nanos(nanos), SysUptime::from_millis(u32_in(self.0, 4)))
            }
        }

        impl<'a> Record<'a> {
            /// The record's octets, those without a meaning included.
            #[must_use]
            pub const fn octets_on_wire(&self) -> &'a [u8; RECORD_LEN] {
                self.0
            }
        }
    };
}

pub(crate) use packet_of_records;
