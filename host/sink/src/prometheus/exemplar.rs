//! Exemplars: values that a data point stands for, with the trace that each comes from.

use std::collections::BTreeMap;

use serde_json::Value;

use super::labels::label_name;

/// Maximum number of exemplars of a data point that are kept.
const MAX_EXEMPLARS: usize = 16;

/// Maximum characters of the names and values of the labels of an exemplar (OpenMetrics 1.0.0).
const MAX_LABEL_CHARS: usize = 128;

/// A value that a data point stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) value: f64,
    /// Milliseconds since 1970.
    pub(crate) time: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Reads the exemplars of the body of a metric event. Leaves out those without a value, and labels that do not fit.
pub(super) fn read(exemplars: &Value) -> Vec<Exemplar> {
    let all = exemplars.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(of_value).take(MAX_EXEMPLARS).collect()
}

fn of_value(exemplar: &Value) -> Option<Exemplar> {
    let value = exemplar.get("value")?.as_f64()?;
    let time = exemplar.get("timestamp").and_then(Value::as_str);
    let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_millisecond);
    let mut labels = BTreeMap::new();
    let mut chars = 0;
    let mut add = |name: &str, value: &Value| {
        let text = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return,
        };
        let name = label_name(name);
        let length = name.chars().count() + text.chars().count();
        if chars + length <= MAX_LABEL_CHARS && !labels.contains_key(&name) {
            chars += length;
            labels.insert(name, text);
        }
    };
    // The trace first, since it is what exemplars are for.
    for name in ["trace_id", "span_id"] {
        exemplar.get(name).into_iter().for_each(|value| add(name, value));
    }
    let attributes = exemplar.get("attributes").and_then(Value::as_object);
    attributes.into_iter().flatten().for_each(|(name, value)| add(name, value));
    Some(Exemplar { value, time, labels })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exemplars_have_the_trace_and_the_labels_that_fit() {
        let long = "x".repeat(60);
        let found = read(&json!([
            {"value": 0.5, "timestamp": "1970-01-01T00:00:01.5Z", "trace_id": "t", "span_id": "s",
                "attributes": {"http.route": "/a", "n": 1, "nested": {}, "empty": ""}},
            {"value": 1, "attributes": {"a": long, "b": long, "c": "d"}},
            {"value": "NaN"}, 7, {},
        ]));
        let labels = |index: usize| {
            let labels: &BTreeMap<String, String> = &found[index].labels;
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].value, found[0].time, found[1].time), (0.5, Some(1500), None));
        assert_eq!(labels(0), [("http_route", "/a"), ("n", "1"), ("span_id", "s"), ("trace_id", "t")]);
        assert_eq!(labels(1), [("a", &*long), ("b", &*long), ("c", "d")]);
        assert_eq!(read(&json!(vec![json!({"value": 1}); 100])).len(), MAX_EXEMPLARS);
        assert!(read(&json!("wrong")).is_empty() && read(&Value::Null).is_empty());
    }
}
