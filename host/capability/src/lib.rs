//! What nodes get beyond their batches: the agent's side of the interfaces `log`, `metrics`, `clock`, `random`, `lookup`,
//! `kv` and `http-client`.
//!
//! [`Services`] live as long as the agent; generations come and go. A node's instances hold its [`NodeServices`]. Whether
//! something is granted is asked by who calls; how much of it, here.
//!
//! # Invariants
//!
//! - Whatever a guest asks for, memory and time that it takes are bounded by its grants.
//! - What is made by [`Services::dry`] has no effect that anybody else could see.

mod ambient;
mod capability;
mod http;
mod kv;
mod log;
mod lookup;
mod meters;
mod metrics;
mod services;
mod values;

pub use ambient::{Clock, Random};
pub use capability::Capability;
pub use http::{Budget, Client, Failure, Request, Response};
pub use kv::{Changes, Store};
pub use log::{LINES_PER_CALL, LogTarget, level_name};
pub use lookup::{OpenTable, Table, Tables};
pub use meters::{Meter, Meters};
pub use metrics::{FamilySnapshot, Kind, Label, MetricChange, NodeMetrics, PREFIX, Reading, samples, write_labels};
pub use services::{FAILURES, MissingMocks, Mock, MockHttp, NodeServices, NodeSnapshot, Services};
pub use values::{Values, ValuesBuilder};
