//! Requests to a running agent, through the control socket in its data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use wattle_plan::AgentSettings;
use wattle_supervisor::control::client::{self, RequestError};
use wattle_supervisor::{Configuration, environment};

use crate::cli::AgentPlace;
use crate::exit::{FAILED, Failure, UNAVAILABLE};

/// The data folder of an agent.
pub(crate) fn data_dir(place: &AgentPlace) -> Result<PathBuf, Failure> {
    match (&place.data_dir, &place.config) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Some(config)) => {
            Ok(settings(config, "name the folder with `--data-dir` in place of `--config`")?.data_dir)
        }
        (None, None) => Ok(wattle_manifest::default_data_dir(&environment)),
    }
}

/// The agent's settings in a configuration. A command must not guess them, because it could then
/// change the folders of another agent. `otherwise` is the advice if the file cannot be read.
pub(crate) fn settings(config: &Path, otherwise: &str) -> Result<AgentSettings, Failure> {
    Configuration::File(config.to_owned()).known_settings().map_err(|invalid| {
        let file = config.display();
        let message = format!("`{file}` does not say which folders the agent uses; correct it, or {otherwise}");
        Failure::config(format!("{message}\n{}", invalid.text().trim_end()))
    })
}

/// Sends a request and returns the response, which is JSON.
pub(crate) fn send(data_dir: &Path, method: Method, path: &str, timeout: Duration) -> Result<String, Failure> {
    client::send(data_dir, method, path, timeout).map_err(|error| {
        let code = match error {
            RequestError::Unavailable { .. } => UNAVAILABLE,
            RequestError::Timeout { .. } | RequestError::Io(_) => FAILED,
        };
        Failure::with(code, error.to_string())
    })
}
