//! The cases that the sources `splunk_hec` and `elasticsearch_bulk` must pass over TLS, with requests of their protocols:
//! wrong certificates and wrong credentials, certificates that are replaced, and a source that is replaced under load.
//!
//! `tests/README.md` has the table of all cases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use wattle_tls::testing::Authority;

use super::tests::start_type;
use super::*;
use crate::testing::tls::{ClientOf, Sender, Setup};
use crate::testing::{Rig, texts};

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

    /// Sends an event over a new connection; returns the status, or why there is none.
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

/// A reload builds a source with other options at the same socket.
#[tokio::test]
async fn a_successor_takes_clients_over_under_load() {
    for edge in &EDGES {
        let setup = Arc::new(Setup::new());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = TempDir::new().unwrap();
        let mut rig = Rig::new(folder.path());
        let listeners = rig.listeners.clone();
        let is_over = Arc::new(AtomicBool::new(false));
        let options = |round: usize| {
            let mut options = edge.options(&setup);
            options["address"] = json!(free.to_string());
            options["max_connections"] = json!(10 + round);
            options
        };
        let mut running = rig.start(edge.type_name, options(0));
        rig.until(|| rig.stats.address.get().is_some()).await;
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (setup, is_over) = (setup.clone(), is_over.clone());
                tokio::spawn(async move {
                    let mut delivered = Vec::new();
                    for number in (0..).map(|number| number * 3 + client) {
                        if is_over.load(Ordering::Relaxed) {
                            return delivered;
                        }
                        // A source that stops asks for a repetition.
                        loop {
                            match edge.send(&setup.client(), free, true, number).await {
                                Ok(StatusCode::OK) => break delivered.push(number),
                                Ok(status) => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
                                Err(error) => assert!(!error.contains("refused"), "{error}"),
                            }
                        }
                    }
                    delivered
                })
            })
            .collect();
        let mut arrived = BTreeSet::new();
        for round in 1..6 {
            for _ in 0..10 {
                let batch = rig.pop().await;
                arrived.extend(texts(&batch));
                batch.into_ack().deliver();
            }
            let successor = crate::build(edge.type_name, &options(round), &listeners).unwrap();
            rig.stop();
            let (bodies, ended) = rig.drain(running).await;
            ended.unwrap();
            arrived.extend(bodies);
            rig = Rig::new(folder.path());
            rig.listeners = listeners.clone();
            running = rig.start_source(successor);
        }
        is_over.store(true, Ordering::Relaxed);
        let finishing = async {
            let mut delivered = Vec::new();
            for client in clients {
                delivered.extend(client.await.unwrap());
            }
            rig.stop();
            delivered
        };
        let (delivered, (bodies, ended)) = tokio::join!(finishing, rig.drain(running));
        ended.unwrap();
        arrived.extend(bodies);
        assert!(delivered.len() > 50, "{}", delivered.len());
        let has = |number: &usize| arrived.iter().any(|body| body.contains(&format!("event {number}")));
        assert_eq!(delivered.iter().find(|number| !has(number)), None, "{}", edge.type_name);
    }
}
