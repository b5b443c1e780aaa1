//! Answers from flows: who sends most, by which protocol, and when.

mod table;
mod timeline;
mod top;

pub use timeline::Timeline;
pub use top::{HeavyHitters, Traffic, Volume};
