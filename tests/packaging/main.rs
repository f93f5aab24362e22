//! What `packaging/` ships, checked against the agent and by the tools that read it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod alerts;
mod chart;
mod dashboards;
mod promql;
mod table;
mod unit;
