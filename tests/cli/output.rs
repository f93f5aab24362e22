//! The output of `wattle run --pack`: files whose names match their content, and a few lines on a
//! terminal.

use std::fs;
use std::process::Command;

use serde_json::Value;
use wattle_tests::{Ended, Folder, binary, finish};

/// A folder with the pack `bodies`, whose output `all` gets every line of standard input unchanged.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "bodies/pack.toml",
        r#"
        [pack]
        name = "bodies"
        version = "1.0.0"
        contract = "0.1.0"
        description = "Takes lines."
        [input]
        description = "Lines."
        [nodes.parse]
        artifact = "builtin:parse"
        inputs = ["input"]
        options = { format = "json" }
        [outputs.all]
        inputs = ["parse"]
        description = "JSON."
        [outputs.other]
        inputs = ["parse.failed"]
        description = "What is not JSON."
        "#,
    );
    folder
}

/// Bodies that are not JSON, or that JSON readers treat differently.
const OTHER: &[&[u8]] = &[
    b"plain text",
    b"{\"cut\":",
    b"{'single': 1}",
    b"{\"nan\":NaN}",
    b"{\"a\":1}{\"b\":2}",
    b"{\"raw\ttab\":1}",
    b"{\"lone\":\"\\ud800\"}",
    b"\xff\xfe binary \x00",
    b"{\"bad utf8\":\"\xc3\x28\"}",
    b"\"",
];

/// JSON, which leaves byte for byte.
const JSON: &[&[u8]] = &[
    b"{\"big\":123456789012345678901234567890,\"e\":1E+2, \"spaces\" : [ ] }",
    b"{\"dup\":1,\"dup\":2}",
    b"{\"slash\":\"a\\/b\",\"uni\":\"\\u00e9\"}",
];

/// JSON from which `parse` gets no attributes, and which still leaves byte for byte.
const VALUES: &[&[u8]] = &[b"\"just text\"", b"null", b"[1,-0.0]", b"12345678901234567890.10"];

#[test]
fn every_line_of_an_ndjson_file_is_one_json_value_for_any_bodies() {
    let folder = folder();
    let input: Vec<u8> = [OTHER, JSON, VALUES].concat().iter().flat_map(|body| [body, &b"\n"[..]].concat()).collect();
    let arguments = ["run", "--pack", "./bodies", "--framing", "lines", "--out", "out", "--quiet"];
    let ended = finish(folder.wattle().args(arguments), &input);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let all = folder.read("out/all.ndjson");
    assert_eq!(all.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>(), JSON);
    let other = folder.read("out/other.ndjson");
    let other: Vec<&str> = std::str::from_utf8(&other).expect("UTF-8").lines().collect();
    let (other, values) = other.split_at(OTHER.len());
    assert_eq!(values.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(), VALUES);
    let read: Vec<Vec<u8>> = other
        .iter()
        .map(|line| match serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")) {
            Value::String(text) => text.into_bytes(),
            Value::Object(object) => {
                assert_eq!(object.keys().collect::<Vec<_>>(), ["body_base64"], "{line}");
                let text = object["body_base64"].as_str().unwrap();
                let decoded = Command::new("sh").args(["-c", &format!("printf %s '{text}' | base64 -d")]).output();
                decoded.unwrap().stdout
            }
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(read, OTHER, "no byte is lost");
}

#[test]
fn json_with_line_breaks_is_written_on_one_line() {
    let folder = folder();
    let input = b"{\n  \"a\": \"b c\"\r\n}\n";
    let arguments = ["run", "--pack", "./bodies", "--framing", "document", "--out", "out", "--quiet"];
    assert_eq!(finish(folder.wattle().args(arguments), input).code, 0);
    assert_eq!(folder.read("out/all.ndjson"), b"{\"a\":\"b c\"}\n");
}

/// Runs a command line of the shell in a terminal of 60 columns.
fn in_terminal(folder: &Folder, line: &str) -> Ended {
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("stty cols 60 && {line}"), "/dev/null"]);
    script.current_dir(folder.path("")).env("WATTLE_DATA_DIR", folder.path("data")).env("WATTLE", binary());
    for name in ["WATTLE_LOG", "WATTLE_CONFIG", "COLUMNS"] {
        script.env_remove(name);
    }
    finish(&mut script, b"")
}

#[test]
fn a_terminal_shows_a_few_events_of_each_output_and_how_to_write_them_all() {
    let folder = folder();
    let mut input: String = (0..30).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "long ".repeat(40))).collect();
    input += "not json \u{1b}[2J\u{202e}\n";
    fs::write(folder.path("in.ndjson"), input).unwrap();
    let ended = in_terminal(&folder, "$WATTLE run --pack ./bodies --framing lines < in.ndjson");
    assert_eq!(ended.code, 0, "{}", ended.text());
    let lines: Vec<&str> = ended.text().split("\r\n").map(|l| l.trim_start_matches("\r\u{1b}[K")).collect();
    let shown: Vec<&&str> = lines.iter().filter(|line| line.starts_with("all  ")).collect();
    assert_eq!(shown.len(), 5, "{}", ended.text());
    assert!(shown.iter().all(|line| line.chars().count() == 60 && line.ends_with("long...") || line.ends_with("...")));
    assert!(shown[0].starts_with("all                 {\"n\":"), "{shown:?}");
    let failed = lines.iter().find(|line| line.starts_with("other  ")).expect("the other output");
    assert!(failed.starts_with("other               not-json: "), "{failed}");
    assert!(ended.text().contains("31 received") && ended.text().contains("MB/s"), "{}", ended.text());
    let note = "6 of 31 events shown, each cut to one line; `--out DIR` writes all of them to files";
    assert_eq!(lines.iter().rev().find(|line| !line.is_empty()), Some(&note), "{}", ended.text());
    assert!(!ended.text().contains("\u{1b}[2J") && !ended.text().contains('\u{202e}'));
}

#[test]
fn a_pipe_gets_every_complete_event_and_no_preview() {
    let folder = folder();
    let input: String = (0..30).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let ended = finish(folder.wattle().args(["run", "--pack", "./bodies"]), input.as_bytes());
    assert_eq!((ended.code, ended.text().lines().count()), (0, 30), "{}", ended.log);
    assert!(ended.text().lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["body"].is_string()));
    assert!(!ended.log.contains("--out"), "{}", ended.log);
}

#[test]
fn lines_that_are_too_long_are_counted_and_make_the_run_fail() {
    let folder = folder();
    let long = format!("{{\"a\":1}}\n{}\n", "x".repeat(3 << 20));
    let run = |more: &[&str]| {
        let arguments = [&["run", "--pack", "./bodies", "--out", "out"], more].concat();
        finish(folder.wattle().args(arguments), long.as_bytes())
    };
    let ended = run(&[]);
    assert_eq!(ended.code, 1, "{}", ended.log);
    for text in [
        "in            1 = 1 received",
        "source stdin: 1 lines and documents were skipped because they are too long; see the log",
        "source `stdin` skipped 1 line or document that is too long (3145728 bytes)",
        "`wattle run --pack` has `--max-line-bytes`",
    ] {
        assert!(ended.log.contains(text), "{text}: {}", ended.log);
    }
    let ended = run(&["--max-line-bytes", "4MiB"]);
    assert!(ended.code == 0 && ended.log.contains("2 received"), "{}", ended.log);
    let ended = run(&["--max-line-bytes", "much"]);
    assert!(ended.code == 2 && ended.log.contains("it must be a size such as `512KiB`"), "{}", ended.log);
}
