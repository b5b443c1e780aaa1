//! Modules import downward only.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, fs, path::Path};

/// From the bottom up.
const LAYERS: &[&[&str]] = &[
    &["error", "wire", "time", "slab", "quirk"],
    &["lru"],
    &["element", "flow"],
    &["member"],
    &["template"],
    &["value", "structured"],
    &["set", "record", "biflow", "fixed", "v1", "v5", "v6", "v7", "v8", "v9", "ipfix"],
    &["sampling", "sequence", "restart", "reorder", "taught", "projection", "columns"],
    &["cache"],
    &["encode", "decoder", "rewrite"],
];

fn files(folder: &Path, module: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = if module.is_empty() { name.clone() } else { module.to_owned() };
        if path.is_dir() {
            files(&path, &module, found);
        } else if name != "lib" {
            found.push((module, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The first segments behind `crate::`, also of braced lists.
fn imports(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = code.get(at + "crate::".len()..).unwrap();
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ if depth > 0 => {}
                    ',' => names.push(core::mem::take(&mut name)),
                    ':' if name.ends_with(':') => {}
                    _ if character.is_whitespace() => {}
                    _ => name.push(character),
                }
            }
            names.push(name);
        } else {
            names.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned());
        }
    }
    names
        .iter()
        .map(|name| name.split(':').next().unwrap().to_owned())
        .filter(|name| !name.is_empty() && name.starts_with(char::is_lowercase))
        .collect()
}

#[test]
fn modules_import_downward_only() {
    let rank: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(rank, names)| names.iter().map(move |name| (*name, rank)))
        .collect();
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.len() > 10);
    let mut wrong = Vec::new();
    for (module, source) in &sources {
        let Some(own) = rank.get(module.as_str()) else { panic!("{module} has no layer") };
        for import in imports(source) {
            let Some(other) = rank.get(import.as_str()) else {
                panic!("{module} imports {import}, which has no layer")
            };
            if other > own {
                wrong.push(format!("{module} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn versions_do_not_import_each_other() {
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    for (module, source) in &sources {
        let forbidden: &[&str] = match module.as_str() {
            "v5" => &["v9", "ipfix", "record", "cache"],
            "v9" => &["v5", "fixed", "ipfix", "cache"],
            "ipfix" => &["v5", "fixed", "v9", "cache"],
            _ => continue,
        };
        assert!(imports(source).iter().all(|import| !forbidden.contains(&import.as_str())), "{module}");
    }
}
