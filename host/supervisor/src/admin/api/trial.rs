//! `POST /api/v1/try`: what a pack does to the body of the request, or to recent events of a pipeline.

use hyper::StatusCode;
use hyper::body::Bytes;
use wattle_api::trial::RecentEntry;
use wattle_topology::RecentError;

use super::super::response::{Refusal, document};
use super::{Call, Reply, Task};
use crate::trial::trials::{Input, Request, RequestError};

/// The only content type. A form of another site cannot send it, and a script of another site only after a question that
/// this listener does not answer.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Checks a request before its body is read.
///
/// # Errors
///
/// Trials are not allowed, the parameters are wrong, or too many trials are under way.
pub(super) fn check(call: &Call) -> Result<(), Refusal> {
    call.query.only(&["pack", "against", "pipeline", "recent"])?;
    if !call.state.settings().can_try {
        let error = "this agent tries no packs; set `try = true` in [admin] to allow it";
        return Err(Refusal::new(StatusCode::FORBIDDEN, error));
    }
    if call.content_type.as_deref() != Some(CONTENT_TYPE) {
        let error = format!("the request needs `Content-Type: {CONTENT_TYPE}`");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    entered(call)?;
    call.state.trials().map_or(Err(RequestError::Starting), |trials| trials.check_room()).map_err(refusal)
}

/// Tries packs on the body, or on recent events.
pub(super) fn run(call: Call, body: Bytes) -> Task<Reply> {
    Box::pin(async move {
        let given = |key| call.query.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
        let mut request = Request { pack: given("pack"), against: given("against"), pipeline: given("pipeline") };
        let input = match entered(&call)? {
            None => Input::File(body),
            Some(_) if !body.is_empty() => {
                return Err(Refusal::bad_request("a trial on recent events has no body"));
            }
            Some(entered) => {
                let pipeline = pipeline(&call, request.pipeline.take())?;
                request.pipeline = Some(pipeline.clone());
                let recent = call.state.observer().taps().recent(&pipeline).map_err(no_events)?;
                Input::Recent { pipeline, recent, entered }
            }
        };
        let trials = call.state.trials().cloned().ok_or_else(|| refusal(RequestError::Starting))?;
        document(&trials.run(request, input).await.map_err(refusal)?)
    })
}

/// Where recent events enter; `None` for a trial on the body.
fn entered(call: &Call) -> Result<Option<RecentEntry>, Refusal> {
    match call.query.get("recent") {
        None => Ok(None),
        Some("taken") => Ok(Some(RecentEntry::Taken)),
        Some("input") => Ok(Some(RecentEntry::Input)),
        Some(other) => Err(Refusal::bad_request(format!(
            "bad `recent`: {other:?}; it must be `taken` for events that enter where the agent took them, or `input`"
        ))),
    }
}

/// The pipeline of a request for recent events: the named one, or the only one with events.
fn pipeline(call: &Call, named: Option<String>) -> Result<String, Refusal> {
    if let Some(named) = named {
        return Ok(named);
    }
    let taps = call.state.observer().taps().clone();
    match taps.recent_pipelines().as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(no_events(RecentError::Off)),
        several => {
            let several: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            Err(Refusal::bad_request(format!("name the `pipeline`: one of {}", several.join(", "))))
        }
    }
}

fn no_events(error: RecentError) -> Refusal {
    let status = match &error {
        RecentError::Off | RecentError::Hidden(_) => StatusCode::FORBIDDEN,
        RecentError::NoPipeline(_) => StatusCode::NOT_FOUND,
    };
    Refusal::new(status, error.to_string())
}

fn refusal(error: RequestError) -> Refusal {
    let status = match &error {
        RequestError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        RequestError::Busy | RequestError::Late => StatusCode::TOO_MANY_REQUESTS,
        RequestError::Starting => StatusCode::SERVICE_UNAVAILABLE,
        RequestError::Nothing | RequestError::Reference(_) => StatusCode::BAD_REQUEST,
        RequestError::NoPipeline(_) => StatusCode::NOT_FOUND,
        RequestError::NoEvents(_) => StatusCode::CONFLICT,
        RequestError::Invalid(_) | RequestError::Build(_) | RequestError::NoEntry { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        RequestError::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut refusal = Refusal::new(status, error.to_string());
    if let RequestError::Invalid(diagnostics) = error {
        refusal.problem.diagnostics = diagnostics;
    }
    refusal
}
