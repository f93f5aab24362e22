//! `wattle status`: asks a running agent how it is.

mod client;
mod render;
mod table;

use std::io::IsTerminal as _;
use std::path::Path;

use crate::admin::status::Status;
use crate::cli::{Color, StatusOptions};
use crate::configuration::Configuration;
use crate::exit::{Done, FAILED, Failure, UNAVAILABLE, print_json, print_styled};

/// Where an agent listens if neither an address nor a configuration is given: the one that the documents use.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9598";

pub(crate) fn status(options: &StatusOptions, color: Color) -> Done {
    let address = match (&options.url, &options.config) {
        (Some(url), _) => client::address(url)?,
        (None, Some(config)) => configured(config)?,
        (None, None) => DEFAULT_ADDRESS.to_owned(),
    };
    let body = client::get(&address, "/status").map_err(|reason| {
        let message = format!("no agent answers at `{address}`: {reason}; it must run with `[admin] listen`");
        Failure::with(UNAVAILABLE, message)
    })?;
    let status: Status = serde_json::from_str(&body)
        .map_err(|error| Failure::with(UNAVAILABLE, format!("what answers at `{address}` is not an agent: {error}")))?;
    if options.json {
        // As the agent wrote it, with fields that this version may not know.
        let value: serde_json::Value = serde_json::from_str(&body)?;
        print_json(&serde_json::to_string_pretty(&value)?)?;
    } else {
        print_styled(&render::render(&status, color.wanted(std::io::stdout().is_terminal())))?;
    }
    // Everything has been said.
    if status.ready { Ok(()) } else { Err(Failure::silent(FAILED)) }
}

/// The address that a configuration names, as seen from this machine.
fn configured(config: &Path) -> Result<String, Failure> {
    let file = config.display();
    if let Err(error) = std::fs::metadata(config) {
        return Err(Failure::config(format!("`{file}`: {error}")));
    }
    let Some(admin) = Configuration::File(config.into()).settings().admin else {
        let message = format!("`{file}` has no valid `[admin] listen`; add it, or say where with --url");
        return Err(Failure::config(message));
    };
    match admin.listen.port() {
        0 => Err(Failure::config(format!(
            "`{file}` listens at any free port; its log says at which, give that to --url"
        ))),
        port if admin.listen.ip().is_unspecified() && admin.listen.is_ipv4() => Ok(format!("127.0.0.1:{port}")),
        port if admin.listen.ip().is_unspecified() => Ok(format!("[::1]:{port}")),
        _ => Ok(admin.listen.to_string()),
    }
}
