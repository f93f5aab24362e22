//! Puts records into the registry, and ends their acknowledgements.

use std::convert::Infallible;
use std::time::Duration;

use prost::Message as _;
use tokio::time::Instant;

use super::Exposed;
use super::options::Settings;
use super::record::Record;
use super::registry::{Limits, RefusedRecord, Registry};
use crate::batcher::RequestBatch;
use crate::dead_letter::DeadLetters;
use crate::prometheus::{number, samples_of};
use crate::refusal::refusal;
use crate::retry::Backoff;
use crate::sink::SinkContext;

/// Events that are put into the registry while it is locked.
const PART_EVENTS: usize = 256;

/// Bounds of the wait before the dead-letter file is written again.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// Bounds of the interval at which expired series are removed without a scrape.
const MIN_EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_EXPIRY_INTERVAL: Duration = Duration::from_mins(1);

/// Delivers or rejects everything in the queue until it is closed and empty.
pub(super) async fn run(settings: &Settings, context: &SinkContext, exposed: &Exposed) {
    let (name, stats, path) = (context.name.clone(), context.stats.clone(), settings.dead_letter.clone());
    let backoff = Backoff::new(FIRST_BACKOFF, LAST_BACKOFF);
    let dead_letters = DeadLetters::new(name, settings.address.clone(), stats, path, backoff).of_messages(letter);
    while let Some(payload) = context.input.pop().await {
        let mut rest = RequestBatch::of(payload);
        while rest.len() > 0 {
            let mut part = rest.split_first(PART_EVENTS);
            let mut reasons = Vec::new();
            let refused = take_over(&mut part, &mut exposed.registry.lock(), &settings.limits, &mut reasons);
            part.deliver(&context.stats);
            if refused.len() > 0 {
                dead_letters.refuse(refused, reasons).await;
            }
            // A scrape can come in between.
            tokio::task::yield_now().await;
        }
    }
}

/// Puts events into the registry. Takes out those that it refuses, each with its reason.
fn take_over(
    part: &mut RequestBatch,
    registry: &mut Registry,
    limits: &Limits,
    reasons: &mut Vec<(usize, String)>,
) -> RequestBatch {
    let now = Instant::now();
    let is_refused = |event: &[u8]| -> Result<bool, Infallible> {
        let reason = match refusal(event) {
            Some((reason, _)) => Some(reason.to_owned()),
            None => apply(event, registry, limits, now).err().map(|refused| refused.to_string()),
        };
        let is_refused = reason.is_some();
        reasons.extend(reason.map(|reason| (1, reason)));
        Ok(is_refused)
    };
    let Ok(refused) = part.take_out(is_refused);
    refused
}

fn apply(event: &[u8], registry: &mut Registry, limits: &Limits, now: Instant) -> Result<(), RefusedRecord> {
    let record = Record::decode(event).map_err(|_| RefusedRecord::Format)?;
    registry.apply(record, limits, now)
}

/// Removes expired series, so that they need no memory if scrapes stop. Never returns.
pub(super) async fn expire(settings: &Settings, exposed: &Exposed) -> Infallible {
    let after = settings.limits.expire_after;
    let interval = (after / 10).clamp(MIN_EXPIRY_INTERVAL, MAX_EXPIRY_INTERVAL);
    loop {
        tokio::time::sleep(interval).await;
        exposed.registry.lock().expire(after, Instant::now());
    }
}

/// What the dead letters have of an event: its samples as text with times in milliseconds, or the event if no record could
/// be made of it.
fn letter(event: &[u8]) -> Vec<u8> {
    match (refusal(event), Record::decode(event)) {
        (Some((_, event)), _) => event.to_vec(),
        (None, Ok(record)) => text(record).into_bytes(),
        (None, Err(_)) => event.to_vec(),
    }
}

fn text(record: Record) -> String {
    let Record { name, labels, time, value, .. } = record;
    let samples = value.map(|value| samples_of(&value.read())).unwrap_or_default();
    let line = |sample: crate::prometheus::Sample| {
        let own = sample.label.map(|(label, value)| format!("{label}=\"{value}\""));
        let labels = [Some(labels.clone()).filter(|labels| !labels.is_empty()), own];
        let labels: Vec<String> = labels.into_iter().flatten().collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        format!("{name}{}{braces} {} {time}", sample.suffix, number(sample.value))
    };
    samples.into_iter().map(line).collect::<Vec<_>>().join("\n")
}
