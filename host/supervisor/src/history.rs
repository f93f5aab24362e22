//! The history of an agent: a line of JSON for each generation that started or was refused, in
//! `history.ndjson` of the data folder.
//!
//! Each line is appended and synced. When the file exceeds its maximum size, its older half is
//! removed.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wattle_plan::Plan;

/// Name of the file in the data folder.
const FILE: &str = "history.ndjson";
/// Maximum size of the file in bytes, for some thousand entries.
const MAX_BYTES: u64 = 1 << 20;

/// Why a generation started, or why it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The agent started.
    Started,
    /// A reload applied a changed configuration.
    Applied,
    /// A reload refused an invalid configuration.
    Invalid,
    /// A reload could not build a configuration.
    Failed,
    /// A canary was promoted.
    Promoted,
    /// A version was rolled back.
    RolledBack,
    /// An event of another version of the agent.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Event {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Applied => "applied",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
        }
    }
}

/// A generation that started or was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// RFC 3339.
    pub at: String,
    /// The generation that runs after it.
    pub generation: u64,
    /// What happened.
    pub what: Event,
    /// The cause: the changed files, or the request.
    pub why: String,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Nodes that started without the state of their predecessors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// The running pipelines; empty if the generation was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<Pipeline>,
}

/// A running pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Name of its pack; none for a graph written inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// Version of its pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of its pack's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of its graph, options and artifacts.
    pub fingerprint: String,
    /// Name and digest of each node's artifact.
    pub artifacts: Vec<(String, String)>,
}

impl Entry {
    /// An entry with the current time.
    pub(crate) fn new(generation: u64, what: Event, why: impl Into<String>) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let at = wattle_batch::format_rfc3339(i64::try_from(at).unwrap_or(i64::MAX));
        Self { at, generation, what, why: why.into(), ..Self::default() }
    }

    /// Adds the pipelines of the plan that runs.
    pub(crate) fn running(mut self, plan: &Plan) -> Self {
        let pipelines = plan.pipelines.iter().map(|pipeline| Pipeline {
            name: pipeline.name.clone(),
            pack: pipeline.pack.as_ref().map(|pack| pack.name.clone()),
            version: pipeline.pack.as_ref().map(|pack| pack.version.to_string()),
            digest: pipeline.pack.as_ref().map(|pack| pack.digest.clone()),
            fingerprint: pipeline.fingerprint(),
            artifacts: pipeline.nodes.iter().map(|n| (n.name.clone(), n.artifact.digest.clone())).collect(),
        });
        self.pipelines = pipelines.collect();
        self
    }
}

/// Writes entries.
pub(crate) struct History {
    /// `None` for a run that keeps nothing.
    path: Option<PathBuf>,
}

impl History {
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        Self { path: data_dir.map(|dir| dir.join(FILE)) }
    }

    /// Adds an entry. A failure is logged and changes nothing else.
    pub(crate) fn add(&self, entry: &Entry) {
        let Some(path) = &self.path else { return };
        if let Err(error) = append(path, entry, MAX_BYTES) {
            tracing::warn!(path = %path.display(), %error, "cannot write the history");
        }
    }
}

fn append(path: &Path, entry: &Entry, max_bytes: u64) -> io::Result<()> {
    let line = serde_json::to_string(entry)? + "\n";
    let mut file = File::options().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    // Without a line break, this line would continue a line that a crash cut off.
    let begin = if is_torn(path)? { "\n" } else { "" };
    file.write_all(format!("{begin}{line}").as_bytes())?;
    file.sync_data()?;
    if file.metadata()?.len() > max_bytes { shorten(path) } else { Ok(()) }
}

fn is_torn(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let mut last = [b'\n'];
    match file.metadata()?.len() {
        0 => Ok(false),
        length => file.read_exact_at(&mut last, length - 1).map(|()| last != [b'\n']),
    }
}

fn shorten(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let (_, newer) = bytes.split_at(bytes.len() / 2);
    let begin = newer.iter().position(|&b| b == b'\n').map_or(newer.len(), |at| at + 1);
    let new = path.with_extension("ndjson.new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(newer.get(begin..).unwrap_or_default())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Reads the history of a data folder, oldest entry first. Invalid lines are skipped.
///
/// # Errors
///
/// The file cannot be read.
pub fn read(data_dir: &Path) -> io::Result<Vec<Entry>> {
    let text = fs::read_to_string(data_dir.join(FILE))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_half_stays_when_the_file_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for generation in 0..100 {
            append(&path, &Entry::new(generation, Event::Applied, "a test"), 1000).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= 1000);
        }
        let kept: Vec<u64> = read(dir.path()).unwrap().iter().map(|entry| entry.generation).collect();
        assert!(kept.len() >= 4 && kept.last() == Some(&99), "{kept:?}");
        assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{kept:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn events_have_the_same_names_in_the_file_and_on_the_terminal() {
        use Event::{Applied, Failed, Invalid, Promoted, RolledBack, Started};
        for event in [Started, Applied, Invalid, Failed, Promoted, RolledBack] {
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
        let newer: Entry = serde_json::from_str("{\"what\":\"paused\"}").unwrap();
        assert_eq!(newer.what, Event::Unknown);
    }

    #[test]
    fn a_torn_line_damages_no_other_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"generation\":1}\n{\"genera").unwrap();
        append(&dir.path().join(FILE), &Entry::new(2, Event::Applied, "a test"), MAX_BYTES).unwrap();
        let kept: Vec<u64> = read(dir.path()).unwrap().iter().map(|entry| entry.generation).collect();
        assert_eq!(kept, [1, 2]);
    }
}
