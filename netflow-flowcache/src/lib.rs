#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod config;
mod counters;
mod expire;
#[cfg(feature = "codec")]
mod export;
mod flow;
mod index;
mod key;
mod order;
mod packet;
pub mod sample;
mod stats;
mod table;
mod time;

pub use config::Config;
pub use counters::Counters;
pub use expire::{ExpireReason, Timeouts};
pub use flow::{ExpiredFlow, FirstPacket};
pub use key::{FlowKey, HashSeed, SevenTuple};
pub use packet::{Fragment, MplsStack, ObservedPacket};
pub use stats::Stats;
pub use table::FlowTable;
pub use time::Timestamp;
