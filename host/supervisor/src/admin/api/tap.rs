//! `GET /api/v1/tap` and `GET /api/v1/trace`: events as they pass points of the graph.
//!
//! The stream sends events as they come, and a report once a second and at the end. While a client reads slowly, this task
//! takes nothing from the subscription, whose queue is bounded as well: workers then skip events before they encode them, so
//! a client that stops reading costs nothing.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};
use wattle_api::tap::{self as document, Step};
use wattle_topology::{Filter, MAX_RATE, Subscription, TapError, TapOptions, TapReport, Tapped, Trace, TraceStep};

use super::super::response::Refusal;
use super::event_stream::{EventSender, frame};
use super::{Call, Query, Task};
use crate::time::rfc3339;

/// Events per second if a request has no rate.
const DEFAULT_RATE: u32 = 10;
/// Traces per second if a request has no rate.
const DEFAULT_TRACE_RATE: u32 = 1;
/// Maximum number of points of a request.
const MAX_POINTS: usize = 64;
/// Maximum number of filters of a request.
const MAX_FILTERS: usize = 16;
/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Feeds a tap.
pub(super) fn tap(call: &Call, sender: EventSender) -> Result<Task<()>, Refusal> {
    let options = options(&call.query, DEFAULT_RATE)?;
    if options.points.is_empty() {
        let error = "`point` is missing: name a point of the graph, such as `PIPELINE.OUTPUT`, or a pipeline for all its \
                     outputs; /api/v1/graph has them";
        return Err(Refusal::bad_request(error));
    }
    let subscription = call.state.observer().taps().subscribe(&options).map_err(refusal)?;
    Ok(Box::pin(feed(subscription, sender, Kind::Event)))
}

/// Feeds a trace.
pub(super) fn trace(call: &Call, sender: EventSender) -> Result<Task<()>, Refusal> {
    let options = options(&call.query, DEFAULT_TRACE_RATE)?;
    let subscription = call.state.observer().taps().trace(&options).map_err(refusal)?;
    Ok(Box::pin(feed(subscription, sender, Kind::Trace)))
}

#[derive(Clone, Copy)]
enum Kind {
    Event,
    Trace,
}

/// What a stream sends beside reports.
#[derive(Serialize)]
#[serde(untagged)]
enum Seen {
    Event(document::Tapped),
    Trace(document::Trace),
}

/// # Cancel safety
///
/// A cancelled call has taken nothing.
async fn next(subscription: &mut Subscription, sender: &EventSender, kind: Kind) -> Option<Seen> {
    sender.room().await;
    match kind {
        Kind::Event => subscription.next().await.map(|event| Seen::Event(tapped(event))),
        Kind::Trace => subscription.next_trace().await.map(|trace| Seen::Trace(traced(trace))),
    }
}

async fn feed(mut subscription: Subscription, sender: EventSender, kind: Kind) {
    let mut reports = interval(REPORT_INTERVAL);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Events that the client did not take.
    let mut unsent = 0;
    loop {
        tokio::select! {
            seen = next(&mut subscription, &sender, kind) => match seen {
                Some(seen @ Seen::Event(_)) => unsent += u64::from(!sender.try_send("event", &seen)),
                Some(seen @ Seen::Trace(_)) => unsent += u64::from(!sender.try_send("trace", &seen)),
                None => break,
            },
            _ = reports.tick() => {
                // The next report has the same counts.
                let _ = sender.try_send("report", &report(&subscription, unsent));
            }
        }
    }
    // The last report comes after all events, however slowly the client reads.
    let _ = sender.send(frame("report", &report(&subscription, unsent))).await;
}

/// Reads the parameters.
fn options(query: &Query, default_rate: u32) -> Result<TapOptions, Refusal> {
    query.only(&["point", "filter", "rate", "limit"])?;
    let points: Vec<String> = query.all("point").map(str::to_owned).collect();
    let filters: Vec<&str> = query.all("filter").collect();
    if points.len() > MAX_POINTS || filters.len() > MAX_FILTERS {
        let error = format!("a request takes at most {MAX_POINTS} of `point` and {MAX_FILTERS} of `filter`");
        return Err(Refusal::bad_request(error));
    }
    let filters: Result<Vec<Filter>, _> = filters.into_iter().map(Filter::parse).collect();
    let filters = filters.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let rate_rule = format!("a number of events per second from 1 to {MAX_RATE}");
    let rate = query.parsed::<u32>("rate", &rate_rule)?.unwrap_or(default_rate);
    if !(1..=MAX_RATE).contains(&rate) {
        return Err(Refusal::bad_request(format!("bad `rate`: {rate}; it must be {rate_rule}")));
    }
    let limit = query.parsed::<u64>("limit", "a number of events, at least 1")?;
    if limit == Some(0) {
        return Err(Refusal::bad_request("bad `limit`: 0; it must be a number of events, at least 1"));
    }
    Ok(TapOptions { points, filters, rate, limit })
}

