//! The steps of a case: batches, ticks and restarts.

use serde_json::{Map, Value};
use wattle_batch::parse_rfc3339;

/// One step of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A batch of these events.
    Events { events: Vec<Value>, is_redelivered: bool },
    /// A call of the timer, with the time in nanoseconds since the epoch.
    Tick { now: i64, is_last: bool },
    /// A fresh instance with the state of the previous one.
    Restart,
}

/// Reads `steps`, or `input` with `rows_per_batch` and `restarts`.
///
/// # Errors
///
/// The key that is missing or invalid.
pub(crate) fn read(case: &Map<String, Value>) -> Result<Vec<Step>, String> {
    let Some(steps) = case.get("steps") else { return read_input(case) };
    if let Some(key) = ["input", "rows_per_batch", "restarts"].into_iter().find(|key| case.contains_key(*key)) {
        return Err(format!("a case with `steps` cannot have `{key}`"));
    }
    let steps = steps.as_array().ok_or("`steps` must be an array of objects")?;
    steps.iter().enumerate().map(|(index, step)| read_step(step).map_err(|e| format!("steps[{index}]: {e}"))).collect()
}

fn read_step(step: &Value) -> Result<Step, String> {
    let kinds = "a step is an object with one of `events`, `tick` and `restart`";
    let step = step.as_object().ok_or(kinds)?;
    let flag = |key: &str| match step.get(key) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or(format!("`{key}` must be `true` or `false`")),
    };
    let (read, allowed) = if let Some(events) = step.get("events") {
        let events = events.as_array().ok_or("`events` must be an array")?.clone();
        (Step::Events { events, is_redelivered: flag("redelivered")? }, ["events", "redelivered"])
    } else if let Some(tick) = step.get("tick") {
        let now = tick.as_str().and_then(parse_rfc3339).ok_or("`tick` must be a time such as 2024-05-01T00:00:00Z")?;
        (Step::Tick { now, is_last: flag("last")? }, ["tick", "last"])
    } else if flag("restart")? {
        (Step::Restart, ["restart", ""])
    } else {
        return Err(kinds.into());
    };
    match step.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown key `{key}`; {kinds}")),
        None => Ok(read),
    }
}

fn read_input(case: &Map<String, Value>) -> Result<Vec<Step>, String> {
    let input = case.get("input").and_then(Value::as_array).ok_or("`input` is missing")?;
    let rows = case.get("rows_per_batch").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let rows_per_batch = usize::try_from(rows).unwrap_or(usize::MAX).max(1);
    let restarts = match case.get("restarts") {
        None => false,
        Some(restarts) => restarts.as_bool().ok_or("`restarts` must be `true` or `false`")?,
    };
    let batches = input.chunks(rows_per_batch).enumerate().flat_map(|(number, events)| {
        let restart = (restarts && number > 0).then_some(Step::Restart);
        restart.into_iter().chain([Step::Events { events: events.to_vec(), is_redelivered: false }])
    });
    Ok(batches.collect())
}
