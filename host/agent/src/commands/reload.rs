//! `wattle reload`: has a running agent load its configuration, and tells how that ended.

use hyper::Method;

use crate::cli::ReloadOptions;
use crate::control::{self, data_dir};
use crate::exit::{CONFIG, Done, FAILED, Failure, print, print_json, say};
use wattle_supervisor::control::response::Response;

pub(crate) fn reload(options: &ReloadOptions) -> Done {
    let text = control::send(&data_dir(&options.place)?, Method::POST, "/reload", options.timeout)?;
    show(&text, options.json)
}

/// Prints an answer, and ends with the code that it means.
pub(crate) fn show(text: &str, json: bool) -> Done {
    let answer: Response = serde_json::from_str(text)?;
    if json {
        print_json(text.trim_end())?;
    } else {
        answer.rendered.iter().for_each(|diagnostic| say(diagnostic));
    }
    if !json {
        answer.notes.iter().for_each(|note| say(note));
    }
    let Response { generation, ms, error, emptied, .. } = answer;
    let error = error.unwrap_or_default();
    let failed = |code, message| Err(Failure::with(code, if json { String::new() } else { message }));
    match answer.outcome.as_str() {
        "applied" | "unchanged" if json => Ok(()),
        "applied" => {
            if !emptied.is_empty() {
                say(&format!("these nodes begin with nothing instead of former state: {}", emptied.join(", ")));
            }
            print(&format!("generation {generation} runs, after {ms} ms"))
        }
        "unchanged" => print(&format!("nothing changed; generation {generation} runs on")),
        "invalid" => failed(CONFIG, format!("the configuration is invalid; generation {generation} runs on")),
        _ => failed(FAILED, format!("{error}; generation {generation} runs on")),
    }
}
