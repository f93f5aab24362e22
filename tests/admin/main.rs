//! The admin listener: health follows the agent's state, metrics account for every event, and no
//! client can slow down delivery.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod api;
mod metrics;
mod recent;
mod status;
mod tap;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Endpoint, Folder, Metrics, free_address, get, send, wait_until};

/// An admin listener, and a source that never ends.
pub(crate) fn config(admin: SocketAddr) -> String {
    Config::new()
        .admin(admin)
        .source("load", "demo")
        .set("rate", 20)
        .pack("main", &["load"], "cloudtrail@1.0.0")
        .drop_sink("all", &["main.*"])
        .text()
}

pub(crate) fn is_ready(admin: SocketAddr) -> bool {
    get(admin, "/readyz").is_some_and(|answer| answer.status == 200)
}

#[track_caller]
pub(crate) fn scrape(admin: SocketAddr) -> Metrics {
    let answer = get(admin, "/metrics").unwrap();
    assert_eq!(answer.status, 200);
    Metrics::read(&answer.text)
}

/// The complete response of the agent to these bytes.
fn raw(admin: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn each_path_answers_and_other_paths_list_them() {
    let folder = Folder::new();
    let admin = free_address();
    let agent = folder.start(&config(admin));
    wait_until("the agent is ready", || is_ready(admin));
    assert_eq!(get(admin, "/healthz").unwrap().text, "ok\n");
    assert_eq!(get(admin, "/readyz").unwrap().text, "ready\n");
    let metrics = raw(admin, "GET /metrics?x=1 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.contains("\nwattle_generation 1\n"), "{metrics}");
    let head = raw(admin, "HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "no body: {head}");
    let missing = get(admin, "/metric").unwrap();
    assert_eq!(missing.status, 404);
    assert!(missing.text.contains("/healthz, /readyz, /metrics, /status or /api/v1"), "{}", missing.text);
    assert_eq!(send(admin, &[], b"").status, 405);
    let long = raw(admin, &format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(15 << 10)));
    assert!(long.starts_with("HTTP/1.1 404"), "{long}");
    agent.stop();
}

#[test]
fn readiness_begins_when_the_sources_run_and_ends_when_they_drain() {
    let folder = Folder::new();
    let (admin, far) = (free_address(), free_address());
    let endpoint = Endpoint::listen(far);
    endpoint.answer(503);
    let config = config(admin).replace(
        "type = \"blackhole\"",
        &format!("type = \"http\"\nuri = \"http://{far}/\"\nrequest.retry_max_backoff = \"100ms\""),
    );
    folder.write("agent.toml", config);
    // Without compiled nodes, so the start takes time.
    let mut command = folder.wattle();
    command.env("WATTLE_DATA_DIR", folder.path("fresh")).args(["run", "--config", "agent.toml"]);
    let mut agent = Agent::start(&mut command);
    agent.wait_for("admin listening");
    let starting = get(admin, "/readyz").unwrap();
    assert_eq!(starting.status, 503, "it listens before it compiles: {}", starting.text);
    assert!(starting.text.starts_with("starting"), "{}", starting.text);
    assert_eq!(get(admin, "/healthz").unwrap().status, 200);
    wait_until("the agent is ready", || is_ready(admin));
    assert!(scrape(admin).sum("wattle_compile_cache_misses_total", &[]) > 0.0);
    wait_until("requests that are refused", || endpoint.refused() > 0);
    assert!(is_ready(admin), "a server that is down is no reason to restart the agent");

    agent.signal("TERM");
    wait_until("it drains", || get(admin, "/readyz").is_some_and(|answer| answer.text.starts_with("draining")));
    assert_eq!(get(admin, "/readyz").unwrap().status, 503);
    assert_eq!(get(admin, "/healthz").unwrap().status, 200);
    endpoint.answer(200);
    assert_eq!(agent.ended().code, 0);
    assert!(get(admin, "/healthz").is_none());
}

#[test]
fn hanging_clients_stop_no_events_and_block_no_other_clients() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let config = Config::new()
        .admin(admin)
        .http_source("in", from)
        .pack("main", &["in"], "cloudtrail@1.0.0")
        .drop_sink("all", &["main.*"])
        .text();
    let agent = folder.start(&config);
    wait_until("the agent is ready", || is_ready(admin));
    // More clients than the listener accepts: silent ones, some in the middle of a request, some
    // that never read the response.
    let hanging: Vec<TcpStream> = (0..300)
        .map(|index| {
            let mut stream = TcpStream::connect(admin).unwrap();
            let said: &[u8] = [&b""[..], b"GET /met", b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"][index % 3];
            // The oldest are closed meanwhile.
            let _ = stream.write_all(said);
            stream
        })
        .collect();
    for _ in 0..20 {
        let answer = send(from, &[("content-type", "application/json")], br#"{"Records":[{"eventName":"GetX"}]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let since = Instant::now();
    assert_eq!(get(admin, "/healthz").unwrap().status, 200);
    let waited = since.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}: it waited for the others to be given up");
    drop(hanging);
    assert_eq!(agent.stop().summary().pipeline().delivered, 20);
}

#[test]
fn an_address_that_is_taken_or_remote_is_refused_at_the_start() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    folder.write("agent.toml", config(at));
    let ended = folder.run(&["run", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.log);
    assert!(ended.log.contains(&format!("admin address `{at}` is taken; stop the program")), "{}", ended.log);

    folder.write("agent.toml", config("0.0.0.0:0".parse().unwrap()));
    let ended = folder.run(&["run", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.log);
    assert!(ended.log.contains("error[E0121]") && ended.log.contains("allow_remote = true"), "{}", ended.log);
    assert!(!ended.log.contains("admin listening"), "{}", ended.log);
}

#[test]
fn a_reload_moves_the_listener_or_is_refused_if_it_cannot() {
    let folder = Folder::new();
    let (first, second) = (free_address(), free_address());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut agent = folder.start(&config(first));
    wait_until("the agent is ready", || is_ready(first));
    folder.replace("agent.toml", config(second));
    agent.wait_for("reloaded");
    assert!(is_ready(second) && get(first, "/healthz").is_none());

    folder.replace("agent.toml", config(taken.local_addr().unwrap()));
    let line = agent.wait_for("reload failed");
    assert!(line.contains("is taken") && line.contains("generation=2"), "{line}");
    let metrics = scrape(second);
    assert_eq!(metrics.sum("wattle_reloads_total", &[("outcome", "applied")]), 1.0);
    assert_eq!(metrics.sum("wattle_reloads_total", &[("outcome", "failed")]), 1.0);
    assert_eq!(metrics.sum("wattle_last_reload_successful", &[]), 0.0);

    // The same port at another address is free only after the first listener has closed.
    let other = SocketAddr::new("127.0.0.2".parse().unwrap(), second.port());
    folder.replace("agent.toml", config(other));
    agent.wait_for("reloaded");
    assert!(is_ready(other) && get(second, "/healthz").is_none());
    folder.replace("agent.toml", config(second).replace(&format!("[admin]\nlisten = \"{second}\"\n"), ""));
    agent.wait_for("reloaded");
    assert!(get(other, "/healthz").is_none(), "no [admin], no listener");
    agent.stop();
}
