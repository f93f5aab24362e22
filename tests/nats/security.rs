//! Credentials and certificates.

use nkeys::KeyPair;
use serde_json::Value;
use wattle_tests::{Folder, wait_until};
use wattle_tls::testing::{Authority, params};

use crate::server::Server;
use crate::{Relay, check, message, relay, streams, until_written, wait_for_acks};

/// Sends a message through the agent, and waits until it has passed.
fn pass(server: &Server, value: &str) {
    let before = server.messages("out");
    server.send(&[message("in.a", value)]);
    until_written(server, before + 1);
    wait_for_acks(server);
}

/// The configuration with credentials for both ends.
fn with_auth(server: &Server, auth: &str) -> String {
    Relay { source: auth, sink: auth }.text(server)
}

#[test]
fn a_wrong_password_is_shown_without_it_until_it_is_right() {
    let folder = Folder::new();
    let users = "authorization { users: [{ user: u, password: right }] }";
    let server = Server::with(&folder, users).with_user("u", "right");
    streams(&server);
    let mut agent = folder.start(&with_auth(&server, "auth = { user = \"u\", password = \"S3cretWrong\" }"));
    let line = agent.wait_for("cannot connect to NATS until an operator acts");
    assert!(line.contains("does not accept the credentials"), "{line}");
    let status = folder.run(&["status"]);
    assert!(status.text().contains("does not accept the credentials"), "{}", status.text());
    folder.replace("agent.toml", with_auth(&server, "auth = { user = \"u\", password = \"right\" }"));
    agent.wait_for("reloaded");
    pass(&server, "x");
    let ended = agent.stop();
    assert!(!ended.log.contains("S3cretWrong") && !status.text().contains("S3cretWrong"));
    // Once by the source; the client itself says nothing.
    assert_eq!(ended.log.matches("cannot connect to NATS").count(), 1, "{}", ended.log);
    assert!(!ended.log.to_lowercase().contains("authorization violation"), "{}", ended.log);
}

#[test]
fn a_token_an_nkey_and_their_files_open_the_server() {
    let folder = Folder::new();
    let key = KeyPair::new_user();
    let seed = folder.write("agent.nk", format!("{}\n", key.seed().unwrap()));
    let users = |more: &str| format!("authorization {{ users: [{{ user: u, password: p }}{more}] }}");
    let nkey = users(&format!(", {{ nkey: {} }}", key.public_key()));
    let server = Server::with(&folder, &nkey).with_user("u", "p");
    streams(&server);
    let config = with_auth(&server, &format!("auth.nkey_file = \"{}\"", seed.display()));
    let mut agent = folder.start(&config);
    pass(&server, "by nkey");
    // Another key in the file is used for the next connection.
    let other = KeyPair::new_user();
    folder.replace("agent.nk", other.seed().unwrap());
    server.reload(&folder, &users(&format!(", {{ nkey: {} }}", other.public_key())));
    agent.wait_for("messages are read again");
    pass(&server, "by another nkey");
    agent.stop();
    drop(server);
    let folder = Folder::new();
    let server = Server::with(&folder, "authorization { token: T0ken }").with_user("T0ken", "");
    streams(&server);
    let agent = folder.start(&with_auth(&server, "auth.token = \"T0ken\""));
    pass(&server, "by token");
    agent.stop();
}

#[test]
fn a_missing_permission_is_shown_until_it_is_given() {
    let folder = Folder::new();
    let users = |allowed: &str| {
        format!(
            "authorization {{ users: [{{ user: admin, password: p }}, {{ user: u, password: p, permissions: {{ \
             publish: [{allowed}], subscribe: [\"_INBOX.>\"] }} }}] }}"
        )
    };
    let reads = "\"$JS.API.CONSUMER.>\", \"$JS.ACK.>\"";
    let server = Server::with(&folder, &users("\"out.>\"")).with_user("admin", "p");
    streams(&server);
    let mut agent = folder.start(&with_auth(&server, "auth = { user = \"u\", password = \"p\" }"));
    let line = agent.wait_for("cannot use the consumer until an operator acts");
    assert!(line.contains("Permissions Violation for Publish"), "{line}");
    server.reload(&folder, &users(reads));
    server.send(&[message("in.a", "one")]);
    let line = agent.wait_for("cannot write to NATS until an operator acts");
    assert!(line.contains("Permissions Violation for Publish"), "{line}");
    server.reload(&folder, &users(&format!("{reads}, \"out.>\"")));
    until_written(&server, 1);
    wait_for_acks(&server);
    assert_eq!(check(&server, 1), 0);
    agent.stop();
}

