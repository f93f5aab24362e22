//! The child process `journalctl`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::options::Settings;
use super::position::Begin;
use wattle_listen::LogLimit;

/// Most bytes of a line of its errors that are logged.
const MAX_LINE: usize = 1024;
/// Minimum time between two lines of its errors in the log.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// How long its last errors may take after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Most files that are checked for permissions.
const MAX_FILES: usize = 1000;

/// A running `journalctl`. Dropping it kills it.
pub(super) struct Journalctl {
    child: Child,
    pub(super) output: ChildStdout,
    errors: tokio::task::JoinHandle<()>,
    last_error: Arc<Mutex<String>>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last line of its errors; empty if there was none.
    pub(super) error: String,
}

impl Journalctl {
    /// Starts the program. With `follow` it waits for new entries.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(super) fn start(settings: &Settings, begin: &Begin, follow: bool, source: &Arc<str>) -> io::Result<Self> {
        let mut command = Command::new(&settings.program);
        command
            .args(arguments(settings, begin, follow))
            // The environment of the agent can have secrets, and variables of systemd that change the output.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the program has no output"));
        };
        let last_error = Arc::new(Mutex::new(String::new()));
        let errors = tokio::spawn(log_errors(errors, source.clone(), last_error.clone()));
        Ok(Self { child, output, errors, last_error })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// The system does not say how it ended.
    pub(super) async fn ended(mut self) -> io::Result<Ended> {
        let status = self.child.wait().await?;
        // A grandchild could keep the pipe open.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.errors).await;
        self.errors.abort();
        Ok(Ended { status, error: std::mem::take(&mut *self.last_error.lock()) })
    }
}

/// The arguments after the name of the program.
fn arguments(settings: &Settings, begin: &Begin, follow: bool) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["--output=export", "--all", "--no-pager", "--no-tail"].into_iter().map(str::to_owned).collect();
    if follow {
        arguments.push("--follow".to_owned());
    }
    if let Some(folder) = &settings.directory {
        arguments.push(format!("--directory={}", folder.display()));
    }
    if let Some(name) = &settings.namespace {
        arguments.push(format!("--namespace={name}"));
    }
    let position = &begin.position;
    let mut terms = Vec::new();
    match &position.cursor {
        // With `--after-cursor`, there would be no sign that the entry of the cursor does not exist any more.
        Some(cursor) => arguments.push(format!("--cursor={cursor}")),
        None => {
            // The boot selects better than a time before the clock was set.
            let since = if begin.boot.is_some() { 0 } else { position.realtime };
            arguments.push(format!("--since=@{}.{:06}", since / 1_000_000, since % 1_000_000));
            // Without a cursor, `--follow` implies `--boot`, which ends with an error while the journal has no entry of the
            // boot, and which only `--merge` prevents. This adds entries of other machines, which their ids exclude again.
            arguments.push("--merge".to_owned());
            terms.extend(begin.boot.as_ref().map(|boot| format!("_BOOT_ID={boot}")));
            terms.extend(begin.machine.as_ref().map(|machine| format!("_MACHINE_ID={machine}")));
        }
    }
    arguments.extend(settings.terms(terms));
    arguments
}

/// Logs what the program says about failures.
async fn log_errors(mut errors: ChildStderr, source: Arc<str>, last: Arc<Mutex<String>>) {
    let limit = LogLimit::new(LOG_PAUSE);
    let mut line = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let read = match errors.read(&mut bytes).await {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        for byte in bytes.get(..read).unwrap_or_default() {
            match byte {
                b'\n' => log_line(&mut line, &source, &last, &limit),
                byte if line.len() < MAX_LINE => line.push(*byte),
                _ => {}
            }
        }
        if read == 0 {
            return log_line(&mut line, &source, &last, &limit);
        }
    }
}

fn log_line(line: &mut Vec<u8>, source: &str, last: &Mutex<String>, limit: &LogLimit) {
    let text = String::from_utf8_lossy(line).trim().to_owned();
    line.clear();
    if text.is_empty() {
        return;
    }
    if let Some(not_logged) = limit.pass() {
        tracing::warn!(source, error = %text, not_logged, "journalctl reports a problem");
    }
    *last.lock() = text;
}

/// A journal file or folder that the agent may not read, and for which `journalctl` reports nothing.
pub(super) fn unreadable(settings: &Settings) -> Option<PathBuf> {
    let folders = match &settings.directory {
        Some(folder) => vec![folder.clone()],
        None => ["/var/log/journal", "/run/log/journal"].map(PathBuf::from).to_vec(),
    };
    let mut left = MAX_FILES;
    folders.iter().find_map(|folder| unreadable_in(folder, 1, &mut left))
}

fn unreadable_in(folder: &Path, depth: usize, left: &mut usize) -> Option<PathBuf> {
    let is_denied = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return is_denied(&error).then(|| folder.to_owned()),
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        *left = left.checked_sub(1)?;
        let is_journal = path.extension().is_some_and(|extension| extension == "journal");
        if is_journal && File::open(&path).is_err_and(|error| is_denied(&error)) {
            return Some(path);
        }
        if depth > 0
            && path.is_dir()
            && let Some(found) = unreadable_in(&path, depth - 1, left)
        {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::options::settings;
    use super::super::position::Position;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_program_begins_at_the_cursor_or_at_a_time_of_a_boot() {
        let all = settings(json!({})).unwrap();
        let at = |cursor: Option<&str>, boot: Option<&str>| Begin {
            position: Position { cursor: cursor.map(str::to_owned), realtime: 1_500_000_000_000_007 },
            boot: boot.map(str::to_owned),
            machine: Some("m".to_owned()),
        };
        let head = "--output=export --all --no-pager --no-tail";
        let joined = |settings: &Settings, begin: &Begin, follow| arguments(settings, begin, follow).join(" ");
        assert_eq!(
            joined(&all, &at(Some("s=1;i=2"), Some("b")), true),
            format!("{head} --follow --cursor=s=1;i=2"),
            "entries of other boots follow the cursor"
        );
        assert_eq!(
            joined(&all, &at(None, None), false),
            format!("{head} --since=@1500000000.000007 --merge _MACHINE_ID=m")
        );
        assert_eq!(
            joined(&all, &at(None, Some("b")), false),
            format!("{head} --since=@0.000000 --merge _BOOT_ID=b _MACHINE_ID=m")
        );
        let folder = settings(json!({ "journal_directory": "/j", "priority": "emerg" })).unwrap();
        assert_eq!(
            joined(&folder, &at(Some("c"), None), false),
            format!("{head} --directory=/j --cursor=c PRIORITY=0")
        );
        let namespace = settings(json!({ "journal_namespace": "+web" })).unwrap();
        assert_eq!(joined(&namespace, &at(Some("c"), None), false), format!("{head} --namespace=+web --cursor=c"));
    }
}
