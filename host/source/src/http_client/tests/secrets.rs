//! No value of an option, no address of a page and no cursor is in a log, an error or `Debug`.

use super::super::options::Options;
use super::super::settings::Settings;
use super::server::{Api, Reply};
use super::*;
use crate::testing::tls::Log;

fn secret_options() -> Value {
    json!({
        "endpoint": "http://127.0.0.1:1/logs?code=geheim-0", "method": "POST", "body": r#"{"key":"geheim-1","c":"{{ cursor }}"}"#,
        "query": { "api_key": "geheim-2", "more": ["geheim-3"] }, "headers": { "x-one": "geheim-4" },
        "auth": { "strategy": "basic", "user": "u", "password": "geheim-5" }, "proxy": "http://u:geheim-6@127.0.0.1:1",
        "pagination": { "strategy": "cursor", "path": "body.next" },
    })
}

#[test]
fn debug_output_and_errors_of_options_have_no_secrets() {
    let read =
        |options: &Value| wattle_options::read(options, |options: Options, errors| Settings::new(options, errors));
    let shown = format!("{:?}", read(&secret_options()).unwrap());
    assert!(!shown.contains("geheim"), "{shown}");
    for (path, value) in [
        ("endpoint", json!("geheim")),
        ("endpoint", json!("http://user:geheim@h/")),
        ("body", json!("geheim {{")),
        ("query", json!({ "a": "geheim {{ geheim }}" })),
        ("query", json!({ "a": { "geheim": "geheim" } })),
        ("headers", json!({ "a": "geheim\n" })),
        ("auth", json!({ "strategy": "bearer", "token": "geheim\n" })),
    ] {
        let mut options = secret_options();
        options[path] = value;
        let errors = format!("{:?}", read(&options).unwrap_err());
        assert!(!errors.contains("geheim"), "{errors}");
    }
}

#[tokio::test]
async fn what_a_server_repeats_is_not_logged() {
    let (log, _guard) = Log::start();
    // The first page is right; the next one is refused with everything that the server got.
    let mut count = 0;
    let api = Api::start(move |asked| {
        count += 1;
        if count == 1 {
            return Reply::json(&json!({ "next": "geheim-cursor", "items": [event(1)] }));
        }
        let all = format!("not allowed: {} {:?} {}", asked.target, asked.headers, asked.body);
        Reply::status(403).with_body(json!({ "message": all.chars().take(5000).collect::<String>() }).to_string())
    })
    .await;
    let place = Place::new();
    let mut options = secret_options();
    options["endpoint"] = json!(api.url("/logs?code=geheim-0"));
    options["items_path"] = json!("body.items");
    options["interval"] = json!("20ms");
    options["proxy"] = json!({ "enabled": false });
    let running = place.rig.start("http_client", options);
    assert_eq!(place.rig.take(1).await, events(1..2));
    place.rig.until(|| api.count() > 2).await;
    place.end(running).await;
    let failure = format!("{:?}", place.rig.stats.last_failure.lock());
    let log = log.take();
    assert!(log.contains("have no permission") && log.contains("not allowed"), "{log}");
    assert_eq!(log.matches("until an operator acts").count(), 1, "it is said once: {log}");
    for text in [&log, &failure] {
        assert!(!text.contains("geheim"), "{text}");
        assert!(!text.contains("dTpnZWhlaW0tNQ"), "the header of the password: {text}");
    }
}
