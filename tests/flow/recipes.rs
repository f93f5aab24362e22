//! Runs every recipe of `docs/RECIPES.md`, all in one agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use wattle_tests::{Folder, Summary, workspace};

/// A recipe: the nodes, the tables that they look up, the bodies that come in, and those that leave, by output.
#[derive(Debug, Default)]
struct Recipe {
    title: String,
    nodes: String,
    /// Text by the name of the file.
    tables: BTreeMap<String, String>,
    input: String,
    expected: BTreeMap<String, Vec<String>>,
}

/// Reads the page: a heading of the third level begins a recipe, a block `toml` has the nodes and their grants, a block
/// `csv NAME` a table, and a block `text` the events.
fn recipes(page: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut block: Option<&str> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(""), Some(_)) => block = None,
            (Some(language), None) => block = Some(language),
            (None, None) => {
                if let Some(title) = line.strip_prefix("### ") {
                    recipes.push(Recipe { title: title.to_owned(), ..Recipe::default() });
                }
            }
            (_, Some(language)) => {
                let recipe = recipes.last_mut().unwrap_or_else(|| panic!("a block before the first recipe: {line}"));
                match language {
                    "toml" => writeln!(recipe.nodes, "{line}").unwrap(),
                    "text" => recipe.event(line),
                    table if table.starts_with("csv ") => {
                        let table = recipe.tables.entry(table["csv ".len()..].to_owned()).or_default();
                        writeln!(table, "{line}").unwrap();
                    }
                    other => panic!("{}: a block of `{other}`", recipe.title),
                }
            }
        }
    }
    recipes
}

impl Recipe {
    fn event(&mut self, line: &str) {
        let (output, rest) = match line.split_once(['<', '>']) {
            Some((output, _)) if !output.trim().contains(' ') => (output.trim(), &line[output.len()..]),
            _ => panic!("{}: a line without `<` or `>`: {line}", self.title),
        };
        let output = if output.is_empty() { "out" } else { output };
        match rest.split_at(1) {
            ("<", body) => writeln!(self.input, "{}", body.trim_start()).unwrap(),
            (_, body) => self.expected.entry(output.to_owned()).or_default().push(body.trim_start().to_owned()),
        }
    }

    /// The ports `failed` that no node of the recipe reads, so that an event that another node continues with is not
    /// taken for a failed one.
    fn failed_ports(&self) -> String {
        let names: BTreeSet<&str> =
            self.nodes.lines().filter_map(|line| line.strip_prefix("[nodes.")?.split(['.', ']']).next()).collect();
        let ports = names.iter().map(|name| format!("\"{name}.failed\""));
        ports.filter(|port| !self.nodes.contains(port.as_str())).collect::<Vec<_>>().join(", ")
    }

    /// The pipeline, its source and its sinks. The last node has the outputs.
    fn config(&self, number: usize) -> String {
        let mut text = format!(
            "[sources.s{number}]\ntype = \"file\"\ninclude = [\"{number}.in\"]\nframing = \"lines\"\n\
             [pipelines.r{number}]\ninputs = [\"s{number}\"]\n"
        );
        let nodes = self.nodes.replace("[nodes.", &format!("[pipelines.r{number}.nodes."));
        let nodes = nodes.replace("[grants.", &format!("[pipelines.r{number}.grants."));
        let nodes = nodes.replace("[grants]", &format!("[pipelines.r{number}.grants]"));
        text += &nodes;
        let last = self.nodes.lines().rev().find_map(|line| line.strip_prefix("[nodes.")?.strip_suffix(']'));
        let last = last.unwrap_or_else(|| panic!("{}: no node", self.title)).split('.').next().unwrap();
        let failed = self.failed_ports();
        for output in self.expected.keys() {
            let ports = if output == "failed" { failed.clone() } else { format!("\"{last}.{output}\"") };
            text += &format!("[pipelines.r{number}.outputs.{output}]\ninputs = [{ports}]\n");
            text += &format!(
                "[sinks.r{number}-{output}]\ntype = \"file\"\ninputs = [\"r{number}.{output}\"]\n\
                 path = \"{number}-{output}.out\"\nencoding.codec = \"text\"\n"
            );
        }
        if !self.expected.contains_key("failed") {
            text += &format!("[pipelines.r{number}.outputs.failed]\ninputs = [{failed}]\n");
            text += &format!("[sinks.r{number}-failed]\ntype = \"file\"\ninputs = [\"r{number}.failed\"]\n");
            text += &format!("path = \"{number}-failed.out\"\n");
        }
        text
    }
}

#[test]
fn every_recipe_makes_of_its_events_what_it_shows() {
    let page = std::fs::read_to_string(workspace().join("docs/RECIPES.md")).unwrap();
    let recipes = recipes(&page);
    let folder = Folder::new();
    let mut config = String::new();
    for name in ["geo.mmdb", "asn.mmdb"] {
        folder.write(name, std::fs::read(workspace().join("tests/tables").join(name)).unwrap());
    }
    for (number, recipe) in recipes.iter().enumerate() {
        assert!(!recipe.input.is_empty() && !recipe.expected.is_empty(), "{}: no events", recipe.title);
        folder.write(format!("{number}.in"), &recipe.input);
        for (name, text) in &recipe.tables {
            folder.write(name, text);
        }
        config += &recipe.config(number);
    }
    let ended = folder.once(&config);
    Summary::read(&ended.log);
    let mut wrong = String::new();
    for (number, recipe) in recipes.iter().enumerate() {
        let of = |output: &str| String::from_utf8(folder.read(&format!("{number}-{output}.out"))).unwrap();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for output in recipe.expected.keys().map(String::as_str).chain(["failed"]) {
            let lines: Vec<String> = of(output).lines().map(str::to_owned).collect();
            if !lines.is_empty() {
                found.insert(output.to_owned(), lines);
            }
        }
        if found != recipe.expected {
            writeln!(wrong, "{}\n  expected {:?}\n  found    {found:?}", recipe.title, recipe.expected).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(recipes.len() >= 40, "{} recipes", recipes.len());
}
