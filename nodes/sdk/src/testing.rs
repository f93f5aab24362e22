//! Runs a node over events natively: in unit tests, and from case files in the format of
//! [`wattle_cases`].

mod readme;
mod snapshots;

use std::path::Path;

use serde_json::Value;
use wattle_batch::{Batch, Outcome};
use wattle_cases::{CaseFault, Mocks, Refusal, Requests, Subject};

pub use self::readme::{check_readme, code_blocks};
pub use self::snapshots::{check_damaged_snapshots, check_forged_snapshots};
pub use wattle_cases::Ran;

use crate::capabilities::native::{facts, forget_claims, tables};
use crate::native::{CallError, Native};
use crate::node::{Node, OptionError, Sharing, Snapshot, Stateful, Timed};

/// A natively linked node, in a case.
struct Linked<N> {
    node: Option<Native<N>>,
    options: String,
    memory: Option<Memory<N>>,
}

/// The functions of a node with state and a timer.
struct Memory<N> {
    tick: fn(&mut Native<N>, i64, bool) -> Result<Outcome, CallError>,
    save: fn(&Native<N>) -> Snapshot,
    restore: fn(&mut Native<N>, Vec<Snapshot>) -> Result<(), String>,
}

impl<N: Node> Linked<N> {
    fn new() -> Self {
        Self { node: None, options: String::new(), memory: None }
    }
}

impl<N: Stateful + Timed> Linked<N> {
    fn timed() -> Self {
        let memory = Memory { tick: Native::tick, save: Native::save, restore: Native::restore };
        Self { memory: Some(memory), ..Self::new() }
    }
}

fn case_fault(error: CallError) -> CaseFault {
    let fault = |kind: &str, message: String| CaseFault { kind: kind.into(), message };
    match error {
        CallError::Invalid(error) => fault("invalid-decision", error.to_string()),
        CallError::Node(error) => fault("node-error", error),
    }
}

impl<N: Node> Subject for Linked<N> {
    fn mock(&mut self, mocks: &Mocks) -> Result<(), String> {
        tables::set(&mocks.lookup);
        facts::set(mocks);
        // Called before each case.
        forget_claims();
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
        self.node = Some(node);
        options.clone_into(&mut self.options);
        Ok(ports)
    }

    fn requests(&self) -> Option<Requests> {
        let requested = self.node.as_ref()?.requested();
        let sharing = match &requested.sharing {
            Sharing::Worker => wattle_cases::Sharing::Worker,
            Sharing::Single => wattle_cases::Sharing::Single,
            Sharing::Key(paths) => wattle_cases::Sharing::Key(paths.clone()),
        };
        let tick_milliseconds = requested.tick.and_then(|tick| u32::try_from(tick.as_millis()).ok());
        Some(Requests { tick_milliseconds, sharing })
    }

    fn restart(&mut self) -> Result<(), String> {
        let missing = "the node has no state that this test can restore";
        let (Some(memory), Some(node)) = (&self.memory, &self.node) else { return Err(missing.into()) };
        let saved = (memory.save)(node);
        let mut next = Native::<N>::configure("node", &self.options).map_err(|e| format!("{e:?}"))?;
        (memory.restore)(&mut next, vec![saved])?;
        self.node = Some(next);
        Ok(())
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        let unconfigured = CaseFault { kind: "node-error".into(), message: "it was not configured".into() };
        self.node.as_mut().ok_or(unconfigured)?.process(batch).map_err(|error| case_fault(error.1))
    }

    fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, CaseFault> {
        match (&self.memory, &mut self.node) {
            (Some(memory), Some(node)) => (memory.tick)(node, now, is_last).map_err(case_fault),
            _ => Err(CaseFault { kind: "node-error".into(), message: "the node has no timer".into() }),
        }
    }
}

/// Configures a node with options and runs it over one batch of events.
///
/// # Errors
///
/// The options or events are invalid, or the node returned an error.
pub fn run<N: Node>(options: &Value, events: &[Value]) -> Result<Ran, String> {
    let mut node = Linked::<N>::new();
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
    run_folder(folder, &mut Linked::<N>::new())
}

/// Like [`run_cases`], for a node with state and a timer, whose cases can have ticks and restarts.
///
/// # Errors
///
/// As [`run_cases`].
pub fn run_timed_cases<N: Stateful + Timed>(folder: &Path) -> Result<(), String> {
    run_folder(folder, &mut Linked::<N>::timed())
}

fn run_folder(folder: &Path, subject: &mut dyn Subject) -> Result<(), String> {
    let results = wattle_cases::run_folder(folder, "", subject)?.0;
    if results.is_empty() {
        return Err(format!("no case in {}", folder.display()));
    }
    let wrong: Vec<String> =
        results.iter().filter_map(|(name, done)| Some(format!("{name}: {}", done.as_ref().err()?))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
