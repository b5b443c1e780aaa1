//! Chromium without a window, told what to do over its debugging pipe: messages of JSON, each ended by a zero octet.

use core::time::Duration;
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use super::peers::{Background, run};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one page.
pub(crate) struct Browser {
    process: Background,
    pipe: File,
    messages: Receiver<Value>,
    session: String,
    asked: u64,
    /// Since it was looked at the last time.
    is_loaded: bool,
    /// What the page has complained of.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts with an empty page; what the browser keeps is in the folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let (into, out) = (folder.join("into"), folder.join("out"));
        for path in [&into, &out] {
            run("mkfifo", &[path.to_str().unwrap()]);
        }
        // The pipe is descriptors 3 and 4, which only a shell can give.
        let script = "into=$1 out=$2; shift 2; exec \"$@\" 3<\"$into\" 4>\"$out\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&into, &out])
            .args(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Background(process);
        let pipe = OpenOptions::new().write(true).open(&into).unwrap();
        let mut reader = BufReader::new(File::open(&out).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                if let Ok(json) = serde_json::from_slice(&message)
                    && sender.send(json).is_err()
                {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            process,
            pipe,
            messages,
            session: String::new(),
            asked: 0,
            is_loaded: false,
            complaints: Vec::new(),
        };
        let page = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", &json!({ "targetId": page["targetId"], "flatten": true }));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser.call("Page.enable", &json!({}));
        browser.call("Runtime.enable", &json!({}));
        browser.call("Log.enable", &json!({}));
        browser
    }

    /// Asks the browser for something, and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut octets = message.to_string().into_bytes();
        octets.push(0);
        self.pipe.write_all(&octets).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut answer = self
                .messages
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{method}: {error}; {:?}", self.process.0.try_wait()));
            if answer["id"] == self.asked {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                    self.complaints.push(answer["params"].to_string());
                }
                Some("Page.loadEventFired") => self.is_loaded = true,
                _ => {}
            }
        }
    }

    /// What an expression of the page gives.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", &parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression of the page holds. What fails does not hold: the page may still be loading.
    pub(crate) fn wait(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        let tried =
            format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
        while self.value(&tried) != true {
            let text = self.value("document.body ? document.body.innerText : ''");
            assert!(Instant::now() < until, "{expression} does not come; {:?}; {text}", self.complaints);
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Goes to a page, and waits until its scripts have run.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        let until = Instant::now() + PATIENCE;
        while !core::mem::take(&mut self.is_loaded) {
            // Any answer brings along what has happened.
            self.call("Browser.getVersion", &json!({}));
            assert!(Instant::now() < until, "{url} is not loaded");
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Width and height of the view; a phone is told by its width.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let parameters =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &parameters);
    }

    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&mut self, path: &Path) {
        let answer =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        fs::write(path, base64(answer["data"].as_str().unwrap())).unwrap();
    }

    pub(crate) fn mouse(&mut self, kind: &str, x: f64, y: f64) {
        let buttons = i32::from(kind != "mouseReleased");
        let parameters = json!({
            "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1,
        });
        self.call("Input.dispatchMouseEvent", &parameters);
    }

    /// Clicks at the middle of the first element that a selector finds.
    pub(crate) fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        );
        let place = self.value(&script);
        let (x, y) = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
        self.mouse("mousePressed", x, y);
        self.mouse("mouseReleased", x, y);
    }

    /// Presses a key, with the shift key or without.
    pub(crate) fn key(&mut self, key: &str, shift: bool) {
        let text = match key {
            "Enter" => "\r",
            other if other.len() == 1 => other,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let parameters = json!({
                "type": kind, "key": key, "code": key, "text": text, "modifiers": if shift { 8 } else { 0 },
                "windowsVirtualKeyCode": match key { "Enter" => 13, "Tab" => 9, "Escape" => 27, _ => 0 },
            });
            self.call("Input.dispatchKeyEvent", &parameters);
        }
    }

    /// Writes into what has the focus, in the place of what is there.
    pub(crate) fn write(&mut self, selector: &str, text: &str) {
        self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.focus(); e.select(); }})()"
        ));
        self.call("Input.insertText", &json!({ "text": text }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its processes go with it when it ends by itself.
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        let _ = self.pipe.write_all(close);
        let until = Instant::now() + Duration::from_secs(5);
        while self.process.0.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |octet: u8| match octet {
        b'A'..=b'Z' => u32::from(octet - b'A'),
        b'a'..=b'z' => u32::from(octet - b'a') + 26,
        b'0'..=b'9' => u32::from(octet - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b'=').collect();
    let mut octets = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let bits = chunk.iter().fold(0, |bits, octet| bits << 6 | digit(*octet)) << (6 * (4 - chunk.len()));
        octets.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    octets
}
