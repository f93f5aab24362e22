//! TLS with certificates of both sides, and SASL, by proxies in front of the server.

use serde_json::json;
use wattle_tests::Folder;
use wattle_tls::ServerOptions;
use wattle_tls::testing::Authority;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::{base64, create, relay};

#[test]
fn certificates_are_checked_and_followed() {
    let (folder, authority, clients) = (Folder::new(), Authority::new("authority"), Authority::new("clients"));
    let of_server = authority.issue("localhost");
    let proxy = Proxy::start(Some(ServerOptions {
        crt_file: folder.write("server.pem", of_server.certificate),
        key_file: folder.write("server.key", of_server.key),
        ca_file: Some(folder.write("clients.pem", clients.pem())),
        protocols: &[],
    }));
    let (client, agent) = (clients.issue("client"), clients.issue("agent"));
    let server = Server::behind(
        &proxy,
        Some([
            folder.write("right.pem", authority.pem()),
            folder.write("client.pem", client.certificate),
            folder.write("client.key", client.key),
        ]),
    );
    create(&server, 2);
    server.send("in", &[json!({ "value": base64("0") }), json!({ "value": base64("1") })]);

    // Another authority first.
    let ca = folder.write("ca.pem", Authority::new("other").pem());
    let crt = folder.write("agent.pem", agent.certificate);
    let key = folder.write("agent.key", agent.key);
    let tls = format!("tls = {{ ca_file = {ca:?}, crt_file = {crt:?}, key_file = {key:?} }}");
    let config = relay(&server, &tls, &tls);
    let mut running = folder.start(&config);
    let line = running.wait_for("cannot connect to Kafka");
    assert!(line.contains("an untrusted authority issued its certificate; check `tls`"), "{line}");
    assert!(server.read("out").is_empty());

    // The next attempt reads the file again, without a reload.
    folder.replace("ca.pem", authority.pem());
    running.wait_for("connected to Kafka");
    server.until_committed("g", "in");
    assert_eq!(server.check("out", 2), 0);
    running.stop();

    // A certificate that the server does not accept.
    let stranger = Authority::new("strangers").issue("agent");
    folder.replace("agent.pem", stranger.certificate);
    folder.replace("agent.key", stranger.key);
    let mut running = folder.start(&config);
    let line = running.wait_for("cannot connect to Kafka");
    assert!(line.contains("the brokers do not accept the client certificate"), "{line}");
    running.stop();
}

#[test]
fn a_wrong_password_is_reported_and_a_reload_with_the_right_one_helps() {
    // Both have characters that SCRAM escapes.
    let (user, password) = ("u,s=er", "p,ä=ss");
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let (folder, server) = (Folder::new(), Server::with_user(user, password));
        create(&server, 2);
        server.send("in", &[json!({ "value": base64("0") })]);
        let config = |password: &str| {
            let sasl = format!("sasl = {{ mechanism = {mechanism:?}, username = {user:?}, password = {password:?} }}");
            relay(&server, &sasl, &sasl)
        };
        let mut agent = folder.start(&config("mistaken"));
        let line = agent.wait_for("cannot connect to Kafka");
        assert!(line.contains("wrong user or password; check `sasl`"), "{mechanism}: {line}");
        folder.replace("agent.toml", config(password));
        agent.signal("HUP");
        agent.wait_for("reloaded");
        server.until_it_has("out", 1);
        server.until_committed("g", "in");
        assert_eq!(server.check("out", 1), 0, "{mechanism}");
        let ended = agent.stop();
        assert!(!ended.log.contains("mistaken") && !ended.log.contains(password), "{}", ended.log);
    }
}
