//! The subcommands, one file each.

mod changes;
pub(crate) mod cloudtrail;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod node;
pub(crate) mod pack;
mod paint;
pub(crate) mod quarantine;
pub(crate) mod registry;
pub(crate) mod reload;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod shadow;
pub(crate) mod status;
pub(crate) mod tally;
pub(crate) mod tap;
pub(crate) mod top;
pub(crate) mod try_pack;
pub(crate) mod validate;
pub(crate) mod version;
