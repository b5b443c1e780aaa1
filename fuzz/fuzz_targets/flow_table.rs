//! See [`netflow_fuzz::flow_table`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netflow_fuzz::flow_table::run(input));
