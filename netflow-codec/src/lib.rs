//! Zero-copy NetFlow decoders and encoders.
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
