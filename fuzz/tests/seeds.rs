//! The seeds run through their targets on any compiler, without a fuzzer.

use std::{fs, path::Path};

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the folder is committed") {
        let path = entry.expect("it can be read").path();
        run(&fs::read(&path).expect("it can be read"));
        count += 1;
    }
    assert!(count >= 3, "{count} seeds in {}", folder.display());
}

#[test]
fn decode_holds_for_all_seeds() {
    replay("decode", netflow_fuzz::decode::run);
}

#[test]
fn fields_holds_for_all_seeds() {
    replay("fields", netflow_fuzz::fields::run);
}

#[test]
fn roundtrip_holds_for_all_seeds() {
    replay("roundtrip", netflow_fuzz::roundtrip::run);
}

#[test]
fn messages_hold_for_all_seeds() {
    replay("messages", netflow_fuzz::messages::run);
}

#[test]
fn session_holds_for_all_seeds() {
    replay("session", netflow_fuzz::session::run);
}

#[test]
fn snapshot_holds_for_all_seeds() {
    replay("snapshot", netflow_fuzz::snapshot::run);
}

#[test]
fn flow_table_holds_for_all_seeds() {
    replay("flow_table", netflow_fuzz::flow_table::run);
}

#[test]
fn sampler_holds_for_all_seeds() {
    replay("sampler", netflow_fuzz::sampler::run);
}

#[test]
fn cut_off_inputs_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/decode");
    for entry in fs::read_dir(folder).expect("the folder is committed") {
        let input = fs::read(entry.expect("it can be read").path()).expect("it can be read");
        for length in 0..input.len() {
            netflow_fuzz::decode::run(&input[..length]);
        }
    }
}
