//! `POST /api/v1/try`: what a pack does to the body of the request.

use hyper::StatusCode;
use hyper::body::Bytes;

use super::super::response::{Refusal, document};
use super::{Call, Reply, Task};
use crate::trial::trials::{Request, RequestError};

/// The only content type. A form of another site cannot send it, and a script of another site only after a question that
/// this listener does not answer.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Tries packs on the body.
pub(super) fn run(call: Call, body: Bytes) -> Task<Reply> {
    Box::pin(async move {
        call.query.only(&["pack", "against", "pipeline"])?;
        if !call.state.settings().can_try {
            let error = "this agent tries no packs; set `try = true` in [admin] to allow it";
            return Err(Refusal::new(StatusCode::FORBIDDEN, error));
        }
        if call.content_type.as_deref() != Some(CONTENT_TYPE) {
            let error = format!("the request needs `Content-Type: {CONTENT_TYPE}`");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let given = |key| call.query.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
        let request = Request { pack: given("pack"), against: given("against"), pipeline: given("pipeline") };
        let trials = call.state.trials().cloned().ok_or_else(|| refusal(RequestError::Starting))?;
        document(&trials.run(request, body).await.map_err(refusal)?)
    })
}

fn refusal(error: RequestError) -> Refusal {
    let status = match &error {
        RequestError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        RequestError::Busy => StatusCode::TOO_MANY_REQUESTS,
        RequestError::Starting => StatusCode::SERVICE_UNAVAILABLE,
        RequestError::Nothing | RequestError::Reference(_) => StatusCode::BAD_REQUEST,
        RequestError::NoPipeline(_) => StatusCode::NOT_FOUND,
        RequestError::Invalid(_) | RequestError::Build(_) => StatusCode::UNPROCESSABLE_ENTITY,
        RequestError::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut refusal = Refusal::new(status, error.to_string());
    if let RequestError::Invalid(diagnostics) = error {
        refusal.problem.diagnostics = diagnostics;
    }
    refusal
}
