//! Where rows stay that a masking node could not process: they must neither be lost nor leave in clear.
//!
//! Each row becomes a line of JSON with an `id`, in `quarantine/<pipeline>.ndjson` of the agent's data folder, readable
//! by the agent's user alone and synced to disk. What leaves on the failure port has no body and no attributes, only the
//! reason with that id.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wattle_batch::{Batch, Failure};

/// Largest quarantine of a pipeline. When it is full the rows stay unacknowledged, so that their source keeps them.
const MAX_BYTES: u64 = 1 << 30;

/// The quarantine of one pipeline. The file is made with its first row.
pub(crate) struct Quarantine {
    path: PathBuf,
    file: Mutex<Option<(File, u64)>>,
}

impl Quarantine {
    pub(crate) fn new(data_dir: &std::path::Path, pipeline: &str) -> Self {
        Self { path: data_dir.join("quarantine").join(format!("{pipeline}.ndjson")), file: Mutex::new(None) }
    }

    /// Keeps the rows of a failed batch, and gives what may leave in their place: reasons without contents. `None` if
    /// they could not be kept; their acknowledgement is dropped then, so that the source offers them again.
    pub(crate) fn keep(&self, batch: Batch) -> Option<Batch> {
        let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut lines = Vec::new();
        let mut failures = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let id = format!("{base:x}-{row}");
            lines.extend_from_slice(format!("{{\"id\":\"{id}\",\"event\":").as_bytes());
            batch.write_json(row, &mut lines);
            lines.extend_from_slice(b"}\n");
            if let Some(failure) = batch.failure(row) {
                let message: Arc<str> = format!("{}; the event is in quarantine as {id}", failure.message).into();
                failures.push(Failure { message, ..failure.clone() });
            }
        }
        match self.write(&lines) {
            Ok(()) => Some(batch.without_contents().with_failures(failures)),
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "rows that could not be masked cannot be kept");
                None
            }
        }
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock();
        if file.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
            let bytes = opened.metadata()?.len();
            *file = Some((opened, bytes));
        }
        let Some((file, bytes)) = file.as_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        if *bytes + lines.len() as u64 > MAX_BYTES {
            return Err(io::Error::other(format!("quarantine is full ({MAX_BYTES} bytes); move the file away")));
        }
        file.write_all(lines)?;
        *bytes += lines.len() as u64;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use wattle_batch::{Ack, Column, Origin};

    fn failed(rows: &[&str]) -> Batch {
        let origin = Origin { source: "in".into(), resource: "{}".into(), observed: 0 };
        let failure = Failure {
            node: "mask".into(),
            version: "mask@1.0.0".into(),
            code: "trap".into(),
            message: "it trapped".into(),
        };
        let batch = Batch::new(Column::from_rows(rows).unwrap(), Arc::new(origin), Ack::none());
        batch.with_failures(vec![failure; rows.len()])
    }

    #[test]
    fn contents_stay_here_and_reasons_leave() {
        let folder = std::env::temp_dir().join(format!("wattle-quarantine-{}", std::process::id()));
        let quarantine = Quarantine::new(&folder, "trail");
        let left = quarantine.keep(failed(&["secret one", "secret two"])).unwrap();
        assert_eq!(left.rows(), 2);
        let mut out = Vec::new();
        left.write_json(1, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("secret") && out.contains("in quarantine as"), "{out}");
        let path = folder.join("quarantine/trail.ndjson");
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept.lines().count(), 2);
        assert!(kept.contains("secret two") && kept.contains("it trapped"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_kept_does_not_leave() {
        let quarantine = Quarantine::new(std::path::Path::new("/dev/null"), "trail");
        assert!(quarantine.keep(failed(&["secret"])).is_none());
    }
}
