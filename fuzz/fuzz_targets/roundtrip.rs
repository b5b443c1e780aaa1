//! See [`netflow_fuzz::roundtrip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::roundtrip::run(input));
