//! The page of the admin listener in Chromium, against an agent under load with secrets in flight.
//!
//! `browse.mjs` drives the browser and does the checks. It asks this program for what only this program can do: to swap
//! the version of the pack, to end the load, to end and start the agent. Screenshots stay in `page` of the target folder.
//! `node tests/page/fake.mjs` is a fake agent for work on the page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wattle_tests::{Agent, Config, Folder, Trail, free_address, get, secrets_in, send, wait_until, workspace};

const HINT: &str = "`cargo xtask test` installs what the tests of the page need, or set `WATTLE_BROWSER` to a folder with \
                    `node_modules` of tests/page/package.json";
/// An access key id, a session and a secret that no generated document has. Each is masked by its shape or its key.
const PLANTED: [(&str, &str); 3] = [
    ("accessKeyId", "AKIAPLANTEDSECRET1AB"),
    ("assumedRoleId", "AROAPLANTEDSECRET2CD:planted-session"),
    ("secretAccessKey", "PlantedSecret3/abcdefghijklmnopqrstuvwxyz"),
];
/// The secret of the input of the trial.
const TRIED: &str = "AKIATRIEDSECRET4EFGH";
/// Secrets of generated documents that the browser looks for, in addition to the planted ones.
const MAX_SECRETS: usize = 60;
const SEED: u64 = 22;
/// Records of a document.
const RECORDS: u32 = 40;
/// Each of these documents has records that fail, so that there are failures with samples.
const BROKEN: usize = 40;
/// Time between two documents: a load of thousands of records a second that leaves time for the browser on two cores.
const PAUSE: Duration = Duration::from_millis(10);
/// Nodes of a large graph.
const MANY: usize = 40;

fn config(admin: SocketAddr, from: SocketAddr, version: &str) -> String {
    let config = Config::new()
        .admin(admin)
        .set("price_per_gb", 0.5)
        .set("currency", "EUR")
        .http_source("trail", from)
        .pack("cloudtrail", &["trail"], &format!("cloudtrail@{version}"));
    let config = if version.starts_with('2') {
        config.set("params.metrics_interval", "1s").grants("seen = { max_keys = 1000000, max_age = \"1d\" }")
    } else {
        config
    };
    config
        .drop_sink("lake", &["cloudtrail.processed", "cloudtrail.get_describe_list"])
        .drop_sink("fails", &["cloudtrail.fails"])
        .drop_sink("others", &["cloudtrail.*"])
        .text()
}

/// The next document of generated records, with one in front of them that holds the planted secrets. Without its name, that
/// record fails.
fn document(trail: &mut Trail, number: usize) -> Vec<u8> {
    let planted: Value = PLANTED.iter().map(|(key, secret)| ((*key).to_owned(), json!(secret))).collect();
    let mut record = json!({
        "eventVersion": "1.11",
        "eventName": "CreatePlanted",
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventSource": "iam.amazonaws.com",
        "eventTime": "2026-01-01T10:00:00Z",
        "requestParameters": { "credentials": planted },
    });
    if number % BROKEN == BROKEN - 1 {
        record.as_object_mut().unwrap().remove("eventName");
    }
    let document = String::from_utf8(trail.document()).unwrap();
    let (head, records) = document.split_once('[').unwrap();
    format!("{head}[{record},{records}").into_bytes()
}

/// The input of the trial.
fn tried() -> Value {
    let record = |name: &str, number: usize| {
        json!({
            "eventVersion": "1.11",
            "eventName": name,
            "eventID": format!("00000000-0000-4000-9000-{number:012}"),
            "eventSource": "s3.amazonaws.com",
            "eventTime": "2026-01-01T10:00:00Z",
            "userIdentity": { "type": "IAMUser", "accessKeyId": TRIED },
        })
    };
    json!({ "Records": [record("CreateTried", 0), record("ListTried", 1), record("PutTried", 2)] })
}

/// Sends documents until it is stopped.
fn load(from: SocketAddr, stop: &AtomicBool) {
    let headers = [("content-type", "application/json")];
    let mut trail = Trail::new(SEED, RECORDS);
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let answer = send(from, &headers, &document(&mut trail, number));
        assert_eq!(answer.status, 200, "{}", answer.text);
        std::thread::sleep(PAUSE);
    }
}

/// Ends the load also if the test fails, or the scope would wait for it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The folder with `node_modules`, and where screenshots stay.
fn folders() -> (PathBuf, PathBuf) {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let target = workspace().join(target);
    let browser = std::env::var_os("WATTLE_BROWSER").map_or_else(|| target.join("tools/browser"), PathBuf::from);
    assert!(browser.join("node_modules/puppeteer-core").is_dir(), "{} is missing; {HINT}", browser.display());
    (browser, target.join("page"))
}

/// `browse.mjs`; ends with this.
struct Browser(Child);

