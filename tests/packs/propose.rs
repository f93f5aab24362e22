//! `wattle pack new --from FILE`: proposes a pack for sample lines, and the pack passes its test.

use std::fs;

use serde_json::Value;
use wattle_tests::{Ended, Folder};

/// Proposes a pack `own` for a text, checks that it is complete and passes, and returns what was printed.
#[track_caller]
fn propose(folder: &Folder, file: &str, text: &str) -> Ended {
    folder.write(file, text);
    let ended = folder.run(&["pack", "new", "own", "--from", file]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.log);
    for command in [["pack", "test", "./own"], ["pack", "lint", "./own"]] {
        let checked = folder.run(&command);
        assert_eq!(checked.code, 0, "{command:?}: {}{}", checked.text(), checked.log);
    }
    ended
}

/// The expectation of an output.
fn expected(folder: &Folder, output: &str) -> Vec<Value> {
    folder.events(&format!("own/tests/sample/expected.{output}.ndjson"))
}

#[test]
fn known_formats_are_found_with_their_time_and_errors() {
    let nginx = "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl\"\n\
                 192.0.2.2 - - [10/Oct/2026:13:55:37 +0000] \"GET /b HTTP/1.1\" 502 0 \"-\" \"curl\"\n";
    let json = "{\"ts\":1767225600.5,\"level\":\"info\",\"msg\":\"a\"}\n{\"ts\":1767225601.5,\"level\":\"error\",\"msg\":\"b\"}\n";
    let logfmt = "time=2026-01-01T00:00:00Z level=info n=5\ntime=2026-01-01T00:00:01Z level=error n=6\n";
    let application = "2026-01-02 03:04:05,123 INFO  [main] com.acme.Shop: placed\n\
                       2026-01-02 03:04:06,123 ERROR [worker-1] com.acme.Shop: failed\n";
    let syslog = "<13>Nov 28 10:20:30 web1 sshd[4711]: Accepted publickey for root\n\
                  <11>Nov 28 10:20:31 web1 sshd[4711]: Failed password for root\n";
    for (text, format, time, errors) in [
        (nginx, "nginx", "attributes.timestamp as clf", "attributes.status"),
        (json, "json", "attributes.ts as epoch", "attributes.level"),
        (logfmt, "logfmt", "attributes.time as rfc3339", "attributes.level"),
        (
            application,
            "lines with a time, a level and a message (regex)",
            "attributes.timestamp as iso8601",
            "attributes.level",
        ),
        (syslog, "syslog", "attributes.timestamp as syslog", "attributes.severity"),
    ] {
        let folder = Folder::new();
        let printed = propose(&folder, "sample.log", text);
        for line in [
            format!("format   {format}: 2 of 2 (100.0 %)"),
            format!("time     {time}"),
            format!("errors   {errors}"),
            "sample.log: 2 lines".to_owned(),
        ] {
            assert!(printed.text().contains(&line), "{line}: {}", printed.text());
        }
        let (all, failed) = (expected(&folder, "events"), expected(&folder, "errors"));
        assert_eq!((all.len(), failed.len()), (1, 1), "{format}");
        for event in all.iter().chain(&failed) {
            let parsed = event["attributes"].as_object().map_or(0, serde_json::Map::len);
            // Tests of packs read at the start of 1970, and syslog writes no year.
            let year = if format == "syslog" { "1969-11-28T10:20:3" } else { "2026-" };
            assert!(parsed >= 3 && event["timestamp"].as_str().is_some_and(|t| t.starts_with(year)), "{event}");
        }
        assert_eq!(expected(&folder, "fails"), [] as [Value; 0]);
    }
}

#[test]
fn columns_keep_their_names_and_types() {
    let folder = Folder::new();
    let printed = propose(
        &folder,
        "t.csv",
        "time;user;amount;ok\n2026-01-02 03:04:05;ann;5.25;true\n2026-01-02 03:04:06;007;7;false\n",
    );
    assert!(printed.text().contains("csv, 4 columns with a header"), "{}", printed.text());
    let events = expected(&folder, "events");
    let attributes: Vec<&Value> = events.iter().map(|event| &event["attributes"]).collect();
    let first = serde_json::json!({"time": "2026-01-02 03:04:05", "user": "ann", "amount": 5.25, "ok": true});
    let second = serde_json::json!({"time": "2026-01-02 03:04:06", "user": "007", "amount": 7, "ok": false});
    assert_eq!(attributes, [&first, &second]);
}

