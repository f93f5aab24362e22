//! The JSON schemas that `wattle schema` prints: valid files pass, invalid ones do not, and every
//! table has exactly the keys that its reader accepts.

mod check;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use wattle_tests::{Folder, workspace};

use check::check;

fn schema(folder: &Folder, file: &str) -> Value {
    let ended = folder.run(&["schema", file]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    serde_json::from_str(ended.text()).unwrap()
}

/// TOML as JSON, as an editor sees it.
fn parse(text: &str) -> Option<Value> {
    serde_json::to_value(toml::from_str::<toml::Table>(text).ok()?).ok()
}

#[track_caller]
fn assert_fits(schema: &Value, name: &str, text: &str) {
    let value = parse(text).unwrap_or_else(|| panic!("{name} is no TOML"));
    let errors = check(schema, &value);
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

/// Every file of this name in a folder.
fn files(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
}

#[test]
fn every_shipped_manifest_matches() {
    let folder = Folder::new();
    let schema = schema(&folder, "pack");
    let mut manifests = Vec::new();
    files(&workspace().join("packs"), "pack.toml", &mut manifests);
    assert!(manifests.len() >= 2, "{manifests:?}");
    assert_eq!(folder.run(&["pack", "new", "mine"]).code, 0);
    manifests.push(folder.path("mine/pack.toml"));
    for manifest in manifests {
        assert_fits(&schema, &manifest.display().to_string(), &fs::read_to_string(&manifest).unwrap());
    }
}

#[test]
fn every_shipped_or_documented_project_matches_and_the_reader_accepts_the_same_keys() {
    let folder = Folder::new();
    let schema = schema(&folder, "node");
    let mut projects = Vec::new();
    files(&workspace().join("templates"), "node.toml", &mut projects);
    assert!(projects.len() >= 6, "{projects:?}");
    for project in projects {
        assert_fits(&schema, &project.display().to_string(), &fs::read_to_string(&project).unwrap());
    }
    let least = "name = \"own\"\nartifact = \"own.wasm\"\n[build]\noutput = \"a.wasm\"\nwatch = []\nsteps = []\n";
    let documented = blocks("docs/nodes/capabilities.md");
    let mocks = documented.iter().find(|block| block.contains("[mocks.http-client]")).expect("an example");
    // TOML times do not exist in JSON.
    assert_fits(&schema, "capabilities.md", &format!("{least}{}", mocks.replace("2024-05-01T00:00:00Z", "\"noon\"")));
    for wrong in ["[mocks]\nclok = 1\n", "[grants]\nkw = true\n", "[mocks.http-client]\n\"a.example\" = {}\n"] {
        let errors = check(&schema, &parse(&format!("{least}{wrong}")).unwrap());
        assert!(!errors.is_empty(), "{wrong}");
    }
    for (table, keys) in [("", &schema["properties"]), ("[build]\n", &schema["properties"]["build"]["properties"])] {
        folder.write("own/node.toml", format!("{table}{UNKNOWN} = 1\n"));
        let ended = folder.run(&["node", "build", "own"]);
        let list =
            ended.log.split_once("expected one of ").map(|(_, list)| list.lines().next().unwrap()).unwrap_or_default();
        let taken: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(taken, keys.as_object().unwrap().keys().map(String::as_str).collect(), "{table}: {}", ended.log);
    }
}

/// The blocks of TOML in a document.
fn blocks(document: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(document)).unwrap();
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```toml" => {
                inside = true;
                blocks.push(String::new());
            }
            "```" => inside = false,
            line if inside => blocks.last_mut().unwrap().extend([line, "\n"]),
            _ => {}
        }
    }
    blocks
}