impl Browser {
    fn start(folder: &Folder, spec: &Value) -> Self {
        folder.write("spec.json", spec.to_string());
        let mut node = Command::new("node");
        node.arg(workspace().join("tests/page/browse.mjs")).arg(folder.path("spec.json"));
        let child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.unwrap_or_else(|error| panic!("node: {error}; {HINT}")))
    }

    /// Prints what it says, and does what it asks for, until it ends. It ends by itself after five minutes.
    fn run(mut self, mut act: impl FnMut(&str)) -> (Vec<String>, ExitStatus) {
        let mut answers = self.0.stdin.take().unwrap();
        let mut failed = Vec::new();
        for line in BufReader::new(self.0.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            println!("{line}");
            if let Some(what) = line.strip_prefix("ask ") {
                act(what);
                // Its end is a failure that the exit status says.
                let _ = answers.write_all(b"done\n");
            } else if line.starts_with("FAILED") {
                failed.push(line);
            }
        }
        (failed, self.0.wait().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Folder, config: &str, admin: SocketAddr) -> Agent {
    let agent = folder.start(config);
    wait_until("the agent is ready", || get(admin, "/readyz").is_some_and(|answer| answer.status == 200));
    agent
}

#[test]
fn the_page_shows_a_running_agent_and_never_a_secret() {
    let (browser, screenshots) = folders();
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let mut trail = Trail::new(SEED, RECORDS);
    let documents: Vec<Value> =
        (0..20).map(|number| serde_json::from_slice(&document(&mut trail, number)).unwrap()).collect();
    let mut secrets: BTreeSet<String> = documents.iter().flat_map(secrets_in).filter(|one| one.len() >= 16).collect();
    while secrets.len() > MAX_SECRETS {
        secrets.pop_first();
    }
    secrets.extend(PLANTED.iter().map(|(_, secret)| (*secret).to_owned()));

    let mut agent = Some(start(&folder, &config(admin, from, "1.2.0"), admin));
    let spec = json!({
        "url": format!("http://{admin}/"),
        "out": screenshots,
        "modules": browser,
        "secrets": secrets,
        "mask_text": "*******************",
        // A trial shows the input that the user pasted, so it has no secret of the load.
        "input": tried().to_string(),
        "input_secret": TRIED,
    });
    let stop = AtomicBool::new(false);
    let (failed, status) = std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        let mut sender = Some(scope.spawn(|| load(from, &stop)));
        Browser::start(&folder, &spec).run(|what| match what {
            "swap" => {
                folder.replace("agent.toml", config(admin, from, "2.0.0"));
                agent.as_mut().unwrap().wait_for("reloaded");
            }
            "stop" => {
                stop.store(true, Ordering::SeqCst);
                sender.take().unwrap().join().unwrap();
            }
            "end" => {
                agent.take().unwrap().stop().summary();
            }
            "start" => agent = Some(start(&folder, &config(admin, from, "2.0.0"), admin)),
            _ => panic!("{what}"),
        })
    });
    assert!(status.success() && failed.is_empty(), "{status}: {failed:#?}");
    agent.unwrap().stop().summary();
}

/// A pipeline without a pack, with a chain of many nodes of which one has a very long name.
fn many(admin: SocketAddr) -> String {
    let mut config = Config::new()
        .admin(admin)
        .set("tap", "off")
        .file_source("quiet", "in/*.log")
        .pipeline("a-pipeline-with-a-long-name", &["quiet"]);
    let (mut last, mut failed) = ("input".to_owned(), Vec::new());
    for number in 0..MANY {
        let name = if number == 1 {
            "a-node-whose-name-says-everything-about-what-it-does".to_owned()
        } else {
            format!("step-{number}")
        };
        let step: toml::Value = toml::Table::from_iter([("remove".to_owned(), "attributes.x".into())]).into();
        config = config.node(&name, "builtin:edit", &[&last]).set("options.steps", vec![step]);
        failed.push(format!("{name}.failed"));
        last = name;
    }
    let failed: Vec<&str> = failed.iter().map(String::as_str).collect();
    config.output("ok", &[&last]).output("fails", &failed).drop_sink("none", &["a-pipeline-with-a-long-name.*"]).text()
}

#[test]
fn the_page_shows_many_nodes_and_says_what_is_off_or_empty() {
    let (browser, screenshots) = folders();
    let folder = Folder::new();
    let admin = free_address();
    let agent = start(&folder, &many(admin), admin);
    let url = format!("http://{admin}/");
    let spec = json!({ "url": url, "out": screenshots, "modules": browser, "secrets": [], "states": true });
    let (failed, status) = Browser::start(&folder, &spec).run(|what| panic!("{what}"));
    assert!(status.success() && failed.is_empty(), "{status}: {failed:#?}");
    agent.stop().summary();
}

/// The head and the body of the response to this request.
fn raw(admin: SocketAddr, head: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {admin}\r\n{head}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase(), answer[end + 4..].to_vec())
}

#[test]
fn the_page_is_small_cached_and_can_be_turned_off() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let text = config(admin, from, "1.2.0");
    let mut agent = folder.start(&text);
    let (head, body) = raw(admin, "accept-encoding: gzip\r\n");
    assert!(head.starts_with("http/1.1 200") && head.contains("content-encoding: gzip"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'sha256-"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(body.len() < 150 << 10, "{} bytes", body.len());
    // Header values were lowered for the comparison, so the tag is taken from the original.
    let tag = get_tag(admin);
    let (head, body) = raw(admin, &format!("if-none-match: {tag}\r\n"));
    assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");
    folder.replace("agent.toml", text.replace("[admin]\n", "[admin]\npage = false\n"));
    agent.wait_for("reloaded");
    let (head, _) = raw(admin, "");
    assert!(head.starts_with("http/1.1 404"), "{head}");
    assert_eq!(get(admin, "/api/v1").unwrap().status, 200, "the API stays");
    agent.stop();
}

fn get_tag(admin: SocketAddr) -> String {
    let response = ureq::get(format!("http://{admin}/")).call().unwrap();
    response.headers().get("etag").unwrap().to_str().unwrap().to_owned()
}
