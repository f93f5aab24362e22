//! The sink `prometheus_remote_write` with Prometheus: what its queries return is what an application sent by OTLP.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wattle_tests::{Agent, Config, Folder, free_address, wait_until};

/// A configuration of Prometheus that scrapes nothing.
const NO_SCRAPES: &str = "global: {}\n";

/// A running Prometheus, with its data in a folder.
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    pub(crate) fn start(folder: &Folder, address: SocketAddr, config: &str, features: &[&str]) -> Self {
        let config = folder.write("prometheus.yml", config);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .args(features)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "`prometheus` does not start; run the tests by `cargo xtask test`, or `apt-get install prometheus`",
            );
        let server = Self { child, address };
        wait_until("prometheus is ready", || server.request("-/ready").is_some_and(|(status, _)| status == 200));
        server
    }

    fn request(&self, path: &str) -> Option<(u16, String)> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut response = ureq::Agent::from(config).get(format!("http://{}/{path}", self.address)).call().ok()?;
        Some((response.status().as_u16(), response.body_mut().read_to_string().ok()?))
    }

    /// The result of a query: the labels and the value of each series, in the order of their texts.
    pub(crate) fn query(&self, query: &str) -> Vec<String> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let Some((_, body)) = self.request(&format!("api/v1/query?query={encoded}")) else { return Vec::new() };
        let found: Value = serde_json::from_str(&body).unwrap();
        let series = found["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {found}"));
        let text = |series: &Value| match series["value"][1].as_str() {
            Some(value) => format!("{} {value}", series["metric"]),
            None => format!("{} {}", series["metric"], series["histogram"][1]),
        };
        let mut texts: Vec<String> = series.iter().map(text).collect();
        texts.sort();
        texts
    }
}

pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn start(folder: &Folder, from: SocketAddr, to: SocketAddr) -> Agent {
    let config = Config::new()
        .source("in", "otlp")
        .set("grpc_address", "")
        .set("http_address", from.to_string())
        .sink("out", "prometheus_remote_write", &["in"])
        .set("endpoint", format!("http://{to}/api/v1/write"))
        .set("labels.cluster", "c-1")
        .set("batch.timeout", "20ms")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "100ms")
        .set("dead_letter", "dead.jsonl");
    let agent = folder.start(&config.text());
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    agent
}

/// Sends metrics of a service; returns the status of the response.
pub(crate) fn export(address: SocketAddr, metrics: Value) -> u16 {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": [attribute("service.name", "shop"), attribute("service.instance.id", "i-1")]},
        "scopeMetrics": [{"metrics": metrics}],
    }]});
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let post = ureq::Agent::from(config).post(format!("http://{address}/v1/metrics"));
    let sent = post.header("content-type", "application/json").send(request.to_string());
    sent.unwrap().status().as_u16()
}

pub(crate) fn requests(time: u64, value: u64, temporality: u8) -> Value {
    let attributes = json!([{"key": "http.method", "value": {"stringValue": "GET \"\u{e4}\"\n"}}]);
    let points = json!([{"timeUnixNano": time.to_string(), "asInt": value.to_string(), "attributes": attributes}]);
    let sum = json!({"isMonotonic": true, "aggregationTemporality": temporality, "dataPoints": points});
    json!([{"name": "http.requests", "unit": "{request}", "sum": sum}])
}

