//! What `netflow-collector serve` answers, and to whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::time::Duration;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use collector_datagrams::{PLAIN, plain, set, template, v9};
use common::{
    jobs,
    listening::Listening,
    peers::{Background, wait_until},
    scenario::{SECOND, START, Scenario},
    stored::{NOON, afternoon, flow, store},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

struct Served {
    folder: TempDir,
    address: String,
    token: Option<String>,
    _server: Background,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        store(&folder.path().join("store"), 500, &afternoon());
        Self::start_in(folder, arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let mut child = Command::new(COLLECTOR)
            .args(["serve", "--store"])
            .arg(folder.path().join("store"))
            .args(arguments)
            .args(if arguments.contains(&"--bind") { &[][..] } else { &["--bind", "127.0.0.1:0"] })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().split("http://").nth(1).unwrap_or_else(|| panic!("{line}"));
        let (address, rest) = url.split_once('/').unwrap();
        let token = rest.strip_prefix("#token=").map(ToOwned::to_owned);
        Self { folder, address: address.replace("0.0.0.0", "127.0.0.1"), token, _server: Background(child) }
    }

    fn send(&self, request: &str) -> Answer {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut octets = Vec::new();
        connection.read_to_end(&mut octets).unwrap();
        let text = String::from_utf8(octets).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn ask(&self, method: &str, target: &str, fields: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n{fields}\r\n{body}",
            self.address
        ))
    }

    fn get(&self, target: &str) -> Value {
        let answer = self.ask("GET", target, "", "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.json()
    }

    fn query(&self, arguments: &[&str]) -> Vec<Value> {
        let store = self.folder.path().join("store");
        let output = Command::new(COLLECTOR)
            .args(["query", "--store", store.to_str().unwrap(), "--format", "json", "--quiet"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn sum(line: &Value, of: &str) -> u64 {
    line[of].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).sum()
}

#[test]
fn graphs_and_tables_have_the_numbers_of_a_query() {
    let served = Served::start(&[]);
    let status = served.get("/api/status");
    let (first, last) = (status["first"].as_u64().unwrap(), status["last"].as_u64().unwrap());
    assert!((NOON..NOON + 60).contains(&first) && last > NOON + 359 * 60, "{status}");
    let window = format!("from={first}&to={last}");

    // The whole window: what is spread over the bins is what there is, for each protocol.
    let series = served.get(&format!("/api/series?{window}&by=proto&bins=100"));
    let protocols = served.query(&["-A", "proto", "-O", "bytes"]);
    let lines = series["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    for (line, protocol) in lines.iter().zip(&protocols) {
        assert_eq!(line["name"], protocol["proto"]);
        assert_eq!(sum(line, "flows"), protocol["flows"].as_u64().unwrap());
        assert_eq!(sum(line, "packets"), protocol["packets"].as_u64().unwrap());
        assert_eq!(sum(line, "bytes"), protocol["bytes"].as_u64().unwrap());
    }

    // Lines of another element: the greatest have names, the rest is one.
    let series = served.get(&format!("/api/series?{window}&by=srcip&bins=10&lines=3&filter=tcp"));
    let lines = series["lines"].as_array().unwrap();
    let sources = served.query(&["-A", "srcip", "-O", "bytes", "tcp"]);
    assert_eq!(lines.len(), 4);
    for (line, source) in lines.iter().zip(&sources).take(3) {
        assert_eq!(
            (line["name"].as_str(), sum(line, "bytes")),
            (source["srcip"].as_str(), source["bytes"].as_u64().unwrap())
        );
    }
    let rest: u64 = sources[3..].iter().map(|source| source["bytes"].as_u64().unwrap()).sum();
    assert_eq!((lines[3]["name"].is_null(), sum(&lines[3], "bytes")), (true, rest));

    // Tables.
    for (by, order, filter) in
        [("srcip", "bytes", ""), ("proto,dstport", "flows", "inet6"), ("ip", "packets", "udp and port 53")]
    {
        let encoded = filter.replace(' ', "+");
        let top = served.get(&format!("/api/top?{window}&by={by}&order={order}&n=10&filter={encoded}"));
        let expected = served.query(&["-A", by, "-O", order, "-c", "10", filter]);
        assert_eq!(top["rows"], json!(expected), "{by} {filter}");
    }
    let flows = served.get(&format!("/api/flows?{window}&order=bytes&n=7&filter=udp"));
    assert_eq!(flows["flows"], json!(served.query(&["-O", "bytes", "-c", "7", "udp"])));

    // A part of the window has what the query has for it.
    let (from, to) = (NOON + 9_000, NOON + 9_900);
    let top = served.get(&format!("/api/top?from={from}&to={to}&by=srcip"));
    let expected = served.query(&[
        "-A",
        "srcip",
        "-O",
        "bytes",
        "-c",
        "20",
        "--from",
        "2026-03-01T14:30:00Z",
        "--to",
        "2026-03-01T14:44:59.999999999Z",
    ]);
    assert_eq!(top["rows"], json!(expected));

    let exporters = served.get(&format!("/api/exporters?{window}"));
    assert_eq!(exporters["stored"][0]["router"], "192.0.2.254");
}

#[test]
fn only_who_may_see_it_gets_an_answer() {
    let served = Served::start(&["--name", "flows.example.net"]);
    let status = |host: &str, fields: &str| {
        served.send(&format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).status
    };
    assert_eq!(
        (status("localhost", ""), status("flows.example.net:8080", ""), status("[::1]", "")),
        (200, 200, 200)
    );
    // A name that somebody else's DNS makes point here.
    assert_eq!(
        (status("evil.example", ""), status("", ""), status("localhost\r\nHost: evil.example", "")),
        (421, 421, 421)
    );
    let page = served.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!((page.status, page.body.contains("script")), (421, false));
    // Pages elsewhere.
    assert_eq!(status("localhost", "Origin: http://evil.example\r\n"), 403);
    assert_eq!(status("localhost", "Origin: null\r\n"), 403);
    assert_eq!(status("localhost", "Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(status("localhost", "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n"), 200);
    let answer = served.ask("GET", "/", "", "");
    let head = answer.head.to_ascii_lowercase();
    for field in [
        "content-security-policy: default-src 'none'; script-src 'nonce-",
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    assert!(!head.contains("access-control") && !head.contains("unsafe"));
    assert_eq!(served.ask("POST", "/api/status", "", "").status, 405);
    assert_eq!(served.ask("GET", "/../etc/passwd", "", "").status, 404);
    let preflight = served.ask("OPTIONS", "/api/profiles", "Origin: http://evil.example\r\n", "");
    assert!(preflight.status == 403 && !preflight.head.contains("Access-Control"));
}

#[test]
fn beyond_this_machine_a_token_is_needed() {
    let served = Served::start(&["--bind", "0.0.0.0:0"]);
    let token = served.token.clone().expect("a token is made");
    assert_eq!(token.len(), 32);
    let status = |fields: &str| served.ask("GET", "/api/status", fields, "").status;
    assert_eq!((status(""), status("Authorization: Bearer wrong\r\n")), (401, 401));
    assert_eq!(status(&format!("Authorization: Bearer {token}\r\n")), 200);
    // The page itself has no data in it.
    assert_eq!(served.ask("GET", "/", "", "").status, 200);
    let refused =
        Command::new(COLLECTOR).args(["serve", "--store", "/", "--token", "short"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn what_is_wrong_is_said() {
    let served = Served::start(&[]);
    let wrong = |target: &str| {
        let answer = served.ask("GET", target, "", "");
        assert_eq!(answer.status, 400, "{target}: {}", answer.body);
        answer.json()["error"].clone()
    };
    let error = wrong("/api/series?filter=tcp+and+port+eighty");
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(14)));
    assert!(error["message"].as_str().unwrap().contains("a port (0 to 65535)"));
    assert!(wrong("/api/top?by=cows")["message"].as_str().unwrap().contains("`cows` is unknown"));
    assert!(wrong("/api/top?n=1000000")["message"].as_str().unwrap().contains("`n`"));
    assert!(wrong("/api/flows?order=cows")["message"].as_str().unwrap().contains("known are"));
    assert!(wrong("/api/series?from=9&to=8")["message"].as_str().unwrap().contains("ends before"));
    assert!(
        wrong("/api/filter?filter=@include+/etc/passwd")["message"].as_str().unwrap().contains("included")
    );
    // A damaged file is named, the others answer.
    let hour = served.folder.path().join("store/date=2026-03-01/hour=13");
    let file = fs::read_dir(&hour).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "no parquet").unwrap();
    let top = served.get(&format!("/api/top?by=proto&from={NOON}&to={}", NOON + 30_000));
    let incomplete = top["incomplete"].as_array().unwrap();
    assert_eq!(incomplete.len(), 1);
    assert!(incomplete[0].as_str().unwrap().contains(file.file_name().unwrap().to_str().unwrap()));
    assert!(top["rows"].as_array().unwrap().len() == 3);
}

#[test]
fn slow_and_large_requests_keep_nobody_waiting() {
    let served = Served::start(&[]);
    // More of them than requests can be answered at once, all unfinished.
    let slow: Vec<TcpStream> = (0..7)
        .map(|_| {
            let mut connection = TcpStream::connect(&served.address).unwrap();
            connection.write_all(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n").unwrap();
            connection
        })
        .collect();
    assert!(served.get("/api/status")["files"].as_u64().unwrap() > 10);
    let large = served.ask("GET", &format!("/{}", "x".repeat(20_000)), "", "");
    assert_eq!(large.status, 431);
    let body = served.send("PUT /api/profiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n");
    assert_eq!(body.status, 413);
    // They are told that their time is over.
    let mut answer = String::new();
    let mut first = &slow[0];
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn profiles_are_kept_and_their_thresholds_give_alerts() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), 500, &afternoon());
    let path = folder.path().join("profiles.json");
    let served = Served::start_in(folder, &["--profiles", path.to_str().unwrap()]);
    let profile = |above: u64| json!({ "name": "DNS", "filter": "udp and port 53", "alert": { "measure": "bits", "above": above } });
    let put = |profile: &Value| served.ask("PUT", "/api/profiles", "", &profile.to_string());
    assert_eq!(put(&profile(1_000_000)).status, 200);
    assert_eq!(
        put(&json!({ "name": "quiet", "filter": "port 9", "alert": { "measure": "flows", "above": 0 } }))
            .status,
        200
    );
    let wrong = put(&json!({ "name": "x", "filter": "port eighty" }));
    assert_eq!((wrong.status, &wrong.json()["error"]["column"]), (400, &json!(6)));
    assert_eq!(put(&json!("x")).status, 400);
    let known = served.get("/api/profiles");
    assert_eq!((known["profiles"].as_array().unwrap().len(), &known["can_save"]), (2, &json!(true)));
    assert_eq!(known["profiles"][0], profile(1_000_000));
    // The peak from half past two on, and nothing else.
    let alerts = served.get(&format!("/api/alerts?from={NOON}&to={}", NOON + 21_600));
    let found = alerts["alerts"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{alerts}");
    let (from, to) = (found[0]["from"].as_u64().unwrap(), found[0]["to"].as_u64().unwrap());
    assert!(from.abs_diff(NOON + 9_000) <= 120 && to.abs_diff(NOON + 9_900) <= 120, "{alerts}");
    assert!(found[0]["peak"].as_u64().unwrap() > 1_000_000);
    assert_eq!(served.ask("DELETE", "/api/profiles?name=DNS", "", "").status, 200);
    assert_eq!(served.ask("DELETE", "/api/profiles?name=DNS", "", "").status, 400);
    let kept: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(kept["profiles"].as_array().unwrap().len(), 1);
    drop(served);
    // Without a file it only reads.
    let served = Served::start(&[]);
    let refused = served.ask("PUT", "/api/profiles", "", &profile(1).to_string());
    assert!(refused.status == 400 && refused.body.contains("--profiles"));
}

#[test]
fn exporters_are_told_as_the_collector_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), 500, &[flow(6, "10.0.0.1", 443, 1_000, 0, 100)]);
    let control = folder.path().join("control");
    let document = folder.path().join("health.json");
    let control_path = control.to_str().unwrap().to_owned();
    let served = Served::start_in(folder, &["--health", &control_path]);
    let exporters = served.get("/api/exporters");
    assert!(exporters["health_error"].as_str().unwrap().contains(&control_path), "{exporters}");

    // Two datagrams between these are lost; the second lacks its template.
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--control", &control_path]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in
        [v9(7, 1, &[template(300, &PLAIN), set(300, &plain(1, 100))]), v9(7, 4, &[set(400, &plain(2, 100))])]
    {
        socket.send_to(&datagram, collector.addresses[0]).unwrap();
    }
    let mut health = Value::Null;
    wait_until("receiving", || {
        health = served.get("/api/exporters")["health"].take();
        health["lines"][0]["datagrams"] == 2
    });
    let line = &health["lines"][0];
    assert_eq!((&line["exporter"], &line["version"]), (&json!("127.0.0.1"), &json!(9)));
    assert_eq!((&line["domain"], &line["records"], &line["lost"]), (&json!(7), &json!(1), &json!(2)));
    let missing = line["missing_templates"].as_array().unwrap();
    assert_eq!((missing.len(), &missing[0]["template_id"]), (1, &json!(400)), "{line}");
    assert!(line["silent_seconds"].as_u64().unwrap() < 300 && line["flows_per_second"].is_number(), "{line}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(line["last_seen"].as_u64().unwrap().abs_diff(now) < 300, "{line}");
    let questions = health["questions"].as_array().unwrap();
    let loss = questions.iter().find(|question| question["kind"] == "loss").unwrap();
    assert!(loss["text"].as_str().unwrap().contains("2 of 4 packets were lost"), "{loss}");

    // The same from a file: what `status --json` printed, and the account at the end.
    let told =
        Command::new(COLLECTOR).args(["status", "--json", "--control", &control_path]).output().unwrap();
    let document_path = document.to_str().unwrap().to_owned();
    fs::write(&document, &told.stdout).unwrap();
    let of_file = Served::start(&["--health", &document_path]);
    let line = of_file.get("/api/exporters")["health"]["lines"][0].take();
    assert_eq!((&line["lost"], &line["missing_templates"][0]["template_id"]), (&json!(2), &json!(400)));
    fs::write(&document, collector.terminate().summary.to_string()).unwrap();
    let exporters = of_file.get("/api/exporters");
    let line = &exporters["health"]["lines"][0];
    assert_eq!((&line["lost"], &line["waiting_sets"]), (&json!(2), &json!(1)), "{exporters}");
    assert!(line["last_seen"].as_u64().unwrap().abs_diff(now) < 300, "{line}");
    fs::write(&document, "{").unwrap();
    assert!(of_file.get("/api/exporters")["health_error"].as_str().unwrap().contains("health.json"));
}

#[test]
fn the_document_names_all_options_and_paths_and_no_others() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/page.md")).unwrap();
    let option = |text: &str| {
        let name =
            text.split("--").nth(1)?.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        name.into_iter().next().map(ToOwned::to_owned)
    };
    let help = jobs::text(&["serve", "--help"]);
    let lines = help.lines().map(str::trim_start);
    // Each takes a value.
    let there: BTreeSet<String> =
        lines.filter(|line| line.starts_with("--") && line.contains(" <")).filter_map(option).collect();
    let cells = document.lines().filter(|line| line.starts_with("| `--"));
    let cells = cells.flat_map(|line| line.split('|').nth(1).unwrap().split(','));
    assert_eq!(cells.filter_map(option).collect::<BTreeSet<_>>(), there);

    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), 500, &afternoon());
    let list = folder.path().join("list.txt");
    fs::write(&list, "203.0.113.10\n").unwrap();
    let served = Served::start_in(folder, &["--indicators", list.to_str().unwrap()]);
    let paths = document.lines().filter_map(|line| line.strip_prefix("| `/")?.split('`').next());
    let paths: Vec<String> = paths.map(|path| format!("/{path}")).collect();
    for path in &paths {
        served.get(path);
    }
    let source = include_str!("../src/page/interface.rs");
    assert_eq!(source.matches("(\"GET\", \"/api/").count(), paths.len());
}

#[test]
fn indicators_and_attacks_are_looked_for_on_request() {
    const HOST: &str = "10.1.3.77";
    const SERVER: &str = "198.18.5.6";
    let folder = tempfile::tempdir().unwrap();
    let mut scenario = Scenario::new(71, 1).background(5_000);
    scenario.contact(HOST.parse().unwrap(), SERVER.parse().unwrap(), 8_443, 300 * SECOND, 11);
    scenario.horizontal("198.18.9.9".parse().unwrap(), 22, 400, 1_200 * SECOND, 60);
    let store = scenario.write_store(folder.path());
    let store = store.to_str().unwrap();
    let list = folder.path().join("list.txt");
    let path = list.to_str().unwrap().to_owned();
    fs::write(&list, "198.18.99.0/24\n").unwrap();
    let served = Served::start_in(folder, &["--indicators", &path]);
    assert_eq!(served.get("/api/status")["has_indicators"], true);
    let window = format!("from={}&to={}", START, START + 7_200);
    let ioc = format!("/api/ioc?{window}");
    let nobody = served.get(&ioc);
    assert_eq!((&nobody["found"], &nobody["report"]["indicators"]), (&json!(0), &json!(1)));
    // The file is read again when it has changed; what is found is what the job finds.
    fs::write(&list, format!("198.18.99.0/24\n{SERVER} command server\nwhatever\n")).unwrap();
    let found = served.get(&ioc);
    let expected = jobs::json(&["ioc", "--quiet", "--json", "--indicators", &path, "--store", store]);
    assert_eq!(found["report"]["findings"], expected["findings"]);
    assert_eq!((&found["found"], &found["is_cut"]), (&json!(1), &json!(false)));
    assert_eq!((&found["report"]["refused_entries"], &found["incomplete"]), (&json!(1), &json!([])));
    let finding = &found["report"]["findings"][0];
    assert_eq!((&finding["host"], &finding["address"]), (&json!(HOST), &json!(SERVER)));

    let attacks = served.get(&format!("/api/attacks?{window}"));
    let expected = jobs::json(&["attack", "--json", "--store", store]);
    assert_eq!(attacks["report"]["events"], expected["events"]);
    assert_eq!((&attacks["found"], &attacks["is_cut"]), (&json!(1), &json!(false)));
    assert_eq!(attacks["report"]["events"][0]["kind"], "horizontal-scan");
    // Before it there is none.
    let before = served.get(&format!("/api/attacks?from={START}&to={}", START + 1_100));
    assert_eq!((&before["found"], before["report"]["seen"]["flows"].as_u64() > Some(500)), (&json!(0), true));
    fs::remove_file(&list).unwrap();
    let gone = served.ask("GET", &ioc, "", "");
    assert!(gone.status == 400 && gone.body.contains("list.txt"), "{}", gone.body);
    // A damaged file is named, and the rest is looked at.
    let damaged = Path::new(store).join("date=2026-03-01/hour=12/flows-20260301T120000Z-0.parquet");
    assert!(damaged.exists());
    fs::write(&damaged, "no parquet").unwrap();
    let attacks = served.get(&format!("/api/attacks?{window}"));
    let incomplete = attacks["incomplete"].as_array().unwrap();
    assert!(incomplete[0].as_str().unwrap().contains(damaged.file_name().unwrap().to_str().unwrap()));
    assert_eq!(attacks["found"], 1);

    let served = Served::start(&[]);
    assert_eq!(served.get("/api/status")["has_indicators"], false);
    assert!(served.ask("GET", "/api/ioc", "", "").body.contains("--indicators"));
    let refused = Command::new(COLLECTOR)
        .args(["serve", "--bind", "127.0.0.1:0", "--store", "/", "--indicators", "/nowhere"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}
