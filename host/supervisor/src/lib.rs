//! The supervisor of the agent: loads the configuration, runs the topology, reloads it, and reports
//! on it.
//!
//! Read [`Agent`] first: it waits for changed files, commands, signals and decisions about new
//! versions, and applies each of them. [`reload`] turns a changed configuration into the generation
//! that runs it, [`rollout`] decides which version of a pipeline runs, [`control`] and [`admin`]
//! serve the sockets.
//!
//! # Invariants
//!
//! - The supervisor never writes to a terminal or ends the process: the program around it does, see
//!   [`Frontend`] and [`Requests`].
//! - If a step of a reload fails, the running generation stays.

pub mod admin;
mod certificates;
mod configuration;
pub mod control;
pub mod counts;
pub mod data_folder;
mod endpoints;
mod env_file;
mod frontend;
pub mod history;
mod metric;
mod mocked;
mod outcome;
pub mod pack_tests;
mod reload;
mod remote;
mod requests;
mod rollout;
mod service_manager;
mod shadow;
mod supervisor;
mod time;
pub mod trial;
mod watch;

pub use configuration::{Configuration, environment, stored};
pub use env_file::{EnvFileError, set_env_files};
pub use frontend::Frontend;
pub use outcome::Outcome;
pub use remote::client_options;
pub use requests::{Requester, Requests, requests};
pub use service_manager::ServiceManager;
pub use supervisor::{Agent, End, Options, Problem, Report, StartError, Supervisor};
pub use watch::{Change, Watch};
