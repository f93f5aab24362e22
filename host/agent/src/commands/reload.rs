//! `wattle reload`: reloads the configuration of a running agent and reports the result.

use hyper::Method;

use crate::cli::ReloadOptions;
use crate::client::{self, data_dir};
use crate::exit::{CONFIG, Done, FAILED, Failure, print, print_json, say};
use wattle_supervisor::Outcome;
use wattle_supervisor::control::response::Response;

pub(crate) fn reload(options: &ReloadOptions) -> Done {
    let text = client::send(&data_dir(&options.place)?, Method::POST, "/reload", options.timeout)?;
    show(&text, options.json)
}

/// Prints a response and returns its exit code.
pub(crate) fn show(text: &str, json: bool) -> Done {
    let response: Response = serde_json::from_str(text)?;
    if json {
        print_json(text.trim_end())?;
    } else {
        response.rendered.iter().for_each(|diagnostic| say(diagnostic));
    }
    if !json {
        response.notes.iter().for_each(|note| say(note));
    }
    let Response { generation, ms, error, emptied, .. } = response;
    let error = error.unwrap_or_default();
    let failed = |code, message| Err(Failure::with(code, if json { String::new() } else { message }));
    match response.outcome {
        Outcome::Applied | Outcome::Unchanged if json => Ok(()),
        Outcome::Applied => {
            if !emptied.is_empty() {
                say(&format!("these nodes started without the state of their predecessors: {}", emptied.join(", ")));
            }
            print(&format!("generation {generation} runs, after {ms} ms"))
        }
        Outcome::Unchanged => print(&format!("nothing changed; generation {generation} stays")),
        Outcome::Invalid => failed(CONFIG, format!("the configuration is invalid; generation {generation} stays")),
        Outcome::Failed => failed(FAILED, format!("{error}; generation {generation} stays")),
    }
}
