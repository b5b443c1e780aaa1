//! Two traces of two million packets, and what is done with them packet by packet.
//!
//! - A: 100,000 flows of very different size over 300 seconds, some 6,000 alive at once: lookups stay near.
//! - B: 1,000,000 flows over 60 seconds, half of the packets begin one, 268,000 alive at once: lookups miss.

#![allow(
    clippy::exhaustive_structs,
    clippy::inline_always,
    reason = "sums are complete by definition; what feeds both sides of a comparison must be inlined into both"
)]

mod calls;
mod capture;
mod lines;
mod work;

pub use calls::{FLOOD, Flood, floods, single_calls};
pub use capture::{BATCH, Trace, generate};
pub use lines::Lines;
pub use work::{Metering, Sums, count_only, lines_only, parse_only, table};
