//! Case files of nodes: an input, and the expected events of each port.
//!
//! A case file is JSON: `{"options": {…}, "input": [event, …], "expected": {"<port>": [event, …],
//! "failed": […], "dropped": {"<code>": 2}}}`. An input event has `body` (a string, or any other
//! JSON value, which becomes its compact text) and optionally `attributes` and `timestamp`. An
//! expected event has the keys to compare, in the form of the `json` codec (`body`, `attributes`,
//! `timestamp`, `failure`); [`compare()`] describes the comparison.
//!
//! Instead of `expected`, a case can have `"fault": {"kind": "trap", "message": "a part of it"}`
//! for a call that faults, or, without an input, `"options_errors": ["rules[0].pattern: a part of
//! the message"]` for refused options. `"rows_per_batch": 2` splits the input into batches, which
//! one instance receives one after the other; with `"restarts": true` each batch goes to a fresh
//! instance with the state of the previous one.
//!
//! Instead of `input`, a case of a node with memory can have `steps`, in order: `{"events": [event,
//! …]}` is a batch (with `"redelivered": true` one that the source offered before), `{"tick":
//! "2024-05-01T00:00:00Z"}` a call of its timer (with `"last": true` the last one), and `{"restart":
//! true}` a fresh instance with the state of the previous one. `expected.held` is the number of rows
//! that ended in the memory of the node.
//!
//! `"counts": {"<name>": 3}` has all counts of the node; without it, counts are not compared.
//!
//! `"requests": {"tick_milliseconds": 1000, "sharing": {"key": ["body.host"]}}` is what the node must
//! ask for while it is configured; `sharing` can also be `"worker"` (the default) and `"single"`.
//!
//! `"mocks"` sets the responses of capabilities, `"log"` and `"metrics"` what the node must write
//! to them: see [`Mocks`].
//!
//! A [`Subject`] runs a case: a component in its sandbox, or a node that is linked natively.

mod compare;
mod event;
mod events;
mod mocks;
mod requests;
mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use wattle_batch::{Batch, Outcome};

pub use event::{EVENT_KEYS, Mismatch, compare, expectation};
pub use events::{Ran, batch, batch_of_text, events, texts};
use steps::Step;

pub use mocks::{FACTS, MockAnswer, MockKind, MockTable, Mocks, Observed};
pub use requests::{Requests, Sharing};

/// A node under test that can be configured and receive batches.
pub trait Subject {
    /// Sets the responses of capabilities from the next instance on. Called before each case.
    ///
    /// # Errors
    ///
    /// It has no capabilities that could be mocked.
    fn mock(&mut self, mocks: &Mocks) -> Result<(), String> {
        if *mocks == Mocks::default() { Ok(()) } else { Err("mocks are for nodes in the sandbox".into()) }
    }

    /// Effects of the last instance on its capabilities.
    fn observed(&self) -> Observed {
        Observed::default()
    }

    /// Creates an instance with these options, a JSON object as text, and returns its ports.
    ///
    /// # Errors
    ///
    /// It refuses the options, or faults.
    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal>;

    /// What the last instance asked for while it was configured, if the subject can say.
    fn requests(&self) -> Option<Requests> {
        None
    }

    /// Creates an instance with the same options and the state of the previous one.
    ///
    /// # Errors
    ///
    /// The node is stateless, or cannot restore its own state.
    fn restart(&mut self) -> Result<(), String> {
        Err("restarts are for nodes in the sandbox".into())
    }

    /// Processes a batch on that instance.
    ///
    /// # Errors
    ///
    /// The call faulted.
    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault>;

    /// Calls the timer of that instance. `now` is in nanoseconds since the epoch.
    ///
    /// # Errors
    ///
    /// The node has no timer, or the call faulted.
    fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, CaseFault> {
        let _ = (now, is_last);
        Err(CaseFault { kind: "node-error".into(), message: "ticks are for nodes with a timer".into() })
    }
}

/// Why a node was not configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It refused its options: the path and message of each error.
    Options(Vec<(String, String)>),
    /// It faulted.
    Fault(CaseFault),
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFault {
    /// Kind in kebab-case, such as `trap` or `node-error`.
    pub kind: String,
    /// What happened.
    pub message: String,
}

impl std::fmt::Display for CaseFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Options(errors) => {
                let errors: Vec<String> = errors.iter().map(|(path, message)| format!("`{path}`: {message}")).collect();
                write!(f, "options refused: {}", errors.join("; "))
            }
            Self::Fault(fault) => write!(f, "faulted in `configure`: {fault}"),
        }
    }
}

/// The expected result of a case.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    /// Events by port.
    Events(Map<String, Value>),
    /// A fault of this kind, whose message contains this text.
    Fault(String, String),
    /// Refused options, each error as `path: a part of the message`.
    OptionErrors(Vec<String>),
}

