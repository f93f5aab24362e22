//! `wattle status`: shows the status of a running agent.

mod render;
pub(crate) mod table;
pub(crate) mod units;

use std::io::IsTerminal as _;

use wattle_api::status::Status;

use crate::cli::{Color, StatusOptions};
use crate::client::{Client, block_on};
use crate::exit::{Done, FAILED, Failure, UNAVAILABLE, print_json, print_styled};

pub(crate) fn status(options: &StatusOptions, color: Color) -> Done {
    let client = Client::new(&options.agent)?;
    let body = block_on(client.get_text("/status"))?.map_err(|error| error.failure(""))?;
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
