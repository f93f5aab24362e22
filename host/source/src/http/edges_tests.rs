//! The cases that the sources over HTTP must pass over TLS, with requests of their protocols: wrong certificates and wrong
//! credentials, certificates that are replaced, and a source that is replaced under load.
//!
//! `tests/README.md` has the table of all cases.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use wattle_tls::testing::Authority;

use super::tests::World;
use super::*;
use crate::testing::tls::{ClientOf, Sender, Setup};
use crate::testing::{Rig, texts};

/// A source, and how its clients send.
struct Edge {
    type_name: &'static str,
    /// The option that has the address, and options for the rest.
    address: &'static str,
    options: fn() -> Value,
    path: &'static str,
    /// The right header `Authorization`, and a wrong one.
    authorization: [&'static str; 2],
    /// The body with an event of this number.
    body: fn(usize) -> String,
    /// The status for wrong credentials.
    unauthorized: StatusCode,
}

const EDGES: [Edge; 4] = [
    Edge {
        type_name: "http",
        address: "address",
        options: || json!({"auth": {"strategy": "basic", "user": "u", "password": "p"}}),
        path: "/",
        authorization: ["Basic dTpw", "Basic dTp4"],
        body: |number| json!({"message": format!("event {number}")}).to_string(),
        unauthorized: StatusCode::UNAUTHORIZED,
    },
    Edge {
        type_name: "otlp",
        address: "http_address",
        options: || json!({"token": "12345678", "grpc_address": ""}),
        path: "/v1/logs",
        authorization: ["Bearer 12345678", "Bearer 0"],
        body: |number| {
            let record = json!({"body": {"stringValue": format!("event {number}")}});
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string()
        },
        unauthorized: StatusCode::UNAUTHORIZED,
    },
    Edge {
        type_name: "splunk_hec",
        address: "address",
        options: || json!({"valid_tokens": ["12345678-1234"]}),
        path: "/services/collector/event",
        authorization: ["Splunk 12345678-1234", "Splunk 0"],
        body: |number| json!({"event": format!("event {number}")}).to_string(),
        unauthorized: StatusCode::FORBIDDEN,
    },
    Edge {
        type_name: "elasticsearch_bulk",
        address: "address",
        options: || json!({"auth": {"strategy": "basic", "user": "u", "password": "p"}}),
        path: "/_bulk",
        authorization: ["Basic dTpw", "Basic dTp4"],
        body: |number| format!("{{\"index\":{{\"_index\":\"logs\"}}}}\n{{\"message\":\"event {number}\"}}\n"),
        unauthorized: StatusCode::UNAUTHORIZED,
    },
];

impl Edge {
    fn options(&self, setup: &Setup, address: &str) -> Value {
        let mut options = (self.options)();
        options[self.address] = json!(address);
        options["tls"] = setup.options["tls"].clone();
        options
    }

    async fn start(&self, setup: &Setup) -> World {
        let rig = Rig::new(TempDir::new().unwrap().path());
        let running = rig.start(self.type_name, self.options(setup, "127.0.0.1:0"));
        rig.until(|| rig.stats.address.get().is_some()).await;
        let address = *rig.stats.address.get().unwrap();
        World { rig: Arc::new(rig), running, address }
    }

    /// Sends an event over a new connection; returns the status, or the error.
    async fn send(
        &self,
        client: &ClientOf<'_>,
        address: SocketAddr,
        is_right: bool,
        number: usize,
    ) -> Result<StatusCode, String> {
        let mut sender = connect(client, address).await?;
        self.send_over(&mut sender, is_right, number).await
    }

    async fn send_over(&self, sender: &mut Sender, is_right: bool, number: usize) -> Result<StatusCode, String> {
        let request = Request::post(self.path)
            .header("authorization", self.authorization[usize::from(!is_right)])
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from((self.body)(number))))
            .unwrap();
        let text = |error: hyper::Error| error.to_string();
        sender.0.ready().await.map_err(text)?;
        let (head, body) = sender.0.send_request(request).await.map_err(text)?.into_parts();
        let body = body.collect().await.map_err(text)?.to_bytes();
        // The bulk API answers 200 to wrong actions, too.
        assert!(
            !body.starts_with(b"{\"took\"") || memchr::memmem::find(&body, b"\"errors\":false").is_some(),
            "{body:?}"
        );
        Ok(head.status)
    }
}

async fn connect(client: &ClientOf<'_>, address: SocketAddr) -> Result<Sender, String> {
    let stream = client.connect(address).await.map_err(|error| error.to_string())?;
    Sender::new(stream).await
}

#[tokio::test]
async fn clients_without_trust_or_credentials_deliver_nothing() {
    for edge in &EDGES {
        let setup = Setup::new();
        let world = edge.start(&setup).await;
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
        let world = edge.start(&setup).await;
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

/// A client that sends one event after the other until the end; returns the numbers of those that were delivered.
async fn client(
    edge: &'static Edge,
    setup: Arc<Setup>,
    address: SocketAddr,
    numbers: impl Iterator<Item = usize>,
    is_over: Arc<AtomicBool>,
    keeps_connections: bool,
) -> Vec<usize> {
    let mut delivered = Vec::new();
    let mut kept = None;
    for number in numbers {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        // A source that stops asks for a repetition, or closes a connection without a request.
        loop {
            let sender = match kept.take() {
                Some(sender) => Ok(sender),
                None => connect(&setup.client(), address).await,
            };
            let result = match sender {
                Ok(mut sender) => {
                    let result = edge.send_over(&mut sender, true, number).await;
                    kept = Some(sender).filter(|_| keeps_connections && result.is_ok());
                    result
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(StatusCode::OK) => break delivered.push(number),
                Ok(status) => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{}", edge.type_name),
                Err(error) => assert!(!error.contains("refused"), "{}: {error}", edge.type_name),
            }
        }
    }
    delivered
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
            let mut options = edge.options(&setup, &free.to_string());
            options["max_connections"] = json!(10 + round);
            options
        };
        let mut running = rig.start(edge.type_name, options(0));
        rig.until(|| rig.stats.address.get().is_some()).await;
        let clients: Vec<_> = (0..4)
            .map(|index| {
                let numbers = (index..).step_by(4);
                tokio::spawn(client(edge, setup.clone(), free, numbers, is_over.clone(), index % 2 == 0))
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
        assert!(delivered.len() >= 50, "{}", delivered.len());
        // The number is the last of a text.
        let numbers: BTreeSet<usize> = arrived
            .iter()
            .map(|body| body.trim_end_matches(['"', '}']).rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(delivered.iter().find(|number| !numbers.contains(number)), None, "{}", edge.type_name);
    }
}
