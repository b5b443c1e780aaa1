//! The page in a browser: looked at, and used by mouse and by keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use collector_datagrams::{PLAIN, plain, set, template, v9};
use common::{
    browser::Browser,
    has_program,
    listening::Listening,
    peers::Background,
    scenario::{SECOND, START, Scenario},
    stored::{NOON, afternoon, store},
};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Served {
    folder: TempDir,
    url: String,
    _server: Background,
}

fn serve(arguments: &[&str]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), 1_000, &afternoon());
    serve_in(folder, arguments)
}

fn serve_in(folder: TempDir, arguments: &[&str]) -> Served {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(["serve", "--bind", "127.0.0.1:0", "--store"])
        .arg(folder.path().join("store"))
        .arg("--profiles")
        .arg(folder.path().join("profiles.json"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    Served { folder, url, _server: Background(child) }
}

/// Where pictures are left, for people to look at.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All that was asked for is there.
const READY: &str = "page.series && !document.querySelector('#busy').textContent && \
    document.querySelector('#panel').textContent";

fn window(browser: &mut Browser) -> (u64, u64) {
    let state = browser.value("page.state");
    (state["from"].as_u64().unwrap(), state["to"].as_u64().unwrap())
}

fn column(browser: &mut Browser, place: usize) -> Vec<String> {
    let cells = browser.value(&format!(
        "[...document.querySelectorAll('#panel tbody tr')].map((row) => row.cells[{place}].innerText.trim())"
    ));
    cells.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_page_is_used_by_mouse_and_by_keys() {
    if !has_program("chromium") {
        return;
    }
    let served = serve(&[]);
    let mut browser = Browser::start(served.folder.path());
    browser.resize(1_280, 900);
    browser.prefer("light");
    browser.open(&served.url);

    // Load: the graph has an area for each protocol, tables have rows.
    browser.wait(READY);
    let names = browser.value("page.series.lines.map((line) => line.name)");
    assert_eq!(names, json!(["TCP", "UDP", "ICMP"]));
    assert_eq!(browser.value("document.querySelectorAll('#chart .area').length"), 3);
    assert_eq!(column(&mut browser, 0).len(), 25);
    browser.picture(&pictures().join("desktop-light.png"));

    // A window is picked with the mouse: the half hour of the peak.
    let whole = window(&mut browser);
    let place = browser.value(
        "(() => { const c = document.querySelector('#chart').getBoundingClientRect(); const d = page.shown; \
         const x = (second) => c.left + page.chart.x((second - d.first) / d.bin); \
         return [x(1772375160), x(1772376420), c.top + c.height / 2]; })()",
    );
    let at = |index: usize| place[index].as_f64().unwrap();
    browser.mouse("mousePressed", at(0), at(2));
    for step in 1..=5 {
        browser.mouse("mouseMoved", at(0) + (at(1) - at(0)) * f64::from(step) / 5.0, at(2));
    }
    browser.wait("document.querySelector('#chart .chosen')");
    browser.mouse("mouseReleased", at(1), at(2));
    browser.wait(&format!("page.state.from > {NOON} && {READY}"));
    let (from, to) = window(&mut browser);
    assert!(from.abs_diff(NOON + 146 * 60) <= 240 && to.abs_diff(NOON + 167 * 60) <= 240, "{from} {to}");
    // In the peak the senders of it are on top.
    browser.wait("document.querySelector('#panel tbody').innerText.includes('203.0.113.1')");
    assert!(column(&mut browser, 0)[..6].iter().all(|source| source.starts_with("203.0.113.1")));

    // Filter: a mistake is shown below the box, with a mark at its column.
    browser.write("#filter", "udp and port eighty");
    browser.key("Enter", false);
    browser.wait("!document.querySelector('#filter-error').hidden");
    let error = browser.value("document.querySelector('#filter-error').textContent");
    let error = error.as_str().unwrap();
    assert!(error.starts_with("udp and port eighty\n             ^ column 14"), "{error}");
    browser.picture(&pictures().join("filter-error.png"));
    browser.write("#filter", "udp and dst port 53");
    browser.key("Enter", false);
    browser.wait(&format!(
        "document.querySelector('#filter-error').hidden && page.series.lines.length === 1 && {READY}"
    ));
    assert_eq!(browser.value("page.series.lines[0].name"), "UDP");

    // Sort: by the heading, with the mouse.
    let octets_first = column(&mut browser, 0);
    browser.click("#panel th:nth-child(5) button");
    browser
        .wait("document.querySelector('#panel th:nth-child(5)').getAttribute('aria-sort') === 'descending'");
    let flows: Vec<u64> = column(&mut browser, 4).iter().map(|cell| cell.parse().unwrap()).collect();
    assert!(flows.is_sorted_by(|a, b| a >= b) && flows.len() > 6, "{flows:?}");
    assert_ne!(column(&mut browser, 0), octets_first);

    // A profile is saved, with its threshold, and graphed.
    browser.click("#profile-new");
    browser.wait("document.querySelector('#profile-dialog').open");
    browser.write("#profile-name", "Resolvers");
    browser.value("document.querySelector('#profile-measure').value = 'bits'");
    browser.write("#profile-above", "1M");
    browser.picture(&pictures().join("profile-dialog.png"));
    browser.click("#profile-save");
    browser.wait("!document.querySelector('#profile-dialog').open");
    browser.wait("document.querySelector('#panel .profile .graph path')");
    let saved = fs::read_to_string(served.folder.path().join("profiles.json")).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    let expected = json!({
        "name": "Resolvers", "filter": "udp and dst port 53", "alert": { "measure": "bits", "above": 1_000_000 },
    });
    assert_eq!(saved["profiles"], json!([expected]));
    browser.picture(&pictures().join("profiles.png"));

    // By keys: the alerts, then back to the whole window, then a window of five bins.
    browser.value("document.activeElement.blur()");
    browser.key("5", false);
    browser.wait("document.querySelector('#panel tbody') && document.querySelector('#panel').innerText.includes('Resolvers')");
    browser.key("g", false);
    browser.wait("document.activeElement.id === 'chart'");
    browser.key("Escape", false);
    browser.wait(&format!("page.state.from === {} && {READY}", whole.0));
    let bin = browser.value("page.shown.bin").as_u64().unwrap();
    browser.value("page.refreshed = page.series");
    browser.key("Home", false);
    for _ in 0..10 {
        browser.key("ArrowRight", false);
    }
    for _ in 0..4 {
        browser.key("ArrowRight", true);
    }
    browser.picture(&pictures().join("chosen-by-keys.png"));
    let first = browser.value("page.shown.first").as_u64().unwrap();
    browser.key("Enter", false);
    browser.wait(&format!("page.series !== page.refreshed && {READY}"));
    assert_eq!(window(&mut browser), (first + 10 * bin, first + 15 * bin));
    assert_eq!(
        browser.complaints.iter().filter(|text| !text.contains("400")).count(),
        0,
        "{:?}",
        browser.complaints
    );
}

#[test]
fn what_somebody_should_look_at_is_found_by_keys_alone() {
    if !has_program("chromium") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scenario = Scenario::new(81, 100).background(20_000);
    scenario.syn_flood("203.0.113.10".parse().unwrap(), 443, 905 * SECOND, 120, 80_000);
    scenario.contact("10.1.3.77".parse().unwrap(), "198.18.5.6".parse().unwrap(), 8_443, 300 * SECOND, 11);
    scenario.write_store(folder.path());
    let (control, list) = (folder.path().join("control"), folder.path().join("list.txt"));
    fs::write(&list, "198.18.5.6 command server\nwhatever\n").unwrap();
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--control", control.to_str().unwrap()]);
    // Two datagrams are lost between these, and a template is missing.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in
        [v9(7, 1, &[template(300, &PLAIN), set(300, &plain(1, 100))]), v9(7, 4, &[set(400, &plain(2, 100))])]
    {
        socket.send_to(&datagram, collector.addresses[0]).unwrap();
    }
    let served =
        serve_in(folder, &["--health", control.to_str().unwrap(), "--indicators", list.to_str().unwrap()]);
    let mut browser = Browser::start(served.folder.path());
    browser.resize(1_280, 900);
    browser.prefer("light");
    browser.open(&served.url);
    browser.wait(READY);

    // The exporter, as the collector knows it.
    browser.key("3", false);
    let panel = "document.querySelector('#panel').innerText";
    browser.wait(&format!("{panel}.includes('400 missing since')"));
    let text = browser.value(panel);
    let text = text.as_str().unwrap();
    for told in ["2 of 4 packets were lost", "2 packets (50 %)", "127.0.0.1", "192.0.2.250"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    browser.picture(&pictures().join("exporters-light.png"));

    // Searches, with nothing but keys: 5 for the tab, then Tab from the tab to the buttons.
    browser.key("5", false);
    browser.wait("document.querySelector('#look-ioc')");
    browser.value("document.querySelector('#tab-alerts').focus()");
    let press = |browser: &mut Browser, id: &str| {
        for _ in 0..20 {
            browser.key("Tab", false);
            if browser.value("document.activeElement.id") == id {
                return browser.key("Enter", false);
            }
        }
        panic!("{id} is not reached by keys");
    };
    press(&mut browser, "look-ioc");
    browser.wait("document.querySelector('#found-ioc tbody')");
    let row = browser.value("document.querySelector('#found-ioc tbody tr').innerText");
    let row = row.as_str().unwrap();
    assert!(row.contains("198.18.5.6") && row.contains("10.1.3.77") && row.contains("TCP/8443"), "{row}");
    assert_eq!(browser.value("document.activeElement.id"), "look-ioc");
    press(&mut browser, "look-attacks");
    browser.wait("document.querySelector('#found-attacks tbody')");
    let row = browser.value("document.querySelector('#found-attacks').innerText");
    let row = row.as_str().unwrap();
    for told in
        ["1 attack in", "SYN flood", "203.0.113.10", "sources of", "packet/s ±", "seen once", "12:15:0"]
    {
        assert!(row.contains(told), "{told}: {row}");
    }
    assert_eq!(browser.value("document.querySelector('#tab-alerts .count').textContent"), "2");
    browser.picture(&pictures().join("findings-light.png"));
    browser.prefer("dark");
    browser.picture(&pictures().join("findings-dark.png"));
    browser.resize(390, 844);
    browser.wait("document.documentElement.scrollWidth === 390");
    browser.picture(&pictures().join("findings-phone.png"));
    browser.resize(1_280, 900);

    // From a finding to its flows: the window is that of the attack, the filter its target.
    browser.value("document.querySelector('#found-attacks tbody button').focus()");
    browser.value("page.refreshed = page.series");
    browser.key("Enter", false);
    browser.wait(&format!("page.series !== page.refreshed && {READY}"));
    assert_eq!(browser.value("page.state.filter"), "dst ip 203.0.113.10");
    let (from, to) = window(&mut browser);
    assert!(from.abs_diff(START + 905) <= 10 && to.abs_diff(START + 1_025) <= 11, "{from} {to}");
    assert_eq!(browser.value("document.querySelector('#tab-alerts .count')"), Value::Null);
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn the_page_fits_a_phone_light_and_dark() {
    if !has_program("chromium") {
        return;
    }
    let served = serve(&["--token", "of-the-test"]);
    let mut browser = Browser::start(served.folder.path());
    assert!(served.url.ends_with("#token=of-the-test"));
    browser.resize(390, 844);
    browser.prefer("dark");
    browser.open(&served.url);
    browser.wait(READY);
    // The token does not stay in the address, and nothing is wider than the phone.
    assert_eq!(browser.value("location.href.includes('of-the-test')"), false);
    for tab in ["top", "flows", "exporters", "profiles", "alerts"] {
        browser.value(&format!("document.querySelector('#tab-{tab}').click()"));
        browser.wait(&format!(
            "document.querySelector('#tab-{tab}').getAttribute('aria-selected') === 'true' && {READY}"
        ));
        assert_eq!(browser.value("document.documentElement.scrollWidth"), 390, "{tab}");
        browser.picture(&pictures().join(format!("phone-dark-{tab}.png")));
    }
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.prefer("light");
    browser.wait(&format!("getComputedStyle(document.body).backgroundColor !== {dark}"));
    browser.picture(&pictures().join("phone-light.png"));
    browser.prefer("dark");
    browser.resize(1_280, 900);
    browser.value("document.querySelector('#tab-top').click()");
    browser.wait(&format!("document.querySelector('#panel tbody') && document.querySelector('#chart svg').viewBox.baseVal.width > 800 && {READY}"));
    browser.picture(&pictures().join("desktop-dark.png"));
    for tab in ["flows", "exporters"] {
        browser.value(&format!("document.querySelector('#tab-{tab}').click()"));
        browser.wait(&format!(
            "document.querySelector('#tab-{tab}').getAttribute('aria-selected') === 'true' && {READY}"
        ));
        browser.picture(&pictures().join(format!("desktop-dark-{tab}.png")));
    }
    assert_eq!(browser.complaints, [""; 0]);
}
