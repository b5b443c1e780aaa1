//! See [`netflow_fuzz::sampler`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::sampler::run(input));
