//! The sink `prometheus` with Prometheus, which scrapes it over TLS: what its queries return is what an application sent by
//! OTLP.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use wattle_tests::{Agent, Config, Folder, free_address, wait_until};
use wattle_tls::testing::Authority;

use super::prometheus::{Prometheus, export, now, requests};

/// The configuration of Prometheus that scrapes the sink.
fn scrapes(target: SocketAddr, password: &str) -> String {
    format!(
        "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}\n\
         scrape_configs:\n\
         - job_name: wattle\n\
         \x20 scheme: https\n\
         \x20 honor_labels: true\n\
         \x20 basic_auth: {{ username: prometheus, password: {password} }}\n\
         \x20 tls_config: {{ ca_file: ca.pem, server_name: localhost }}\n\
         \x20 static_configs: [{{ targets: ['{target}'] }}]\n"
    )
}

fn config(from: SocketAddr, at: SocketAddr, max_connections: u32) -> String {
    Config::new()
        .source("in", "otlp")
        .set("grpc_address", "")
        .set("http_address", from.to_string())
        .sink("out", "prometheus", &["in"])
        .set("address", at.to_string())
        .set("labels.cluster", "c-1")
        .set("auth.strategy", "basic")
        .set("auth.user", "prometheus")
        .set("auth.password", "secret-4711")
        .set("tls.crt_file", "crt.pem")
        .set("tls.key_file", "key.pem")
        .set("max_connections", i64::from(max_connections))
        .set("dead_letter", "dead.jsonl")
        .text()
}

fn write_identity(folder: &Folder, authority: &Authority) {
    let identity = authority.issue("localhost");
    folder.replace("crt.pem", identity.certificate);
    folder.replace("key.pem", identity.key);
}

struct World {
    folder: Folder,
    authority: Authority,
    from: SocketAddr,
    at: SocketAddr,
    agent: Agent,
}

impl World {
    fn start() -> Self {
        let (folder, from, at) = (Folder::new(), free_address(), free_address());
        let authority = Authority::new("ca");
        folder.write("ca.pem", authority.pem());
        write_identity(&folder, &authority);
        let agent = folder.start(&config(from, at, 10));
        wait_until("the source and the sink listen", || {
            [from, at].iter().all(|address| TcpStream::connect(address).is_ok())
        });
        Self { folder, authority, from, at, agent }
    }

    fn prometheus(&self, password: &str) -> Prometheus {
        Prometheus::start(&self.folder, free_address(), &scrapes(self.at, password), &[])
    }
}

#[test]
fn queries_return_what_an_application_sent() {
    let world = World::start();
    let prometheus = world.prometheus("secret-4711");
    let time = now();
    let point = |more: Value| {
        let mut point = json!({"timeUnixNano": time.to_string(), "count": "6", "sum": 23.5});
        point.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"aggregationTemporality": 2, "dataPoints": [point]})
    };
    let others = json!([
        {"name": "queue.size", "unit": "By", "description": "Bytes that \"wait\".",
            "gauge": {"dataPoints": [{"timeUnixNano": time.to_string(), "asDouble": 0.25}]}},
        {"name": "took", "unit": "s",
            "histogram": point(json!({"explicitBounds": [0.5, 8.0], "bucketCounts": ["1", "2", "3"]}))},
        {"name": "size", "exponentialHistogram": point(json!({"scale": 0, "zeroCount": "1",
            "positive": {"offset": 0, "bucketCounts": ["1", "2", "0", "1"]},
            "negative": {"offset": -1, "bucketCounts": ["1"]}}))},
    ]);
    // Changes, which the sink adds up, and a metric whose name has another type.
    let conflict = json!([{"name": "queue.size", "unit": "By", "summary": {"dataPoints": [
        {"timeUnixNano": time.to_string(), "count": "1", "sum": 1.0}]}}]);
    for metrics in [others, requests(time, 7, 1), requests(time + 1_000_000, 2, 1), conflict] {
        assert_eq!(export(world.from, metrics), 200);
    }
    // OpenMetrics has no count of a histogram with negative buckets.
    wait_until("a scrape", || !prometheus.query("size_bucket").is_empty());
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
        ("sum(took_seconds_sum)", vec!["{} 23.5".to_owned()]),
        (
            "sum by (le) (took_seconds_bucket)",
            vec![r#"{"le":"+Inf"} 6"#.to_owned(), r#"{"le":"0.5"} 1"#.to_owned(), r#"{"le":"8.0"} 3"#.to_owned()],
        ),
        ("histogram_quantile(0.5, sum by (le) (took_seconds_bucket))", vec!["{} 8".to_owned()]),
        ("sum(size_bucket{le=\"16.0\"})", vec!["{} 6".to_owned()]),
        ("count(up == 1)", vec!["{} 1".to_owned()]),
    ] {
        assert_eq!(prometheus.query(query), expected, "{query}");
    }
    let ended = world.agent.stop();
    assert!(!ended.log.contains("4711"), "a secret in the log");
    let letters = world.folder.events("dead.jsonl");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0]["reason"].as_str().unwrap().contains("has this name with the type `gauge`"), "{letters:?}");
}

