//! `wattle node run`: runs events through a node and shows what it changes.

mod show;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wattle_batch::{Batch, Outcome};
use wattle_cases::{CaseFault, Refusal, Subject as _};
use wattle_devkit::{Provided, Sandboxed};
use wattle_options::OptionError;
use wattle_runtime::Compiled;

use crate::cli::Color;
use crate::cli::node::RunOptions;
use crate::commands::changes::{Change, changes, raw};
use crate::exit::{Done, FAILED, Failure, print_json, print_styled, say};

use self::show::Painter;
use super::component::{Component, compile, runtime};
use super::project::{read_environment, report_missing_mocks};

/// The output of a node, with events as texts: they are shown as they are, also where no JSON tree can hold them.
type Ran = wattle_cases::Ran<String>;

/// Options with this key hold a list of steps, which are run one after the other.
const STEPS: &str = "steps";

/// Most steps that are shown one by one. Each has an instance with the options up to it, so many take quadratic time.
const MOST_STAGES: usize = 200;

pub(crate) fn run(options: &RunOptions, color: Color) -> Done {
    let component = Component::find(&options.component)?;
    let provided = match (&options.grants, &component.project) {
        (None, Some(project)) => project.provided.clone(),
        (grants, _) => read_environment(grants.as_deref())?,
    };
    let compiled = compile(&runtime()?, &component.artifact.name, &component.artifact)?;
    provided.check(&compiled.capabilities).map_err(Failure::config)?;
    let mut stages = Stage::all(&compiled, &provided, &component.options)?;
    let painter = Painter::new(color.wanted(std::io::stdout().is_terminal()));
    let (mut events, mut faults) = (0, 0);
    let mut input = open(options)?;
    let mut number = 0;
    while let Some(line) = next(&mut input, &mut number)? {
        events += 1;
        faults += usize::from(timers(&mut stages, false, &painter, options)?);
        let event = if options.events { line.clone() } else { json!({ "body": line }).to_string() };
        // Nodes with limits of time compare with the time of reading.
        let received = jiff::Timestamp::now().to_string();
        let read = || wattle_cases::batch_of_text(&event, &received);
        match Shown::of(&mut stages, read) {
            Ok(result) => {
                faults += usize::from(result.outcome.is_err());
                if options.component.json {
                    print_json(&serde_json::to_string(&result)?)?;
                } else {
                    print_styled(&painter.event(number, &result))?;
                }
            }
            // One line that no node could get does not end the run.
            Err(problem) => {
                faults += 1;
                let hint = "with `--events`, each line is an object such as {\"body\": \"...\", \"attributes\": {}}";
                say(&format!(
                    "line {number}: {problem}{}",
                    if options.events { format!("; {hint}") } else { String::new() }
                ));
                if options.component.json {
                    print_json(&json!({ "line": line, "problem": problem }).to_string())?;
                } else {
                    print_styled(&painter.odd(number, &line, &problem))?;
                }
            }
        }
    }
    // What the node still remembers, as at the end of `wattle run --pack`.
    faults += usize::from(timers(&mut stages, true, &painter, options)?);
    match (&options.grants, &component.project) {
        (Some(file), _) => report_missing_mocks(&provided, file),
        (None, Some(project)) => project.report_missing_mocks(),
        // Without grants of its own, a component gets no response to any request.
        (None, None) => {}
    }
    if events == 0 {
        say("the input contains no event");
    }
    if faults > 0 { Err(Failure::silent(FAILED)) } else { Ok(()) }
}

/// Calls the timers that are due, or all of them at the end, and prints what the whole node makes. Returns
/// whether a timer faulted.
fn timers(stages: &mut [Stage], is_last: bool, painter: &Painter, options: &RunOptions) -> Result<bool, Failure> {
    let Some((whole, parts)) = stages.split_last_mut() else { return Ok(false) };
    for part in parts {
        // What it makes, the whole node makes too.
        part.tick(is_last)?;
    }
    let Some(made) = whole.tick(is_last)? else { return Ok(false) };
    if options.component.json {
        let timer = Timer { timer: json!({ "is_last": is_last }), outcome: ShownOutcome::of(&made) };
        print_json(&serde_json::to_string(&timer)?)?;
    } else {
        print_styled(&painter.timer(is_last, &made))?;
    }
    Ok(made.is_err())
}

