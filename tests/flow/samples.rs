//! Real CloudTrail through the pack: no secret is readable in any output, and nothing else changes.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use wattle_tests::{Config, Folder, SECRET_KEYS, assert_hidden, finish, mask_model, samples, secrets_in, values};

/// How a sample's files become events, and how those are split.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `{"Records":[...]}`
    Records,
    /// `[...]`
    Array,
    /// Nothing that version 1.0.0 splits: a document fails unchanged.
    Other,
    /// The same, with one event per line.
    OtherLines,
}

const OUTPUTS: &[&str] = &["processed", "get_describe_list", "fails"];

/// An event that must leave: its original form and its expected form.
struct Expected {
    clear: String,
    masked: String,
}

fn text_of(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let mut text = String::new();
    match file.extension().is_some_and(|e| e == "gz") {
        true => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
        false => bytes.as_slice().read_to_string(&mut text).unwrap(),
    };
    text
}

/// The events of a file, taken apart by the model.
fn expected(text: &str, shape: Shape) -> Vec<Expected> {
    let records = |list: &str| -> Vec<String> {
        values(&list[list.find('[').unwrap() + 1..]).iter().map(|r| format!("{{\"Record\":{r}}}")).collect()
    };
    let bodies = match shape {
        Shape::Records => {
            assert!(text.starts_with("{\"Records\":["));
            records(text)
        }
        Shape::Array => records(text),
        Shape::Other => vec![text.to_owned()],
        Shape::OtherLines => text.lines().map(str::to_owned).collect(),
    };
    let of = |clear: String| Expected { masked: mask_model(&clear).text, clear };
    bodies.into_iter().map(of).collect()
}

fn configuration(include: &str, framing: &str) -> String {
    let mut config = Config::new().file_source("logs", &format!("{include}/*")).set("framing", framing).pack(
        "main",
        &["logs"],
        "cloudtrail@1.0.0",
    );
    for (codec, more) in [("text", "encoding.minify = false"), ("json", "")] {
        for output in OUTPUTS {
            let name = format!("{output}-{codec}");
            config = config.file_sink(&name, &[&format!("main.{output}")], &format!("{output}.{codec}"));
            config = config.set("fsync", "never").set("encoding.codec", codec).with(more);
        }
    }
    config.text()
}

/// Puts JSON with line breaks on one line, without white space outside its strings; keeps any other
/// text.
fn on_one_line(text: &str) -> String {
    if !text.trim_end().contains('\n') || serde_json::from_str::<Value>(text).is_err() {
        return text.to_owned();
    }
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        let kept = in_string || !c.is_ascii_whitespace();
        (in_string, escaped) = match (escaped, c) {
            (true, _) => (in_string, false),
            (false, '\\') => (in_string, true),
            (false, '"') => (!in_string, false),
            (false, _) => (in_string, false),
        };
        kept
    };
    text.chars().filter(keep).collect()
}

/// As with jq: the same structure and values, except for values of secret keys.
#[track_caller]
fn assert_same_but_secrets(clear: &Value, out: &Value) {
    match (clear, out) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "keys differ: {clear:.200} and {out:.200}");
            for (key, value) in a {
                let both_text = value.is_string() && b[key].is_string();
                if !(both_text && SECRET_KEYS.contains(&key.as_str())) {
                    assert_same_but_secrets(value, &b[key]);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same_but_secrets(a, b));
        }
        (Value::String(a), Value::String(b)) if a != b => {
            assert!(SECRET_KEYS.iter().any(|key| a.contains(key)), "{a:?} became {b:?}");
            match (serde_json::from_str(a), serde_json::from_str(b)) {
                (Ok(a), Ok(b)) => assert_same_but_secrets(&a, &b),
                _ => assert_eq!(&mask_model(a).text, b),
            }
        }
        _ => assert_eq!(clear, out),
    }
}

/// The bodies in files of a folder, whose events are all JSON.
fn bodies(folder: &Folder, names: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        let written = String::from_utf8(folder.read(name)).unwrap();
        assert_hidden(&written);
        all.extend(values(&written).into_iter().map(|body| body.trim_end().to_owned()));
    }
    all.sort();
    all
}

fn sorted_masked(expected: &[Expected]) -> Vec<String> {
    let mut masked: Vec<String> = expected.iter().map(|e| e.masked.trim_end().to_owned()).collect();
    masked.sort();
    masked
}