fn refusal(error: TapError) -> Refusal {
    let status = match error {
        TapError::Off | TapError::Hidden { .. } => StatusCode::FORBIDDEN,
        TapError::Unknown { .. } => StatusCode::BAD_REQUEST,
        TapError::TooMany => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string())
}

/// The report of a subscription, of which the client did not take some events.
fn report(subscription: &Subscription, unsent: u64) -> document::TapReport {
    let TapReport { passed, searched, shown, skipped, missing, hidden } = subscription.report();
    document::TapReport { passed, searched, shown: shown - unsent, skipped: skipped + unsent, missing, hidden }
}

fn tapped(event: Tapped) -> document::Tapped {
    let Tapped { at, point, generation, json, is_cut, bytes } = event;
    document::Tapped {
        at: rfc3339(at),
        point: point.to_string(),
        generation,
        event: value(&json, is_cut),
        cut: is_cut,
        bytes: bytes as u64,
    }
}

fn traced(trace: Trace) -> document::Trace {
    let step = |step: TraceStep| Step {
        point: step.point.to_string(),
        event: step.json.map(|json| value(&json, step.is_cut)),
        failure: step.failure.map(|failure| document::Failure {
            node: failure.node.to_string(),
            code: failure.code.to_string(),
            message: failure.message.to_string(),
        }),
        ended: step.ended.map(|ended| ended.to_string()),
    };
    document::Trace {
        at: rfc3339(trace.at),
        generation: trace.generation,
        steps: trace.steps.into_iter().map(step).collect(),
        cut: trace.is_cut,
    }
}

/// An event as JSON, or its beginning as a text.
pub(super) fn value(json: &[u8], is_cut: bool) -> Value {
    let text = || Value::String(String::from_utf8_lossy(json).into_owned());
    if is_cut { text() } else { serde_json::from_slice(json).unwrap_or_else(|_| text()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<TapOptions, String> {
        options(&Query::parse(Some(query)), DEFAULT_RATE).map_err(|refusal| refusal.problem.error)
    }

    #[test]
    fn parameters_are_read_and_bad_ones_refused_with_the_rule() {
        let options = read("point=p.good&point=p%2Finput&filter=body.n%3D1&rate=20&limit=3").unwrap();
        assert_eq!(
            (options.points, options.rate, options.limit),
            (vec!["p.good".into(), "p/input".into()], 20, Some(3))
        );
        assert_eq!(options.filters, [Filter::parse("body.n=1").unwrap()]);
        assert_eq!(read("").unwrap().rate, 10);
        for (query, part) in [
            ("rate=0", "from 1 to 1000"),
            ("rate=1001", "from 1 to 1000"),
            ("rate=x", "from 1 to 1000"),
            ("limit=0", "at least 1"),
            ("limit=-1", "at least 1"),
            ("filter=name%3Dx", "must begin with"),
            ("points=p", "unknown parameter \"points\""),
            (&"point=p&".repeat(65), "at most 64"),
            (&"filter=body&".repeat(17), "16 of `filter`"),
        ] {
            let error = read(query).unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }

    #[test]
    fn an_event_is_json_and_the_beginning_of_one_is_a_text() {
        assert_eq!(value(br#"{"body":"x"}"#, false)["body"], "x");
        assert_eq!(value(br#"{"body":"x"#, true), Value::String("{\"body\":\"x".into()));
    }

    #[test]
    fn reasons_have_the_status_that_fits() {
        let unknown = TapError::Unknown { point: "p".into(), hint: "did you mean `q`?".into() };
        assert_eq!(refusal(unknown).status, StatusCode::BAD_REQUEST);
        let off = refusal(TapError::Off);
        assert!(off.status == StatusCode::FORBIDDEN && off.problem.error.contains("`tap = \"off\"`"));
        let masks = ["p/mask".to_owned()].into();
        let hidden = refusal(TapError::Hidden { point: "p/input".into(), masks });
        assert!(hidden.status == StatusCode::FORBIDDEN && hidden.problem.error.contains("`p/mask`"));
        assert_eq!(refusal(TapError::TooMany).status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
