//! Events as the documents of the API have them.

use serde_json::Value;

/// Maximum bytes of an event of a sample; a longer one is cut.
pub(super) const MAX_SAMPLE: usize = 16 << 10;
/// Maximum bytes of an event where two versions differ, so that the difference is usually in what is shown.
pub(super) const MAX_PAIR: usize = 64 << 10;

/// An event as a value; the beginning of its text if it is longer than `max`, or nested too deep for a value.
pub(super) fn event(json: &[u8], max: usize) -> Value {
    let whole = if json.len() <= max { serde_json::from_slice(json).ok() } else { None };
    whole.unwrap_or_else(|| {
        let cut = json.get(..max).unwrap_or(json);
        // A cut inside of a character leaves an incomplete one.
        let valid = cut.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default();
        Value::String(valid.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_events_are_values_and_others_the_beginning_of_their_text() {
        assert_eq!(event(br#"{"body":"a"}"#, 100), json!({"body": "a"}));
        assert_eq!(event(br#"{"body":"a"}"#, 5), json!(r#"{"bod"#));
        assert_eq!(event("\"äö\"".as_bytes(), 4), json!("\"ä"), "no half character");
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(event(deep.as_bytes(), 10_000), json!(deep));
    }
}
