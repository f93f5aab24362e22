//! The cases that the sources `splunk_hec` and `elasticsearch_bulk` must pass over TLS, with requests of their protocols:
//! wrong certificates and wrong credentials, and certificates that are replaced.
//!
//! `tests/README.md` has the table of all cases.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use wattle_tls::testing::Authority;

use super::tests::start_type;
use super::*;
use crate::testing::Rig;
use crate::testing::tls::{ClientOf, Sender, Setup};

/// A source, and how its clients send.
struct Edge {
    type_name: &'static str,
    /// Options for credentials.
    credentials: fn() -> Value,
    path: &'static str,
    /// The right header `Authorization`, and a wrong one.
    authorization: [&'static str; 2],
    /// The body with an event of this number.
    body: fn(usize) -> String,
    /// The status for wrong credentials.
    unauthorized: StatusCode,
}

const EDGES: [Edge; 2] = [
    Edge {
        type_name: "splunk_hec",
        credentials: || json!({"valid_tokens": ["12345678-1234"]}),
        path: "/services/collector/event",
        authorization: ["Splunk 12345678-1234", "Splunk 0"],
        body: |number| json!({"event": format!("event {number}")}).to_string(),
        unauthorized: StatusCode::FORBIDDEN,
    },
    Edge {
        type_name: "elasticsearch_bulk",
        credentials: || json!({"auth": {"strategy": "basic", "user": "u", "password": "p"}}),
        path: "/_bulk",
        authorization: ["Basic dTpw", "Basic dTp4"],
        body: |number| format!("{{\"index\":{{}}}}\n{{\"message\":\"event {number}\"}}\n"),
        unauthorized: StatusCode::UNAUTHORIZED,
    },
];

impl Edge {
    fn options(&self, setup: &Setup) -> Value {
        let mut options = (self.credentials)();
        options["tls"] = setup.options["tls"].clone();
        options
    }

    /// Sends an event over a new connection; returns the status, or the error.
    async fn send(
        &self,
        client: &ClientOf<'_>,
        address: SocketAddr,
        is_right: bool,
        number: usize,
    ) -> Result<StatusCode, String> {
        let stream = client.connect(address).await.map_err(|error| error.to_string())?;
        let mut sender = Sender::new(stream).await?;
        let request = Request::post(self.path)
            .header("authorization", self.authorization[usize::from(!is_right)])
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from((self.body)(number))))
            .unwrap();
        sender.0.ready().await.map_err(|error| error.to_string())?;
        sender.0.send_request(request).await.map(|response| response.status()).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn clients_without_trust_or_credentials_deliver_nothing() {
    for edge in &EDGES {
        let setup = Setup::new();
        let rig = Rig::new(TempDir::new().unwrap().path());
        let world = start_type(edge.type_name, rig, edge.options(&setup)).await;
        let other = Authority::new("other");
        assert!(edge.send(&ClientOf::new(&other), world.address, true, 0).await.is_err(), "{}", edge.type_name);
        let refused = edge.send(&setup.client(), world.address, false, 0).await;
        assert_eq!(refused, Ok(edge.unauthorized), "{}", edge.type_name);
        assert!(world.rig.queue.is_empty(), "{}", edge.type_name);
        let delivering = world.delivering();
        assert_eq!(edge.send(&setup.client(), world.address, true, 1).await, Ok(StatusCode::OK), "{}", edge.type_name);
        delivering.abort();
        world.end().await;
    }
}

#[tokio::test]
async fn new_connections_use_certificates_that_were_replaced() {
    for edge in &EDGES {
        let (setup, renewed) = (Setup::new(), Authority::new("renewed"));
        let rig = Rig::new(TempDir::new().unwrap().path());
        let world = start_type(edge.type_name, rig, edge.options(&setup)).await;
        let delivering = world.delivering();
        assert_eq!(edge.send(&setup.client(), world.address, true, 0).await, Ok(StatusCode::OK), "{}", edge.type_name);
        setup.write(&renewed.issue("localhost"));
        let new = ClientOf::new(&renewed);
        assert_eq!(edge.send(&new, world.address, true, 1).await, Ok(StatusCode::OK), "{}", edge.type_name);
        assert!(edge.send(&setup.client(), world.address, true, 2).await.is_err(), "{}", edge.type_name);
        delivering.abort();
        world.end().await;
    }
}
