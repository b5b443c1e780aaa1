//! Packets to flows: a bounded, sans-IO flow table with timeouts and packet samplers.
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod packet;
mod time;

pub use packet::{Fragment, MplsStack, ObservedPacket};
pub use time::Timestamp;
