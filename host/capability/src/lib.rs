//! Capabilities of nodes: the agent's side of the interfaces `log`, `metrics`, `clock`, `random`,
//! `host`, `lookup`, `kv`, `seen` and `http-client`.
//!
//! [`Services`] live as long as the agent, over all generations. The instances of a node hold its
//! [`NodeServices`]. The caller checks whether a capability is granted; this crate enforces its
//! limits.
//!
//! # Invariants
//!
//! - The grants of a guest bound the memory and time that it can use.
//! - Services made by [`Services::dry`] have no side effects.

mod ambient;
mod capability;
mod facts;
mod flusher;
mod http;
mod kv;
mod log;
mod lookup;
mod meters;
mod metrics;
mod seen;
mod services;
mod values;

pub use ambient::{Clock, Random, RandomError};
pub use capability::Capability;
pub use facts::{Facts, UnknownFact};
pub use http::{Budget, Client, Failure, FailureKind, Request, Response};
pub use kv::{KV_VERSION, KvError, KvUsage, Staged, Store};
pub use log::{LINES_PER_CALL, LogTarget, level_name};
pub use lookup::{FindError, LookupError, NetworkError, OpenTable, Table, TableError, Tables};
pub use meters::{Meter, Meters};
pub use metrics::{
    FamilySnapshot, Kind, Label, MetricChange, MetricError, NodeMetrics, PREFIX, Reading, samples, write_labels,
};
pub use seen::{Claims, SEEN_VERSION, SeenUsage};
pub use services::{MissingMocks, Mock, MockHttp, NodeServices, NodeSnapshot, Services};
pub use values::{TooLarge, Values, ValuesBuilder};
