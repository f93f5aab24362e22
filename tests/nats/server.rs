//! A server of NATS, and nats-py as another client.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use wattle_tests::{Folder, finish, free_address, get, json_lines, wait_until};

const HINT: &str = "`cargo xtask test` installs what the tests of NATS need, or set `WATTLE_NATS` to the folder of a \
                    `python3` that has `nats-py`, and of `nats-server`";

fn program(name: &str) -> PathBuf {
    // `cargo xtask test` installs the packages and names the folder of their programs.
    let folder = std::env::var_os("WATTLE_NATS").map(PathBuf::from).unwrap_or_default();
    if folder.as_os_str().is_empty() { name.into() } else { folder.join(name) }
}

/// A server with JetStream, and its data in a folder.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    /// What it says about itself.
    monitor: SocketAddr,
    config: PathBuf,
    /// What its other client needs to connect.
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(config: &Path, address: SocketAddr) -> Child {
    let child = Command::new(program("nats-server"))
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("`nats-server` does not start ({error}); {HINT}"));
    wait_until("the server listens", || TcpStream::connect(address).is_ok());
    child
}

impl Server {
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::with(folder, "")
    }

    /// With more lines of its configuration.
    pub(crate) fn with(folder: &Folder, lines: &str) -> Self {
        let address = free_address();
        let monitor = free_address();
        let config = folder.write("nats.conf", Self::lines(folder, address, monitor, lines));
        let process = start(&config, address);
        Self { process, address, monitor, config, url: format!("nats://{address}") }
    }

    fn lines(folder: &Folder, address: SocketAddr, monitor: SocketAddr, lines: &str) -> String {
        let data = folder.path("jetstream");
        format!(
            "listen: \"{address}\"\nhttp: \"{monitor}\"\njetstream {{ store_dir: \"{}\", sync_interval: \"always\" }}\n{lines}\n",
            data.display()
        )
    }

    /// The other client uses these credentials.
    pub(crate) fn with_user(mut self, user: &str, password: &str) -> Self {
        // Without a password, the name is a token.
        let separator = if password.is_empty() { "" } else { ":" };
        self.url = format!("nats://{user}{separator}{password}@{}", self.address);
        self
    }

    /// The address for the agent.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Ends the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.process = start(&self.config, self.address);
    }

    /// Stops the process for a while, as if it were very slow.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Replaces its configuration for the next start.
    pub(crate) fn rewrite(&self, folder: &Folder, lines: &str) {
        folder.replace("nats.conf", Self::lines(folder, self.address, self.monitor, lines));
    }

    /// Replaces its configuration while it runs.
    pub(crate) fn reload(&self, folder: &Folder, lines: &str) {
        self.rewrite(folder, lines);
        self.signal("HUP");
    }

    /// A command of the other client.
    pub(crate) fn client(&self, command: &str, arguments: &[&str]) -> Command {
        let mut client = Command::new(program("python3"));
        client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("nats/client.py")).arg(command).arg(&self.url);
        client.args(arguments);
        client
    }

    #[track_caller]
    fn run(&self, command: &str, arguments: &[&str], input: &str) -> Vec<Value> {
        let ended = finish(&mut self.client(command, arguments), input.as_bytes());
        assert_eq!(ended.code, 0, "{}; {HINT}", ended.log);
        json_lines(&ended.output)
    }

    /// A request to JetStream.
    #[track_caller]
    pub(crate) fn api(&self, subject: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = self.run("api", &[&format!("$JS.API.{subject}")], &body);
        answer.remove(0)
    }

    /// Creates a stream for `NAME.>`.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, more: &Value) {
        let mut config = json!({ "name": name, "subjects": [format!("{name}.>")], "storage": "file" });
        config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let made = self.api(&format!("STREAM.CREATE.{name}"), &config);
        assert!(made["error"].is_null(), "{made}");
    }

    /// What a consumer has.
    pub(crate) fn consumer(&self, stream: &str, name: &str) -> Value {
        self.api(&format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null)
    }

    /// Publishes messages, lines of JSON.
    #[track_caller]
    pub(crate) fn send(&self, messages: &[Value]) {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        self.run("send", &[], &lines.join("\n"));
    }

    /// The same without a stream.
    #[track_caller]
    pub(crate) fn send_core(&self, messages: &[Value]) {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        self.run("core", &[], &lines.join("\n"));
    }

    /// Publishes numbers in parallel to the test.
    pub(crate) fn count(&self, subject: &str, numbers: std::ops::Range<usize>) -> Child {
        let (first, end) = (numbers.start.to_string(), numbers.end.to_string());
        self.client("count", &[subject, &first, &end]).stderr(Stdio::null()).spawn().unwrap()
    }

    /// All messages of a stream.
    #[track_caller]
    pub(crate) fn read(&self, stream: &str) -> Vec<Value> {
        self.run("read", &[stream], "")
    }

    /// How often each value is in a stream.
    #[track_caller]
    pub(crate) fn values(&self, stream: &str) -> BTreeMap<String, u64> {
        let found = self.run("values", &[stream], "");
        found[0].as_object().unwrap().iter().map(|(value, times)| (value.clone(), times.as_u64().unwrap())).collect()
    }

    /// Number of messages in a stream.
    pub(crate) fn messages(&self, stream: &str) -> u64 {
        self.api(&format!("STREAM.INFO.{stream}"), &Value::Null)["state"]["messages"].as_u64().unwrap_or_default()
    }

    /// The connections of agents, with their subscriptions.
    pub(crate) fn agents(&self) -> Vec<Value> {
        let found = get(self.monitor, "/connz?subs=1").map(|answer| serde_json::from_str(&answer.text).unwrap());
        let found: Value = found.unwrap_or_default();
        let connections = found["connections"].as_array().cloned().unwrap_or_default();
        connections.into_iter().filter(|connection| connection["name"] == "wattle").collect()
    }
}
