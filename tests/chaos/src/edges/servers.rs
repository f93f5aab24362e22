//! The servers between the agents: a broker of Kafka in this process, and nats-server.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream;
use krafka::producer::Producer;
use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use tokio::runtime::{Builder, Runtime};
use wattle_tests::{Folder, free_address, wait_until};

const HINT: &str = "`cargo xtask chaos` installs it, or set `WATTLE_NATS` to its folder";

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A broker that can crash and keeps its logs, and a producer.
pub(super) struct Broker {
    broker: FakeBroker,
    producer: Producer,
    runtime: Runtime,
}

impl Broker {
    pub(super) fn start(topics: &[&str], partitions: i32) -> Self {
        let runtime = runtime();
        let (broker, producer) = runtime.block_on(async {
            let broker = FakeBroker::start().await.unwrap();
            for topic in topics {
                broker.create_topic(topic, partitions);
            }
            let kafka = Kafka::builder(broker.bootstrap_servers()).connect().await.unwrap();
            let producer = kafka.producer().linger(Duration::from_millis(2)).build().await.unwrap();
            (broker, producer)
        });
        Self { broker, producer, runtime }
    }

    pub(super) fn address(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Sends messages. What the topic has in the end counts: [`Self::values`].
    pub(super) fn send(&self, topic: &str, values: impl IntoIterator<Item = String>) {
        self.runtime.block_on(async {
            for value in values {
                let record = Record::new(topic, value.clone()).key(value);
                drop(self.producer.enqueue(record).await.unwrap());
            }
        });
    }

    /// Waits until the topics have what was sent.
    pub(super) fn flush(&self) {
        self.runtime.block_on(self.producer.flush()).unwrap();
    }

    /// Crashes the broker for this long.
    pub(super) fn crash(&self, time: Duration) {
        // Within its runtime, whose tasks it ends.
        let _entered = self.runtime.enter();
        self.broker.crash(0);
        std::thread::sleep(time);
        self.broker.restart(0);
    }

    /// How often each value is in a topic.
    pub(super) fn values(&self, topic: &str) -> HashMap<String, u64> {
        let mut values = HashMap::new();
        for record in self.broker.all_records(topic).unwrap() {
            *values.entry(record.value_str().unwrap().to_owned()).or_default() += 1;
        }
        values
    }
}

/// A running nats-server, with its data in a folder.
pub(super) struct Nats {
    process: Child,
    address: SocketAddr,
    folder: Folder,
    runtime: Runtime,
}

impl Nats {
    pub(super) fn start() -> Self {
        let (folder, address) = (Folder::new(), free_address());
        let process = Self::run(&folder, address);
        Self { process, address, folder, runtime: runtime() }
    }

    fn run(folder: &Folder, address: SocketAddr) -> Child {
        let programs = std::env::var_os("WATTLE_NATS").map(PathBuf::from).unwrap_or_default();
        let program = if programs.as_os_str().is_empty() { "nats-server".into() } else { programs.join("nats-server") };
        let child = Command::new(program)
            .args([
                "--addr",
                &address.ip().to_string(),
                "--port",
                &address.port().to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(folder.path("jetstream"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`nats-server` does not start ({error}); {HINT}"));
        wait_until("nats-server listens", || TcpStream::connect(address).is_ok());
        child
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Creates a stream for all subjects below its name.
    pub(super) fn create(&self, stream: &str) {
        let config = jetstream::stream::Config {
            name: stream.to_owned(),
            subjects: vec![format!("{stream}.>")],
            // Longer than the run: a kill delays an event by seconds, and a loaded machine by more.
            duplicate_window: Duration::from_mins(30),
            ..jetstream::stream::Config::default()
        };
        self.runtime.block_on(async {
            let client = async_nats::connect(self.url()).await.unwrap();
            jetstream::new(client).create_stream(config).await.unwrap();
        });
    }

    /// Number of messages in a stream.
    pub(super) fn messages(&self, stream: &str) -> u64 {
        self.runtime.block_on(async {
            let client = async_nats::connect(self.url()).await.unwrap();
            jetstream::new(client).get_stream(stream).await.unwrap().cached_info().state.messages
        })
    }

    /// Kills the server, and starts it again after this long.
    pub(super) fn restart(&mut self, time: Duration) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::thread::sleep(time);
        self.process = Self::run(&self.folder, self.address);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
