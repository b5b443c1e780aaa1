//! See [`netflow_fuzz::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::session::run(input));
