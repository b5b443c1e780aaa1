#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod biflow;
mod cache;
mod config;
mod context;
mod counters;
mod expire;
#[cfg(feature = "codec")]
mod export;
mod extra;
mod flow;
mod index;
mod key;
mod memory;
mod order;
mod packet;
mod record;
mod rules;
pub mod sample;
mod shard;
mod stats;
mod table;
mod time;

pub use biflow::{Biflow, Directions};
pub use config::{CacheKind, Config, ConfigError, Emergency, WhenFull};
pub use counters::Counters;
pub use expire::{ExpireReason, Inactive, ShortFlows, Timeouts};
pub use extra::{Extra, Totals, Weighted};
pub use flow::{ExpiredFlow, FirstPacket};
pub use key::{
    BiflowKey, CacheLine, FieldsKey, FlowKey, Form, HalfCacheLine, HashSeed, Initiator, Ipv4SevenTuple,
    Ipv6SevenTuple, KeyFields, NoKey, Packed, SevenTuple, StoredKey, TableKey,
};
pub use packet::{Fragment, MplsStack, ObservedPacket};
pub use shard::{ShardedFlowTable, Spreader};
pub use stats::Stats;
pub use table::FlowTable;
pub use time::Timestamp;
