//! Nodes in every language: from an empty folder to a hot swap, conformance of templates and examples, and what they cost.

mod journey;
mod pack;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::nodes;
use crate::process::target_dir;
use crate::tools;

#[derive(Args)]
pub(crate) struct Options {
    /// Run only these languages, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "LANG")]
    only: Vec<String>,
}

/// A language.
struct Language {
    /// As `wattle node new --lang` takes it.
    name: &'static str,
    /// The component of the example nodes: built already, or a project.
    examples: Examples,
    /// The file of the template that is edited, and how: what is sought, and what stands in its place then.
    source: &'static str,
    edit: (&'static str, &'static str),
}

enum Examples {
    Built(&'static str),
    Project(&'static str),
    /// Those of another language, which has the same SDK.
    SameAs,
}

const LANGUAGES: &[Language] = &[
    Language {
        name: "rust",
        examples: Examples::Built("guests/examples.wasm"),
        source: "src/lib.rs",
        edit: ("text.to_uppercase()", "text.to_uppercase() + \"!\""),
    },
    Language {
        name: "c",
        examples: Examples::Project("examples/c"),
        source: "src/node.c",
        edit: ("shout(wattle_utf8(text))", "wattle_join((wattle_text[]){shout(wattle_utf8(text)), WATTLE(\"!\")}, 2)"),
    },
    Language {
        name: "js",
        examples: Examples::Project("examples/js"),
        source: "src/node.js",
        edit: ("text.toUpperCase()", "text.toUpperCase() + \"!\""),
    },
    Language {
        name: "ts",
        examples: Examples::SameAs,
        source: "src/node.ts",
        edit: ("text.toUpperCase()", "text.toUpperCase() + \"!\""),
    },
    Language {
        name: "python",
        examples: Examples::Project("examples/python"),
        source: "src/app.py",
        edit: ("text.upper()", "text.upper() + \"!\""),
    },
    Language {
        name: "go",
        examples: Examples::Project("examples/go"),
        source: "main.go",
        edit: ("strings.ToUpper(text)", "strings.ToUpper(text)+\"!\""),
    },
];

/// Builds, checks and measures.
pub(crate) fn languages(options: &Options) -> anyhow::Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| LANGUAGES.iter().all(|l| l.name != **name)) {
        let all: Vec<&str> = LANGUAGES.iter().map(|l| l.name).collect();
        bail!("unknown language `{unknown}`; use one of {}", all.join(", "));
    }
    tools::add_languages();
    nodes::build()?;
    let wattle = nodes::build_agent()?;
    let folder = target_dir()?.join("languages");
    // Cached code of an earlier run would make the first start look fast.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut all = serde_json::Map::new();
    let mut failed = Vec::new();
    for language in LANGUAGES.iter().filter(|l| options.only.is_empty() || options.only.iter().any(|o| o == l.name)) {
        println!("\n=== {}", language.name);
        let measured = Bench { wattle: wattle.clone(), folder: folder.clone() }.language(language);
        let figures = measured.unwrap_or_else(|error| {
            println!("{error:#}");
            failed.push(language.name);
            json!({ "built": false, "problem": format!("{error:#}") })
        });
        all.insert(language.name.into(), figures);
    }
    let file = target_dir()?.join("languages.json");
    fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\n{}", table::of(&all));
    println!("written to {}", file.display());
    if !failed.is_empty() {
        bail!("some steps failed for {}", failed.join(", "));
    }
    Ok(())
}

/// Runs the agent's program in the folder of all projects.
struct Bench {
    wattle: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.wattle);
        command.args(arguments).current_dir(folder).env("WATTLE_DATA_DIR", self.folder.join("data"));
        command
    }

    /// Runs a command to its end, shows it, and answers with what it printed and the seconds it took.
    fn run(&self, folder: &Path, arguments: &[&str]) -> anyhow::Result<(String, f64)> {
        let since = Instant::now();
        let output = self.command(folder, arguments).stdin(Stdio::null()).output().context("could not start wattle")?;
        let seconds = since.elapsed().as_secs_f64();
        println!("{seconds:>7.1} s  wattle {}", arguments.join(" "));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("wattle {} ended with {}\n{printed}{said}", arguments.join(" "), output.status);
        }
        Ok((printed, seconds))
    }

    fn json(&self, folder: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
        let (printed, _) = self.run(folder, arguments)?;
        serde_json::from_str(printed.trim()).with_context(|| format!("not JSON: {printed}"))
    }

    fn language(&self, language: &Language) -> anyhow::Result<Value> {
        let steps = self.journey(language)?;
        let events = format!("{}-node", language.name);
        let columns = format!("{}-columns", language.name);
        self.run(&self.folder, &["node", "new", "--lang", language.name, "--columns", &columns])?;
        self.run(&self.folder, &["node", "build", &columns])?;
        self.run(&self.folder, &["node", "test", "--project", &columns])?;
        let (mut passed, mut total) = (0, 0);
        let mut count = |report: &Value| {
            let number = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0);
            passed += number("passed");
            total += number("passed") + number("failed");
        };
        for project in [&events, &columns] {
            count(&self.json(&self.folder, &["node", "conformance", project, "--json"])?);
        }
        let component = match language.examples {
            Examples::SameAs => None,
            Examples::Built(path) => Some(target_dir()?.join(path)),
            Examples::Project(project) => {
                let project = std::path::absolute(project)?;
                self.run(&project, &["node", "build"])?;
                Some(project.join("build/examples.wasm"))
            }
        };
        if let Some(component) = component {
            let component = component.to_string_lossy().into_owned();
            count(&self.json(&self.folder, &["node", "conformance", &component, "--examples", "--json"])?);
        }
        let bench = |project: &str| self.json(&self.folder, &["node", "bench", project, "--json"]);
        let (of_events, of_columns) = (bench(&events)?, bench(&columns)?);
        let of = |figures: &Value, key: &str| figures.get(key).cloned().unwrap_or_default();
        Ok(json!({
            "built": true,
            "conformance_passed": passed,
            "conformance_total": total,
            "size_kb": of(&of_events, "size_kb"),
            "instantiate_us": of(&of_events, "instantiate_us"),
            "compile_ms": of(&of_events, "compile_ms"),
            "ns_per_row": at_1000(&of_events),
            "ns_per_row_columns": at_1000(&of_columns),
            "fuel_per_byte": of(&of_events, "fuel_per_byte"),
            "fuel_per_byte_columns": of(&of_columns, "fuel_per_byte"),
            "memory_kb": of(&of_events, "memory_kb"),
            "cloudtrail_mb_per_s": self.in_pack(&self.folder.join(&events).join(format!("{events}.wasm")))?,
            "events": of_events,
            "columns": of_columns,
            "steps_s": steps,
        }))
    }
}

/// Nanoseconds a row in batches of 1000.
fn at_1000(figures: &Value) -> Value {
    let calls = figures.get("calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let call = calls.iter().find(|call| call.get("rows").and_then(Value::as_u64) == Some(1000));
    call.and_then(|call| call.get("ns_per_row")).cloned().unwrap_or_default()
}
