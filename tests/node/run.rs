//! `wattle node run`: events through a node, and what each step changes.

use serde_json::Value;
use wattle_tests::{Folder, finish, json_lines};

use crate::good;

const STEPS: &str = r#"
steps = [
  { remove = "body.password" },
  { set = "body.env", value = "prod" },
  { convert = "body.status", to = "int" },
  { set = "attributes.failed", value = true, if = { field = "body.status", ge = 500 } },
]
"#;

#[test]
fn each_step_that_changes_something_is_shown_with_its_changes() {
    let folder = Folder::new();
    folder.write("edit.toml", STEPS);
    let lines =
        ["{\"password\":\"x\",\"status\":\"503\"}", "{\"env\":\"prod\",\"status\":1}", "", "{\"status\":\"z\"}"];
    folder.write("lines.ndjson", lines.join("\n"));
    let ended = good(&folder, &["node", "run", "builtin:edit", "--options", "edit.toml", "--input", "lines.ndjson"]);
    let expected = r#"line 1
  {"password":"x","status":"503"}
  steps[0] {"remove":"body.password"}
    - body.password "x"
  steps[1] {"set":"body.env","value":"prod"}
    + body.env "prod"
  steps[2] {"convert":"body.status","to":"int"}
    - body.status "503"
    + body.status 503
  steps[3] {"set":"attributes.failed","value":true,"if":{"field":"body.status","ge":500}}
    + attributes.failed true
  out {"status":503,"env":"prod"}
    attributes {"failed":true}
line 2
  {"env":"prod","status":1}
  out {"env":"prod","status":1} (unchanged)
line 4
  {"status":"z"}
  steps[1] {"set":"body.env","value":"prod"}
    + body.env "prod"
  failed bad-value: steps[2]: the value of `body.status` is not a whole number
"#;
    assert_eq!(ended.text(), expected);
    let color =
        ["--color", "always", "node", "run", "builtin:edit", "--options", "edit.toml", "--input", "lines.ndjson"];
    let colored = good(&folder, &color);
    assert!(colored.text().contains("\u{1b}[31m    - body.password \"x\"\u{1b}[0m"), "{}", colored.text());
    assert!(colored.text().contains("\u{1b}[32m    + body.env \"prod\"\u{1b}[0m"), "{}", colored.text());
}

