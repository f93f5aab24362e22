//! The examples of a node's README.

use std::fmt::Display;
use std::path::Path;

use serde_json::Value;
use wattle_cases::Mocks;

use super::{facts, tables};
use crate::native::Native;
use crate::node::Node;

/// The code blocks of a language in a Markdown file, in their order.
///
/// # Errors
///
/// The file cannot be read.
pub fn code_blocks(path: &Path, language: &str) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1).map(|part| part.split("```").next().unwrap_or_default().to_owned());
    Ok(blocks.collect())
}

/// Reads the options of every node of this type from the README.md of a folder, checks that the node accepts them, and
/// that the first ones are those of the case `tests/cases/readme.json`. Returns that case.
///
/// `parse` reads TOML, such as `|text| toml::from_str(text)`.
///
/// # Errors
///
/// There is no example, an example is not valid, or the case has other options.
pub fn check_readme<N: Node, E: Display>(
    folder: &Path,
    parse: impl Fn(&str) -> Result<Value, E>,
) -> Result<Value, String> {
    let case = folder.join("tests/cases/readme.json");
    let case = std::fs::read_to_string(&case).map_err(|e| format!("{}: {e}", case.display()))?;
    let case: Value = serde_json::from_str(&case).map_err(|e| e.to_string())?;
    let mocks = Mocks::read(case.get("mocks").unwrap_or(&serde_json::json!({})))?;
    tables::set(&mocks.lookup);
    facts::set(&mocks);
    let mut found = Vec::new();
    for block in code_blocks(&folder.join("README.md"), "toml")? {
        let example = parse(&block).map_err(|e| format!("{e}: {block}"))?;
        let nodes = example.get("nodes").and_then(Value::as_object).into_iter().flatten();
        let artifact = format!("builtin:{}", N::NAME);
        let own = nodes.filter(|(_, node)| node.get("artifact").and_then(Value::as_str) == Some(&*artifact));
        found.extend(own.map(|(_, node)| node.get("options").cloned().unwrap_or_else(|| serde_json::json!({}))));
    }
    for options in &found {
        Native::<N>::configure("node", &options.to_string()).map_err(|errors| format!("{options}: {errors:?}"))?;
    }
    let first = found.first().ok_or("README.md has no example of the node")?;
    match case.get("options") {
        Some(options) if options == first => Ok(case),
        options => Err(format!("README.md has {first}, its case {options:?}")),
    }
}
