//! Runs a node over events natively: in unit tests, and from case files in the format of
//! [`wattle_cases`].

use std::path::Path;

use serde_json::Value;
use wattle_batch::{Batch, Outcome};
use wattle_cases::{CaseFault, Mocks, Refusal, Subject};

pub use wattle_cases::Ran;

use crate::capabilities::native::{facts, tables};
use crate::native::{CallError, Native};
use crate::node::{Node, OptionError};

/// A natively linked node, in a case.
struct Linked<N>(Option<Native<N>>);

impl<N: Node> Subject for Linked<N> {
    fn mock(&mut self, mocks: &Mocks) -> Result<(), String> {
        tables::set(&mocks.lookup);
        facts::set(mocks);
        let served = Mocks { lookup: mocks.lookup.clone(), host: mocks.host.clone(), ..Mocks::default() };
        if *mocks == served {
            Ok(())
        } else {
            Err("mocks other than `lookup` and `host` are for nodes in the sandbox".into())
        }
    }

    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal> {
        let node = Native::<N>::configure("node", options)
            .map_err(|all| Refusal::Options(all.into_iter().map(|e| (e.path, e.message)).collect()))?;
        let ports = node.info().ports.clone();
        self.0 = Some(node);
        Ok(ports)
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        let fault = |kind: &str, message: String| CaseFault { kind: kind.into(), message };
        let Some(node) = &mut self.0 else { return Err(fault("node-error", "it was not configured".into())) };
        node.process(batch).map_err(|e| match e.1 {
            CallError::Invalid(error) => fault("invalid-decision", error.to_string()),
            CallError::Node(error) => fault("node-error", error),
        })
    }
}

/// Configures a node with options and runs it over one batch of events.
///
/// # Errors
///
/// The options or events are invalid, or the node returned an error.
pub fn run<N: Node>(options: &Value, events: &[Value]) -> Result<Ran, String> {
    let mut node = Linked::<N>(None);
    let ports = node.configure(&options.to_string()).map_err(|e| e.to_string())?;
    let outcome = node.process(wattle_cases::batch(events)?).map_err(|e| e.to_string())?;
    Ran::of(&ports, outcome, events.len())
}

/// Runs a node over bodies only.
///
/// # Errors
///
/// As [`run`].
pub fn run_bodies<N: Node>(options: &Value, bodies: &[&str]) -> Result<Ran, String> {
    let events: Vec<Value> = bodies.iter().map(|b| serde_json::json!({ "body": b })).collect();
    run::<N>(options, &events)
}

/// Sets the tables that nodes of this thread find until the next call, in the form of
/// `mocks.lookup` of a case: `{"accounts": {"key": "id", "rows": [{"id": "1", "name": "prod"}]}}`.
///
/// # Errors
///
/// A table does not have this form.
pub fn set_tables(tables: &Value) -> Result<(), String> {
    let mocks = Mocks::read(&serde_json::json!({ "lookup": tables }))?;
    tables::set(&mocks.lookup);
    Ok(())
}

/// The errors of a node for options that it must refuse.
pub fn option_errors<N: Node>(options: &Value) -> Vec<OptionError> {
    Native::<N>::configure("node", &options.to_string()).err().unwrap_or_default()
}

/// Compares the committed schema of a node's options with the schema of their type. Rewrites the
/// file if `UPDATE_EXPECT=1` is set in the environment.
///
/// # Errors
///
/// The file differs, or cannot be read or written.
pub fn check_schema<O: schemars::JsonSchema>(path: &Path) -> Result<(), String> {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(O)).map_err(|e| e.to_string())? + "\n";
    let shown = |e: std::io::Error| format!("{}: {e}", path.display());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &schema).map_err(shown)?;
    }
    if std::fs::read_to_string(path).map_err(shown)? == schema {
        Ok(())
    } else {
        Err(format!("{} is out of date; run the test with UPDATE_EXPECT=1", path.display()))
    }
}

/// Checks that a node refuses options with exactly these errors, in order: the path of each, and a
/// part of its message.
///
/// # Errors
///
/// The actual errors.
pub fn check_refusal<N: Node>(options: &Value, expected: &[(&str, &str)]) -> Result<(), String> {
    let errors = option_errors::<N>(options);
    let meets =
        |(error, (path, part)): (&OptionError, &(&str, &str))| error.path == *path && error.message.contains(part);
    if errors.len() == expected.len() && errors.iter().zip(expected).all(meets) {
        Ok(())
    } else {
        Err(format!("{options}: {errors:?}"))
    }
}

/// Runs every `*.json` case file of a folder.
///
/// # Errors
///
/// All differences, or the fact that the folder has no case.
pub fn run_cases<N: Node>(folder: &Path) -> Result<(), String> {
    let results = wattle_cases::run_folder(folder, "", &mut Linked::<N>(None))?.0;
    if results.is_empty() {
        return Err(format!("no case in {}", folder.display()));
    }
    let wrong: Vec<String> =
        results.iter().filter_map(|(name, done)| Some(format!("{name}: {}", done.as_ref().err()?))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
