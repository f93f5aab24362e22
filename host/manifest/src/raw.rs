//! The manifests as typed values, as written in `agent.toml` and `pack.toml` and before validation.

mod admin;
pub(crate) mod agent;
mod buffer;
pub(crate) mod capabilities;
pub(crate) mod grants;
pub(crate) mod graph;
pub(crate) mod limits;
pub(crate) mod pack;
pub(crate) mod packs;
pub(crate) mod rollout;
pub(crate) mod state;
