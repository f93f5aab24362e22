//! `wattle try`: what a pack does to a file, and how another version differs.

use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};
use wattle_tests::{Ended, Folder, built, finish};

/// A pack with a node of these options between its input and the outputs `ok` and `fails`.
fn pack(name: &str, artifact: &str, options: &str, more: &str) -> String {
    format!(
        "[pack]\nname = \"{name}\"\nversion = \"1.0.0\"\ncontract = \"0.2\"\ndescription = \"Lines.\"\n\
         [input]\ndescription = \"Lines.\"\n\
         [nodes.work]\nartifact = \"{artifact}\"\ninputs = [\"input\"]\noptions = {{ {options} }}\n{more}\n\
         [outputs.ok]\ninputs = [\"work\"]\ndescription = \"What passed.\"\n\
         [outputs.fails]\ninputs = [\"work.failed\"]\ndescription = \"What failed.\"\n"
    )
}

/// Runs `wattle try` and returns the document.
#[track_caller]
fn tried(folder: &Folder, arguments: &[&str], code: i32) -> Value {
    let ended = folder.run(&[&["try", "--format", "json"], arguments].concat());
    assert_eq!(ended.code, code, "{}{}", ended.text(), ended.log);
    serde_json::from_str(ended.text()).unwrap_or_else(|error| panic!("{error}: {}", ended.text()))
}

/// Every event is accounted for, by the document itself.
#[track_caller]
fn assert_closed(pack: &Value) {
    let of = |key: &str| pack["balance"][key].as_i64().unwrap();
    assert_eq!(
        of("received") + of("split") + of("copied") + of("made"),
        of("delivered") + of("failed") + of("dropped") + of("held") + of("returned"),
        "{}",
        pack["balance"]
    );
    assert_eq!(of("unbalanced"), 0);
    let left: i64 = pack["outputs"].as_array().unwrap().iter().map(|output| output["events"].as_i64().unwrap()).sum();
    assert_eq!(left, of("delivered") + of("failed"));
}

/// Documents of CloudTrail, one per line.
fn trail(folder: &Folder, documents: &str) -> Vec<u8> {
    let generated = folder.run(&["generate", "-n", documents, "--seed", "7"]);
    assert_eq!(generated.code, 0);
    folder.write("trail.ndjson", &generated.output);
    generated.output
}

fn events(pack: &Value, output: &str) -> u64 {
    let all = pack["outputs"].as_array().unwrap();
    all.iter().find(|found| found["name"] == output).unwrap_or_else(|| panic!("{output}"))["events"].as_u64().unwrap()
}

#[test]
fn a_pack_makes_the_same_events_as_in_a_run() {
    let folder = Folder::new();
    let input = trail(&folder, "40");
    let ran = finish(folder.wattle().args(["run", "--pack", "cloudtrail@1.2.0", "--out", "out", "--quiet"]), &input);
    assert_eq!(ran.code, 0, "{}", ran.log);
    let tried = tried(&folder, &["trail.ndjson", "--pack", "cloudtrail@1.2.0", "--limit", "1000"], 0);
    let result = &tried["result"];
    assert_eq!((result["pack"].as_str(), result["events"].as_u64()), (Some("cloudtrail@1.2.0"), Some(40)));
    assert_closed(result);
    for output in result["outputs"].as_array().unwrap() {
        let name = output["name"].as_str().unwrap();
        let written = folder.read(&format!("out/{name}.ndjson"));
        let lines: Vec<&str> = std::str::from_utf8(&written).unwrap().lines().collect();
        assert_eq!(output["events"], lines.len(), "{name}");
        if name != "fails" {
            let bodies: Vec<&str> =
                output["sample"].as_array().unwrap().iter().map(|e| e["body"].as_str().unwrap()).collect();
            assert_eq!(bodies, lines[..bodies.len()], "{name}");
        }
    }
    let cost: f64 = result["nodes"].as_array().unwrap().iter().map(|node| node["cpu_seconds"].as_f64().unwrap()).sum();
    assert!(cost > 0.0 && (cost - result["cpu_seconds"].as_f64().unwrap()).abs() < 1e-6);
    assert!(result["nodes"].as_array().unwrap().iter().all(|node| node["peak_memory_bytes"].as_u64() > Some(0)));
}

