//! `GET /api/v1/history`: the generations that started or were refused.

use std::io;

use hyper::StatusCode;
use wattle_api::rollout::{History, HistoryEntry};

use super::super::response::{Refusal, document};
use super::super::state::State;
use super::Reply;
use crate::history::{self, Entry};

/// Maximum number of entries; the newest ones.
const MAX_ENTRIES: usize = 200;

pub(crate) fn respond(state: &State) -> Reply {
    let Some(data_dir) = state.data_dir() else { return document(&History::default()) };
    match history::read(&data_dir) {
        Ok(mut entries) => {
            let newest = entries.split_off(entries.len().saturating_sub(MAX_ENTRIES));
            document(&History { entries: newest.into_iter().map(entry).collect() })
        }
        // An agent that keeps nothing has no history.
        Err(error) if error.kind() == io::ErrorKind::NotFound => document(&History::default()),
        Err(error) => {
            let error = format!("cannot read the history: {error}; check the data folder");
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error))
        }
    }
}

fn entry(entry: Entry) -> HistoryEntry {
    let packs = entry.pipelines.into_iter().map(|pipeline| {
        let pack = match (pipeline.pack, pipeline.version) {
            (Some(pack), Some(version)) => format!("{pack}@{version}"),
            (Some(pack), None) => pack,
            (None, _) => String::new(),
        };
        (pipeline.name, pack)
    });
    HistoryEntry {
        at: entry.at,
        generation: entry.generation,
        what: entry.what.name().into(),
        why: entry.why,
        error: entry.error,
        packs: packs.filter(|(_, pack)| !pack.is_empty()).collect(),
    }
}
