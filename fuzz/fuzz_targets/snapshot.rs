//! See [`netflow_fuzz::snapshot`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::snapshot::run(input));
