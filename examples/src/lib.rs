//! One idea a file: see the examples beside this file.

/// The README at the top compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
#[non_exhaustive]
pub struct Readme;
