//! The API `/api/v1`, which the admin listener and the control socket serve with the same code.
//!
//! # To add a request
//!
//! Add a row to [`REQUESTS`] and a function. A [`Handler::Document`] returns a response at once, a [`Handler::Stream`]
//! feeds an [`EventSender`] until the client leaves, and a [`Handler::Post`] receives a bounded body. The types of all
//! documents are in `wattle-api`; add a new one to `schema.rs`.

mod event_stream;
mod failures;
pub(crate) mod graph;
mod guard;
mod history;
mod live;
pub(crate) mod packs;
mod query;
mod schema;
mod shadows;
mod tap;
mod trial;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use wattle_api::Index;

pub(crate) use self::event_stream::EventSender;
pub(crate) use self::guard::check;
pub(crate) use self::live::Live;
pub(crate) use self::query::Query;
use super::connection::{Connection, Server};
use super::response::{Body, Refusal, document};
use super::state::State;
use super::status;
use crate::trial::trials::MAX_INPUT_BYTES;

/// Path of version 1.
pub(crate) const ROOT: &str = "/api/v1";

/// Time for a trial: its own limit, and the time to compile a pack that does not run yet.
const TRIAL_TIMEOUT: Duration = Duration::from_mins(2);

/// A future of a handler.
pub(crate) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The response to a request, or the refusal.
pub(crate) type Reply = Result<Response<Body>, Refusal>;

/// One request of the API.
struct Route {
    /// Below [`ROOT`].
    path: &'static str,
    handler: Handler,
}

/// How a request is handled.
enum Handler {
    /// `GET`: makes a response, on a thread that may wait for files.
    Document(fn(&Call) -> Reply),
    /// `GET`: checks the parameters, and returns the task that feeds the stream. The task is dropped when the client
    /// leaves.
    Stream(fn(&Call, EventSender) -> Result<Task<()>, Refusal>),
    /// `POST` with a body.
    Post {
        /// Checks the request before its body is read.
        check: fn(&Call) -> Result<(), Refusal>,
        /// Maximum size of the body in bytes. A request without a body costs nothing before this is checked.
        max_bytes: usize,
        /// Time for the request and its response.
        timeout: Duration,
        run: fn(Call, Bytes) -> Task<Reply>,
    },
}

/// All requests.
const REQUESTS: &[Route] = &[
    Route { path: "", handler: Handler::Document(|call| document(&index(&call.state))) },
    Route { path: "/schema", handler: Handler::Document(|_| document(&schema::schema())) },
    Route { path: "/status", handler: Handler::Document(|call| document(&status::collect(&call.state))) },
    Route { path: "/graph", handler: Handler::Document(|call| document(call.state.graph().drawn())) },
    Route { path: "/packs", handler: Handler::Document(|call| document(&*call.state.packs())) },
    Route { path: "/shadows", handler: Handler::Document(|call| document(&shadows::shadows(&call.state))) },
    Route { path: "/history", handler: Handler::Document(|call| history::respond(&call.state)) },
    Route { path: "/stream", handler: Handler::Stream(live::stream) },
    Route { path: "/tap", handler: Handler::Stream(tap::tap) },
    Route { path: "/trace", handler: Handler::Stream(tap::trace) },
    Route { path: "/failures", handler: Handler::Document(|call| document(&failures::collect(&call.state))) },
    Route {
        path: "/try",
        handler: Handler::Post {
            check: trial::check,
            max_bytes: MAX_INPUT_BYTES,
            timeout: TRIAL_TIMEOUT,
            run: trial::run,
        },
    },
    #[cfg(test)]
    Route { path: "/silent", handler: Handler::Stream(tests::silent) },
    #[cfg(test)]
    Route { path: "/flood", handler: Handler::Stream(tests::flood) },
    #[cfg(test)]
    Route {
        path: "/echo",
        handler: Handler::Post { check: |_| Ok(()), max_bytes: 8, timeout: Duration::from_secs(30), run: tests::echo },
    },
];

/// A request that reached a handler.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) query: Query,
    pub(crate) content_type: Option<String>,
}

/// Responds to a request whose path begins with [`ROOT`].
pub(crate) async fn respond(
    server: &Arc<Server>,
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    route(server, connection, request).await.unwrap_or_else(Refusal::json)
}

async fn route(server: &Arc<Server>, connection: &Arc<Connection>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path();
    let below = path.strip_prefix(ROOT).map(|below| below.strip_suffix('/').unwrap_or(below));
    let Some(route) = REQUESTS.iter().find(|route| Some(route.path) == below) else {
        let known: Vec<String> = REQUESTS.iter().map(|route| format!("{ROOT}{}", route.path)).collect();
        let error = format!("there is no such request; use one of {}", known.join(", "));
        return Err(Refusal::new(StatusCode::NOT_FOUND, error));
    };
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let call = Call { state: server.state.clone(), query: Query::parse(request.uri().query()), content_type };
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match &route.handler {
        Handler::Document(run) if is_get => {
            let run = *run;
            server.blocking(move || run(&call)).await?
        }
        // Without a place, and without a task that would feed it.
        Handler::Stream(_) if *request.method() == Method::HEAD => Err(Refusal::method("GET")),
        Handler::Stream(run) if is_get => {
            let (sender, body) = event_stream::open(server, connection)?;
            Ok(body.fed_by(run(&call, sender)?))
        }
        Handler::Post { check, max_bytes, timeout, run } if *request.method() == Method::POST => {
            check(&call)?;
            connection.extend(*timeout);
            let body = read(request, *max_bytes).await?;
            run(call, body).await
        }
        Handler::Document(_) | Handler::Stream(_) => Err(Refusal::method("GET")),
        Handler::Post { .. } => Err(Refusal::method("POST")),
    }
}

/// Reads a body of at most `max_bytes`.
async fn read(request: Request<Incoming>, max_bytes: usize) -> Result<Bytes, Refusal> {
    let too_long = || {
        let error = format!("the body is longer than {max_bytes} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    };
    // A client that announces too much need not send it.
    if request.body().size_hint().lower() > max_bytes as u64 {
        return Err(too_long());
    }
    match Limited::new(request.into_body(), max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => Err(Refusal::bad_request(format!("cannot read the body: {error}"))),
    }
}

fn index(state: &State) -> Index {
    let settings = state.settings();
    Index {
        version: env!("CARGO_PKG_VERSION").into(),
        api: 1,
        tap: settings.tap,
        can_try: settings.can_try,
        max_try_bytes: MAX_INPUT_BYTES as u64,
        recent_bytes: settings.recent_bytes,
        price_per_gb: settings.price_per_gb,
        currency: settings.currency.clone(),
    }
}

#[cfg(test)]
mod tests;
