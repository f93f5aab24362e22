//! `wattle version`: what this program is.

use jiff::Timestamp;
use serde_json::json;
use wattle_plan::CONTRACT_VERSIONS;

use crate::cli::VersionOptions;
use crate::exit::{Done, print, print_json};

/// The version of the API that this agent serves.
const API: &str = "v1";

pub(crate) fn version(options: &VersionOptions) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let time = wattle_commit::TIME.and_then(|time| Timestamp::from_second(time.parse().ok()?).ok());
    let time = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let contracts: Vec<String> = CONTRACT_VERSIONS.iter().map(ToString::to_string).collect();
    let features = features();
    if options.json {
        let all = json!({
            "version": version,
            "commit": wattle_commit::COMMIT,
            "commit_time": time,
            "target": wattle_commit::TARGET,
            "features": features,
            "contracts": contracts,
            "wasmtime": wattle_commit::WASMTIME,
            "api": API,
        });
        return print_json(&all.to_string());
    }
    let unknown = || "unknown".to_owned();
    let commit = wattle_commit::COMMIT.map_or_else(unknown, str::to_owned);
    print(&format!(
        "wattle {version}\ncommit:    {commit}\ntime:      {}\ntarget:    {}\nfeatures:  {}\ncontracts: wattle:node {}\n\
         wasmtime:  {}\nAPI:       {API}",
        time.unwrap_or_else(unknown),
        wattle_commit::TARGET,
        features.join(" "),
        contracts.join(" "),
        wattle_commit::WASMTIME.unwrap_or("unknown"),
    ))
}

/// The features that this program was built with.
fn features() -> Vec<&'static str> {
    let all = [
        ("aws", cfg!(feature = "aws")),
        ("interpreter", cfg!(feature = "interpreter")),
        ("kafka", cfg!(feature = "kafka")),
        ("nats", cfg!(feature = "nats")),
    ];
    all.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect()
}
