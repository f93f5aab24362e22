//! OTLP against the clients and a server of others: the SDK of OpenTelemetry and gRPC for Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use wattle_tests::{Config, Folder, free_address, json_lines, wait_until};
use wattle_tls::testing::Authority;

fn python() -> Command {
    // `cargo xtask test` installs the packages and names the folder of their Python.
    let folder = std::env::var_os("WATTLE_OPENTELEMETRY").map(PathBuf::from).unwrap_or_default();
    let python = if folder.as_os_str().is_empty() { "python3".into() } else { folder.join("python3") };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("otlp/otel.py"));
    // They would replace the authority of a test.
    command.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
    command
}

/// Runs the script to its end; returns the lines that it printed.
#[track_caller]
fn run(arguments: &[&str]) -> Vec<Value> {
    let output = python().args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}; `cargo xtask test` installs what the script needs, or set `WATTLE_OPENTELEMETRY` to the folder of a \
         `python3` that has it",
        String::from_utf8_lossy(&output.stderr)
    );
    json_lines(&output.stdout)
}

/// A server of gRPC, which appends requests to a file.
struct Receiver {
    process: Child,
    file: PathBuf,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Receiver {
    fn start(folder: &Folder, address: SocketAddr) -> Self {
        let file = folder.path("received.ndjson");
        let port = address.port().to_string();
        let process = python().args(["receive", &port, file.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
        Self { process, file }
    }

    fn requests(&self) -> Vec<Value> {
        json_lines(&std::fs::read(&self.file).unwrap_or_default())
    }

    /// The records of a signal, with the resource and the scope of each.
    fn records(&self, signal: &str) -> Vec<Value> {
        let requests = self.requests();
        requests.iter().filter(|line| line["signal"] == signal).flat_map(|line| records(&line["request"])).collect()
    }
}

/// The records of a request, each as if it were alone in it.
fn records(request: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let list = |value: &Value, names: [&str; 3]| names.iter().find_map(|name| value[name].as_array().cloned());
    for resource in list(request, ["resourceLogs", "resourceMetrics", "resourceSpans"]).unwrap_or_default() {
        for scope in list(&resource, ["scopeLogs", "scopeMetrics", "scopeSpans"]).unwrap_or_default() {
            for record in list(&scope, ["logRecords", "metrics", "spans"]).unwrap_or_default() {
                found.push(json!({
                    "resource": resource["resource"], "resourceUrl": resource["schemaUrl"],
                    "scope": scope["scope"], "scopeUrl": scope["schemaUrl"], "record": record,
                }));
            }
        }
    }
    found
}

/// The agent in the middle.
fn config(source: SocketAddr) -> Config {
    config_with(source, "")
}

/// The same with more options of the source.
fn config_with(source: SocketAddr, options: &str) -> Config {
    Config::new()
        .source("in", "otlp")
        .set("grpc_address", source.to_string())
        .set("http_address", "")
        .with(options)
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
}

fn until_it_listens(address: SocketAddr) {
    wait_until("the agent listens", || TcpStream::connect(address).is_ok());
}

/// Requests with every field of logs, metrics and spans.
fn requests() -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("otlp/requests.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_field_arrives_as_it_was_sent() {
    for (protocol, sink) in [("grpc", ""), ("http", "compression = \"none\"")] {
        let (folder, source, far) = (Folder::new(), free_address(), free_address());
        let receiver = Receiver::start(&folder, far);
        let sent = folder.path("sent.ndjson");
        let lines: Vec<String> = requests().iter().map(Value::to_string).collect();
        std::fs::write(&sent, lines.join("\n")).unwrap();
        let config = config(source)
            .sink("out", "otlp", &["p.ok"])
            .set("uri", format!("http://{far}"))
            .with(sink)
            .with("auth = { strategy = \"bearer\", token = \"geheim\" }\nrequest = { retry_initial_backoff = \"100ms\" }\nbatch = { timeout = \"10ms\" }");
        let agent = folder.start(&config.drop_sink("none", &["p.fails"]).text());
        until_it_listens(source);
        let answers = run(&["send", protocol, &source.port().to_string(), sent.to_str().unwrap()]);
        // Each request was answered when its events had arrived, after the failure of the first call.
        assert_eq!(answers, vec![json!({}); lines.len()]);
        for signal in ["logs", "metrics", "traces"] {
            let of_signal = |line: &&Value| line["signal"] == signal;
            let sent: Vec<Value> =
                requests().iter().filter(of_signal).flat_map(|line| records(&line["request"])).collect();
            assert!(!sent.is_empty());
            assert_eq!(receiver.records(signal), sent, "{protocol} {signal}");
        }
        assert!(receiver.requests().iter().all(|line| line["authorization"] == "Bearer geheim"));
        let ended = agent.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
        assert!(ended.log.contains("not yet") && !ended.log.contains("geheim"), "{}", ended.log);
        ended.summary().pipeline();
    }
}

#[test]
fn a_partial_success_is_passed_on_with_its_number() {
    let (folder, source, far) = (Folder::new(), free_address(), free_address());
    let _receiver = Receiver::start(&folder, far);
    let config = config(source)
        .sink("out", "otlp", &["p.ok"])
        .set("uri", format!("http://{far}"))
        .with("request = { retry_initial_backoff = \"100ms\" }\nbatch = { timeout = \"10ms\" }");
    let agent = folder.start(&config.drop_sink("none", &["p.fails"]).text());
    until_it_listens(source);
    let record = |text: &str| json!({"body": {"stringValue": text}});
    let records = [record("fine"), record("reject-me"), record("fine too")];
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
    let sent = folder.write("sent.ndjson", json!({"signal": "logs", "request": request}).to_string());
    let answers = run(&["send", "grpc", &source.port().to_string(), sent.to_str().unwrap()]);
    let partial = json!({"rejectedLogRecords": "1", "errorMessage": "the destination rejected these for good"});
    assert_eq!(answers, [json!({"partialSuccess": partial})]);
    let ended = agent.stop();
    assert!(ended.log.contains("one is bad"), "{}", ended.log);
    ended.summary().pipeline();
}

#[test]
fn applications_with_the_sdk_send_to_the_agent() {
    for protocol in ["grpc", "http"] {
        let (folder, source) = (Folder::new(), free_address());
        let config = config(source).file_sink("out", &["p.ok"], "out.ndjson").with("encoding = { codec = \"json\" }");
        let agent = folder.start(&config.drop_sink("none", &["p.fails"]).text());
        until_it_listens(source);
        run(&["sdk", protocol, &source.port().to_string()]);
        let ended = agent.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
        ended.summary().pipeline();
        let events = folder.events("out.ndjson");
        let of_kind = |kind: &str| events.iter().filter(|event| event["kind"] == kind).collect::<Vec<_>>();
        let logs: Vec<_> = events.iter().filter(|event| event["kind"].is_null()).collect();
        let (spans, metrics) = (of_kind("span"), of_kind("metric"));
        assert_eq!((logs.len(), spans.len(), metrics.len()), (100, 100, 3), "{protocol}");
        assert!(events.iter().all(|event| event["resource"]["service.name"] == "shop"));
        let log = logs.iter().find(|event| event["attributes"]["number"] == 7).unwrap();
        assert_eq!((&log["body"], &log["severity"]["number"]), (&json!("order 7"), &json!(13)));
        let span = spans.iter().find(|event| event["span_id"] == log["span_id"]).unwrap();
        assert_eq!((&span["attributes"]["number"], &span["trace_id"]), (&json!(7), &log["trace_id"]));
        let body: Value = serde_json::from_str(span["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["events"][0]["attributes"], json!({"amount": 3.5}));
        let bodies: Vec<Value> =
            metrics.iter().map(|event| serde_json::from_str(event["body"].as_str().unwrap()).unwrap()).collect();
        let value = |name: &str, key: &str| {
            bodies.iter().filter(|body| body["name"] == name).map(|body| body[key].clone()).collect::<Vec<_>>()
        };
        assert_eq!((value("orders", "value"), value("sizes", "count")), (vec![json!(50); 2], vec![json!(100)]));
    }
}

#[test]
fn applications_send_over_tls_with_certificates_of_their_own() {
    for protocol in ["grpc", "http"] {
        let authority = Authority::new("authority");
        let (folder, source) = (Folder::new(), free_address());
        let (agent, client) = (authority.issue("localhost"), authority.issue("shop"));
        let crt = folder.write("agent.pem", agent.certificate);
        let key = folder.write("agent.key", agent.key);
        let ca = folder.write("ca.pem", authority.pem());
        folder.write("client.pem", client.certificate);
        folder.write("client.key", client.key);
        let tls = format!("tls = {{ crt_file = {crt:?}, key_file = {key:?}, ca_file = {ca:?} }}");
        let config = config_with(source, &tls)
            .file_sink("out", &["p.ok"], "out.ndjson")
            .with("encoding = { codec = \"json\" }")
            .drop_sink("none", &["p.fails"]);
        let agent = folder.start(&config.text());
        until_it_listens(source);
        run(&["sdk", protocol, &source.port().to_string(), folder.path("").to_str().unwrap()]);
        let ended = agent.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
        assert!(!ended.log.contains("TLS handshake failed"), "{}", ended.log);
        ended.summary().pipeline();
        assert_eq!(folder.events("out.ndjson").len(), 203, "{protocol}");
    }
}

#[test]
fn a_server_that_is_down_and_a_kill_lose_nothing() {
    let (folder, source, far) = (Folder::new(), free_address(), free_address());
    let config = config(source)
        .sink("out", "otlp", &["p.ok"])
        .set("uri", format!("http://{far}"))
        .with("request = { retry_initial_backoff = \"100ms\", retry_max_backoff = \"200ms\" }\nbatch = { timeout = \"10ms\" }\nbuffer = { type = \"disk\", max_size = \"64MiB\" }")
        .drop_sink("none", &["p.fails"])
        .text();
    let agent = folder.start(&config);
    until_it_listens(source);
    let sent = folder.path("sent.ndjson");
    let lines: Vec<String> = requests().iter().map(Value::to_string).collect();
    std::fs::write(&sent, lines.join("\n")).unwrap();
    // The disk has them, so the clients get their answers while the server is down.
    let answers = run(&["send", "grpc", &source.port().to_string(), sent.to_str().unwrap()]);
    assert_eq!(answers.len(), lines.len());
    agent.kill();
    let receiver = Receiver::start(&folder, far);
    let agent = folder.start(&config);
    let expected = |signal: &str| {
        let of_signal = |line: &&Value| line["signal"] == signal;
        requests().iter().filter(of_signal).flat_map(|line| records(&line["request"])).collect::<Vec<_>>()
    };
    for signal in ["logs", "metrics", "traces"] {
        wait_until("the records arrive", || receiver.records(signal).len() >= expected(signal).len());
        assert_eq!(receiver.records(signal), expected(signal), "{signal}");
    }
    agent.stop();
}
