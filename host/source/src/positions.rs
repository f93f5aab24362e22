//! Positions on disk: one JSON file per source, which is always replaced as a whole.
//!
//! `{"version":1,"files":[...]}` with an entry per input, of a type of the source. A new version is written to a
//! temporary file and synced. Then the current version is renamed to `checkpoints.json.previous`, and the new one takes
//! its name. So one complete version exists at any time. If it is damaged, only the changes since the previous one are
//! lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::error::SourceError;

/// Version of the format.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Checkpoints<E> {
    version: u32,
    files: Vec<E>,
}

/// Saved positions of earlier runs.
#[derive(Debug, PartialEq)]
pub(crate) enum Saved<E> {
    /// No position was ever saved.
    Never,
    /// Positions were saved, but cannot be read.
    Lost,
    Entries(Vec<E>),
}

enum Loaded<E> {
    Missing,
    Damaged,
    Entries(Vec<E>),
}

/// The positions file of one source.
pub(crate) struct Store<E> {
    folder: PathBuf,
    /// Temporary file for a new version. Each store has its own, since an abandoned store may
    /// still be saving.
    temporary: PathBuf,
    /// Locked during a save, so that the last saved version is also the newest.
    saving: Mutex<()>,
    entries: PhantomData<fn(E) -> E>,
}

/// Largest file of positions: some four million files.
const MAX_BYTES: u64 = 1 << 30;

/// Prefix of temporary files.
const TEMPORARY: &str = "checkpoints.json.new-";

/// Number of stores that this process opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

impl<E: Serialize + DeserializeOwned> Store<E> {
    /// Opens the store in this folder, and creates the folder if needed.
    pub(crate) fn open(folder: &Path) -> Result<Self, SourceError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(SourceError::positions("create folder", folder))?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{number}"));
        // A killed agent may have left temporary files with other numbers.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                // A file that cannot be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder: folder.to_owned(), temporary, saving: Mutex::new(()), entries: PhantomData })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("checkpoints.json")
    }

    fn previous(&self) -> PathBuf {
        self.folder.join("checkpoints.json.previous")
    }

    /// Reads the saved positions. Sets a damaged file aside and uses the previous version.
    pub(crate) fn load(&self) -> Result<Saved<E>, SourceError> {
        let path = self.path();
        let current = self.load_from(&path)?;
        if let Loaded::Entries(entries) = current {
            return Ok(Saved::Entries(entries));
        }
        match self.load_from(&self.previous())? {
            Loaded::Entries(entries) => {
                tracing::warn!(
                    path = %path.display(),
                    "positions are missing or damaged; using the previous version, so events delivered since then are sent again"
                );
                Ok(Saved::Entries(entries))
            }
            // Positions were never saved only if both versions are missing.
            Loaded::Missing if matches!(current, Loaded::Missing) => Ok(Saved::Never),
            Loaded::Missing | Loaded::Damaged => Ok(Saved::Lost),
        }
    }

    fn load_from(&self, path: &Path) -> Result<Loaded<E>, SourceError> {
        let reason = match wattle_files::read(path, MAX_BYTES) {
            Ok(text) => match serde_json::from_slice::<Checkpoints<E>>(&text) {
                Ok(checkpoints) if checkpoints.version == VERSION => return Ok(Loaded::Entries(checkpoints.files)),
                Ok(checkpoints) => format!("its format is version {}; this agent reads {VERSION}", checkpoints.version),
                Err(error) => damage(&error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Missing),
            Err(error) if wattle_files::is_foreign(&error) => error.to_string(),
            Err(error) => return Err(SourceError::positions("read positions from", path)(error)),
        };
        let aside = self.folder.join(format!("checkpoints.json.corrupt-{}", now()));
        fs::rename(path, &aside).map_err(SourceError::positions("set aside damaged positions in", path))?;
        tracing::warn!(
            path = %path.display(), aside = %aside.display(), reason = %reason,
            "positions are damaged and were set aside"
        );
        Ok(Loaded::Damaged)
    }

    /// Saves the result of `snapshot`, unless it is `None`.
    pub(crate) fn save(&self, snapshot: impl FnOnce() -> Option<Vec<E>>) -> Result<(), SourceError> {
        let _saving = self.saving.lock();
        let Some(files) = snapshot() else { return Ok(()) };
        self.write(&Checkpoints { version: VERSION, files })
            .map_err(SourceError::positions("save positions to", self.path()))
    }

    fn write(&self, checkpoints: &Checkpoints<E>) -> io::Result<()> {
        let text = serde_json::to_vec(checkpoints)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        match fs::rename(self.path(), self.previous()) {
            // The first save has no current version to rename.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.temporary, self.path())?,
        }
        // The renames survive a power loss only after this sync.
        File::open(&self.folder)?.sync_all()
    }
}

