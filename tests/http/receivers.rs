//! The sources `elasticsearch_bulk` and `splunk_hec` with clients of others, and with our own sinks.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_tests::{Agent, Config, Endpoint, Folder, Rsyslog, finish, free_address, wait_until};

fn start(folder: &Folder, addresses: &[SocketAddr], config: &Config) -> Agent {
    let agent = folder.start(&config.clone().text());
    for address in addresses {
        wait_until("the source listens", || TcpStream::connect(address).is_ok());
    }
    agent
}

/// The client of Elastic for Python: asks for the version, sends in bulk with retries, and reads the status of each action.
const PYTHON: &str = r#"
import sys
from elasticsearch import Elasticsearch, helpers
client = Elasticsearch(sys.argv[1], basic_auth=("shipper", "geheim"), http_compress=True, retry_on_timeout=True)
print(client.info()["version"]["number"], client.cluster.health()["status"])
actions = ({"_index": "logs", "_id": f"e{n}", "@timestamp": "2026-01-02T03:04:05.5Z", "n": n, "text": "ä \"x\""}
           for n in range(5000))
print(helpers.bulk(client, actions, chunk_size=700))
mixed = [{"_op_type": "create", "_index": "logs", "n": 5000}, {"_op_type": "delete", "_index": "logs", "_id": "e1"},
         {"_op_type": "update", "_index": "logs", "_id": "e2", "doc": {"n": 1}}]
good, errors = helpers.bulk(client, mixed, raise_on_error=False)
print(good, [(name, item["status"]) for error in errors for name, item in error.items()])
"#;

#[test]
fn the_python_client_of_elasticsearch_delivers_its_documents() {
    let (folder, address) = (Folder::new(), free_address());
    let config = Config::new()
        .source("in", "elasticsearch_bulk")
        .set("address", address.to_string())
        .with("auth = { strategy = \"basic\", user = \"shipper\", password = \"geheim\" }")
        .file_sink("out", &["in"], "out.ndjson");
    let agent = start(&folder, &[address], &config);
    // `cargo xtask test` installs it and names its folder.
    let programs = std::env::var_os("WATTLE_ELASTICSEARCH").map(PathBuf::from).unwrap_or_default();
    let script = folder.write("client.py", PYTHON);
    let mut client = Command::new(programs.join("python3"));
    client.arg(script).arg(format!("http://{address}"));
    client.env("NO_PROXY", "*").env("PYTHONIOENCODING", "utf-8");
    let ended = finish(&mut client, b"");
    assert!(
        ended.code == 0,
        "the client failed; run the tests by `cargo xtask test`, which installs it, or install it by `pip install \
         elasticsearch` and set `WATTLE_ELASTICSEARCH` to the folder of its `python3`: {}",
        ended.log
    );
    assert_eq!(
        ended.text().lines().collect::<Vec<_>>(),
        ["8.17.0 green", "(5000, [])", "1 [('delete', 400), ('update', 400)]"]
    );
    let stopped = agent.stop();
    assert!(!stopped.log.contains("geheim"), "a secret in the log");
    let events = folder.events("out.ndjson");
    let numbers: BTreeSet<u64> = events
        .iter()
        .map(|event| serde_json::from_str::<Value>(event["body"].as_str().unwrap()).unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!((events.len(), numbers), (5001, (0..=5000).collect()));
    let first = events.iter().find(|event| event["attributes"]["elasticsearch"]["id"] == "e0").unwrap();
    assert_eq!(first["timestamp"], "2026-01-02T03:04:05.5Z");
    assert_eq!(first["attributes"], json!({ "elasticsearch": { "index": "logs", "id": "e0" } }));
}

#[test]
fn rsyslog_sends_documents_until_they_are_delivered() {
    let (folder, from, to, end) = (Folder::new(), free_address(), free_address(), free_address());
    let endpoint = Endpoint::listen(end);
    endpoint.answer(503);
    let config = Config::new()
        .source("in", "elasticsearch_bulk")
        .set("address", to.to_string())
        .set("acknowledge_timeout", "1s")
        .set("disconnect_on_failure", true)
        .http_sink("out", &["in"], &format!("http://{end}/ingest"))
        .set("batch.timeout", "20ms")
        .set("encoding.codec", "ndjson")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "100ms");
    let agent = start(&folder, &[to], &config);
    let rules = format!(
        "module(load=\"omelasticsearch\")\n\
         template(name=\"document\" type=\"list\" option.json=\"on\") {{\n\
         constant(value=\"{{\\\"@timestamp\\\":\\\"\") property(name=\"timereported\" dateFormat=\"rfc3339\")\n\
         constant(value=\"\\\",\\\"message\\\":\\\"\") property(name=\"msg\") constant(value=\"\\\"}}\") }}\n\
         action(type=\"omelasticsearch\" server=\"127.0.0.1\" serverport=\"{}\" template=\"document\" \
         searchIndex=\"logs\" searchType=\"\" bulkmode=\"on\" errorFile=\"{}\" \
         action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")",
        to.port(),
        folder.path("errors.log").display(),
    );
    let rsyslog = Rsyslog::start(&folder, "rsyslog", from, &rules);
    let mut client = TcpStream::connect(from).unwrap();
    for number in 0..1000 {
        writeln!(client, "<34>1 2026-10-11T22:14:15.003Z host app 7 ID - message \"{number}\"").unwrap();
    }
    wait_until("the server refuses some", || endpoint.refused() > 3);
    endpoint.answer(200);
    let numbers = || -> BTreeSet<u64> {
        let number = |event: &Value| event["message"].as_str().unwrap().split('"').nth(1).unwrap().parse().unwrap();
        endpoint.events().iter().map(number).collect()
    };
    // What was not delivered in time arrives again.
    wait_until("all messages arrive", || numbers().len() == 1000);
    drop((client, rsyslog));
    agent.stop();
    assert_eq!(numbers(), (0..1000).collect());
    assert_eq!(String::from_utf8(folder.read("errors.log")).unwrap(), "");
}