/// The input, line by line.
fn open(options: &RunOptions) -> Result<Box<dyn BufRead>, Failure> {
    if let Some(path) = &options.input {
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
        return Ok(Box::new(BufReader::new(wattle_source::text(file).map_err(|error| wrong(&error))?)));
    }
    if std::io::stdin().is_terminal() {
        say("reading one event per line; end with ctrl-d");
    }
    let input = wattle_source::text(std::io::stdin().lock());
    Ok(Box::new(BufReader::new(input.map_err(|error| Failure::new(format!("standard input: {error}")))?)))
}

/// The next line; skips empty ones. `number` counts the lines.
fn next(input: &mut dyn BufRead, number: &mut usize) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::new(format!("the input after line {number}: {error}")))? == 0 {
            return Ok(None);
        }
        *number += 1;
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        if !line.is_empty() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&line);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        say(&format!("line {number} is not UTF-8; the node gets U+FFFD in place of each invalid sequence"));
    }
    Ok(Some(text.into_owned()))
}

/// An instance with the options up to a step.
struct Stage {
    /// The step, or `None` for a node whose options have no steps.
    step: Option<Value>,
    subject: Sandboxed,
    ports: Vec<String>,
    /// The interval of its timer, and when it is due.
    timer: Option<(Duration, Instant)>,
}

impl Stage {
    /// One stage for each step, or one in all.
    fn all(compiled: &Arc<Compiled>, provided: &Provided, options: &str) -> Result<Vec<Self>, Failure> {
        let stage = |step: Option<Value>, options: &str| {
            let mut subject = Sandboxed::new(compiled.clone(), provided.clone());
            let ports = subject.configure(options).map_err(refused)?;
            let interval = subject.requests().and_then(|requests| requests.tick_milliseconds);
            // A node knows the time before its first event.
            let timer = interval.map(|interval| (Duration::from_millis(interval.into()), Instant::now()));
            Ok::<_, Failure>(Self { step, subject, ports, timer })
        };
        // First all steps together, so that an error names each wrong option with its own place.
        let whole = stage(None, options)?;
        let parsed: Value = serde_json::from_str(options)?;
        let Some(steps) = parsed.get(STEPS).and_then(Value::as_array).filter(|steps| !steps.is_empty()) else {
            return Ok(vec![whole]);
        };
        if steps.len() > MOST_STAGES {
            say(&format!("{} steps are shown together, because they are more than {MOST_STAGES}", steps.len()));
            return Ok(vec![whole]);
        }
        let up_to = |count: usize| {
            let mut options = parsed.clone();
            if let Some(options) = options.as_object_mut() {
                options.insert(STEPS.to_owned(), steps.iter().take(count).cloned().collect());
            }
            options.to_string()
        };
        steps.iter().enumerate().map(|(index, step)| stage(Some(step.clone()), &up_to(index + 1))).collect()
    }

