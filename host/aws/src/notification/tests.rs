//! Tests of the parser of notifications.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn s3_event(name: &str, key: &str) -> Value {
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-01-02T03:04:05.678Z", "eventName": name,
        "s3": {"bucket": {"name": "logs"}, "object": {"key": key, "size": 7, "eTag": "\"abc\"", "sequencer": "0A"}}}]})
}

fn sns(message: &Value) -> Value {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": message.to_string()})
}

fn eventbridge(kind: &str, key: &str) -> Value {
    json!({"version": "0", "source": "aws.s3", "detail-type": kind, "region": "eu-west-1",
        "time": "2026-01-02T03:04:05Z",
        "detail": {"event-version": "1.1", "bucket": {"name": "logs"}, "object": {"key": key, "size": 7, "etag": "abc"}}})
}

fn keys(message: &Value) -> Vec<String> {
    parse(&message.to_string()).unwrap().objects.into_iter().map(|object| object.key).collect()
}

#[test]
fn requirement_06_every_envelope_leads_to_the_same_object() {
    let event = s3_event("ObjectCreated:Put", "a+b%2B%C3%BC.gz");
    let lambda_sqs = json!({"Records": [{"eventSource": "aws:sqs", "body": sns(&event).to_string()}]});
    let lambda_sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": event.to_string()}}]});
    for message in [&event, &sns(&event), &lambda_sqs, &lambda_sns] {
        let found = parse(&message.to_string()).unwrap();
        assert_eq!(found.verdict(), Verdict::Objects);
        let [object] = found.objects.as_slice() else { panic!("{found:?}") };
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("logs", "a b+ü.gz"));
        assert_eq!(
            (object.size, object.etag.as_deref(), object.region.as_deref()),
            (Some(7), Some("abc"), Some("eu-west-1"))
        );
        assert_eq!(object.time.unwrap().to_string(), "2026-01-02T03:04:05.678Z");
    }
}

#[test]
fn keys_of_eventbridge_and_cloudtrail_are_not_decoded() {
    assert_eq!(keys(&eventbridge("Object Created", "a+b%20c")), ["a+b%20c"]);
    let mut lake = eventbridge("Object Created", "aws/x=1/y.parquet");
    lake.as_object_mut().unwrap().remove("detail-type");
    assert_eq!(keys(&lake), ["aws/x=1/y.parquet"]);
    let cloudtrail = json!({"s3Bucket": "logs", "s3ObjectKey": ["AWSLogs/1/a.json.gz", "b+c"]});
    assert_eq!(keys(&cloudtrail), ["AWSLogs/1/a.json.gz", "b+c"]);
    assert_eq!(keys(&sns(&cloudtrail)), ["AWSLogs/1/a.json.gz", "b+c"]);
}

#[test]
fn events_without_a_new_object_are_named() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"});
    assert_eq!(parse(&test.to_string()).unwrap().verdict(), Verdict::TestEvent);
    assert_eq!(parse(&sns(&test).to_string()).unwrap().verdict(), Verdict::TestEvent);
    for (message, name) in [
        (s3_event("ObjectRemoved:Delete", "k"), "ObjectRemoved:Delete"),
        (eventbridge("Object Deleted", "k"), "aws.s3:Object Deleted"),
        (json!({"source": "aws.ec2", "detail-type": "State", "detail": {}}), "aws.ec2:State"),
        (json!({"Type": "SubscriptionConfirmation", "TopicArn": "t"}), "sns:SubscriptionConfirmation"),
        (json!({"Records": []}), "empty `Records`"),
    ] {
        let found = parse(&message.to_string()).unwrap();
        assert_eq!(
            (found.verdict(), found.ignored.as_slice()),
            (Verdict::Ignored, &[name.to_owned()][..]),
            "{message}"
        );
    }
}