#[test]
fn every_built_in_node_runs_and_json_has_the_same_result() {
    let folder = Folder::new();
    folder.write("one", "{\"Records\":[{\"a\":1},{\"a\":2}]}\n");
    let unroll = ["node", "run", "builtin:unroll", "--options", r#"{"path":"Records"}"#, "--input", "one"];
    assert!(good(&folder, &unroll).text().ends_with("  out {\"a\":1}\n  out {\"a\":2}\n"));
    let json = good(&folder, &[&unroll[..], &["--json"]].concat());
    let shown: Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(shown["outcome"]["ports"]["out"][1]["body"], "{\"a\":2}");
    let filter = [
        "node",
        "run",
        "builtin:filter",
        "--options",
        r#"{"drop":{"field":"body.Records","exists":true}}"#,
        "--input",
        "one",
    ];
    assert!(good(&folder, &filter).text().ends_with("  dropped filtered\n"));
}

#[test]
fn a_line_can_be_a_whole_event() {
    let folder = Folder::new();
    folder.write(
        "events",
        "{\"body\":\"a\\u001b[2J\",\"attributes\":{\"k\":1},\"timestamp\":\"2026-01-02T03:04:05Z\"}\n",
    );
    let options = r#"{"steps":[{"remove":"attributes.k"}]}"#;
    let run = ["node", "run", "builtin:edit", "--options", options, "--events", "--input", "events"];
    let ended = good(&folder, &run);
    assert!(ended.text().contains("    - attributes.k 1\n"), "{}", ended.text());
    assert!(!ended.text().contains('\u{1b}'), "control characters of events are escaped: {}", ended.text());
    let json: Value = serde_json::from_str(good(&folder, &[&run[..], &["--json"]].concat()).text()).unwrap();
    assert_eq!(json["event"]["timestamp"], "2026-01-02T03:04:05Z");
}

/// A number that no tree of JSON values holds, long numbers, deep values, and lines that are not events.
#[test]
fn odd_lines_are_shown_as_they_are_and_do_not_end_the_run() {
    let folder = Folder::new();
    let deep = format!("{}1{}", "[".repeat(600), "]".repeat(600));
    let long = r#"{"a":1e999,"n":12345678901234567890123,"f":0.1000000000000000055}"#;
    folder.write("lines", format!("{long}\n{{\"deep\":{deep}}}\n{long}\n"));
    let parse = ["node", "run", "builtin:parse", "--options", r#"{"format":"json"}"#, "--input", "lines"];
    let ended = good(&folder, &parse);
    let text = ended.text();
    assert!(text.contains("    + attributes.a 1e999\n    + attributes.f 0.1000000000000000055\n"), "{text}");
    assert!(text.contains("    + attributes.n 12345678901234567890123\n"), "{text}");
    assert!(text.contains("line 2\n  {\"deep\":[[[") && text.contains("  failed "), "{text}");
    assert_eq!(text.matches("attributes.a 1e999").count(), 2, "{text}");
    let edit = ["node", "run", "builtin:edit", "--options", r#"{"steps":[{"set":"body.x","value":1}]}"#, "--input"];
    let ended = good(&folder, &[&edit[..], &["lines"]].concat());
    assert!(ended.text().contains("\"f\":0.1000000000000000055,\"x\":1}"), "{}", ended.text());
    assert!(!ended.text().contains("- body"), "only the new member changed: {}", ended.text());

    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let events =
        format!("x\n{{\"attributes\":{long}}}\n{{\"attributes\":{{\"d\":{nested}}}}}\n[]\n{{\"body\":{long}}}\n");
    folder.write("events", events);
    let edit =
        ["node", "run", "builtin:edit", "--options", r#"{"steps":[{"set":"attributes.x","value":1}]}"#, "--input"];
    let ended = folder.run(&[&edit[..], &["events", "--events"]].concat());
    assert_eq!(ended.code, 1);
    assert!(ended.text().starts_with("line 1\n  x\n  not an event "), "{}", ended.text());
    assert!(
        ended.log.contains("line 1: ") && ended.log.contains("line 4: the value is not an object; with `--events`")
    );
    assert!(ended.text().contains("attributes {\"a\":1e999,\"n\":12345678901234567890123,"), "{}", ended.text());
    assert!(ended.text().contains("line 5\n  {\"a\":1e999,"), "{}", ended.text());
    let json = folder.run(&[&edit[..], &["events", "--events", "--json"]].concat());
    assert!(json.text().contains("\"n\":12345678901234567890123"), "{}", json.text());
    assert_eq!(json.text().lines().count(), 5);
}

#[test]
fn wrong_options_and_input_say_what_and_where() {
    let folder = Folder::new();
    folder.write("broken.toml", "steps = [");
    folder.write("lines", "x\n");
    let block = |name: &str| format!("[nodes.{name}]\nartifact = \"builtin:edit\"\n");
    folder.write("two.toml", format!("{}{}", block("a"), block("b")));
    for (arguments, code, text) in [
        (vec!["builtin:nix"], 1, "there is no built-in node `nix`; built-in nodes are aggregate"),
        (vec!["builtin:edit", "--options", "nix.toml"], 78, "`nix.toml`: No such file"),
        (
            vec!["builtin:edit", "--options", "broken.toml"],
            78,
            "the array that begins here is never closed\n --> broken.toml:1:9",
        ),
        (
            vec!["builtin:edit", "--options", r#"{"steps":[{"remov":"a"},{"set":"body.a"}]}"#],
            78,
            "did you mean `remove`?",
        ),
        (vec!["builtin:edit", "--options", r#"{"steps":[{"remov":"a"},{"set":"body.a"}]}"#], 78, "`steps[1]`"),
        (vec!["builtin:unroll", "--options", r#"{"path":"a"}"#, "--events"], 1, "line 1: expected a value at byte 0"),
        (vec!["builtin:unroll", "--options", r#"{"path":"a"}"#, "--grants", "nix"], 78, "`nix`: No such file"),
        (vec!["builtin:edit", "--options", ""], 78, "--options is empty; options are a JSON object"),
        (
            vec!["builtin:edit", "--options", r#"{"steps":[{"flatten":"attributes","depth":"x"}]}"#],
            78,
            "option `steps[0].depth`: invalid value \"x\": expected a whole number from 0 to 4294967295",
        ),
        (vec!["builtin:edit", "--options", "two.toml"], 78, "`nodes.a` and `nodes.b` both fit this node"),
        (vec!["builtin:filter", "--options", "two.toml"], 78, "no block in `nodes` has the artifact `builtin:filter`"),
        (vec!["absent.wasm"], 1, "`absent.wasm`: No such file"),
    ] {
        let all = [&["node", "run"], arguments.as_slice(), &["--input", "lines"]].concat();
        let ended = folder.run(&all);
        assert_eq!(ended.code, code, "{all:?}: {}", ended.log);
        assert!(ended.log.contains(text), "{all:?}: {}", ended.log);
    }
}

/// Each README shows the block of its node in a pack, and that block works here too.
#[test]
fn options_can_be_the_block_that_a_readme_shows() {
    let folder = Folder::new();
    folder.write("lines", "\u{feff}{\"level\":\"info\",\"status\":\"503\"}\n");
    let nodes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../nodes");
    for node in ["edit", "filter", "mask", "parse", "route", "timestamp"] {
        let readme = std::fs::read_to_string(nodes.join(node).join("README.md")).unwrap();
        let mut blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let block =
            blocks.find(|block| block.starts_with("[nodes.")).unwrap_or_else(|| panic!("{node} shows no block"));
        folder.write("block.toml", block);
        let artifact = format!("builtin:{node}");
        let mut command = folder.wattle();
        command.env("MASK_KEY", "of a test").args(["node", "run", &artifact, "--options", "block.toml"]);
        let ended = finish(command.args(["--input", "lines"]), b"");
        assert!(ended.code == 0 && ended.text().starts_with("line 1\n"), "{node}: {}{}", ended.text(), ended.log);
        let json = finish(command.arg("--json"), b"");
        let shown: Value = serde_json::from_str(json.text()).unwrap();
        assert_eq!(shown["event"]["body"], "{\"level\":\"info\",\"status\":\"503\"}", "without the byte order mark");
    }
}

#[test]
fn a_file_of_options_is_read_as_a_configuration() {
    let folder = Folder::new();
    folder.write("lines", "user=ann\n");
    let run = |text: &str| {
        folder.write("options.toml", text);
        let mut command = folder.wattle();
        command.env("NEW", "login").args(["node", "run", "builtin:edit", "--options", "options.toml"]);
        finish(command.args(["--input", "lines", "--json"]), b"")
    };
    let step =
        |with: &str| format!("steps = [{{ replace = \"body\", pattern = \"user=(?<name>.*)\", with = \"{with}\" }}]");
    for (with, body) in [("${NEW}=$name", "login=ann"), ("$${name}_${NONE:-x}", "ann_x"), ("a$$$$b", "a$b")] {
        let ended = run(&step(with));
        assert_eq!(ended.code, 0, "{with}: {}", ended.log);
        let event = &json_lines(&ended.output)[0]["outcome"]["ports"]["out"][0];
        assert_eq!(event["body"], body, "{with}: {}", ended.text());
    }
    for (options, problem) in [
        (step("${name}"), "environment variable `name` is not set"),
        ("steps = [{ set = \"attributes.a\", value = inf }]".to_owned(), "bad number: `inf`; it must be finite"),
    ] {
        let ended = run(&options);
        assert_eq!(ended.code, 78, "{options}: {}", ended.log);
        assert!(ended.log.contains(problem) && ended.log.contains("options.toml:1:"), "{options}: {}", ended.log);
    }
}

#[test]
fn input_is_read_as_the_sources_read_it() {
    let folder = Folder::new();
    let utf_16: Vec<u8> = "\u{feff}ä=1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("wide", utf_16);
    let options = r#"{"steps":[{"set":"attributes.a","value":1}]}"#;
    let ended = good(&folder, &["node", "run", "builtin:edit", "--options", options, "--input", "wide"]);
    assert!(ended.text().contains("  ä=1\n"), "{}", ended.text());
}

#[test]
fn a_node_with_memory_makes_what_it_owes_at_the_end_of_the_input() {
    let folder = Folder::new();
    folder.write("lines", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n{\"user\":\"a\"}\n");
    let options = r#"{"window":"1h","by":"body.user"}"#;
    let run = ["node", "run", "builtin:aggregate", "--options", options, "--input", "lines"];
    let text = good(&folder, &run).text().to_owned();
    assert_eq!(text.matches("  held in the memory of the node\n").count(), 3, "{text}");
    let (_, end) = text.split_once("end of the input\n").unwrap();
    assert_eq!(end.matches("\"count\":").count(), 2, "{text}");
    let json = good(&folder, &[&run[..], &["--json"]].concat());
    let last: Value = serde_json::from_str(json.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["timer"]["is_last"], true, "{last}");
    assert_eq!(last["outcome"]["ports"]["windows"].as_array().map(Vec::len), Some(2), "{last}");
}

#[test]
fn an_event_with_keys_or_a_time_that_the_node_would_not_get_is_an_error() {
    let folder = Folder::new();
    for (event, problem) in [
        (r#"{"body":"x","timestamp":"yesterday"}"#, "line 1: the timestamp \"yesterday\" is not RFC 3339"),
        (r#"{"message":"x"}"#, "line 1: unknown key `message`"),
    ] {
        folder.write("events", event);
        let options = ["--options", "{\"steps\":[{\"remove\":\"body.x\"}]}", "--input", "events"];
        let ended = folder.run(&[&["node", "run", "builtin:edit", "--events"], &options[..]].concat());
        assert_eq!(ended.code, 1, "{}", ended.log);
        assert!(ended.log.contains(problem), "{}", ended.log);
    }
}
