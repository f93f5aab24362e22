//! `wattle status`: shows the status of a running agent, from its control socket or its admin
//! listener.

mod client;
mod render;
mod table;
mod units;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;

use crate::cli::{AgentPlace, Color, StatusOptions};
use crate::control;
use crate::exit::{Done, FAILED, Failure, UNAVAILABLE, print_json, print_styled};
use wattle_api::status::Status;

/// How long the agent may take. It responds from memory.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The address in the documentation, for a command line without address and configuration.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9598";

pub(crate) fn status(options: &StatusOptions, color: Color) -> Done {
    let body = match &options.url {
        Some(url) => by_address(&client::address(url)?)?,
        // The socket exists without `[admin]` as well. Other users cannot open it and use the
        // address.
        None => match control::send(&data_dir(options)?, Method::GET, "/status", TIMEOUT) {
            Ok(body) => body,
            Err(unreached) => match &options.config {
                Some(config) => by_address(&configured(config).map_err(|_| unreached)?)?,
                None => by_address(DEFAULT_ADDRESS).map_err(|_| unreached)?,
            },
        },
    };
    let status: Status = serde_json::from_str(&body)
        .map_err(|error| Failure::with(UNAVAILABLE, format!("the response is not from an agent: {error}")))?;
    if options.json {
        // Use the original document, because it can have fields that this version does not know.
        let value: serde_json::Value = serde_json::from_str(&body)?;
        print_json(&serde_json::to_string_pretty(&value)?)?;
    } else {
        print_styled(&render::render(&status, color.wanted(std::io::stdout().is_terminal())))?;
    }
    // The status names the reason.
    if status.ready { Ok(()) } else { Err(Failure::silent(FAILED)) }
}

fn by_address(address: &str) -> Result<String, Failure> {
    client::get(address, "/status").map_err(|reason| {
        let message = format!("no agent answers at `{address}`: {reason}; is it running, with this `[admin] listen`?");
        Failure::with(UNAVAILABLE, message)
    })
}

/// The data folder of the agent.
fn data_dir(options: &StatusOptions) -> Result<PathBuf, Failure> {
    let place = AgentPlace { config: options.config.clone(), data_dir: options.data_dir.clone() };
    control::data_dir(&place)
}

/// The address in a configuration, for a client on this machine.
fn configured(config: &Path) -> Result<String, Failure> {
    let file = config.display();
    let admin = control::settings(config, "name the address with --url")?.admin;
    let Some(listen) = admin.and_then(|admin| admin.listen) else {
        let message = format!("`{file}` has no valid `[admin] listen`; add it, or use --url");
        return Err(Failure::config(message));
    };
    match listen.port() {
        0 => Err(Failure::config(format!("`{file}` listens on any free port; find the port in the log and use --url"))),
        port if listen.ip().is_unspecified() && listen.is_ipv4() => Ok(format!("127.0.0.1:{port}")),
        port if listen.ip().is_unspecified() => Ok(format!("[::1]:{port}")),
        _ => Ok(listen.to_string()),
    }
}