#[test]
fn a_message_that_is_not_a_notification_is_an_error_with_a_reason() {
    for (message, reason) in [
        ("this is not json {{{", "not JSON"),
        ("", "not JSON"),
        ("5", "a single JSON value"),
        ("[]", "a JSON array"),
        ("{}", "an empty JSON object"),
        (r#"{"hello":1,"world":2}"#, "the fields `hello`, `world`"),
        (r#"{"Records":5}"#, "`Records`"),
        (r#"{"s3Bucket":"b"}"#, "`s3ObjectKey`"),
        (r#"{"Type":"Notification","TopicArn":"t"}"#, "`Message`"),
        (r#"{"source":"aws.s3","detail-type":"Object Created","detail":{"object":{"key":"k"}}}"#, "`bucket.name`"),
        (r#"{"source":"aws.s3","detail":{"event-version":"2.0"}}"#, "version `2.0`"),
    ] {
        let error = parse(message).unwrap_err().to_string();
        assert!(error.contains(reason), "{message}: {error}");
    }
    let error = parse(&"x".repeat(MAX_BYTES + 1)).unwrap_err();
    assert_eq!(error, NotificationError::TooLarge { bytes: MAX_BYTES + 1 });
}

#[test]
fn invalid_parts_do_not_hide_valid_ones() {
    let mut event = s3_event("ObjectCreated:Put", "good");
    let records = event.get_mut("Records").unwrap().as_array_mut().unwrap();
    records.push(s3_event("ObjectCreated:Put", "%FF").pointer("/Records/0").unwrap().clone());
    records.push(s3_event("ObjectCreated:Put", "").pointer("/Records/0").unwrap().clone());
    records.push(s3_event("ObjectCreated:Put", &"k".repeat(1025)).pointer("/Records/0").unwrap().clone());
    records.push(json!({"eventName": "ObjectCreated:Put", "eventVersion": "3.0"}));
    records.push(json!(null));
    let found = parse(&event.to_string()).unwrap();
    assert_eq!((found.objects.len(), found.invalid.len(), found.verdict()), (1, 5, Verdict::Invalid));
}

#[test]
fn envelopes_are_bounded() {
    let mut message = s3_event("ObjectCreated:Put", "k");
    for _ in 0..MAX_DEPTH {
        message = sns(&message);
    }
    assert_eq!(keys(&message), ["k"]);
    assert_eq!(parse(&sns(&message).to_string()), Err(NotificationError::TooDeep));
    assert!(matches!(parse(&"[".repeat(100_000)), Err(NotificationError::NotJson(_))));
}

/// Real notifications, beside the project where they are present. `name`, objects, ignored, invalid.
#[test]
fn real_notifications_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/notifications");
    if !folder.is_dir() {
        println!("{} is not present; real notifications are not tested", folder.display());
        return;
    }
    for (name, objects, ignored, invalid, has_test_event) in [
        ("eventbridge-object-annotation-created", 0, 1, 0, false),
        ("eventbridge-object-created-plus-key", 1, 0, 0, false),
        ("eventbridge-object-created", 1, 0, 0, false),
        ("eventbridge-object-deleted", 0, 1, 0, false),
        ("eventbridge-object-restore-completed", 0, 1, 0, false),
        ("lambda-sqs_s3", 1, 0, 0, false),
        ("lambda-sqs_sns_s3", 1, 0, 0, false),
        ("s3-event-object-created", 1, 0, 0, false),
        ("s3-event-urlencoded-key", 1, 0, 0, false),
        ("s3-test-event", 0, 0, 0, true),
        ("sns-s3-event", 1, 0, 0, false),
        ("sns-s3-test-event", 0, 0, 0, true),
        ("sqs-batch-partial-garbage", 2, 0, 1, false),
        ("sqs-s3-event", 1, 0, 0, false),
        ("sqs-sns-event", 1, 0, 0, false),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let found = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let counts = (found.objects.len(), found.ignored.len(), found.invalid.len(), found.has_test_event);
        assert_eq!(counts, (objects, ignored, invalid, has_test_event), "{name}");
    }
    let text = std::fs::read_to_string(folder.join("eventbridge-object-created-unsupported-version.json")).unwrap();
    assert_eq!(parse(&text), Err(NotificationError::UnsupportedVersion("2.0".to_owned())));
}

fn form_encode(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%20", "+")
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("Records"),
        Just("s3"),
        Just("object"),
        Just("bucket"),
        Just("key"),
        Just("name"),
        Just("eventName"),
        Just("detail"),
        Just("detail-type"),
        Just("source"),
        Just("s3Bucket"),
        Just("s3ObjectKey"),
        Just("Type"),
        Just("TopicArn"),
        Just("Message"),
        Just("body"),
        Just("Sns"),
        Just("Event"),
        Just("eventVersion"),
    ];
    let text = prop_oneof![
        Just("ObjectCreated:Put".to_owned()),
        Just("aws.s3".to_owned()),
        Just("Object Created".to_owned()),
        Just("Notification".to_owned()),
        Just("s3:TestEvent".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), text.prop_map(Value::from)];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner.clone()), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            // Text that is JSON again, as in envelopes.
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn any_key_survives_the_encoding_of_s3(key in "[\\PC]{1,200}") {
        prop_assume!(key.len() <= MAX_KEY_BYTES);
        let encoded = form_encode(&key);
        prop_assert_eq!(keys(&s3_event("ObjectCreated:Copy", &encoded)), vec![key.clone()]);
        prop_assert_eq!(keys(&sns(&s3_event("ObjectCreated:Copy", &encoded))), vec![key.clone()]);
        prop_assert_eq!(keys(&eventbridge("Object Created", &key)), vec![key]);
    }

    #[test]
    fn hostile_messages_have_a_verdict_and_only_complete_objects(value in any_json()) {
        if let Ok(found) = parse(&value.to_string()) {
            prop_assert!(found.objects.iter().all(|o| !o.bucket.is_empty() && !o.key.is_empty()));
            // No message disappears without a trace.
            let parts = found.objects.len() + found.ignored.len() + found.invalid.len();
            prop_assert!(parts > 0 || found.has_test_event);
        }
    }

    #[test]
    fn damaged_messages_never_panic(cut in 0..400_usize, at in 0..400_usize, byte in any::<char>()) {
        let text = sns(&s3_event("ObjectCreated:Put", "a%2Fb")).to_string();
        let cut: String = text.chars().take(cut).collect();
        let _ = parse(&cut);
        let changed: String = text.chars().enumerate().map(|(i, c)| if i == at { byte } else { c }).collect();
        let _ = parse(&changed);
    }
}
