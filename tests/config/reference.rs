//! `docs/CONFIGURATION.md` is written from what `wattle schema` prints: every key of `agent.toml`
//! and every option of every source, sink and built-in node, with its type, default and
//! description. `UPDATE_EXPECT=1` writes the page.
//!
//! The examples of the page are the files in `reference/` and the first examples of the nodes'
//! READMEs; the agent validates each of them.

mod page;

use std::fs;
use std::path::Path;

use serde_json::Value;
use wattle_tests::{Folder, workspace};

use page::{Gaps, Section};

const PAGE: &str = "docs/CONFIGURATION.md";
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference");

fn schema(folder: &Folder) -> Value {
    let ended = folder.run(&["schema", "agent"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    serde_json::from_str(ended.text()).unwrap()
}

/// The example of a section, from `reference/<name>.toml`.
fn example(name: &str) -> Option<String> {
    fs::read_to_string(Path::new(EXAMPLES).join(format!("{name}.toml"))).ok()
}

/// The first block of TOML in the README of a node.
fn readme_example(node: &str) -> String {
    let readme = fs::read_to_string(workspace().join("nodes").join(node).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap_or_else(|| panic!("nodes/{node}/README.md has no example"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// The branches of a table of sources or sinks: the name of each type and its options.
fn types<'a>(schema: &'a Value, table: &str) -> Vec<(&'a str, &'a Value)> {
    let named = schema["properties"][table]["patternProperties"].as_object().unwrap();
    let branches = named.values().next().unwrap()["allOf"].as_array().unwrap();
    branches.iter().map(|b| (b["if"]["properties"]["type"]["const"].as_str().unwrap(), &b["then"])).collect()
}

/// The options of each built-in node.
fn nodes(schema: &Value) -> Vec<(String, &Value)> {
    let pipeline = schema["properties"]["pipelines"]["patternProperties"].as_object().unwrap().values().next().unwrap();
    let node = pipeline["properties"]["nodes"]["patternProperties"].as_object().unwrap().values().next().unwrap();
    let branches = node["allOf"].as_array().expect("each built-in node has options");
    let name =
        |b: &Value| b["if"]["properties"]["artifact"]["const"].as_str()?.strip_prefix("builtin:").map(str::to_owned);
    branches.iter().filter_map(|b| Some((name(b)?, &b["then"]["properties"]["options"]))).collect()
}

fn write(schema: &Value, gaps: &mut Gaps) -> String {
    let top = |name: &str| &schema["properties"][name];
    let first = |name: &str| top(name)["patternProperties"].as_object().unwrap().values().next().unwrap();
    let mut page = page::HEAD.to_owned();
    let mut add = |section: Section<'_>| page += &section.render(gaps);
    for name in ["agent", "packs", "admin"] {
        add(Section { title: format!("`[{name}]`"), level: 2, of: top(name), omit: &[], example: example(name) });
    }
    add(Section {
        title: "Sources: `[sources.NAME]`".into(),
        level: 2,
        of: first("sources"),
        omit: &[],
        example: None,
    });
    for (name, options) in types(schema, "sources") {
        let example = example(&format!("source-{name}"));
        assert!(example.is_some(), "tests/config/reference/source-{name}.toml is missing");
        add(Section { title: format!("Source `{name}`"), level: 3, of: options, omit: &["type"], example });
    }
    add(Section {
        title: "Pipelines: `[pipelines.NAME]`".into(),
        level: 2,
        of: first("pipelines"),
        omit: &[],
        example: example("pipeline"),
    });
    for (name, options) in nodes(schema) {
        let example = Some(readme_example(&name));
        add(Section { title: format!("Node `builtin:{name}`"), level: 3, of: options, omit: &[], example });
    }
    add(Section {
        title: "Sinks: `[sinks.NAME]`".into(),
        level: 2,
        of: first("sinks"),
        omit: &[],
        example: example("buffer"),
    });
    for (name, options) in types(schema, "sinks") {
        let example = example(&format!("sink-{name}"));
        assert!(example.is_some(), "tests/config/reference/sink-{name}.toml is missing");
        let omit = &["type", "inputs", "buffer"];
        add(Section { title: format!("Sink `{name}`"), level: 3, of: options, omit, example });
    }
    page += "## Types with options of their own\n\n";
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let section = Section { title: format!("`{name}`"), level: 3, of: definition, omit: &[], example: None };
        page += &section.render(gaps);
    }
    page
}

#[test]
fn the_page_about_the_configuration_is_up_to_date() {
    let folder = Folder::new();
    let schema = schema(&folder);
    let mut gaps = Gaps::default();
    let page = write(&schema, &mut gaps);
    assert!(gaps.undescribed.is_empty(), "options without a description: {:#?}", gaps.undescribed);
    let missing = "their descriptions lack a sentence \"Default: `x`.\"";
    assert!(gaps.without_default.is_empty(), "{missing}: {:#?}", gaps.without_default);
    let path = workspace().join(PAGE);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{PAGE} is not what the schema says; UPDATE_EXPECT=1 writes it");
}

/// Validates a configuration that consists of an example and the parts that complete it.
#[track_caller]
fn assert_valid(name: &str, text: &str) {
    let folder = Folder::new();
    for pem in ["ca.pem", "client.pem", "client.key"] {
        folder.write(pem, "");
    }
    folder.write("accounts.csv", "account,name,team\n1,a,b\n");
    folder.write("geo.mmdb", fs::read(workspace().join("tests/tables/geo.mmdb")).unwrap());
    folder.write("agent.toml", text);
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 0, "{name}: {}{}\n{text}", ended.text(), ended.log);
}

#[test]
fn every_example_of_a_source_a_sink_and_a_pipeline_is_valid() {
    let from = "[sources.in]\ntype = \"stdin\"\n";
    let to = "[sinks.out]\ntype = \"blackhole\"\ninputs = [\"p.out\"]\n";
    let through = |input: &str| {
        format!(
            "[pipelines.p]\ninputs = [\"{input}\"]\nnodes.parse = {{ artifact = \"builtin:parse\", inputs = [\"input\"], \
             options = {{ format = \"json\" }} }}\noutputs.out.inputs = [\"parse.*\"]\n"
        )
    };
    let mut seen = 0;
    for entry in fs::read_dir(EXAMPLES).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        seen += 1;
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let whole = match name.split_once('-').map_or(name.as_str(), |(kind, _)| kind) {
            "source" => format!("{text}\n{}{to}", through("in")),
            "sink" | "buffer" => format!("{from}{}{text}", through("in")),
            "pipeline" => format!("[sources.trail]\ntype = \"stdin\"\n{text}"),
            _ => format!("{text}{from}{}{to}", through("in")),
        };
        assert_valid(&name, &whole);
    }
    assert!(seen >= 10, "{seen} examples");
}

#[test]
fn the_first_example_of_every_node_is_valid() {
    let folder = Folder::new();
    let schema = schema(&folder);
    for (name, _) in nodes(&schema) {
        let example = readme_example(&name);
        // The nodes before it are not part of the example.
        let mut inputs: Vec<&str> = example.lines().filter_map(|l| l.strip_prefix("inputs = [\"")).collect();
        inputs.iter_mut().for_each(|i| *i = i.trim_end_matches("\"]"));
        let example =
            inputs.iter().fold(example.clone(), |text, input| text.replace(&format!("[\"{input}\"]"), "[\"input\"]"));
        let example = example.replace("[nodes.", "[pipelines.p.nodes.").replace("${MASK_KEY}", "key");
        let text = format!(
            "[sources.in]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"in\"]\noutputs.out.inputs = [\"*.*\"]\n\
             [sinks.out]\ntype = \"blackhole\"\ninputs = [\"p.out\"]\n\
             [pipelines.p.grants]\nseen = true\n[pipelines.p.grants.lookup.tables]\n\
             geo = \"geo.mmdb\"\naccounts = \"accounts.csv\"\n{}",
            example.replace("[[nodes.", "[[pipelines.p.nodes.")
        );
        assert_valid(&name, &text);
    }
}
