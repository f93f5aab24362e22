//! Messages of a queue that announce objects.

use serde_json::Value;
use wattle_aws::notification::{Verdict, parse};

/// The target `notification`: every message has a result. Objects have a bucket and a key that S3 accepts, and an S3 event
/// loses no record: each one is an object, ignored, or invalid.
///
/// # Panics
///
/// One of these does not hold.
pub fn notification(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(found) = parse(&text) else { return };
    for object in &found.objects {
        assert!(!object.bucket.is_empty() && (1..=1024).contains(&object.key.len()), "{object:?}");
    }
    for error in &found.invalid {
        assert!(error.to_string().len() < 1000, "an error repeats the message: {error}");
    }
    let expected = match (found.invalid.is_empty(), found.objects.is_empty()) {
        (false, _) => Some(Verdict::Invalid),
        (true, false) => Some(Verdict::Objects),
        // A test event, or one that announces nothing.
        (true, true) => None,
    };
    assert!(expected.is_none_or(|verdict| verdict == found.verdict()), "{found:?}");
    let Ok(message) = serde_json::from_str::<Value>(&text) else { return };
    let records = message.get("Records").and_then(Value::as_array);
    // The records of a bare S3 event; others have envelopes.
    let Some(records) = records.filter(|records| records.iter().all(|record| record.get("s3").is_some())) else {
        return;
    };
    let results = found.objects.len() + found.ignored.len() + found.invalid.len() + usize::from(found.has_test_event);
    assert_eq!(results, records.len(), "{found:?}");
}
