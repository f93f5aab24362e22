//! `wattle quarantine`: shows, retries and drops events that a masking node could not process.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wattle_printable::line;
use wattle_topology::{QuarantineStore, Quarantined, TopologySettings, retry, sandboxed};

use crate::builtin;
use crate::cli::{AgentPlace, QuarantineCommand, QuarantinePlace, QuarantineSelection, config_paths};
use crate::client;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print, print_json, say};
use crate::io_threads;
use wattle_supervisor::Configuration;
use wattle_supervisor::data_folder::{DataFolderError, lock};

/// Maximum length of a message in a list, in characters.
const MAX_MESSAGE_CHARS: usize = 80;

pub(crate) fn quarantine(command: &QuarantineCommand) -> Done {
    match command {
        QuarantineCommand::List { pipeline: None, place } => list_all(place),
        QuarantineCommand::List { pipeline: Some(pipeline), place } => list(&open(place, pipeline)?),
        QuarantineCommand::Show { pipeline, ids, place } => show(&open(place, pipeline)?, ids),
        QuarantineCommand::Retry { selection, config } => retry_events(selection, config),
        QuarantineCommand::Drop { selection, yes, place } => drop_events(selection, *yes, place),
    }
}

fn data_dir(place: &QuarantinePlace) -> Result<PathBuf, Failure> {
    client::data_dir(&AgentPlace { config: place.config.clone(), data_dir: place.data_dir.clone() })
}

/// The quarantine of a pipeline, which must exist: a misspelt name must not look like an empty
/// quarantine.
fn open(place: &QuarantinePlace, pipeline: &str) -> Result<QuarantineStore, Failure> {
    find(&data_dir(place)?, pipeline)
}

fn find(folder: &std::path::Path, pipeline: &str) -> Result<QuarantineStore, Failure> {
    let all = QuarantineStore::all(folder)?;
    let names: Vec<String> = all.iter().map(|store| format!("`{}`", store.pipeline())).collect();
    all.into_iter().find(|store| store.pipeline() == pipeline).ok_or_else(|| {
        let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let folder = folder.display();
        Failure::new(format!(
            "pipeline `{pipeline}` has nothing in quarantine; the data folder `{folder}` holds {known}"
        ))
    })
}

fn list_all(place: &QuarantinePlace) -> Done {
    let folder = data_dir(place)?;
    let mut rows = vec![["PIPELINE", "EVENTS", "SIZE", "OLDEST", "NEWEST", "UNREADABLE"].map(str::to_owned).to_vec()];
    for store in QuarantineStore::all(&folder)? {
        let (mut events, mut oldest, mut newest) = (0_usize, None, None);
        let unreadable = store.for_each(|event| {
            events += 1;
            oldest = oldest.or(event.kept);
            newest = event.kept.or(newest);
            true
        })?;
        if events + unreadable > 0 {
            let size = format!("{}B", store.size());
            let name = store.pipeline().to_owned();
            rows.push(vec![name, events.to_string(), size, age(oldest), age(newest), unreadable.to_string()]);
        }
    }
    if rows.len() == 1 {
        say(&format!("nothing is in quarantine in {}", folder.display()));
        return Ok(());
    }
    print(table(&rows).trim_end())
}

fn list(store: &QuarantineStore) -> Done {
    let mut rows = vec![["ID", "AGE", "NODE", "CODE", "MESSAGE"].map(str::to_owned).to_vec()];
    let unreadable = store.for_each(|event| {
        let message: String = event.message.chars().take(MAX_MESSAGE_CHARS).collect();
        let [id, node, code, message] =
            [event.id, event.node, event.code, message].map(|text| line(&text).into_owned());
        rows.push(vec![id, age(event.kept), node, code, message]);
        true
    })?;
    print(table(&rows).trim_end())?;
    say_unreadable(unreadable);
    Ok(())
}

fn show(store: &QuarantineStore, ids: &[String]) -> Done {
    let mut missing: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let mut found: Vec<Quarantined> = Vec::new();
    store.for_each(|event| {
        if missing.remove(event.id.as_str()) {
            found.push(event);
        }
        !missing.is_empty()
    })?;
    if std::io::stdout().is_terminal() && !found.is_empty() {
        say("warning: these events are not masked");
    }
    for event in found {
        print_json(&String::from_utf8_lossy(&event.event))?;
    }
    refuse_missing(store, missing.into_iter())
}

