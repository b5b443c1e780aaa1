//! What the benches share: datagrams made by rule, the code under test, and the floors it is measured against.
//!
//! - [`datagrams`]: v5 and v9 datagrams and flows, the same ones in every run.
//! - [`ours`]: netflow-codec, used the way its documentation says.
//! - [`floor`]: the same work with the layout known at compile time, written out by hand.
//! - [`table`]: packets for a flow table that hits, and for one that misses.
//! - [`traces`]: two traces of two million packets, and what is done with them.
//!
//! Every decoder hands each record to [`consume`], so all of them pay the same for what becomes of a record.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench that stops is a bench that was written wrong"
)]

pub mod datagrams;
mod fields;
pub mod floor;
pub mod ours;
pub mod table;
pub mod traces;

use core::hint::black_box;

use netflow_codec::{FlowColumns, FlowRecord};

/// What becomes of a decoded record: the whole of it goes to memory, and six of its members into a sum.
#[inline]
#[must_use]
pub fn consume(sum: u64, flow: &FlowRecord) -> u64 {
    let flow = black_box(flow);
    sum.wrapping_add(flow.octets)
        .wrapping_add(flow.packets << 8)
        .wrapping_add(flow.start.as_nanos())
        .wrapping_add(flow.end.as_nanos())
        .wrapping_add(u64::from(flow.source_port) << 16)
        .wrapping_add(u64::from(flow.destination_as))
}

/// What becomes of the values of a projection: all of them go to memory and into a sum.
#[inline]
#[must_use]
pub fn consume_values<const N: usize>(sum: u64, values: &[u64; N]) -> u64 {
    let values = black_box(values);
    values.iter().zip(0u32..).fold(sum, |sum, (value, shift)| sum.wrapping_add(value << (shift & 63)))
}

/// What becomes of columns: they are in memory already; the same members as [`consume`] takes go into the sum.
#[inline]
#[must_use]
pub fn consume_columns(sum: u64, columns: &FlowColumns) -> u64 {
    let columns = black_box(columns);
    let sum = columns.octets().iter().fold(sum, |sum, value| sum.wrapping_add(*value));
    let sum = columns.packets().iter().fold(sum, |sum, value| sum.wrapping_add(value << 8));
    let sum = columns.start().iter().fold(sum, |sum, time| sum.wrapping_add(time.as_nanos()));
    let sum = columns.end().iter().fold(sum, |sum, time| sum.wrapping_add(time.as_nanos()));
    let ports = columns.source_port().iter();
    let sum = ports.fold(sum, |sum, value| sum.wrapping_add(u64::from(*value) << 16));
    columns.destination_as().iter().fold(sum, |sum, value| sum.wrapping_add(u64::from(*value)))
}
