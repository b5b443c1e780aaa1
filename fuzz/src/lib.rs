//! What the fuzz targets do with their input. Each module is one target; `run` panics when something is wrong.
//!
//! The targets are thin, so that the same checks also run without a fuzzer: `cargo test` feeds them the seeds.

mod check;
pub mod decode;
pub mod fields;
pub mod flow_table;
pub mod messages;
pub mod roundtrip;
pub mod sampler;
pub mod session;
pub mod snapshot;
