//! The harness of the end-to-end tests: they run the agent as users do, as a program, and check its
//! output.
//!
//! Every test has a separate folder, so tests can run in parallel. Every run that moves data ends
//! in [`Summary`], whose reader checks that as many events went out as came in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod agent;
mod capable;
mod config;
pub mod evil;
mod fake_agent;
mod folder;
mod mask;
mod metrics;
mod page;
mod place;
mod pty;
mod records;
mod registry;
mod rsyslog;
pub mod signing;
mod small_disk;
mod summary;
mod web;

pub use agent::{Agent, Ended, finish, finish_in_time, wait_until};
pub use capable::{ALL_GRANTS, capable_config};
pub use config::Config;
pub use fake_agent::FakeAgent;
pub use folder::Folder;
pub use mask::{Masked, SECRET_KEYS, assert_hidden, mask_model, secrets_in};
pub use metrics::Metrics;
pub use page::scale_page;
pub use place::{binary, built, samples, workspace};
pub use pty::Terminal;
pub use records::{Trail, event_id, json_lines, values};
pub use registry::{DockerRegistry, FakeRegistry, Manner};
pub use rsyslog::Rsyslog;
pub use small_disk::SmallDisk;
pub use summary::{Pipeline, Summary};
pub use web::{Answer, Endpoint, free_address, get, send};
