//! Where an agent is: the data folder with its control socket, or the address of its admin listener.

use std::fmt;
use std::path::PathBuf;

use hyper::Uri;
use wattle_plan::AgentSettings;
use wattle_supervisor::control::client::socket;
use wattle_supervisor::{Configuration, environment};

use crate::cli::{AgentAddress, AgentPlace, config_paths};
use crate::exit::Failure;

/// The address in the documentation, for a command line without address and configuration.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9598";

/// Where an agent can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The control socket in this data folder.
    Socket(PathBuf),
    /// The admin listener at `host:port`.
    Address(String),
}

impl Place {
    /// The header `Host` of requests.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Address(address) => address,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(data_dir) => socket(data_dir).display().fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The places of an agent, the best one first. The control socket exists without `[admin]` as well, but only the user of
/// the agent can open it; other users reach the admin listener.
///
/// # Errors
///
/// The URL is not an address, or the configuration cannot be read.
pub(super) fn places(agent: &AgentAddress) -> Result<Vec<Place>, Failure> {
    if let Some(url) = &agent.url {
        return Ok(vec![Place::Address(address(url)?)]);
    }
    match (&agent.place.data_dir, agent.place.config.as_slice()) {
        (None, config @ [_, ..]) => {
            let settings = settings(config, "name the agent with `--url` or `--data-dir` in place of `--config`")?;
            let listener = listener(&settings).map(Place::Address);
            Ok([Place::Socket(settings.data_dir)].into_iter().chain(listener).collect())
        }
        // Another agent may listen at the default address.
        (Some(folder), _) => Ok(vec![Place::Socket(folder.clone())]),
        (None, []) => {
            let folder = wattle_manifest::default_data_dir(&environment);
            Ok(vec![Place::Socket(folder), Place::Address(DEFAULT_ADDRESS.to_owned())])
        }
    }
}

/// The data folder of an agent.
pub(crate) fn data_dir(place: &AgentPlace) -> Result<PathBuf, Failure> {
    match (&place.data_dir, place.config.as_slice()) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, config @ [_, ..]) => {
            Ok(settings(config, "name the folder with `--data-dir` in place of `--config`")?.data_dir)
        }
        (None, []) => Ok(wattle_manifest::default_data_dir(&environment)),
    }
}

/// The agent's settings in a configuration. A command must not guess them, because it could then
/// change the folders of another agent. `otherwise` is the advice if a file cannot be read.
pub(crate) fn settings(config: &[PathBuf], otherwise: &str) -> Result<AgentSettings, Failure> {
    let configuration = Configuration::Files(config_paths(config));
    configuration.known_settings().map_err(|invalid| {
        let file = configuration.name();
        let message = format!("`{file}` does not say which folders the agent uses; correct it, or {otherwise}");
        Failure::config(format!("{message}\n{}", invalid.text().trim_end()))
    })
}

/// The address of the admin listener for a client on this machine, if the configuration names one.
fn listener(settings: &AgentSettings) -> Option<String> {
    let listen = settings.admin.as_ref()?.listen?;
    match listen.port() {
        // The system chooses the port at each start.
        0 => None,
        port if listen.ip().is_unspecified() && listen.is_ipv4() => Some(format!("127.0.0.1:{port}")),
        port if listen.ip().is_unspecified() => Some(format!("[::1]:{port}")),
        _ => Some(listen.to_string()),
    }
}

/// Host and port of `http://host:port`, or of `host:port`.
pub(super) fn address(url: &str) -> Result<String, Failure> {
    let wrong = || Failure::config(format!("`{url}` is not an address such as http://127.0.0.1:9598"));
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Uri = full.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
    if !is_bare {
        return Err(wrong());
    }
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}