/// A case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    options: Value,
    steps: Vec<Step>,
    mocks: Mocks,
    effects: mocks::Effects,
    counts: Option<BTreeMap<String, u64>>,
    requests: Option<Requests>,
    expected: Expected,
}

const KEYS: &[&str] = &[
    "options",
    "input",
    "steps",
    "expected",
    "fault",
    "options_errors",
    "rows_per_batch",
    "restarts",
    "counts",
    "requests",
    "mocks",
    "log",
    "metrics",
    "description",
];

impl Case {
    /// Parses a case.
    ///
    /// # Errors
    ///
    /// It is not JSON, has an unknown key, or lacks one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let case: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if let Some(key) = case.keys().find(|k| !KEYS.contains(&k.as_str())) {
            return Err(format!("unknown key `{key}`; available: {}", KEYS.join(", ")));
        }
        let options = case.get("options").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let mocks = case.get("mocks").map(Mocks::read).transpose()?.unwrap_or_default();
        let effects = mocks::Effects::read(&case)?;
        let counts = case.get("counts").map(compare::read_counts).transpose()?;
        let requests = case.get("requests").map(Requests::read).transpose()?;
        if let Some(wanted) = case.get("options_errors").and_then(Value::as_array) {
            let wanted = wanted.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let (steps, expected) = (Vec::new(), Expected::OptionErrors(wanted));
            return Ok(Self { options, steps, mocks, effects, counts, requests, expected });
        }
        let steps = steps::read(&case)?;
        let expected = match (case.get("fault"), case.get("expected")) {
            (Some(fault), None) => {
                let text = |key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                Expected::Fault(text("kind"), text("message"))
            }
            (None, Some(expected)) => Expected::Events(
                expected.as_object().ok_or("`expected` must be an object with a key for each port")?.clone(),
            ),
            _ => return Err("a case must have one of `expected`, `fault` and `options_errors`".into()),
        };
        Ok(Self { options, steps, mocks, effects, counts, requests, expected })
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// Every difference, one per line.
    pub fn run(&self, subject: &mut dyn Subject) -> Result<(), String> {
        subject.mock(&self.mocks)?;
        let configured = subject.configure(&self.options.to_string());
        let ports = match (configured, &self.expected) {
            (Err(Refusal::Options(errors)), Expected::OptionErrors(wanted)) => {
                return compare::option_errors(wanted, &errors);
            }
            (Err(Refusal::Fault(fault)), Expected::Fault(kind, part)) => return compare::fault(kind, part, &fault),
            (Err(refusal), _) => return Err(refusal.to_string()),
            (Ok(_), Expected::OptionErrors(_)) => return Err("the options were accepted".into()),
            (Ok(ports), _) => ports,
        };
        if let Some(requests) = &self.requests {
            requests.compare(subject.requests().as_ref())?;
        }
        let mut all = Ran::default();
        for step in &self.steps {
            let (done, rows) = match step {
                Step::Restart => {
                    subject.restart()?;
                    continue;
                }
                Step::Tick { now, is_last } => (subject.tick(*now, *is_last), 0),
                Step::Events { events, is_redelivered } => {
                    let given = batch(events)?;
                    let given = if *is_redelivered { given.redelivered() } else { given };
                    (subject.process(given), events.len())
                }
            };
            match (done, &self.expected) {
                (Ok(outcome), _) => all.add(Ran::of(&ports, outcome, rows)?),
                (Err(fault), Expected::Fault(kind, part)) => return compare::fault(kind, part, &fault),
                (Err(fault), _) => return Err(fault.to_string()),
            }
        }
        match &self.expected {
            Expected::Events(expected) => {
                compare::events(expected, &all)?;
                compare::counts(self.counts.as_ref(), &all.counts)?;
                self.effects.compare(&subject.observed())
            }
            Expected::Fault(kind, _) => Err(format!("expected the fault `{kind}`, but the call succeeded")),
            Expected::OptionErrors(_) => Ok(()),
        }
    }
}

/// Results of the case files of a folder.
#[derive(Clone, Debug, Default)]
pub struct Results(pub BTreeMap<String, Result<(), String>>);

/// Runs every `*.json` case file of a folder whose name contains `filter`.
///
/// # Errors
///
/// The folder cannot be read.
pub fn run_folder(folder: &Path, filter: &str, subject: &mut dyn Subject) -> Result<Results, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|e| Some(e.ok()?.path()));
    let mut results = Results::default();
    for path in paths.filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(filter) {
            results.0.insert(name, run_file(&path, subject));
        }
    }
    Ok(results)
}

fn run_file(path: &PathBuf, subject: &mut dyn Subject) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    Case::parse(&text)?.run(subject)
}

#[cfg(test)]
mod tests;
