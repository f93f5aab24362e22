//! The requests of the admin listener and of the control socket.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::connection::{Connection, Server};
use super::response::{Body, EXPOSITION, Refusal, TEXT, document, protected, with_status};
use super::{api, metrics, page, status};

/// Responds to a request.
pub(crate) async fn respond(
    server: &Arc<Server>,
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    protected(route(server, connection, request).await)
}

async fn route(server: &Arc<Server>, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let is_api = path.strip_prefix(api::ROOT).is_some_and(|below| below.is_empty() || below.starts_with('/'));
    let settings = server.state.settings();
    match api::check(&request, &settings.allowed_hosts, server.is_private) {
        Err(refusal) if is_api => refusal.json(),
        Err(refusal) => refusal.text(),
        Ok(()) if is_api => api::respond(server, connection, request).await,
        Ok(()) if !matches!(*request.method(), Method::GET | Method::HEAD) => Refusal::method("GET, HEAD").text(),
        Ok(()) if path == "/" && settings.page => page::page(request.headers()),
        Ok(()) => plain(server, path).await,
    }
}

/// Requests for programs that know nothing else about the agent.
async fn plain(server: &Server, path: &str) -> Response<Body> {
    let state = server.state.clone();
    match path {
        "/healthz" => with_status(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match state.unready() {
            None => with_status(StatusCode::OK, TEXT, "ready\n"),
            Some(reason) => with_status(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        "/metrics" => {
            let metrics = server.blocking(move || metrics::render(&state)).await;
            metrics.map_or_else(Refusal::text, |metrics| with_status(StatusCode::OK, EXPOSITION, metrics))
        }
        "/status" => {
            let status = server.blocking(move || document(&status::collect(&state))).await;
            status.flatten().unwrap_or_else(Refusal::text)
        }
        _ => Refusal::new(
            StatusCode::NOT_FOUND,
            format!("not found; use /healthz, /readyz, /metrics, /status or {}", api::ROOT),
        )
        .text(),
    }
}
