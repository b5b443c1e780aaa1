//! What can be wrong with a capture file, and where.

use std::io;

/// A capture file could not be read any further.
#[derive(Debug, thiserror::Error)]
#[error("at octet {offset} of the capture file: {kind}")]
pub struct CaptureError {
    /// Where the structure that is wrong begins, in octets from the beginning of the file.
    pub offset: u64,
    /// What is wrong with it; part of the message above, so not a source of its own.
    pub kind: CaptureErrorKind,
}

/// What is wrong with a capture file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureErrorKind {
    /// The file could not be opened or read.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// The file has no octets.
    #[error("the file is empty; expected a capture file (pcap or pcapng)")]
    Empty,
    /// The first octets are those of no format that is read; `looks_like` names what they may be.
    #[error("not a capture file{}; expected pcap (microseconds or nanoseconds) or pcapng", looks_like_text(*.looks_like))]
    NotACapture {
        /// The format that the first octets belong to, when it is a well-known one.
        looks_like: Option<&'static str>,
    },
    /// The file ends inside a structure, as after a full disk or a capture that was killed.
    #[error("the file is cut off: {needed} octets announced here, {available} left")]
    CutOff {
        /// Octets that the structure has according to its header.
        needed: u64,
        /// Octets that the file still has.
        available: u64,
    },
    /// A frame or a block is longer than any sane one: its length is corrupt.
    #[error("corrupt length: {length} octets announced, at most {limit} are sane")]
    TooLong {
        /// Octets announced.
        length: u64,
        /// Octets that would be accepted.
        limit: u64,
    },
    /// A structure contradicts the format.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// A pcapng section of a version that does not exist yet.
    #[error("pcapng version {major}.{minor} is not known, only 1.x is")]
    Version {
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
    /// A frame of an interface that its section does not describe.
    #[error("corrupt: a frame of interface {interface}, but the section describes {described}")]
    UnknownInterface {
        /// Interface that the frame names.
        interface: u32,
        /// How many interfaces the section has described so far.
        described: usize,
    },
}

fn looks_like_text(looks_like: Option<&'static str>) -> String {
    looks_like.map(|name| format!(" (it looks like {name})")).unwrap_or_default()
}