#[test]
fn reloads_and_new_certificates_under_load_lose_no_change_and_no_scrape() {
    let world = World::start();
    let prometheus = world.prometheus("secret-4711");
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(export(world.from, requests(now(), 3, 1)), 200);
                    sent.fetch_add(3, Ordering::Relaxed);
                }
            });
        }
        wait_until("a scrape", || !prometheus.query("http_requests_total").is_empty());
        for round in 0..10 {
            let before = sent.load(Ordering::Relaxed);
            wait_until("load", || sent.load(Ordering::Relaxed) > before + 30);
            write_identity(&world.folder, &world.authority);
            world.folder.replace("agent.toml", config(world.from, world.at, 11 + round));
            let ended = world.folder.run(&["reload", "--config", "agent.toml"]);
            assert_eq!(ended.code, 0, "{}", ended.log);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let all = format!("{{}} {}", sent.load(Ordering::Relaxed));
    wait_until("the last scrape", || prometheus.query("sum(http_requests_total)") == [all.as_str()]);
    assert_eq!(prometheus.query("sum(resets(http_requests_total[10m]))"), ["{} 0"]);
    // Every scrape since the first one succeeded.
    assert_eq!(prometheus.query("count(min_over_time(up[10m]) == 1)"), ["{} 1"]);
    world.agent.stop();
    assert!(!world.folder.path("dead.jsonl").exists());
}

#[test]
fn a_scrape_with_wrong_credentials_reads_nothing_and_is_logged() {
    let mut world = World::start();
    let prometheus = world.prometheus("wrong");
    assert_eq!(export(world.from, requests(now(), 3, 2)), 200);
    world.agent.wait_for("the credentials are missing or wrong");
    wait_until("a scrape", || prometheus.query("count(up == 0)") == ["{} 1"]);
    assert!(prometheus.query("http_requests_total").is_empty());
    world.agent.stop();
}

#[test]
fn a_kill_begins_the_sums_again_which_prometheus_takes_for_a_reset() {
    let World { folder, authority: _authority, from, at, agent } = World::start();
    let prometheus = Prometheus::start(&folder, free_address(), &scrapes(at, "secret-4711"), &[]);
    assert_eq!(export(from, requests(now(), 7, 1)), 200);
    wait_until("a scrape", || prometheus.query("sum(http_requests_total)") == ["{} 7"]);
    agent.kill();
    let agent = folder.start(&config(from, at, 10));
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    assert_eq!(export(from, requests(now(), 2, 1)), 200);
    wait_until("a scrape", || prometheus.query("sum(http_requests_total)") == ["{} 2"]);
    assert_eq!(prometheus.query("sum(resets(http_requests_total[10m]))"), ["{} 1"]);
    agent.stop();
}
