//! The clients against a server that injects faults.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod credentials;
mod double;
mod network;
mod queue;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_aws::{AwsOptions, Limits, Session, SessionConfig, StaticEnv};

/// The configuration for options, with an environment without variables, and short time limits.
fn config(options: Value) -> SessionConfig {
    let read = wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors));
    let mut config = read.unwrap();
    config.env = Arc::new(StaticEnv::default());
    let limit = Duration::from_millis(300);
    config.limits = Limits { connect: limit, first_byte: limit, progress: limit };
    config
}

/// A session at the double, with a fixed key.
async fn session(address: &str) -> Session {
    let auth = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI"});
    Session::new(config(json!({"region": "eu-west-1", "endpoint": address, "auth": auth}))).await.unwrap()
}
