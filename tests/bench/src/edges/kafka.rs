//! A broker of Kafka in this process, and a client that writes to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use krafka::Record;
use krafka::producer::Producer;
use krafka::testing::FakeBroker;
use tokio::runtime::{Builder, Runtime};

const PARTITIONS: i32 = 4;

/// Messages in the topic `in` that are not in `out` yet. The broker here answers a fetch with all that it has, however
/// much the consumer asks for, so more would make responses that no real broker sends.
const WINDOW: u64 = 8000;

/// Time limit for the next message to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker with the topics `in` and `out`.
pub(super) struct Broker {
    pub(super) address: SocketAddr,
    broker: FakeBroker,
    producer: Producer,
    runtime: Runtime,
    sent: AtomicU64,
}

impl Broker {
    /// Starts it on the core of this thread.
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (broker, producer) = runtime.block_on(async {
            let broker = FakeBroker::start().await?;
            broker.create_topic("in", PARTITIONS);
            broker.create_topic("out", PARTITIONS);
            let kafka = krafka::Kafka::builder(broker.bootstrap_servers()).connect().await?;
            let producer = kafka.producer().build().await?;
            anyhow::Ok((broker, producer))
        })?;
        let address = broker.bootstrap_servers().parse().context("the address of the broker")?;
        Ok(Self { address, broker, producer, runtime, sent: AtomicU64::new(0) })
    }

    /// Writes the lines of a text to the topic `in` so many times, each line as a message.
    pub(super) fn send(&self, text: &[u8], times: usize) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            for turn in 0..times {
                self.pace().await?;
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let partition = i32::try_from(turn).unwrap_or(0) % PARTITIONS;
                    drop(self.producer.enqueue(Record::new("in", line.to_vec()).partition(partition)).await?);
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.producer.flush().await?;
            Ok(())
        })
    }

    /// Waits until the window is open.
    async fn pace(&self) -> anyhow::Result<()> {
        let (mut last, mut since) = (self.arrived(), Instant::now());
        while self.sent.load(Ordering::Relaxed) > last + WINDOW {
            ensure!(since.elapsed() < PATIENCE, "no message arrives any more");
            tokio::time::sleep(Duration::from_millis(1)).await;
            let arrived = self.arrived();
            if arrived > last {
                (last, since) = (arrived, Instant::now());
            }
        }
        Ok(())
    }

    /// Number of messages in the topic `out`.
    pub(super) fn arrived(&self) -> u64 {
        let ends = (0..PARTITIONS).filter_map(|partition| self.broker.next_offset("out", partition));
        ends.filter_map(|end| u64::try_from(end).ok()).sum()
    }
}
