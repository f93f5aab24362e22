//! `wattle history`: shows the generations that an agent ran.

use crate::cli::HistoryOptions;
use crate::client::data_dir;
use crate::exit::{Done, Failure, print, print_json};
use wattle_supervisor::history::{self, Entry, Pipeline};

pub(crate) fn history(options: &HistoryOptions) -> Done {
    let folder = data_dir(&options.place)?;
    let entries = history::read(&folder).map_err(|error| {
        Failure::new(format!("no history in `{}`: {error}; has an agent run with this data folder?", folder.display()))
    })?;
    let first = options.last.map_or(0, |last| entries.len().saturating_sub(last));
    for entry in entries.iter().skip(first) {
        if options.json { print_json(&serde_json::to_string(entry)?)? } else { print(&text(entry))? }
    }
    Ok(())
}

fn text(entry: &Entry) -> String {
    let Entry { at, generation, what, why, error, emptied, pipelines } = entry;
    let at = at.split('.').next().unwrap_or_default().trim_end_matches('Z');
    let mut lines = vec![format!("{at}Z  generation {generation:<5} {:<12} {why}", what.name())];
    lines.extend(error.as_ref().map(|error| format!("    {}", error.trim_end().replace('\n', "\n    "))));
    if !emptied.is_empty() {
        lines.push(format!("    started without state: {}", emptied.join(", ")));
    }
    for Pipeline { name, pack, version, fingerprint, .. } in pipelines {
        let pack = match (pack, version) {
            (Some(pack), Some(version)) => format!("{pack}@{version}"),
            _ => "inline".to_owned(),
        };
        // Enough digits to distinguish versions.
        let digest: String = fingerprint.chars().take("sha256:".len() + 12).collect();
        lines.push(format!("    {name:<20} {pack:<24} {digest}"));
    }
    lines.join("\n")
}