#[test]
fn secrets_of_the_sample_are_masked_in_the_pack_and_by_it() {
    let folder = Folder::new();
    let secret = "AKIAIOSFODNN7EXAMPLE";
    let record =
        format!("{{\"eventTime\":\"2026-01-01T00:00:00Z\",\"key\":\"{secret}\",\"mail\":\"ann@example.com\"}}");
    let printed = propose(&folder, "trail.json", &format!("{{\n  \"Records\": [\n{record},\n{record}]\n}}\n"));
    for line in [
        "trail.json: 1 JSON document",
        "records  2 in the array `Records`",
        "mask     aws-access-key-id: 2 values; the test contains them masked",
        "mask     email: 2 values",
    ] {
        assert!(printed.text().contains(line), "{line}: {}", printed.text());
    }
    let mut files = vec![folder.path("own")];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(secret) && !text.contains("ann@example.com"), "{}: {text}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 6, "pack.toml, README, LICENSE, one input, two expectations");
    assert_eq!(expected(&folder, "events").len(), 2);
}

#[test]
fn lines_of_no_known_format_stay_as_they_are() {
    let folder = Folder::new();
    let printed = propose(&folder, "notes", "hello\nnothing: here, at all\n");
    assert!(printed.text().contains("no known format; the pack keeps each line as it is"), "{}", printed.text());
    let bodies: Vec<Value> = expected(&folder, "events").iter().map(|event| event["body"].clone()).collect();
    assert_eq!(bodies, ["hello", "nothing: here, at all"]);
}

#[test]
fn lines_that_fail_are_shown_and_are_part_of_the_test() {
    let folder = Folder::new();
    let good = "a=1 b=2\n".repeat(9);
    let printed = propose(&folder, "mixed.log", &format!("{good}what is \u{1b}[2Jthis\n"));
    assert!(printed.text().contains("format   logfmt: 9 of 10 (90.0 %)"), "{}", printed.text());
    assert!(printed.text().contains("fails: what is \\u{1b}[2Jthis"), "{}", printed.text());
    assert_eq!(expected(&folder, "fails").len(), 1);
}

#[test]
fn a_test_has_lines_that_parse_even_if_many_fail() {
    let folder = Folder::new();
    let text = format!("{}{}", "what is this\n".repeat(25), "a=1 b=2\n".repeat(30));
    propose(&folder, "mixed.log", &text);
    assert_eq!((expected(&folder, "events").len(), expected(&folder, "fails").len()), (17, 3));
}

#[test]
fn names_with_dollar_signs_are_those_of_the_file() {
    let folder = Folder::new();
    propose(&folder, "t.csv", "id;a$$b;x${y}\n1;2;3\n4;5;6\n");
    let attributes: Vec<Value> = expected(&folder, "events").iter().map(|event| event["attributes"].clone()).collect();
    let row = |id: u8, other: u8, last: u8| serde_json::json!({"id": id, "a$$b": other, "x${y}": last});
    assert_eq!(attributes, [row(1, 2, 3), row(4, 5, 6)]);
}

#[test]
fn a_sample_is_read_as_the_agent_reads_it() {
    let text = "{\n \"n\": 1\n}\n{\n \"n\": 2\n}\n";
    let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = Folder::new();
    folder.write("wide.json", utf_16);
    let ended = folder.run(&["pack", "new", "own", "--from", "wide.json"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(ended.text().contains("wide.json: 2 JSON documents\nformat   json: 2 of 2"), "{}", ended.text());
}

#[test]
fn a_file_that_cannot_be_read_leaves_no_folder() {
    let folder = Folder::new();
    folder.write("empty", "\n\n");
    for (file, text) in
        [("absent", "`absent`: No such file"), ("empty", "`empty`: the file contains no line"), (".", "`.`:")]
    {
        let ended = folder.run(&["pack", "new", "own", "--from", file]);
        assert_eq!(ended.code, 1, "{}", ended.log);
        assert!(ended.log.contains(text), "{}", ended.log);
        assert!(!folder.path("own").exists());
    }
}
