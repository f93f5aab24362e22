//! Requests to a running agent, by the control socket in its data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use wattle_supervisor::control::client::{self, RequestError};
use wattle_supervisor::{Configuration, environment};

use crate::cli::AgentPlace;
use crate::exit::{FAILED, Failure, UNAVAILABLE};

/// The data folder of an agent.
pub(crate) fn data_dir(place: &AgentPlace) -> Result<PathBuf, Failure> {
    match (&place.data_dir, &place.config) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Some(config)) => {
            // The agent reports what is wrong in the file. Its data folder has to be known before that.
            std::fs::metadata(config).map_err(|e| Failure::config(format!("`{}`: {e}", config.display())))?;
            Ok(Configuration::File(config.clone()).settings().data_dir)
        }
        (None, None) => Ok(wattle_manifest::default_data_dir(&environment)),
    }
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
