//! Python with packages that it finds, for what reads our output and is not ours.

use std::{env, process::Command};

use super::skip;

/// The interpreter: `NETFLOW_PYTHON`, or that of the system.
pub(crate) fn python() -> String {
    env::var("NETFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Those of the packages that are there; that some are not was reported.
pub(crate) fn engines<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let python = python();
    let is_there = |name: &str| {
        let import =
            format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{name}') is None)");
        Command::new(&python).args(["-c", &import]).status().is_ok_and(|status| status.success())
    };
    let (found, missing): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| is_there(name));
    if !missing.is_empty() {
        skip(&format!("{python} lacks {missing:?} (pip install them, NETFLOW_PYTHON)"));
    }
    found
}