/// What both sides of a round trip keep of an event: body, timestamp and metadata.
fn kept(event: &Value) -> (String, String, Value, Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let splunk = &event["resource"]["splunk"];
    (text(&event["body"]), text(&event["timestamp"]), splunk["sourcetype"].clone(), splunk["index"].clone())
}

#[test]
fn what_the_sinks_send_arrives_as_it_was() {
    let (sender, receiver) = (Folder::new(), Folder::new());
    let (hec, acked, bulk) = (free_address(), free_address(), free_address());
    let config = Config::new()
        .source("hec", "splunk_hec")
        .set("address", hec.to_string())
        .set("valid_tokens", vec!["geheim"])
        .source("acked", "splunk_hec")
        .set("address", acked.to_string())
        .set("valid_tokens", vec!["geheim"])
        .set("acknowledgements.enabled", true)
        .source("bulk", "elasticsearch_bulk")
        .set("address", bulk.to_string())
        .file_sink("hec", &["hec"], "hec.ndjson")
        .file_sink("acked", &["acked"], "acked.ndjson")
        .file_sink("bulk", &["bulk"], "bulk.ndjson");
    let agent = start(&receiver, &[hec, acked, bulk], &config);
    let lines: String = (0..2000)
        .map(|number| match number % 2 {
            0 => format!("{{\"n\":{number},\"exact\":1.50,\"text\":\"\u{e4}\\u0001\"}}\n"),
            _ => format!("plain \"text\" {number} \\ \u{1f600}\n"),
        })
        .collect();
    sender.write("in/a.log", &lines);
    let splunk = |config: Config, name: &str, address: SocketAddr| {
        config
            .sink(name, "splunk_hec", &["logs"])
            .set("endpoint", format!("http://{address}"))
            .set("token", "geheim")
            .set("encoding.codec", "ndjson")
            .set("sourcetype", "{{ resource.source.type }}")
            .set("index", "main")
            .set("compression", "gzip")
            .set("acknowledgements.query_interval", "50ms")
            .set("batch.max_events", 100)
    };
    let config = splunk(splunk(Config::new().file_source("logs", "in/*.log"), "hec", hec), "acked", acked)
        .sink("bulk", "elasticsearch", &["logs"])
        .set("endpoint", format!("http://{bulk}"))
        .set("bulk.index", "logs")
        .set("encoding.codec", "ndjson")
        .file_sink("direct", &["logs"], "direct.ndjson");
    let ended = sender.once(&config.text());
    ended.summary();
    agent.stop();
    let sorted = |mut events: Vec<(String, String, Value, Value)>| {
        events.sort_by(|a, b| a.0.cmp(&b.0));
        events
    };
    let direct = sender.events("direct.ndjson");
    assert_eq!(direct.len(), 2000);
    let expected = direct.iter().map(kept).map(|(body, time, ..)| (body, time, json!("file"), json!("main")));
    let expected = sorted(expected.collect());
    for name in ["hec.ndjson", "acked.ndjson"] {
        let found = sorted(receiver.events(name).iter().map(kept).collect());
        assert_eq!(found, expected, "{name}");
    }
    // Documents of lines that are no objects are `message`.
    let bulk: BTreeSet<String> = receiver
        .events("bulk.ndjson")
        .iter()
        .map(|event| {
            assert_eq!(event["attributes"]["elasticsearch"]["index"], "logs");
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            assert_eq!(event["timestamp"], body["@timestamp"]);
            match body["message"].as_str() {
                Some(message) => message.to_owned(),
                None => body["n"].to_string(),
            }
        })
        .collect();
    let sent: BTreeSet<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).map_or(line.to_owned(), |value| value["n"].to_string()))
        .collect();
    assert_eq!(bulk, sent);
}

