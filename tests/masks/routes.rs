//! Every form, through every source.

use std::collections::BTreeSet;
use std::net::TcpStream;

use serde_json::Value;
use wattle_tests::{Agent, Config, Endpoint, Folder, Metrics, finish, free_address, get, send, wait_until};

use crate::forms::{Fate, Form, all};
use crate::secrets::Readable;
use crate::{assert_accounted, assert_files_hide, assert_listings_hide, config};

/// Starts an agent that logs everything.
fn start(folder: &Folder, config: &str) -> Agent {
    folder.write("agent.toml", config);
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml", "--log", "trace"]));
    agent.wait_for("running");
    agent
}

/// Checks that a form left or failed at the mask as expected, by the names of the files of the
/// events.
#[track_caller]
fn assert_fates(folder: &Folder, forms: &[Form]) {
    let failed = folder.events("out/plain-fails");
    let name = |event: &Value| {
        let path = event["resource"]["source"]["path"].as_str().unwrap();
        path.rsplit('/').next().unwrap().to_owned()
    };
    let failed: BTreeSet<String> = failed.iter().map(name).collect();
    let wrong: Vec<&str> = forms
        .iter()
        .filter(|form| match form.fate {
            Fate::Masked => failed.contains(&form.name),
            Fate::Withheld => !failed.contains(&form.name),
            Fate::Hidden => false,
        })
        .map(|form| form.name.as_str())
        .collect();
    assert!(wrong.is_empty(), "masked for withheld, or the other way round: {wrong:?}");
}

#[test]
fn no_form_shows_a_secret_in_files_logs_metrics_status_listings_or_dead_letters() {
    let folder = Folder::new();
    let readable = Readable::new();
    let forms = all();
    for form in &forms {
        folder.write(format!("in/{}", form.name), &form.bytes);
    }
    let (admin, server) = (free_address(), free_address());
    let endpoint = Endpoint::listen(server);
    endpoint.answer(400);
    let more = Config::new()
        .admin(admin)
        .http_sink("server", &["trail.*", "plain.*"], &format!("http://{server}/"))
        .set("dead_letter", "dead/letters")
        .set("batch.timeout", "20ms")
        .text();
    let source = "type = \"file\"\ninclude = [\"in/*\"]\nframing = \"document\"\nstable_after = \"1ms\"\nglob_interval = \"50ms\"";
    let agent = start(&folder, &config(source, &more));
    let scrape = || get(admin, "/metrics").filter(|answer| answer.status == 200).map(|answer| answer.text);
    let done = |text: &str| {
        let metrics = Metrics::read(text);
        let of = |name: &str| metrics.sum(name, &[("pipeline", "plain")]);
        let left = of("wattle_pipeline_delivered_events_total") + of("wattle_pipeline_failed_events_total");
        left == forms.len() as f64
    };
    wait_until("every form has left", || scrape().is_some_and(|text| done(&text)));
    let status = get(admin, "/status").unwrap().text;
    let shown = [
        folder.run(&["status", "--config", "agent.toml"]),
        folder.run(&["status", "--config", "agent.toml", "--json"]),
    ];
    for (what, text) in [
        ("/metrics", scrape().unwrap()),
        ("/status", status),
        ("wattle status", shown[0].text().to_owned()),
        ("wattle status --json", shown[1].text().to_owned()),
    ] {
        assert!(text.contains("plain"), "{what} is empty: {text}");
        readable.assert_none(what, text.as_bytes());
    }
    assert_listings_hide(&folder, &readable);
    let ended = agent.stop();
    readable.assert_none("the log", ended.log.as_bytes());
    let withheld = assert_accounted(&ended, forms.len());
    assert_files_hide(&folder, "in", &readable);
    assert_listings_hide(&folder, &readable);
    assert_fates(&folder, &forms);
    let letters = folder.events("dead/letters").len();
    assert!(letters > forms.len(), "{letters} dead letters of {} forms", forms.len());
    println!(
        "{} forms from files: {withheld} in quarantine, {letters} dead letters, {} bytes of log, 0 readable secrets",
        forms.len(),
        ended.log.len()
    );
}

#[test]
fn no_form_shows_a_secret_over_http() {
    let folder = Folder::new();
    let readable = Readable::new();
    let forms = all();
    let address = free_address();
    let source = format!("type = \"http\"\naddress = \"{address}\"\nframing = \"document\"");
    let agent = start(&folder, &config(&source, ""));
    wait_until("the source listens", || TcpStream::connect(address).is_ok());
    for form in &forms {
        let answer = send(address, &[("content-type", "application/octet-stream")], &form.bytes);
        assert_eq!(answer.status, 200, "{}: {}", form.name, answer.text);
        readable.assert_none("an answer", answer.text.as_bytes());
    }
    let ended = agent.stop();
    readable.assert_none("the log", ended.log.as_bytes());
    let withheld = assert_accounted(&ended, forms.len());
    assert_files_hide(&folder, "in", &readable);
    assert_listings_hide(&folder, &readable);
    println!("{} forms over http: {withheld} in quarantine, 0 readable secrets", forms.len());
}

/// The forms that fit on a line, one per line. A value on another line than its key would be
/// another event, without anything that identifies it.
fn lines() -> (Vec<u8>, usize) {
    let forms = all();
    let lines: Vec<&[u8]> = forms.iter().map(|form| &*form.bytes).filter(|bytes| !bytes.contains(&b'\n')).collect();
    ([lines.join(&b'\n'), b"\n".to_vec()].concat(), lines.len())
}

#[test]
fn no_line_of_a_file_shows_a_secret() {
    let folder = Folder::new();
    let readable = Readable::new();
    let (text, count) = lines();
    folder.write("in/lines.log", text);
    let ended = folder.once(&config("type = \"file\"\ninclude = [\"in/*\"]\nframing = \"lines\"", ""));
    readable.assert_none("the log", ended.log.as_bytes());
    let withheld = assert_accounted(&ended, count);
    assert_files_hide(&folder, "in", &readable);
    assert_listings_hide(&folder, &readable);
    println!("{count} forms as lines of a file: {withheld} in quarantine, 0 readable secrets");
}

#[test]
fn no_form_shows_a_secret_from_standard_input() {
    let readable = Readable::new();
    let (text, count) = lines();
    let (mut received, mut withheld) = (0, 0);
    for framing in ["lines", "auto"] {
        let folder = Folder::new();
        folder.write("agent.toml", config(&format!("type = \"stdin\"\nframing = \"{framing}\""), ""));
        let arguments = ["run", "--once", "--config", "agent.toml", "--log", "debug"];
        let ended = finish(folder.wattle().args(arguments), &text);
        assert_eq!(ended.code, 0, "{}", ended.log);
        readable.assert_none("the log", ended.log.as_bytes());
        readable.assert_none("standard output", &ended.output);
        let events = ended.summary().pipelines["plain"].received as usize;
        assert!(framing == "auto" || events == count, "{events} of {count} lines");
        received += events;
        withheld += assert_accounted(&ended, events);
        assert_files_hide(&folder, "in", &readable);
        assert_listings_hide(&folder, &readable);
    }
    println!("{received} events from standard input: {withheld} in quarantine, 0 readable secrets");
}
