//! Which tests name which requirement: comments such as `// D16, D17` in a test, or right above it.
//!
//! A requirement's id is a letter and a number. The tests are found in the sources, by their attribute and, as all
//! sources are formatted, by their indentation.

use core::fmt::Write as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A requirement: id, what must hold, and why no test proves it if none does.
#[derive(Debug)]
struct Requirement<'t> {
    id: &'t str,
    text: &'t str,
    not_done: Option<&'t str>,
}

/// The lines of a list of requirements, `id | text` or `id | text | why it is not done`.
fn requirements(list: &str) -> Vec<Requirement<'_>> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let (Some(id), Some(text)) = (parts.next(), parts.next()) else { panic!("{line}") };
            Requirement { id, text, not_done: parts.next() }
        })
        .collect()
}

/// The tests that name an id, as `file::test`.
type Proofs = BTreeMap<String, BTreeSet<String>>;

/// Holds a package to its requirements: each is proven by a test or says why not, and no test names an id that is none of
/// them. Ids are told from other words by their letters; longer ones than any of them are names of devices.
pub fn hold(package: &str, folders: &[&str], list: &str) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let requirements = requirements(list);
    let known: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.id).collect();
    assert_eq!(known.len(), requirements.len(), "an id is listed twice");
    let proofs = scan(workspace, folders);
    let letters: BTreeSet<char> = known.iter().filter_map(|id| id.chars().next()).collect();
    let longest = known.iter().map(|id| id.len()).max().unwrap_or(0);
    let own = |id: &&String| id.len() <= longest && id.starts_with(|letter| letters.contains(&letter));
    let unknown: Vec<_> = proofs.keys().filter(own).filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are ids of nothing");
    let table = workspace.join(package).join("CONFORMANCE.md");
    check(&table, &format!("Conformance of {package}"), &requirements, &proofs);
}

/// The proofs in the Rust sources of these folders below `root`.
fn scan(root: &Path, folders: &[&str]) -> Proofs {
    let mut proofs = Proofs::new();
    for folder in folders {
        for path in sources(&root.join(folder)) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let source = fs::read_to_string(&path).unwrap();
            for (test, ids) in tests(&source) {
                for id in ids {
                    proofs.entry(id).or_default().insert(format!("{name}::{test}"));
                }
            }
        }
    }
    proofs
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The tests of a source, each with the ids that its comments name.
pub fn tests(source: &str) -> Vec<(String, BTreeSet<String>)> {
    let lines: Vec<&str> = source.lines().collect();
    let attributes = lines.iter().enumerate().filter(|(_, line)| line.trim() == "#[test]");
    attributes
        .filter_map(|(at, _)| {
            let is_head = |line: &&&str| line.trim_start().starts_with("//") || line.trim().starts_with("#[");
            let above = lines[..at].iter().rev().take_while(is_head);
            let (start, head) =
                lines.iter().enumerate().skip(at).find(|(_, line)| line.trim_start().starts_with("fn "))?;
            let indent = head.len() - head.trim_start().len();
            let name = head.trim_start()[3..].split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            let is_inside =
                |line: &&&str| line.trim_start() != "}" || line.len() - line.trim_start().len() > indent;
            let body = lines[start..].iter().take_while(is_inside);
            let comments =
                above.chain(&lines[at..start]).chain(body).filter_map(|line| line.split_once("//"));
            Some((name.to_owned(), comments.flat_map(|(_, comment)| ids(comment)).collect()))
        })
        .collect()
}

/// The ids in a comment: words of a capital letter and a number.
fn ids(comment: &str) -> Vec<String> {
    let words = comment.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let is_id = |word: &&str| {
        let mut characters = word.chars();
        characters.next().is_some_and(|letter| letter.is_ascii_uppercase())
            && word.len() > 1
            && characters.all(|digit| digit.is_ascii_digit())
    };
    words.filter(is_id).map(str::to_owned).collect()
}

/// The table: id, what must hold, the tests that prove it or why none does.
fn table(title: &str, requirements: &[Requirement<'_>], proofs: &Proofs) -> String {
    let done = requirements.iter().filter(|requirement| proofs.contains_key(requirement.id)).count();
    let mut text = format!(
        "# {title}\n\n{done} of {} requirements are proven by a test that names them. This file is made from the \
         comments in the tests, see CONTRIBUTING.md.\n\n| id | what must hold | where it is proven |\n|---|---|---|\n",
        requirements.len()
    );
    for Requirement { id, text: what, not_done } in requirements {
        let places = proofs
            .get(*id)
            .map(|places| places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join("<br>"));
        let places = places.unwrap_or_else(|| format!("not done: {}", not_done.unwrap_or("?")));
        writeln!(text, "| {id} | {what} | {places} |").unwrap();
    }
    text
}

/// Holds a table against the tests: each id is listed, and each test that it names is there and names the id. With
/// `UPDATE_CONFORMANCE=1` the table is written anew instead.
fn check(path: &Path, title: &str, requirements: &[Requirement<'_>], proofs: &Proofs) {
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(path, table(title, requirements, proofs)).unwrap();
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let rows: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).collect();
    for Requirement { id, text: what, not_done } in requirements {
        let anew = format!("{}: {id} is out of date: UPDATE_CONFORMANCE=1", path.display());
        let (listed, places) = rows.get(id).and_then(|row| row.split_once(" | ")).expect(&anew);
        assert_eq!(listed, *what, "{anew}");
        if places.starts_with("not done: ") {
            assert!(!proofs.contains_key(*id), "{anew}");
            assert!(not_done.is_some(), "{id} is neither proven by a test nor listed with a reason");
            continue;
        }
        let there = proofs.get(*id);
        for place in places.split('`').skip(1).step_by(2) {
            assert!(there.is_some_and(|there| there.contains(place)), "{place} does not prove {id}: {anew}");
        }
    }
}
