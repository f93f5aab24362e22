//! The table of costs, as the docs have it.

use serde_json::{Map, Value};

pub(super) fn of(all: &Map<String, Value>) -> String {
    let mut lines = vec![
        "| | conformance | size kB | compile ms | start us | ns/row events | ns/row columns | fuel/byte | memory kB | MB/s in the CloudTrail pack |"
            .to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (name, figures) in all {
        let number = |key: &str| figures.get(key).and_then(Value::as_f64);
        let shown = |key: &str| number(key).map_or_else(|| "-".into(), |n| format!("{n:.0}"));
        let fuel = number("fuel_per_byte").map_or_else(|| "-".into(), |n| format!("{n:.1}"));
        lines.push(format!(
            "| {name} | {} of {} | {} | {} | {} | {} | {} | {fuel} | {} | {} |",
            shown("conformance_passed"),
            shown("conformance_total"),
            shown("size_kb"),
            shown("compile_ms"),
            shown("instantiate_us"),
            shown("ns_per_row"),
            shown("ns_per_row_columns"),
            shown("memory_kb"),
            shown("cloudtrail_mb_per_s"),
        ));
    }
    lines.join("\n")
}
