//! Capture files: frames out of `pcap` and `pcapng` files, datagrams into `pcap` files.
//!
//! [`CaptureFile`] reads what tcpdump, Wireshark and their relatives write, plain or compressed by gzip or zstd, in one pass
//! and with bounded memory;
//! [`DatagramWriter`] writes UDP datagrams so that those tools, and replayers of `NetFlow`, can read them.
//!
//! ```text
//! pcap     file header (24 octets) | record header (16) frame | record header (16) frame | ...
//! pcapng   section header block | interface description block | enhanced packet block | ... | section header block ...
//!          every block:  type (4) | length (4) | body | length again (4)
//! ```
//!
//! ```
//! use netflow_flowcache::Timestamp;
//! use netflow_probe_example::pcap::{CaptureFile, DatagramWriter, LinkType};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut writer = DatagramWriter::new(Vec::new())?;
//! let (exporter, collector) = ("192.0.2.1:49152".parse()?, "192.0.2.254:2055".parse()?);
//! writer.write(Timestamp::from_secs(1_700_000_000), exporter, collector, b"a datagram")?;
//! let file = writer.finish()?;
//!
//! let mut capture = CaptureFile::new(file.as_slice())?;
//! while let Some(frame) = capture.next_frame()? {
//!     assert_eq!(frame.link_type, LinkType::ETHERNET);
//!     assert!(frame.data.ends_with(b"a datagram"));
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod link_type;
mod pcapng;
mod reader;
mod resume;
mod source;
mod window;
mod writer;

pub use error::{CaptureError, CaptureErrorKind};
pub use link_type::LinkType;
pub use reader::{CaptureFile, Frame};
pub use writer::{DatagramWriter, MAX_PAYLOAD};

/// Octets of the longest frame that is read; a record that announces more is taken for a corrupt length.
///
/// Capture programs cut frames at 256 KiB unless told otherwise; this leaves room for those that were.
pub const MAX_FRAME: usize = 1 << 20;
