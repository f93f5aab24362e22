//! Responses to what clients ask before they send, and while they are idle.
//!
//! The source has no indices, templates, policies and pipelines. It says so: a client that is configured to create them
//! fails at its start, instead of after a month with documents that lack their format.

use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{segments, with_product};
use crate::http::refusal::Refusal;
use crate::http::response::{Body, respond, respond_with};

/// An id as Elasticsearch has them, which does not change.
const CLUSTER_ID: &str = "d2F0dGxlLWFnZW50LWlkMQ";

/// Responds to a question.
///
/// # Errors
///
/// There is nothing to answer.
pub(super) fn respond_to<B>(version: &str, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let body = match segments(request.uri().path())[..] {
        [] if is_read => about(version),
        ["_license"] if is_read => json!({ "license": license() }),
        ["_xpack"] if is_read => json!({ "license": license(), "features": {}, "build": {} }),
        ["_cluster", "health", ..] if is_read => health(),
        ["_cat", "health"] if is_read => {
            let text = "1767323045 03:04:05 wattle green 1 1 0 0 0 0 0 0 - 100.0%\n".into();
            return Ok(with_product(respond_with(StatusCode::OK, "text/plain; charset=UTF-8", text)));
        }
        ["_nodes", ..] if is_read => {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            nodes(version, host)
        }
        // Whether an index or a template exists.
        [..] if is_read => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "the agent takes documents by `_bulk` only, and has no others",
            ));
        }
        [..] => {
            return Err(Refusal::bad(
                "the agent takes documents by `_bulk` only; switch off what the client creates before: templates, \
                 lifecycle policies, pipelines",
            ));
        }
    };
    Ok(with_product(respond(StatusCode::OK, &body)))
}

fn about(version: &str) -> Value {
    json!({
        "name": "wattle",
        "cluster_name": "wattle",
        "cluster_uuid": CLUSTER_ID,
        "version": {
            "number": version,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2026-01-01T00:00:00.000000000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0"
        },
        "tagline": "You Know, for Search"
    })
}

fn license() -> Value {
    json!({
        "status": "active",
        "uid": "00000000-0000-0000-0000-000000000000",
        "type": "basic",
        "mode": "basic",
        "issue_date": "2026-01-01T00:00:00.000Z",
        "issue_date_in_millis": 1_767_225_600_000_u64,
        "max_nodes": 1000,
        "issued_to": "wattle",
        "issuer": "wattle",
        "start_date_in_millis": -1
    })
}

fn health() -> Value {
    json!({
        "cluster_name": "wattle",
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 0,
        "active_shards": 0,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0
    })
}

/// The only node is the address that the client has: clients that look for nodes then keep it.
fn nodes(version: &str, host: &str) -> Value {
    json!({
        "_nodes": { "total": 1, "successful": 1, "failed": 0 },
        "cluster_name": "wattle",
        "nodes": {
            CLUSTER_ID: {
                "name": "wattle",
                "version": version,
                "host": host,
                "roles": ["data", "ingest", "master"],
                "http": { "bound_address": [host], "publish_address": host }
            }
        }
    })
}