#[test]
fn examples_in_the_documents_match() {
    let folder = Folder::new();
    let agent = schema(&folder, "agent");
    let mut seen = 0;
    for document in ["README.md", "docs/OPERATE.md"] {
        for block in blocks(document).iter().filter(|block| block.contains("[sources.")) {
            assert_fits(&agent, document, block);
            seen += 1;
        }
    }
    let pack = schema(&folder, "pack");
    for block in blocks("docs/PACKS.md").iter().filter(|block| block.contains("[pack]")) {
        // The page omits the digits of a digest.
        assert_fits(&pack, "docs/PACKS.md", &block.replace("sha256:…", &format!("sha256:{}", "0".repeat(64))));
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// Configurations with every key.
const GOOD: &str = include_str!("good.toml");

#[test]
fn a_configuration_with_every_key_matches_and_is_valid() {
    let folder = Folder::new();
    assert_fits(&schema(&folder, "agent"), "good.toml", GOOD);
    // The certificates do not exist, which validation reports.
    let without_tls: Vec<&str> = GOOD.lines().filter(|line| !line.starts_with("tls = ")).collect();
    folder.write("agent.toml", without_tls.join("\n"));
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.log);
}

#[test]
fn an_invalid_table_does_not_match() {
    let folder = Folder::new();
    let schema = schema(&folder, "agent");
    // Errors that a schema can detect: keys, types and words. It cannot check links, files and the
    // ports of nodes.
    for case in ["unknown-key", "wrong-option-type", "wrong-sink-option", "wrong-source-option"] {
        let file = workspace().join("tests/config/golden").join(case).join("agent.toml");
        let value = parse(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(!check(&schema, &value).is_empty(), "{case}");
    }
    for (right, wrong) in [
        ("workers = 2", "workers = \"many\""),
        ("max_bytes = \"128KiB\"", "max_bytes = \"128 bananas\""),
        ("max_age = \"50ms\"", "max_age = \"soon\""),
        ("listen = \"127.0.0.1:0\"", "listening = \"127.0.0.1:0\""),
        ("type = \"demo\"", "type = \"demos\""),
        ("seed = 7", "seeds = 7"),
        ("on_fault = \"stop\"", "on_fault = \"halt\""),
        ("codec = \"text\"", "codec = \"texts\""),
        ("preset = \"email\"", "preset = 7"),
        ("type = \"disk\"", "type = \"tape\""),
        ("pack = \"cloudtrail@^1\"", "pack = 1"),
    ] {
        assert!(GOOD.contains(right), "{right}");
        assert!(!check(&schema, &parse(&GOOD.replacen(right, wrong, 1)).unwrap()).is_empty(), "{wrong} fits");
    }
    let pack = self::schema(&folder, "pack");
    let good = fs::read_to_string(workspace().join("packs/cloudtrail/1.1.0/pack.toml")).unwrap();
    for (right, wrong) in [
        ("version = \"1.1.0\"", "version = \"1.1\""),
        ("name = \"cloudtrail\"", "name = \"Cloud Trail\""),
        ("contract = \"0.1\"\n", ""),
        ("type = \"string\"", "type = \"text\""),
        ("secret = true", "secret = \"perhaps\""),
        ("artifact = \"builtin:unroll\"", "artefact = \"builtin:unroll\""),
        ("into = \"Record\"", "inside = \"Record\""),
        ("title = \"Processed\"", "titel = \"Processed\""),
    ] {
        assert!(good.contains(right), "{right}");
        assert!(!check(&pack, &parse(&good.replacen(right, wrong, 1)).unwrap()).is_empty(), "{wrong} fits");
    }
}

#[test]
fn a_variable_or_parameter_can_replace_a_value_of_another_type() {
    let folder = Folder::new();
    let schema = schema(&folder, "agent");
    for (typed, variable) in [
        ("workers = 2", "workers = \"${WORKERS}\""),
        ("seed = 7", "seed = \"${SEED:-7}\""),
        ("on_fault = \"stop\"", "on_fault = \"${ON_FAULT}\""),
        ("max_bytes = \"128KiB\"", "max_bytes = \"${SIZE}\""),
    ] {
        assert!(GOOD.contains(typed), "{typed}");
        assert_fits(&schema, variable, &GOOD.replacen(typed, variable, 1));
    }
}

/// A key that nothing reads, and that is similar to no key.
const UNKNOWN: &str = "qqqqqqqqqqqq";

/// A table of a schema: its path in a file, and its keys.
#[derive(Debug)]
struct Table {
    path: Vec<String>,
    keys: BTreeSet<String>,
}

/// Collects every table whose keys a schema lists, except those with options of endpoints and
/// nodes.
fn tables(schema: &Value, path: &[String], found: &mut Vec<Table>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    if schema["additionalProperties"] == json!(false) {
        found.push(Table { path: path.to_vec(), keys: properties.keys().cloned().collect() });
    }
    for (key, property) in properties {
        let inner = [path, std::slice::from_ref(key)].concat();
        tables(property, &inner, found);
        // A table, or a shorter form with the same meaning.
        property["anyOf"].as_array().into_iter().flatten().for_each(|one| tables(one, &inner, found));
        if let Some(names) = property["patternProperties"].as_object() {
            let name = [inner.as_slice(), &["x".to_owned()]].concat();
            names.values().for_each(|of| tables(of, &name, found));
        }
    }
}

/// A file that contains only the table, with an unknown key.
fn file_with(path: &[String], more: &str) -> String {
    let table = path.join(".");
    let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
    format!("{header}{UNKNOWN} = 1\n{more}")
}

/// The keys of a table, from the reader's diagnostic about an unknown key.
fn taken(lines: &str) -> Option<BTreeSet<String>> {
    let diagnostics = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about: Vec<Value> = diagnostics
        .filter(|diagnostic| diagnostic["message"].as_str().is_some_and(|message| message.contains(UNKNOWN)))
        .collect();
    let [about] = about.as_slice() else { return None };
    let hint = about["hint"].as_str()?;
    // A reader of a file lists the keys that a table accepts, a reader of options the available
    // ones.
    let list = hint.split_once(" accepts ").map(|(_, list)| list).or_else(|| hint.strip_prefix("available: "))?;
    Some(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Compares the keys that the reader of a file accepts in every table with those of the schema.
fn assert_keys_are_those_read(folder: &Folder, found: &[Table], file: &str, ask: &[&str]) {
    for Table { path, keys } in found {
        // The reader accepts either the keys of an artifact or those of a pack, and likewise for
        // pipelines.
        let variants: &[&str] = match path.as_slice() {
            [.., nodes, _] if nodes == "nodes" => &["artifact = \"builtin:parse\"\n", "pack = \"cloudtrail\"\n"],
            [first, _] if first == "pipelines" => &["nodes = {}\n"],
            _ => &[""],
        };
        let mut all = BTreeSet::new();
        for more in variants {
            folder.write(file, file_with(path, more));
            let ended = folder.run(ask);
            let read = taken(ended.text());
            all.extend(
                read.unwrap_or_else(|| panic!("nothing about the key in {path:?}: {}{}", ended.text(), ended.log)),
            );
            all.extend(more.split(" =").next().filter(|key| !key.is_empty()).map(str::to_owned));
        }
        assert_eq!(&all, keys, "{path:?}");
    }
}

#[test]
fn every_table_of_the_configuration_has_the_keys_of_its_reader() {
    let folder = Folder::new();
    let mut found = Vec::new();
    tables(&schema(&folder, "agent"), &[], &mut found);
    assert!(found.len() >= 12, "{found:?}");
    assert_keys_are_those_read(&folder, &found, "agent.toml", &["validate", "agent.toml", "--format", "json"]);
}

#[test]
fn every_table_of_a_manifest_has_the_keys_of_its_reader() {
    let folder = Folder::new();
    let mut found = Vec::new();
    tables(&schema(&folder, "pack"), &[], &mut found);
    assert!(found.len() >= 7, "{found:?}");
    // The keys of this table are names, from the same list as in the reader.
    found.retain(|table| table.path != ["capabilities"]);
    assert_keys_are_those_read(&folder, &found, "p/pack.toml", &["pack", "lint", "./p", "--format", "json"]);
}

#[test]
fn every_source_and_sink_has_the_keys_of_its_reader() {
    let folder = Folder::new();
    let schema = schema(&folder, "agent");
    let mut seen = 0;
    for kind in ["sources", "sinks"] {
        let endpoint = schema["properties"][kind]["patternProperties"].as_object().unwrap().values().next().unwrap();
        let own: BTreeSet<String> = endpoint["properties"].as_object().unwrap().keys().cloned().collect();
        for rule in endpoint["allOf"].as_array().unwrap() {
            let name = rule["if"]["properties"]["type"]["const"].as_str().unwrap();
            let empty = Map::new();
            let properties = rule["then"]["properties"].as_object().unwrap_or(&empty);
            assert_eq!(rule["then"]["additionalProperties"], json!(false), "{kind} {name}");
            let keys: BTreeSet<String> = properties.keys().filter(|key| !own.contains(*key)).cloned().collect();
            folder.write("agent.toml", format!("[{kind}.x]\ntype = \"{name}\"\ninputs = []\n{UNKNOWN} = 1\n"));
            if kind == "sources" {
                folder.write("agent.toml", format!("[{kind}.x]\ntype = \"{name}\"\n{UNKNOWN} = 1\n"));
            }
            let ended = folder.run(&["validate", "agent.toml", "--format", "json"]);
            // The hint lists nothing if there are no keys.
            let read = taken(ended.text()).unwrap_or_default();
            assert_eq!(read, keys, "{kind} {name}: {}", ended.text());
            seen += 1;
        }
    }
    assert_eq!(seen, 34);
}
