//! Checks a component before it sees any event: imports, description, options.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use wattle_capability::Capability;
use wattle_plan::Artifact;
use wattle_runtime::{Compiled, Refused, Runtime};

use super::{Report, Subject};

/// Everything that a node can import in addition to capabilities.
const INTERFACES: &[&str] = &["types", "fields", "batch", "events", "diagnostics"];

/// Number of fresh instances that get the same options.
const AGAIN: usize = 20;

/// Runs the checks; returns whether the options were accepted.
pub(super) fn checks(report: &mut Report, runtime: &Arc<Runtime>, artifact: &Artifact, node: &Subject<'_>) -> bool {
    let options = node.options;
    report.check("imports", || {
        let seen = wattle_runtime::inspect(runtime, artifact).map_err(|e| e.message)?;
        let declared = |import: &String| {
            let name = import.strip_prefix("wattle:node/").and_then(|rest| rest.split(['@', '#']).next());
            name.is_some_and(|name| INTERFACES.contains(&name)) || Capability::of_import(import).is_some()
        };
        match seen.imports.iter().find(|import| !declared(import)) {
            Some(foreign) => Err(format!("imports `{foreign}`, which the contract does not have")),
            None => Ok(()),
        }
    });
    report.check("describe", || describe(node.compiled));
    if !node.compiled.capabilities.is_empty()
        && !report.check("granted", || node.provided.check(&node.compiled.capabilities))
    {
        return false;
    }
    let configure = |options: &str| node.configure(options);
    let taken = report.check("options-taken", || {
        let instance = configure(options).map_err(|refused| match refused {
            Refused::Options(all) => {
                let all: Vec<String> = all.iter().map(|e| format!("`{}`: {}", e.path, e.message)).collect();
                format!("{}; set valid options with --options", all.join("; "))
            }
            Refused::Fault(fault) => fault.to_string(),
        })?;
        let ports = &instance.info().ports;
        let once: BTreeSet<&String> = ports.iter().collect();
        if once.len() == ports.len() { Ok(()) } else { Err(format!("ports are named twice: {}", ports.join(", "))) }
    });
    if !taken {
        return false;
    }
    for (name, wrong) in [
        ("options-unknown-refused", with_unknown(options)),
        ("options-no-object-refused", "[1, 2]".to_owned()),
        ("options-no-json-refused", "{\"cut".to_owned()),
    ] {
        report.check(name, || match configure(&wrong) {
            Ok(_) => Err(format!("accepts the options `{wrong}`; it must report misspelt options")),
            Err(Refused::Fault(fault)) => Err(format!("faults on the options `{wrong}`: {fault}")),
            Err(Refused::Options(all)) if all.is_empty() => Err("refuses options without a reason".into()),
            Err(Refused::Options(all)) => match all.iter().find(|e| e.message.trim().is_empty()) {
                Some(error) => Err(format!("`{}` is refused without a message", error.path)),
                None => Ok(()),
            },
        });
    }
    report.check("options-again", || {
        let first = configure(options).map_err(|_| "refused the second time")?;
        for _ in 0..AGAIN {
            let other = configure(options).map_err(|_| "refused later on")?;
            if other.info().ports != first.info().ports || other.info().fields != first.info().fields {
                return Err("the same options gave other ports or fields".into());
            }
        }
        Ok(())
    });
    true
}

fn describe(compiled: &Compiled) -> Result<(), String> {
    let described = &compiled.description;
    if !is_kebab(&described.name) {
        return Err(format!("name `{}` is not in kebab-case", described.name));
    }
    if let Err(error) = semver::Version::parse(&described.version) {
        return Err(format!("version `{}` is not a semantic version: {error}", described.version));
    }
    if described.summary.trim().is_empty() {
        return Err("the summary is empty".into());
    }
    match serde_json::from_str::<Value>(&described.options_schema) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err("the schema of the options is not an object".into()),
        Err(error) => Err(format!("the schema of the options is not JSON: {error}")),
    }
}

/// Whether a text consists of lower-case letters, digits and single hyphens, beginning with a
/// letter.
pub(super) fn is_kebab(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.split('-').all(word)
}

fn with_unknown(options: &str) -> String {
    let mut options: Value = serde_json::from_str(options).unwrap_or_default();
    if let Some(object) = options.as_object_mut() {
        object.insert("no_such_option_of_any_node".into(), true.into());
    }
    options.to_string()
}
