//! `wattle reload`: has a running agent load its configuration, and tells how that ended.

use std::path::PathBuf;

use hyper::Method;

use crate::cli::{AgentPlace, ReloadOptions};
use crate::configuration::{Configuration, environment};
use crate::control::answer::Answer;
use crate::control::client;
use crate::exit::{CONFIG, Done, FAILED, Failure, print, print_json, say};

pub(crate) fn reload(options: &ReloadOptions) -> Done {
    let text = client::ask(&data_dir(&options.place)?, Method::POST, "/reload", options.timeout)?;
    show(&text, options.json)
}

/// The data folder of an agent.
pub(crate) fn data_dir(place: &AgentPlace) -> Result<PathBuf, Failure> {
    match (&place.data_dir, &place.config) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Some(config)) => {
            // What is wrong in it, the agent tells; where its data is, must be known.
            std::fs::metadata(config).map_err(|e| Failure::config(format!("`{}`: {e}", config.display())))?;
            Ok(Configuration::File(config.clone()).settings().data_dir)
        }
        (None, None) => Ok(wattle_pack::default_data_dir(&environment)),
    }
}

/// Prints an answer, and ends with the code that it means.
pub(crate) fn show(text: &str, json: bool) -> Done {
    let answer: Answer = serde_json::from_str(text)?;
    if json {
        print_json(text.trim_end())?;
    } else {
        answer.rendered.iter().for_each(|diagnostic| say(diagnostic));
    }
    if !json {
        answer.notes.iter().for_each(|note| say(note));
    }
    let Answer { generation, ms, error, emptied, .. } = answer;
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
