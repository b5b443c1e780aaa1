//! See [`netflow_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::decode::run(input));
