//! The recipes of `docs/recipes.md`, run as they stand there: each engine gives the answer that the flows have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use common::stored::{afternoon, store};
use netflow_codec::FlowRecord;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recipes.md");

/// Runs a recipe, and prints its rows: times as seconds, values separated by tabs.
const RUN: &str = r#"
import datetime, json, sys
engine, recipe = sys.argv[1], sys.stdin.read()
if engine == "duckdb":
    import duckdb
    rows = duckdb.sql(recipe).fetchall()
elif engine == "clickhouse":
    import chdb
    answer = str(chdb.query(recipe, "JSONCompactStrings"))
    rows = json.loads(answer)["data"]
elif engine == "spark":
    import ast, pyarrow.dataset, re
    store = next(text for text in re.findall('"([^"]*)"', recipe) if text.startswith("/"))
    columns = set(pyarrow.dataset.dataset(store, partitioning="hive").schema.names)
    texts = [node.value for node in ast.walk(ast.parse(recipe)) if isinstance(getattr(node, "value", None), str)]
    words = " ".join(text for text in texts if not text.startswith("/"))
    words = set(re.findall("[a-z_]+", re.sub("'[^']*'", "", words)))
    # Functions of Spark, units, and the name of a column that it makes.
    words -= {"sum", "count", "and", "between", "minutes", "window"}
    assert words, recipe
    rows = [[word] for word in sorted(words - columns)]
else:
    import ast, pandas
    tree = ast.parse(recipe)
    last = ast.Expression(tree.body.pop().value)
    names = {"pandas": pandas}
    exec(compile(tree, "recipe", "exec"), names)
    rows = eval(compile(last, "recipe", "eval"), names).values.tolist()
def plain(value):
    if isinstance(value, str):
        try:
            time = datetime.datetime.fromisoformat(value)
            if len(value) < 16 or not value.startswith("20"):
                return value
            value = time
        except ValueError:
            return value
    if isinstance(value, datetime.datetime):
        return str(int(value.replace(tzinfo=value.tzinfo or datetime.timezone.utc).timestamp()))
    return str(int(value))
for row in rows:
    print("\t".join(plain(value) for value in row))
"#;

/// Blocks of code by the heading they stand under and their engine.
fn recipes(document: &str) -> Vec<(String, String, String)> {
    let mut recipes = Vec::new();
    let mut heading = String::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        } else if let Some(info) = line.strip_prefix("```")
            && let Some((_, engine)) = info.split_once(' ')
        {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            recipes.push((heading.clone(), engine.to_owned(), block.join("\n")));
        }
    }
    recipes
}

fn sorted_by_octets(sums: BTreeMap<String, (u64, u64)>) -> Vec<(String, (u64, u64))> {
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(name, (octets, _))| (core::cmp::Reverse(*octets), name.clone()));
    rows
}

/// The rows that a recipe must give.
fn expected(heading: &str, flows: &[FlowRecord]) -> Option<Vec<String>> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut add = |name: String, octets: u64| {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + octets, sum.1 + 1);
    };
    let protocol = |flow: &FlowRecord| match flow.protocol {
        1 => "ICMP",
        6 => "TCP",
        _ => "UDP",
    };
    match heading {
        "Who sends most" => {
            for flow in flows {
                add(flow.source.to_string(), flow.octets);
            }
            let rows = sorted_by_octets(sums).into_iter().take(10);
            Some(rows.map(|(name, (octets, flows))| format!("{name}\t{octets}\t{flows}")).collect())
        }
        "Traffic over time" => {
            for flow in flows {
                add(format!("{}\t{}", flow.start.as_secs() / 900 * 900, protocol(flow)), flow.octets);
            }
            Some(sums.into_iter().map(|(name, (octets, _))| format!("{name}\t{octets}")).collect())
        }
        "With whom an address talks" => {
            for flow in flows.iter().filter(|flow| flow.source.to_string() == "203.0.113.12") {
                add(flow.destination.to_string(), flow.octets);
            }
            Some(
                sums.into_iter()
                    .map(|(name, (octets, flows))| format!("{name}\t{flows}\t{octets}"))
                    .collect(),
            )
        }
        // No exporter has said anything of sampling.
        "What was on the wire" => Some(vec![format!("192.0.2.254\t0\t{}", flows.len())]),
        "Prefixes" => {
            let inside = |flow: &&FlowRecord| {
                let text = flow.source.to_string();
                text.strip_prefix("10.0.0.")
                    .and_then(|last| last.parse::<u8>().ok())
                    .is_some_and(|last| last < 16)
            };
            for flow in flows.iter().filter(inside) {
                add(flow.source.to_string(), flow.octets);
            }
            Some(sums.into_iter().map(|(name, (_, flows))| format!("{name}\t{flows}")).collect())
        }
        _ => None,
    }
}

#[test]
fn recipes_give_the_answers_that_the_flows_have() {
    let python = env::var("NETFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_engines = Command::new(&python).args(["-c", "import duckdb, chdb, pandas, pyarrow"]).output();
    if !has_engines.is_ok_and(|output| output.status.success()) {
        common::skip(&format!(
            "{python} lacks duckdb, chdb, pandas or pyarrow (pip install, NETFLOW_PYTHON)"
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let flows: Vec<FlowRecord> =
        afternoon().into_iter().filter(|flow| flow.end.as_secs() % 86_400 < 64_790).collect();
    let root = folder.path().join("store");
    store(&root, 200, &flows);
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let mut run = BTreeMap::<String, u32>::new();
    for (heading, engine, recipe) in recipes(&document) {
        if recipe.contains("install ") {
            continue;
        }
        let rows = answer(&python, &engine, &recipe, &root);
        *run.entry(engine.clone()).or_default() += 1;
        if engine == "spark" {
            assert_eq!(rows, [""; 0], "{heading}: these are no columns");
            continue;
        }
        let expected = expected(&heading, &flows).unwrap_or_else(|| panic!("nothing is known of {heading}"));
        assert!(!expected.is_empty());
        assert_eq!(rows, expected, "{heading}, {engine}");
    }
    let run: Vec<_> = run.iter().map(|(engine, count)| (engine.as_str(), *count)).collect();
    assert_eq!(run, [("clickhouse", 5), ("duckdb", 4), ("pandas", 4), ("spark", 2)]);
}

fn answer(python: &str, engine: &str, recipe: &str, root: &Path) -> Vec<String> {
    let mut child = Command::new(python)
        .args(["-c", RUN, engine])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let recipe = recipe.replace("/var/lib/netflow", root.to_str().unwrap());
    child.stdin.take().unwrap().write_all(recipe.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{engine}: {recipe}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}
