//! See [`netflow_fuzz::fields`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::fields::run(input));