/// The lines of a server with TLS, whose files are written to the folder.
fn tls(folder: &Folder, authority: &Authority, name: &str, clients: Option<&Authority>) -> String {
    let identity = authority.issue(name);
    let (crt, key) = (folder.write("server.pem", identity.certificate), folder.write("server.key", identity.key));
    let verify = clients.map(|clients| {
        let ca = folder.write("clients.pem", clients.pem());
        format!(", ca_file: \"{}\", verify: true", ca.display())
    });
    let verify = verify.unwrap_or_default();
    // Its other client has no TLS.
    format!("tls {{ cert_file: \"{}\", key_file: \"{}\"{verify} }}\nallow_non_tls: true", crt.display(), key.display())
}

#[test]
fn certificates_are_checked_and_rotated() {
    let folder = Folder::new();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let mut server = Server::with(&folder, &tls(&folder, &authority, "127.0.0.1", None));
    streams(&server);
    let ca = folder.write("ca.pem", other.pem());
    let config = with_auth(&server, &format!("tls.ca_file = \"{}\"", ca.display()));
    let mut agent = folder.start(&config);
    let line = agent.wait_for("cannot connect to NATS until an operator acts");
    assert!(line.contains("an untrusted authority issued its certificate") && line.contains("`tls`"), "{line}");
    // The file is read for each connection, so nothing has to be reloaded.
    folder.replace("ca.pem", authority.pem());
    pass(&server, "trusted");
    // Another authority for the server, and then for the agent.
    tls(&folder, &other, "127.0.0.1", None);
    server.kill();
    server.restart();
    agent.wait_for("an untrusted authority");
    folder.replace("ca.pem", other.pem());
    pass(&server, "rotated");
    // For another name.
    tls(&folder, &other, "elsewhere", None);
    server.kill();
    server.restart();
    agent.wait_for("its certificate is for another name");
    agent.stop();
}

#[test]
fn a_server_that_requires_client_certificates_gets_one_and_its_successor() {
    let folder = Folder::new();
    let (authority, clients, strangers) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("strangers"));
    let lines = tls(&folder, &authority, "127.0.0.1", Some(&clients)).replace("\nallow_non_tls: true", "");
    // The other client needs a certificate, too, so it uses a server without TLS in front of the same streams.
    let mut server = Server::with(&folder, "");
    streams(&server);
    server.send(&[message("in.a", "by certificate")]);
    server.kill();
    let write = |authority: &Authority| {
        let identity = authority.sign(&params("agent", false));
        folder.replace("agent.pem", identity.certificate);
        folder.replace("agent.key", identity.key);
    };
    folder.write("agent.pem", "");
    folder.write("agent.key", "");
    folder.write("ca.pem", authority.pem());
    write(&strangers);
    server.rewrite(&folder, &lines);
    server.restart();
    let path = |name: &str| folder.path(name).display().to_string();
    let files = format!(
        "tls = {{ ca_file = \"{}\", crt_file = \"{}\", key_file = \"{}\" }}",
        path("ca.pem"),
        path("agent.pem"),
        path("agent.key")
    );
    let mut agent = folder.start(&with_auth(&server, &files));
    let line = agent.wait_for("cannot connect to NATS");
    assert!(line.contains("TLS") || line.contains("certificate"), "{line}");
    write(&clients);
    wait_until("both ends are connected", || server.agents().len() == 2);
    // The sink connects with the first message, and a stop waits until it is confirmed.
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().delivered, 1, "{}", ended.log);
    server.kill();
    server.rewrite(&folder, "");
    server.restart();
    assert_eq!(check(&server, 1), 0);
}

#[test]
fn wrong_files_are_errors_of_validate() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    for (auth, part) in [
        ("auth.nkey_file = \"/missing/seed\"", "auth.nkey_file"),
        ("auth.credentials_file = \"/missing/a.creds\"", "auth.credentials_file"),
        ("tls.ca_file = \"/missing/ca.pem\"", "tls.ca_file"),
    ] {
        folder.write("agent.toml", with_auth(&server, auth));
        let ended = folder.run(&["validate", "--config", "agent.toml"]);
        assert!(ended.code != 0 && ended.text().contains(part), "{auth}: {}{}", ended.text(), ended.log);
    }
    folder.write("agent.toml", relay(&server));
    assert_eq!(folder.run(&["validate", "--config", "agent.toml"]).code, 0);
    assert_eq!(server.api("STREAM.NAMES", &Value::Null)["total"], 0);
}