#[test]
fn queries_return_what_was_sent_although_the_server_was_down() {
    let (folder, from, to) = (Folder::new(), free_address(), free_address());
    let mut agent = start(&folder, from, to);
    let time = now() - 5_000_000_000;
    let point = |more: Value| {
        let mut point = json!({"timeUnixNano": time.to_string(), "count": "6", "sum": 23.5});
        point.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"aggregationTemporality": 2, "dataPoints": [point]})
    };
    let others = json!([
        {"name": "queue.size", "unit": "By",
            "gauge": {"dataPoints": [{"timeUnixNano": time.to_string(), "asDouble": 0.25}]}},
        {"name": "took", "unit": "s",
            "histogram": point(json!({"explicitBounds": [0.5, 8.0], "bucketCounts": ["1", "2", "3"]}))},
        {"name": "size", "exponentialHistogram": point(json!({"scale": 0, "zeroCount": "1",
            "positive": {"offset": 0, "bucketCounts": ["1", "2", "0", "1"]},
            "negative": {"offset": -1, "bucketCounts": ["1"]}}))},
    ]);
    // The source waits for the sink, and the sink for the server.
    let sender = std::thread::spawn(move || {
        let metrics = [others, requests(time, 7, 2), requests(time + 1_000_000, 9, 2)];
        let statuses = metrics.map(|metrics| export(from, metrics));
        assert_eq!(statuses, [200; 3]);
    });
    agent.wait_for("cannot deliver events; retrying");
    let prometheus = Prometheus::start(&folder, to, NO_SCRAPES, &["--enable-feature=native-histograms"]);
    sender.join().unwrap();
    let common = r#""cluster":"c-1","instance":"i-1","job":"shop""#;
    for (query, expected) in [
        (
            "http_requests_total",
            vec![format!(
                r#"{{"__name__":"http_requests_total",{},"http_method":"GET \"ä\"\n","instance":"i-1","job":"shop"}} 9"#,
                r#""cluster":"c-1""#
            )],
        ),
        ("queue_size_bytes", vec![format!(r#"{{"__name__":"queue_size_bytes",{common}}} 0.25"#)]),
        ("sum(took_seconds_count)", vec!["{} 6".to_owned()]),
        ("sum(took_seconds_sum)", vec!["{} 23.5".to_owned()]),
        (
            "sum by (le) (took_seconds_bucket)",
            vec![r#"{"le":"+Inf"} 6"#.to_owned(), r#"{"le":"0.5"} 1"#.to_owned(), r#"{"le":"8"} 3"#.to_owned()],
        ),
        ("histogram_quantile(0.5, sum by (le) (took_seconds_bucket))", vec!["{} 8".to_owned()]),
        ("histogram_count(size)", vec![format!("{{{common}}} 6")]),
        ("histogram_sum(size)", vec![format!("{{{common}}} 23.5")]),
        // Up to 4: all values but the one between 8 and 16.
        ("histogram_fraction(-Inf, 4, size) * 6 > bool 4.99", vec![format!("{{{common}}} 1")]),
        ("histogram_fraction(-Inf, 4, size) * 6 < bool 5.01", vec![format!("{{{common}}} 1")]),
    ] {
        assert_eq!(prometheus.query(query), expected, "{query}");
    }
    agent.stop();
    assert!(!folder.path("dead.jsonl").exists());
}

#[test]
fn samples_that_prometheus_refuses_do_not_block_the_others() {
    let (folder, from, to) = (Folder::new(), free_address(), free_address());
    let prometheus = Prometheus::start(&folder, to, NO_SCRAPES, &[]);
    let agent = start(&folder, from, to);
    let time = now() - 5_000_000_000;
    for (time, value, temporality) in [
        (time, 5, 2),
        // Before the last one.
        (time - 2_000_000_000, 3, 2),
        // Another value for the same time.
        (time, 6, 2),
        // A change, which Prometheus cannot have.
        (time + 500_000_000, 1, 1),
        (time + 1_000_000_000, 7, 2),
    ] {
        assert_eq!(export(from, requests(time, value, temporality)), 200);
    }
    assert_eq!(prometheus.query("sum(http_requests_total)"), ["{} 7"]);
    assert_eq!(prometheus.query("sum(count_over_time(http_requests_total[1m]))"), ["{} 2"]);
    agent.stop();
    let written = String::from_utf8(folder.read("dead.jsonl")).unwrap();
    let letters: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let parts = ["out of order sample", "duplicate sample for timestamp", "the temporality is `delta`"];
    assert_eq!(letters.len(), parts.len(), "{written}");
    for (letter, part) in letters.iter().zip(parts) {
        assert!(letter["reason"].as_str().unwrap().contains(part), "{letter}");
    }
    assert!(letters[0]["event"].as_str().unwrap().starts_with("http_requests_total{"), "{}", letters[0]);
}