#[test]
fn versions_are_compared_and_exit_code_says_whether_they_differ() {
    let folder = Folder::new();
    trail(&folder, "40");
    let both = ["trail.ndjson", "--pack", "cloudtrail@1.2.0", "--against", "cloudtrail@1.1.0"];
    let document = tried(&folder, &both, 0);
    assert_closed(&document["result"]);
    assert_closed(&document["against"]);
    for (output, found) in document["differences"].as_object().unwrap() {
        let of = |key: &str| found[key].as_u64().unwrap();
        let has = |side: &str| {
            let all = document[side]["outputs"].as_array().unwrap();
            all.iter().find(|o| o["name"] == output.as_str()).map_or(0, |o| o["events"].as_u64().unwrap())
        };
        assert_eq!(of("same") + of("changed") + of("added"), has("result"), "{output}");
        assert_eq!(of("same") + of("changed") + of("missing"), has("against"), "{output}");
        assert!(found["first"].as_array().unwrap().len() <= 5);
    }
    let same = ["trail.ndjson", "--pack", "cloudtrail@1.2.0", "--against", "cloudtrail@1.2.0", "--exit-code"];
    let document = tried(&folder, &same, 0);
    assert!(document["differences"].as_object().unwrap().values().all(|d| d["changed"] == 0 && d["missing"] == 0));
    folder.write("a/pack.toml", pack("a", "builtin:filter", "keep = { field = \"body\", contains = [\"a\"] }", ""));
    folder.write("b/pack.toml", pack("b", "builtin:filter", "keep = { field = \"body\", contains = [\"b\"] }", ""));
    folder.write("in.log", "a\nab\nb\n");
    let ended = folder.run(&["try", "in.log", "--pack", "./a", "--against", "./b", "--exit-code", "--color", "never"]);
    assert_eq!(ended.code, 1, "{}{}", ended.text(), ended.log);
    assert!(ended.text().contains("ok: "), "{}", ended.text());
}