    fn run(&mut self, event: Batch) -> Result<Result<Ran, CaseFault>, String> {
        match self.subject.process(event) {
            Ok(outcome) => Ok(Ok(self.output(outcome, 1)?)),
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn output(&self, outcome: Outcome, rows: usize) -> Result<Ran, String> {
        Ran::converted(&self.ports, outcome, rows, |batch| Ok(wattle_cases::texts(batch)))
    }

    /// Calls the timer if it is due or the run ends. Returns what it made, if anything.
    fn tick(&mut self, is_last: bool) -> Result<Option<Result<Ran, CaseFault>>, Failure> {
        let Some((interval, due)) = &mut self.timer else { return Ok(None) };
        let now = Instant::now();
        if !is_last && now < *due {
            return Ok(None);
        }
        *due = now + *interval;
        let time = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let made = match self.subject.tick(time, is_last) {
            Ok(outcome) => Ok(self.output(outcome, 0).map_err(Failure::new)?),
            Err(fault) => Err(fault),
        };
        Ok((made != Ok(Ran::default())).then_some(made))
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Options(all) => {
            let error = |(path, message): (String, String)| OptionError::of_serde(path, &message).to_string();
            let all: Vec<String> = all.into_iter().map(error).collect();
            Failure::config(all.join("\nwattle: "))
        }
        Refusal::Fault(_) => Failure::new(refusal.to_string()),
    }
}

/// What a node did with an event.
struct Shown {
    before: String,
    /// The steps that changed something.
    steps: Vec<Step>,
    /// The changes of all steps together, if one event left.
    changes: Vec<Change>,
    outcome: Result<Ran, CaseFault>,
}

/// A step that changed something.
#[derive(Serialize)]
struct Step {
    number: usize,
    step: Value,
    changes: Vec<Change>,
}

impl Shown {
    /// Runs an event, which `read` makes, through all stages. The error says why it is not an event.
    fn of(stages: &mut [Stage], read: impl Fn() -> Result<Batch, String>) -> Result<Self, String> {
        let before = wattle_cases::texts(&read()?).pop().unwrap_or_default();
        let mut shown =
            Self { before: before.clone(), steps: Vec::new(), changes: Vec::new(), outcome: Ok(Ran::default()) };
        let mut last = before;
        for (number, stage) in stages.iter_mut().enumerate() {
            shown.outcome = stage.run(read()?)?;
            // A step that fails or drops the event is the last one.
            let Some(now) = shown.outcome.as_ref().ok().and_then(only) else { break };
            let changed = changes(&last, now);
            if let Some(step) = &stage.step
                && !changed.is_empty()
            {
                shown.steps.push(Step { number, step: step.clone(), changes: changed });
            }
            last.clone_from(now);
        }
        shown.changes = changes(&shown.before, &last);
        Ok(shown)
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'s> {
            event: Option<Box<RawValue>>,
            steps: &'s [Step],
            outcome: ShownOutcome<'s>,
        }
        let event = raw(Some(self.before.clone()));
        Written { event, steps: &self.steps, outcome: ShownOutcome::of(&self.outcome) }.serialize(to)
    }
}

/// What a timer made.
#[derive(Serialize)]
struct Timer<'s> {
    timer: Value,
    outcome: ShownOutcome<'s>,
}

/// An outcome as `--json` prints it.
#[derive(Serialize)]
#[serde(untagged)]
enum ShownOutcome<'s> {
    Ran {
        ports: BTreeMap<&'s str, Vec<Option<Box<RawValue>>>>,
        failed: Vec<Option<Box<RawValue>>>,
        dropped: &'s BTreeMap<String, usize>,
        held: usize,
        counts: &'s BTreeMap<String, u64>,
    },
    Fault {
        fault: Value,
    },
}

impl<'s> ShownOutcome<'s> {
    fn of(outcome: &'s Result<Ran, CaseFault>) -> Self {
        let all = |events: &[String]| events.iter().map(|event| raw(Some(event.clone()))).collect();
        match outcome {
            Ok(ran) => Self::Ran {
                ports: ran.ports.iter().map(|(port, events)| (port.as_str(), all(events))).collect(),
                failed: all(&ran.failed),
                dropped: &ran.dropped,
                held: ran.held,
                counts: &ran.counts,
            },
            Err(fault) => Self::Fault { fault: json!({ "kind": fault.kind, "message": fault.message }) },
        }
    }
}

/// The event that left, if it is exactly one.
fn only(ran: &Ran) -> Option<&String> {
    let mut all = ran.ports.values().flatten();
    match (all.next(), all.next(), ran.failed.is_empty()) {
        (Some(event), None, true) => Some(event),
        _ => None,
    }
}