#[track_caller]
fn check(sample: &str, shape: Shape, records: usize, secrets: usize) {
    let Some(files) = samples(sample) else { return };
    let expected: Vec<Expected> = files.iter().flat_map(|file| expected(&text_of(file), shape)).collect();
    assert_eq!(expected.len(), records);
    let in_clear: usize = expected.iter().map(|e| mask_model(&e.clear).count).sum();
    assert_eq!(in_clear, secrets, "secrets in the sample");
    for e in &expected {
        let clear: Value = serde_json::from_str(&e.clear).unwrap();
        let masked: Value = serde_json::from_str(&e.masked).unwrap();
        assert_eq!(secrets_in(&masked), Vec::<String>::new());
        assert_same_but_secrets(&clear, &masked);
    }

    let folder = Folder::new();
    let framing = if shape == Shape::OtherLines { "lines" } else { "document" };
    let summary = folder.once(&configuration(files[0].parent().unwrap().to_str().unwrap(), framing)).summary();
    let pipeline = summary.pipeline();
    assert_eq!(pipeline.delivered + pipeline.failed, records as u64);

    let named = |codec: &str| OUTPUTS.iter().map(|o| format!("{o}.{codec}")).collect::<Vec<_>>();
    assert_eq!(bodies(&folder, &named("text")), sorted_masked(&expected), "bodies of codec text");
    let mut seen = Vec::new();
    for output in OUTPUTS {
        assert_hidden(&String::from_utf8(folder.read(&format!("{output}.json"))).unwrap());
        for event in folder.events(&format!("{output}.json")) {
            let body = event["body"].as_str().unwrap();
            check_event(output, &event, &serde_json::from_str(body).unwrap());
            seen.push(body.trim_end().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, sorted_masked(&expected), "bodies of codec json");
}

/// Checks the work of the nodes after the masks.
fn check_event(output: &str, event: &Value, body: &Value) {
    if output == "fails" {
        for key in ["node", "code", "message"] {
            assert!(event["failure"][key].as_str().is_some_and(|text| !text.is_empty()), "{event:.300}");
        }
        return;
    }
    assert_eq!(event.get("failure"), None);
    assert_eq!(event["attributes"]["Record"], body["Record"], "types are kept");
    let name = body["Record"]["eventName"].as_str().unwrap();
    assert_eq!(event["attributes"]["eventName"], name);
    let is_read = ["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb));
    assert_eq!(is_read, output == "get_describe_list", "{name} is on {output}");
    let second = |text: &Value| text.as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&event["timestamp"]), second(&body["Record"]["eventTime"]));
}

#[test]
fn a_log_file_in_gzip_is_masked_split_and_routed() {
    check("compact-gz", Shape::Records, 20, 11);
}

#[test]
fn pretty_arrays_are_masked_split_and_routed() {
    check("stratus-pretty", Shape::Array, 310, 337);
}

#[test]
fn pretty_records_inside_strings_are_masked() {
    check("pretty-sample", Shape::Array, 44, 34);
}

#[test]
fn a_cloudwatch_subscription_fails_masked() {
    check("cloudwatch-envelope", Shape::Other, 1, 4);
}

#[test]
fn rows_of_lookup_events_fail_masked() {
    check("lookup-events", Shape::OtherLines, 6, 10);
}

/// Standard input through `--pack`, one folder of outputs: the command of the README.
#[track_caller]
fn check_stdin(sample: &str, shape: Shape) {
    let Some(files) = samples(sample) else { return };
    let file = &files[0];
    let folder = Folder::new();
    let framing = if shape == Shape::OtherLines { "lines" } else { "document" };
    let arguments = ["run", "--pack", "cloudtrail@1.0.0", "--framing", framing, "--out", "out"];
    let ended = finish(folder.wattle().args(arguments), &fs::read(file).unwrap());
    assert_eq!(ended.code, 0, "{}", ended.log);
    let expected = expected(&text_of(file), shape);
    let pipeline = ended.summary().pipeline().clone();
    assert_eq!(pipeline.delivered + pipeline.failed, expected.len() as u64);
    let named = ["out/processed.ndjson".to_owned(), "out/get_describe_list.ndjson".to_owned()];
    let mut seen = bodies(&folder, &named);
    let lines = named.iter().flat_map(|name| folder.read(name)).filter(|byte| *byte == b'\n').count();
    assert_eq!(lines, seen.len(), "every line is one event");
    assert_hidden(&String::from_utf8(folder.read("out/fails.ndjson")).unwrap());
    seen.extend(folder.events("out/fails.ndjson").iter().map(|e| e["body"].as_str().unwrap().trim_end().to_owned()));
    // Outputs of `--out` have one event a line; failed events keep their body inside the JSON of
    // the event.
    let mut seen: Vec<String> = seen.iter().map(|body| on_one_line(body)).collect();
    let mut expected: Vec<String> = sorted_masked(&expected).iter().map(|body| on_one_line(body)).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn standard_input_gives_the_same_output_as_files() {
    check_stdin("compact-gz", Shape::Records);
    check_stdin("stratus-pretty", Shape::Array);
    check_stdin("pretty-sample", Shape::Array);
    check_stdin("cloudwatch-envelope", Shape::Other);
    check_stdin("lookup-events", Shape::OtherLines);
}

#[test]
fn generated_secrets_are_all_masked_in_every_form() {
    for (shape, pretty) in [("records", false), ("records", true), ("array", false), ("cloudwatch", true)] {
        let folder = Folder::new();
        let mut generate = vec!["generate", "-n", "1", "-r", "300", "--seed", "5", "--shape", shape];
        generate.extend(pretty.then_some("--pretty"));
        let made = folder.run(&generate);
        let before: Value = serde_json::from_str(made.text()).unwrap();
        assert!(secrets_in(&before).len() > 150, "{}", secrets_in(&before).len());
        let arguments = ["run", "--pack", "cloudtrail@1.0.0", "--framing", "document", "--out", "out"];
        let ended = finish(folder.wattle().args(arguments), &made.output);
        let pipeline = ended.summary().pipeline().clone();
        let whole = shape == "cloudwatch";
        assert_eq!((pipeline.delivered, pipeline.failed), if whole { (0, 1) } else { (300, 0) });
        for output in OUTPUTS {
            assert_hidden(&String::from_utf8(folder.read(&format!("out/{output}.ndjson"))).unwrap());
        }
    }
}