/// Describes the damage without the names of Rust types.
fn damage(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof if error.line() <= 1 && error.column() == 0 => return "it is empty".to_owned(),
        Category::Eof => "it is incomplete",
        Category::Data => "it is JSON, but not in the form that the agent writes",
        Category::Syntax | Category::Io => "it is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entry of a source.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Entry {
        position: u64,
    }

    fn entry(position: u64) -> Entry {
        Entry { position }
    }

    #[test]
    fn saved_positions_replace_the_previous_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::<Entry>::open(&folder.path().join("sources/in")).unwrap();
        assert_eq!(store.load().unwrap(), Saved::Never);
        for position in [1, 9] {
            let entries = vec![entry(position)];
            store.save(|| Some(entries.clone())).unwrap();
            assert_eq!(store.load().unwrap(), Saved::Entries(entries.clone()));
        }
        store.save(|| None).unwrap();
        assert!(matches!(store.load().unwrap(), Saved::Entries(entries) if entries.len() == 1));
        assert_eq!(names(&folder.path().join("sources/in")), ["checkpoints.json", "checkpoints.json.previous"]);
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_unreadable_version_is_set_aside() {
        for text in ["", "{", "[]", "{\"version\":2,\"files\":[]}", "\0"] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::<Entry>::open(folder.path()).unwrap();
            fs::write(store.path(), text).unwrap();
            assert_eq!(store.load().unwrap(), Saved::Lost, "{text:?}");
            let names = names(folder.path());
            assert!(names.len() == 1 && names[0].starts_with("checkpoints.json.corrupt-"), "{names:?}");
            assert_eq!(fs::read_to_string(folder.path().join(&names[0])).unwrap(), text);
        }
    }

    #[test]
    fn damage_is_described_without_rust_types() {
        for (text, expected) in [
            ("", "it is empty"),
            ("{\"version\":1,", "it is incomplete, at line 1 column 13"),
            ("\0\0\0", "it is not JSON, at line 1 column 1"),
            ("{}", "it is JSON, but not in the form that the agent writes, at line 1 column 2"),
            ("{\"version\":-5}", "it is JSON, but not in the form that the agent writes, at line 1 column 13"),
        ] {
            let error = serde_json::from_str::<Checkpoints<Entry>>(text).err().unwrap();
            assert_eq!(damage(&error), expected, "{text}");
        }
    }

    #[test]
    fn a_truncated_or_deleted_version_loses_only_the_changes_since_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::<Entry>::open(folder.path()).unwrap();
        let whole = |position| vec![entry(position)];
        let (before, after) = (whole(3), whole(8));
        store.save(|| Some(before.clone())).unwrap();
        store.save(|| Some(after.clone())).unwrap();
        let text = fs::read(store.path()).unwrap();
        for cut in 0..text.len() {
            fs::write(store.path(), &text[..cut]).unwrap();
            assert_eq!(store.load().unwrap(), Saved::Entries(before.clone()), "{cut}");
        }
        assert_eq!(store.load().unwrap(), Saved::Entries(before.clone()), "deleted");
        fs::write(store.path(), "{").unwrap();
        fs::write(store.previous(), "{").unwrap();
        assert_eq!(store.load().unwrap(), Saved::Lost);
    }

    #[test]
    fn an_error_of_creating_the_folder_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::<Entry>::open(&file.join("in")).err().unwrap().to_string();
        assert!(error.contains("folder `") && error.contains("file/in`"), "{error}");
    }
}
