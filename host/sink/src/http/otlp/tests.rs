use std::time::Duration;

use hyper::HeaderMap;
use serde_json::json;
use wattle_batch::EventKind;

use super::*;
use crate::testing::Rig;

fn lanes(options: Value) -> Vec<Settings> {
    wattle_options::read(&options, check).unwrap()
}

fn response(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Response {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
    Response::new(StatusCode::from_u16(status).unwrap(), headers, body.to_vec())
}

#[test]
fn each_signal_has_its_address() {
    let uris = |options| lanes(options).iter().map(|lane| lane.uri.to_string()).collect::<Vec<_>>();
    assert_eq!(
        uris(json!({"uri": "http://h:4317"})),
        Signal::ALL.map(|signal| format!("http://h:4317{}", signal.grpc_path()))
    );
    assert_eq!(
        uris(json!({"uri": "https://h/otlp/?k=1", "protocol": "http"})),
        ["https://h/otlp/v1/logs?k=1", "https://h/otlp/v1/metrics?k=1", "https://h/otlp/v1/traces?k=1"]
    );
    let headers = |options| lanes(options).remove(0).headers;
    let grpc = headers(json!({"uri": "http://h:4317"}));
    assert_eq!(
        (&grpc["content-type"], &grpc["te"], &grpc["grpc-encoding"]),
        (
            &HeaderValue::from_static("application/grpc"),
            &HeaderValue::from_static("trailers"),
            &HeaderValue::from_static("gzip")
        )
    );
    assert!(!grpc.contains_key("content-encoding"));
    let http = headers(json!({"uri": "http://h", "protocol": "http", "encoding": "json"}));
    assert_eq!(
        (&http["content-type"], &http["content-encoding"]),
        (&HeaderValue::from_static("application/json"), &HeaderValue::from_static("gzip"))
    );
    let error = wattle_options::read(&json!({"uri": "http://h", "encoding": "json"}), check).unwrap_err();
    assert!(error[0].to_string().contains("has no effect on gRPC"), "{error:?}");
}

#[test]
fn the_response_of_grpc_says_what_becomes_of_the_events() {
    let call = Call { signal: Signal::Logs, http: None };
    let answer = |headers: &[(&'static str, &str)], body: &[u8]| {
        let answer = call.meaning(&response(200, headers, body));
        (answer.outcome, answer.reason, answer.retry_after, answer.rejected)
    };
    let ok = (Outcome::Delivered, String::new(), None, 0);
    assert_eq!(answer(&[("grpc-status", "0")], b"\0\0\0\0\0"), ok);
    assert_eq!(answer(&[("grpc-status", "0")], b""), ok);
    let partial = wattle_otlp::response(Signal::Logs, Encoding::Protobuf, Some((3, "too old")));
    let framed = [&[0, 0, 0, 0, u8::try_from(partial.len()).unwrap()][..], &partial].concat();
    assert_eq!(answer(&[("grpc-status", "0")], &framed), (Outcome::Delivered, "too old".to_owned(), None, 3));
    let retry = wattle_otlp::status(Encoding::Protobuf, 8, "slow", Some(7));
    for engine in [base64::engine::general_purpose::STANDARD, base64::engine::general_purpose::STANDARD_NO_PAD] {
        let details = engine.encode(&retry);
        let headers =
            [("grpc-status", "8"), ("grpc-message", "slow%20down%C3%A4"), ("grpc-status-details-bin", &*details)];
        let reason = "code 8 of gRPC: slow down\u{e4}".to_owned();
        assert_eq!(answer(&headers, b""), (Outcome::Retry, reason, Some(Duration::from_secs(7)), 0));
    }
    for (code, outcome) in [
        ("8", Outcome::TooLarge),
        ("14", Outcome::Retry),
        ("4", Outcome::Retry),
        ("13", Outcome::Retry),
        ("3", Outcome::Rejected),
        ("9", Outcome::Rejected),
        ("16", Outcome::NeedsOperator),
        ("12", Outcome::NeedsOperator),
        ("nonsense", Outcome::Rejected),
    ] {
        assert_eq!(answer(&[("grpc-status", code)], b"").0, outcome, "{code}");
    }
    // Servers and proxies that do not speak gRPC.
    assert_eq!(call.meaning(&response(200, &[], b"<html>")).outcome, Outcome::NeedsOperator);
    assert_eq!(call.meaning(&response(503, &[], b"busy")).outcome, Outcome::Retry);
}

#[test]
fn the_response_of_http_says_what_becomes_of_the_events() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let call = Call { signal: Signal::Traces, http: Some(encoding) };
        let partial = wattle_otlp::response(Signal::Traces, encoding, Some((2, "too old")));
        let answer = call.meaning(&response(200, &[], &partial));
        assert_eq!((answer.outcome, answer.rejected, &*answer.reason), (Outcome::Delivered, 2, "too old"));
        for body in [&b""[..], b"{}", b"not a response"] {
            let answer = call.meaning(&response(200, &[], body));
            assert_eq!((answer.outcome, answer.rejected), (Outcome::Delivered, 0));
        }
        let content_type = [("content-type", encoding.content_type())];
        assert_eq!(call.meaning(&response(200, &content_type, &partial)).rejected, 2);
        let answer = call.meaning(&response(200, &content_type, &[0xff; 100]));
        assert_eq!(answer.outcome, Outcome::NeedsOperator, "{}", answer.reason);
        let status = wattle_otlp::status(encoding, 3, "bad span", None);
        let answer = call.meaning(&response(400, &[], &status));
        assert_eq!((answer.outcome, &*answer.reason), (Outcome::Rejected, "bad span"));
        let answer = call.meaning(&response(503, &[("retry-after", "9")], b""));
        assert_eq!((answer.outcome, answer.retry_after), (Outcome::Retry, Some(Duration::from_secs(9))));
        assert_eq!(call.meaning(&response(413, &[], b"")).outcome, Outcome::TooLarge);
    }
}

#[test]
fn events_of_a_kind_go_to_their_signal_and_what_is_no_metric_is_a_log() {
    let rig = Rig::new();
    let metric = r#"{"name":"m","unit":"","type":"gauge","value":1}"#;
    for (kind, bodies, expected) in [
        (EventKind::Log, vec!["a", "b"], vec![("/v1/logs", 2, 0)]),
        (EventKind::Span, vec![r#"{"name":"s"}"#], vec![("/v1/traces", 1, 2)]),
        (EventKind::Metric, vec![metric, metric], vec![("/v1/metrics", 2, 1)]),
        (EventKind::Metric, vec![metric, "no metric", metric], vec![("/v1/metrics", 2, 1), ("/v1/logs", 1, 0)]),
    ] {
        let batch = rig.batch(&bodies).of_kind(kind);
        let payloads = OtlpEncoder.encode(batch);
        let made: Vec<_> = payloads
            .iter()
            .map(|payload| (payload.key.as_deref().unwrap(), payload.events, lane_of(payload)))
            .collect();
        assert_eq!(made, expected);
        for payload in payloads {
            assert_eq!((payload.ends.len(), payload.ends.last()), (payload.events, Some(&payload.bytes.len())));
            payload.ack.deliver();
        }
    }
}