#[test]
fn tables_fit_into_80_columns_and_nothing_in_an_event_reaches_the_terminal_as_a_sequence() {
    let folder = Folder::new();
    trail(&folder, "10");
    let ended = folder.run(&["try", "trail.ndjson", "--pack", "cloudtrail@1.2.0", "--against", "cloudtrail@1.1.0"]);
    let text = ended.text();
    assert_eq!(ended.code, 0, "{text}{}", ended.log);
    let tables = text.lines().filter(|line| !line.starts_with("  "));
    let wide: Vec<&str> = tables.filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    folder.write("p/pack.toml", pack("p", "builtin:parse", "format = \"json\"", ""));
    folder.write("in.log", "evil \x1b[2J\x1b]0;title\x07 \u{202e}text\n{\"a\":\"\\u001b[31m\"}\n");
    let ended = folder.run(&["try", "in.log", "--pack", "./p", "--output", "fails", "--trace", "2"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(ended.text().contains("evil"), "{}", ended.text());
    assert!(!ended.text().contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ended.text());
}

#[test]
fn a_node_that_never_returns_fails_its_rows_and_the_rest_goes_on() {
    let folder = Folder::new();
    folder.write("p/nodes/faulty.wasm", fs::read(built("guests/faulty.wasm")).unwrap());
    folder.write("p/pack.toml", pack("p", "nodes/faulty.wasm", "fault = \"spin\"", "limits = { time = \"100ms\" }"));
    folder.write("in.log", "{\"kind\":\"healthy\"}\n{\"kind\":\"poison\"}\n{\"kind\":\"healthy\"}\n");
    let result = tried(&folder, &["in.log", "--pack", "./p"], 0)["result"].clone();
    assert_eq!((events(&result, "ok"), events(&result, "fails")), (2, 1), "{result}");
    assert_eq!(result["nodes"][0]["failed"], json!({ "time-limit": 1 }));
    assert!(result["nodes"][0]["faults"].as_u64() > Some(0));
    assert_eq!(result["failures"][0]["samples"][0]["event"]["body"], "{\"kind\":\"poison\"}");
    assert_closed(&result);
}

/// All files below a folder, without the cache of compiled nodes.
fn files(folder: &Folder) -> Vec<String> {
    fn list(path: &std::path::Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.is_symlink() {
                list(&entry, all)
            } else {
                all.push(entry.display().to_string())
            }
        }
    }
    let mut all = Vec::new();
    list(&folder.path(""), &mut all);
    all.sort();
    all
}

#[test]
fn a_trial_leaves_nothing_behind_not_even_what_a_mask_could_not_process() {
    let folder = Folder::new();
    folder.write("p/pack.toml", pack("p", "builtin:mask", "rules = [{ json_key = \"password\" }]", ""));
    // Nothing but base64, in which the node cannot search.
    let hidden = "c2VjcmV0IHRleHQgdGhhdCBubyBydWxlIGNhbiByZWFkLCBsb25nIGVub3VnaA";
    folder.write("in.log", format!("{hidden}\nplain\n"));
    let before = files(&folder);
    let ended = folder.run(&["try", "in.log", "--pack", "./p", "--format", "json", "--trace", "0"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let result = serde_json::from_str::<Value>(ended.text()).unwrap()["result"].clone();
    assert_eq!((events(&result, "ok"), events(&result, "fails")), (1, 1), "{result}");
    assert!(!ended.text().contains(hidden), "its contents do not leave, as in a run");
    assert_closed(&result);
    assert_eq!(files(&folder), before);
}

#[test]
fn tables_and_the_time_come_from_mocks() {
    let folder = Folder::new();
    let options = "lookups = [{ table = \"accounts\", key = \"body.account\", columns = [\"name\"] }]";
    let more = "[capabilities.lookup]\nreason = \"to name accounts\"";
    folder.write("p/pack.toml", pack("p", "builtin:enrich", options, more));
    folder.write("in.log", "{\"account\":\"1\"}\n");
    let refused = folder.run(&["try", "in.log", "--pack", "./p"]);
    assert_eq!(refused.code, 78, "{}", refused.text());
    assert!(refused.log.contains("accounts"), "{}", refused.log);
    folder
        .write("case.toml", "[mocks.lookup]\naccounts = { key = \"id\", rows = [{ id = \"1\", name = \"prod\" }] }\n");
    let result = tried(&folder, &["in.log", "--pack", "./p", "--mocks", "case.toml"], 0)["result"].clone();
    assert_eq!(result["outputs"][0]["sample"][0]["attributes"]["name"], "prod", "{result}");
}

#[test]
fn standard_input_is_unpacked_and_limits_end_the_input() {
    let folder = Folder::new();
    folder.write("p/pack.toml", pack("p", "builtin:parse", "format = \"json\"", ""));
    let run = |arguments: &[&str], input: &[u8]| -> Ended {
        finish(folder.wattle().args(["try", "-", "--pack", "./p", "--format", "json"]).args(arguments), input)
    };
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&b"{\"a\":1}\n".repeat(1000)).unwrap();
    let ended = run(&[], &packer.finish().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.log);
    let document: Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!(events(&document["result"], "ok"), 1000);
    let ended = run(&["--max-bytes", "10"], &b"{\"a\":1}\n".repeat(100));
    assert_eq!(ended.code, 0, "{}", ended.log);
    let document: Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!(document["result"]["ended_early"], "the limit of bytes was reached");
    let damaged = run(&[], b"\x1f\x8b\x08\x00damaged");
    assert_eq!(damaged.code, 1);
    assert!(damaged.log.contains("damaged"), "{}", damaged.log);
}

#[test]
fn a_trace_shows_every_point_and_fuel_is_the_same_in_each_run() {
    let folder = Folder::new();
    folder.write("p/pack.toml", pack("p", "builtin:parse", "format = \"json\"", ""));
    folder.write("in.log", "{\"a\":1}\nx\n");
    let run = || tried(&folder, &["in.log", "--pack", "./p", "--trace", "1", "--fuel"], 0)["result"].clone();
    let (first, second) = (run(), run());
    let points: Vec<&str> =
        first["traces"][0]["steps"].as_array().unwrap().iter().map(|step| step["point"].as_str().unwrap()).collect();
    assert_eq!(points, ["p/input", "p/work.out", "p.ok"]);
    assert_eq!(first["traces"].as_array().unwrap().len(), 1);
    let fuel = |result: &Value| result["nodes"][0]["fuel"].as_u64().unwrap();
    assert!(fuel(&first) > 1000);
    assert_eq!(fuel(&first), fuel(&second));
}

#[test]
fn wrong_arguments_say_what_is_wrong() {
    let folder = Folder::new();
    folder.write("in.log", "x\n");
    for (arguments, code, part) in [
        (vec!["in.log", "--pack", "nginx", "--output", "nowhere"], 78, "has no output `nowhere`"),
        (vec!["in.log", "--pack", "no-such-pack"], 78, "no-such-pack"),
        (vec!["missing.log", "--pack", "nginx"], 1, "`missing.log`"),
        (vec![".", "--pack", "nginx"], 1, "is a folder"),
        (vec!["in.log", "--pack", "nginx", "--param", "x"], 78, "NAME=VALUE"),
        (vec!["in.log", "--pack", "nginx", "--exit-code"], 2, "--against"),
    ] {
        let ended = folder.run(&[&["try"], arguments.as_slice()].concat());
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.log);
        assert!(ended.log.contains(part), "{arguments:?}: {}", ended.log);
    }
}
