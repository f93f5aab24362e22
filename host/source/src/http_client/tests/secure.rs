//! The source over TLS: certificates that are wrong or replaced, and a source that is replaced under load.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use wattle_tls::testing::{Authority, Files, Identity, server};

use super::*;

/// Puts TLS in front of an API.
struct Front {
    port: u16,
    task: JoinHandle<()>,
}

impl Front {
    async fn start(port: u16, api: &Api, identity: &Identity) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server(identity, None)));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), api.address);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // A client that does not trust the certificate closes the connection here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut behind = tokio::net::TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                });
            }
        });
        Self { port, task }
    }

    /// Stops it with all connections.
    async fn stop(self) -> u16 {
        self.task.abort();
        let _ = self.task.await;
        self.port
    }
}

fn options(front: &Front, authorities: &std::path::Path, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("https://localhost:{}/logs", front.port), "interval": "20ms", "timeout": "5s",
        "pagination": {"strategy": "link"}, "tls": {"ca_file": authorities},
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_request() {
    let (right, other, files) = (Authority::new("ca"), Authority::new("other"), Files::new());
    let ca = files.write("ca.pem", &right.pem());
    for identity in [other.issue("localhost"), right.issue("elsewhere")] {
        let api = Api::start(|asked| linked(asked, 6, 4)).await;
        let front = Front::start(0, &api, &identity).await;
        let place = Place::new();
        let auth = json!({"auth": {"strategy": "bearer", "token": "geheim-token"}});
        let running = place.rig.start("http_client", options(&front, &ca, auth));
        place.fails("certificate").await;
        assert_eq!(api.count(), 0);
        place.end(running).await;
        front.stop().await;
    }
}

#[tokio::test]
async fn authorities_that_are_replaced_are_used_without_a_restart() {
    let (old, new, files) = (Authority::new("ca"), Authority::new("ca"), Files::new());
    let ca = files.write("ca.pem", &old.pem());
    let api = Api::start(|asked| linked(asked, 4, 4)).await;
    let front = Front::start(0, &api, &old.issue("localhost")).await;
    let place = Place::new();
    let running = place.rig.start("http_client", options(&front, &ca, json!({})));
    assert_eq!(place.rig.take(4).await, events(0..4));
    let front = Front::start(front.stop().await, &api, &new.issue("localhost")).await;
    place.fails("certificate").await;
    // Each run reads the page again, so some of it can be from before.
    while let Some(batch) = place.rig.queue.try_pop() {
        batch.0.into_ack().deliver();
    }
    files.write("ca.pem", &new.pem());
    assert_eq!(place.rig.take(4).await, events(0..4));
    place.end(running).await;
    front.stop().await;
}

#[tokio::test]
async fn a_successor_with_other_options_goes_on_at_the_next_page() {
    let (authority, files) = (Authority::new("ca"), Files::new());
    let ca = files.write("ca.pem", &authority.pem());
    let api = Api::start(|asked| linked(asked, 400, 4)).await;
    let front = Front::start(0, &api, &authority.issue("localhost")).await;
    let mut place = Place::new();
    let mut found = Vec::new();
    for round in 0..5_u64 {
        let timeout = json!({"timeout": format!("{}s", 5 + round)});
        let running = place.rig.start("http_client", options(&front, &ca, timeout));
        for _ in 0..5 {
            let batch = place.rig.pop().await;
            found.extend(crate::testing::texts(&batch));
            batch.into_ack().deliver();
        }
        place.rig.stop();
        let (bodies, ended) = place.rig.drain(running).await;
        ended.unwrap();
        found.extend(bodies);
        place = place.again();
    }
    // Without gaps, without repetitions, in order.
    assert!(found.len() >= 100, "{}", found.len());
    assert_eq!(found, events(0..found.len() as u64));
    front.stop().await;
}