/// How the clients of one receiver send.
struct Receiver {
    type_name: &'static str,
    /// The option that has the address, and the others.
    address: &'static str,
    options: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: fn(&str) -> String,
}

const RECEIVERS: [Receiver; 4] = [
    Receiver {
        type_name: "http",
        address: "address",
        options: "",
        path: "/",
        headers: &[],
        body: |text| text.to_owned(),
    },
    Receiver {
        type_name: "otlp",
        address: "http_address",
        options: "grpc_address = \"\"",
        path: "/v1/logs",
        headers: &[("content-type", "application/json")],
        body: |text| {
            let record = json!({"body": {"stringValue": text}});
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string()
        },
    },
    Receiver {
        type_name: "splunk_hec",
        address: "address",
        options: "valid_tokens = [\"12345678\"]",
        path: "/services/collector/event",
        headers: &[("authorization", "Splunk 12345678")],
        body: |text| json!({"event": text}).to_string(),
    },
    Receiver {
        type_name: "elasticsearch_bulk",
        address: "address",
        options: "",
        path: "/logs/_bulk",
        headers: &[("content-type", "application/x-ndjson")],
        body: |text| format!("{{\"index\":{{}}}}\n{}\n", json!({"message": text})),
    },
];

/// Sends one event after the other over connections that stay open; returns those that were delivered.
fn send_until(receiver: &Receiver, address: SocketAddr, client: usize, is_over: &AtomicBool) -> Vec<String> {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60))).build();
    let agent = ureq::Agent::from(config);
    let mut delivered = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let text = format!("{}-{client}-{}", receiver.type_name, delivered.len());
        // A source that stops asks for a repetition, or closes a connection without a request.
        loop {
            let mut request = agent.post(format!("http://{address}{}", receiver.path));
            for (name, value) in receiver.headers {
                request = request.header(*name, *value);
            }
            match request.send((receiver.body)(&text)) {
                Ok(mut response) if response.status() == 200 => {
                    let answer = response.body_mut().read_to_string().unwrap();
                    assert!(!answer.contains("\"errors\":true"), "{answer}");
                    break delivered.push(text);
                }
                Ok(response) => assert_eq!(response.status(), 503, "{}", receiver.type_name),
                Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    panic!("{}: {error}", receiver.type_name)
                }
                Err(_) => {}
            }
        }
    }
    delivered
}

#[test]
fn reloads_under_load_lose_no_event_of_any_receiver() {
    let (folder, addresses) = (Folder::new(), RECEIVERS.each_ref().map(|_| free_address()));
    let config = |round: u32| {
        let sources = RECEIVERS.iter().zip(&addresses).fold(Config::new(), |config, (receiver, address)| {
            config
                .source(receiver.type_name, receiver.type_name)
                .set(receiver.address, address.to_string())
                .set("max_connections", 50 + i64::from(round))
                .with(receiver.options)
        });
        sources.file_sink("out", &RECEIVERS.each_ref().map(|receiver| receiver.type_name), "out.ndjson")
    };
    let mut agent = start(&folder, &addresses, &config(0));
    let is_over = AtomicBool::new(false);
    let delivered: BTreeSet<String> = thread::scope(|scope| {
        let clients: Vec<_> = RECEIVERS
            .iter()
            .zip(addresses)
            .flat_map(|(receiver, address)| (0..2).map(move |client| (receiver, address, client)))
            .map(|(receiver, address, client)| {
                scope.spawn({
                    let is_over = &is_over;
                    move || send_until(receiver, address, client, is_over)
                })
            })
            .collect();
        let written = || folder.path("out.ndjson").metadata().map_or(0, |file| file.len());
        for round in 1..6 {
            let before = written();
            wait_until("events arrive", || written() > before + 5_000);
            folder.replace("agent.toml", config(round).text());
            agent.signal("HUP");
            agent.wait_for("reloaded");
        }
        let before = written();
        wait_until("events arrive after the last reload", || written() > before + 5_000);
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    agent.stop();
    let arrived: BTreeSet<String> = folder
        .events("out.ndjson")
        .iter()
        .map(|event| {
            let body = event["body"].as_str().unwrap();
            let document = serde_json::from_str::<Value>(body).ok();
            document.and_then(|document| document["message"].as_str().map(str::to_owned)).unwrap_or(body.to_owned())
        })
        .collect();
    for receiver in &RECEIVERS {
        let of_receiver = |text: &&String| text.starts_with(receiver.type_name);
        assert!(delivered.iter().filter(of_receiver).count() > 20, "{}", receiver.type_name);
    }
    assert_eq!(delivered.difference(&arrived).collect::<Vec<_>>(), Vec::<&String>::new());
}