fn drop_events(selection: &QuarantineSelection, yes: bool, place: &QuarantinePlace) -> Done {
    let store = open(place, &selection.pipeline)?;
    let ids = select(&store, selection)?;
    if !yes {
        let question = format!("drop {} events of `{}` permanently?", ids.len(), selection.pipeline);
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(format!("{question} standard input is not a terminal; add --yes")));
        }
        let mut terminal = std::io::stderr();
        write!(terminal, "{question} [y/N] ")?;
        terminal.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new("nothing was dropped"));
        }
    }
    let removed = store.remove(&ids)?;
    print(&format!("{removed} events dropped"))
}

fn retry_events(selection: &QuarantineSelection, config: &[PathBuf]) -> Done {
    let configuration = Configuration::Files(config_paths(config));
    let agent = client::settings(config, "correct the configuration that the events are retried with")?;
    // Two processes that write to the same files and checkpoints would corrupt them.
    let _lock = lock(&agent.data_dir).map_err(|error| match error {
        DataFolderError::InUse { .. } => Failure::config(format!(
            "an agent runs with the data folder `{}`: stop it, retry, and start it again; events stay in quarantine \
             meanwhile",
            agent.data_dir.display()
        )),
        error => Failure::config(error.to_string()),
    })?;
    let store = find(&agent.data_dir, &selection.pipeline)?;
    let ids = select(&store, selection)?;
    let catalog = catalog(&agent.data_dir, agent.artifacts)?;
    let (plan, _) =
        load(&configuration, &catalog, &builtin::library()).map_err(|invalid| Failure::diagnostics(invalid.text()))?;
    let settings = TopologySettings { data_dir: agent.data_dir, workers: 1, once: true, keeps_state: false };
    let make = sandboxed(catalog.runtime().clone(), catalog.services().clone());
    let runtime = io_threads::start(agent.io_threads)?;
    let retried = runtime.block_on(retry(&plan, &selection.pipeline, &ids, &settings, &make))?;
    print(&format!("{} events delivered, {} of them as failed again", retried.delivered, retried.failed))?;
    match retried.kept {
        0 => Ok(()),
        kept => {
            Err(Failure::new(format!("{kept} events could not be delivered and are still in quarantine; see the log")))
        }
    }
}

/// The selected events, all of which must exist.
fn select(store: &QuarantineStore, selection: &QuarantineSelection) -> Result<HashSet<String>, Failure> {
    let mut all = HashSet::new();
    store.for_each(|event| {
        all.insert(event.id);
        true
    })?;
    if selection.all {
        return Ok(all);
    }
    refuse_missing(store, selection.ids.iter().map(String::as_str).filter(|id| !all.contains(*id)))?;
    Ok(selection.ids.iter().cloned().collect())
}

fn refuse_missing<'a>(store: &QuarantineStore, missing: impl Iterator<Item = &'a str>) -> Done {
    let mut missing: Vec<String> = missing.map(|id| format!("`{id}`")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort();
    let (pipeline, missing) = (store.pipeline(), missing.join(", "));
    Err(Failure::new(format!(
        "`{pipeline}` has no {missing} in quarantine; `wattle quarantine list {pipeline}` has the ids"
    )))
}

fn say_unreadable(lines: usize) {
    if lines > 0 {
        say(&format!("{lines} lines of the quarantine are invalid; they stay in the file"));
    }
}

/// Columns of text, each as wide as its widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}   ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// An age in its largest unit, as in `kubectl`.
fn age(nanoseconds: Option<i64>) -> String {
    let Some(then) = nanoseconds.and_then(|n| u64::try_from(n).ok()) else { return "?".into() };
    let then = UNIX_EPOCH + Duration::from_nanos(then);
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_their_largest_unit() {
        let ago = |seconds: u64| {
            let then = SystemTime::now() - Duration::from_secs(seconds);
            age(i64::try_from(then.duration_since(UNIX_EPOCH).unwrap().as_nanos()).ok())
        };
        assert_eq!([ago(600), ago(86_400), ago(864_000)], ["10m", "24h", "10d"]);
        assert_eq!(age(None), "?");
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(table(&[row(["ID", "AGE"]), row(["longer", "1s"])]), "ID       AGE\nlonger   1s\n");
    }
}
