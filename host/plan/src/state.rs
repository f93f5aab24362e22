//! How the state of a node is shared by the workers, and how long it lives.

use std::time::Duration;

/// How the workers share the state of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each worker has an instance of its own, which sees the batches of that worker.
    #[default]
    Worker,
    /// All workers share one instance.
    Single,
    /// Each of a fixed number of instances sees some of the keys: the texts of these fields.
    Key(Vec<String>),
}

impl Sharing {
    /// Names of all kinds in the configuration.
    pub const NAMES: [&'static str; 3] = ["worker", "single", "key"];
}

/// What happens to the state of a node at a crash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// It is lost. A drain writes it to disk.
    #[default]
    Memory,
    /// It survives: events that the node has seen are acknowledged after a snapshot on disk contains
    /// them.
    Disk,
}

impl Durability {
    /// All values with their names in the configuration.
    pub const ALL: [(&'static str, Self); 2] = [("memory", Self::Memory), ("disk", Self::Disk)];
}

/// Settings for the state of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// How the workers share it.
    pub sharing: Sharing,
    /// Number of instances that share the keys.
    pub shards: u32,
    /// What happens to it at a crash.
    pub durability: Durability,
    /// Time between two snapshots on disk.
    pub snapshot_interval: Duration,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            sharing: Sharing::Worker,
            shards: 8,
            durability: Durability::Memory,
            snapshot_interval: Duration::from_secs(1),
        }
    }
}
