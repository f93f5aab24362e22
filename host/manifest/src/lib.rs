//! Loads and validates configurations: reads `agent.toml` and packs, and returns a
//! [`Plan`](wattle_plan::Plan) or every [`Diagnostic`](wattle_diagnostics::Diagnostic) at once.
//!
//! A manifest is a file as written; a plan is its validated meaning. [`load()`] parses the
//! manifests, fills in environment variables and parameters of packs, checks options with
//! [`Nodes`](wattle_plan::Nodes) and [`Endpoints`], links ports to nodes and outputs, and returns
//! a plan that needs no further checks.
//!
//! # Invariants
//!
//! - Nothing is built or run here except by [`Nodes::configure`](wattle_plan::Nodes::configure);
//!   the crate uses no threads, no network and no clock.
//! - No input makes this crate panic.
//! - No diagnostic shows a value that came from the environment or from a secret parameter.

mod agent_links;
mod case;
mod diff;
mod endpoint_conflicts;
mod endpoints;
mod install;
mod lint;
mod load;
mod machine;
mod option_path;
mod origin;
mod outline;
mod own_output;
mod params;
mod pattern;
mod pipeline;
mod raw;
mod schema;
mod secret_file;
mod show;
mod template;
mod wire;

pub use case::{EVENT_KEYS, Expectations, Framing, PackTest, load_tests};
pub use diff::{Change, PackView, Section, diff};
pub use endpoints::{EndpointKind, Endpoints};
pub use install::install;
pub use lint::lint_pack;
pub use load::{Env, load, load_pack, load_version, peek_settings, read_options, read_settings};
pub use machine::{MIN_MEMORY_BYTES, SMALL_BYTES, memory_limit};
pub use origin::{ConfigOrigin, files_of, lock_of};
pub use outline::{CapabilityOutline, NodeOutline, OutputOutline, PackOutline, ParamOutline, outline};
pub use raw::agent::default_data_dir;
pub use raw::grants::read_grants;
pub use schema::{OptionSchemas, agent_schema, node_schema, pack_schema};
pub use show::{Shown, show};
