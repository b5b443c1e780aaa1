//! Each example runs and prints what is in `expected/`.
//!
//! With `UPDATE_EXPECTED=1` the files are written instead of compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{env, fs, path::Path, process::Command};

fn run(example: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Cargo has built the examples before it runs the tests; they lie beside them.
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(format!("{example}{}", env::consts::EXE_SUFFIX));
    let output = if program.exists() {
        Command::new(program).output().unwrap()
    } else {
        // Tests picked one by one, as with `--test run`, leave the examples out.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--package", "netflow-examples", "--example", example]);
        cargo.current_dir(package).output().unwrap()
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} failed: {errors}");
    let file = package.join("expected").join(format!("{example}.txt"));
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&file, &printed).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(!expected.is_empty());
    assert_eq!(printed, expected.replace("\r\n", "\n"), "{example} prints something else than expected");
}

macro_rules! examples {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_example_is_run_and_listed() {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
            let readme = fs::read_to_string(package.join("README.md")).unwrap();
            let names = [$(stringify!($name)),*];
            assert_eq!(manifest.matches("[[example]]").count(), names.len());
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                assert!(readme.contains(&format!("`{name}`")), "{name}");
            }
        }
    };
}

examples! {
    bounded_cache
    custom_sampler
    decode_v5
    decode_v9
    embed_flow_table
    encode_v5
    encode_v9
    ipfix_file
    ipfix_options
    options_sampling
    rewrite_v9
    tcp_framing
}
