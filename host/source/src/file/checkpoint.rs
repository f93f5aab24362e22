//! Positions on disk: one JSON file per source, replaced as a whole.
//!
//! `{"version":1,"files":[...]}` with an [`Entry`] for each file. It is written to a file beside it and synced. Then the
//! former version becomes `checkpoints.json.previous`, the new one takes its place, and the folder is synced. So one
//! whole version is there at any instant, and one that was cut or deleted costs no more than what changed since the one
//! before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};

use super::identity::{FileId, Fingerprint, Proof, Version};
use crate::error::SourceError;

/// The version of the format that is written.
const VERSION: u32 = 1;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) id: FileId,
    pub(crate) fingerprint: Fingerprint,
    /// Where it was last seen, as well as JSON can say it.
    #[serde(serialize_with = "lossy")]
    pub(crate) path: PathBuf,
    /// All before this byte, decompressed, is delivered.
    pub(crate) position: u64,
    /// The bytes before a position up to which the file was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
    /// When the inode was made, in nanoseconds since the epoch, where the file system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) born: Option<i64>,
    /// Where the file ends, once it was read as far as it can be.
    pub(crate) end: Option<u64>,
    /// What follows `end` cannot be read.
    pub(crate) failed: bool,
    /// It was there before the source, which was told to begin at the end.
    pub(crate) passed_over: bool,
    /// The version of the file that `end` is about.
    pub(crate) read: Version,
    /// When it was last there, in seconds since the epoch.
    pub(crate) seen: u64,
}

impl Entry {
    /// Whether nothing is left to do as long as the file does not change.
    pub(crate) fn is_done(&self) -> bool {
        self.end == Some(self.position)
    }
}

#[derive(Serialize, Deserialize)]
struct Checkpoints {
    version: u32,
    files: Vec<Entry>,
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// What was saved by earlier runs.
#[derive(Debug, PartialEq)]
pub(crate) enum Saved {
    /// Nothing ever was.
    Never,
    /// Something was, and it cannot be read any more.
    Lost,
    Entries(Vec<Entry>),
}

enum Loaded {
    Missing,
    Damaged,
    Entries(Vec<Entry>),
}

/// The file of one source.
pub(crate) struct Store {
    folder: PathBuf,
    /// Where positions are written before they take the place of the former: another place for each store, since one that
    /// was left may still be saving.
    temporary: PathBuf,
    /// Held while saving, so that what is saved last is also the newest.
    saving: Mutex<()>,
}

/// How the names of files begin that are not finished.
const TEMPORARY: &str = "checkpoints.json.new-";

/// Stores opened by this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Opens the store in this folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, SourceError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(SourceError::positions("create folder", folder))?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{number}"));
        // What a killed agent left, which may have another number.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder: folder.to_owned(), temporary, saving: Mutex::new(()) })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("checkpoints.json")
    }

    fn previous(&self) -> PathBuf {
        self.folder.join("checkpoints.json.previous")
    }

    /// Reads what was saved. A file that cannot be understood is set aside, and the version before it is used.
    pub(crate) fn load(&self) -> Result<Saved, SourceError> {
        let path = self.path();
        let current = self.load_from(&path)?;
        if let Loaded::Entries(entries) = current {
            return Ok(Saved::Entries(entries));
        }
        match self.load_from(&self.previous())? {
            Loaded::Entries(entries) => {
                tracing::warn!(
                    path = %path.display(),
                    "positions are missing or damaged, using the version before; what was delivered since comes again"
                );
                Ok(Saved::Entries(entries))
            }
            Loaded::Missing if matches!(current, Loaded::Missing) => Ok(Saved::Never),
            Loaded::Missing | Loaded::Damaged => Ok(Saved::Lost),
        }
    }

    fn load_from(&self, path: &Path) -> Result<Loaded, SourceError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Missing),
            Err(error) => return Err(SourceError::positions("read positions from", path)(error)),
        };
        let reason = match serde_json::from_slice::<Checkpoints>(&text) {
            Ok(checkpoints) if checkpoints.version == VERSION => return Ok(Loaded::Entries(checkpoints.files)),
            Ok(checkpoints) => format!("version {} is not {VERSION}", checkpoints.version),
            Err(error) => error.to_string(),
        };
        let aside = self.folder.join(format!("checkpoints.json.corrupt-{}", now()));
        fs::rename(path, &aside).map_err(SourceError::positions("set aside damaged positions in", path))?;
        tracing::warn!(
            path = %path.display(), aside = %aside.display(), reason = %reason,
            "positions are damaged and were set aside"
        );
        Ok(Loaded::Damaged)
    }

    /// Saves what `snapshot` gives, if it gives something.
    pub(crate) fn save(&self, snapshot: impl FnOnce() -> Option<Vec<Entry>>) -> Result<(), SourceError> {
        let _saving = self.saving.lock();
        let Some(files) = snapshot() else { return Ok(()) };
        self.write(Checkpoints { version: VERSION, files })
            .map_err(SourceError::positions("save positions to", self.path()))
    }

    fn write(&self, checkpoints: Checkpoints) -> io::Result<()> {
        let text = serde_json::to_vec(&checkpoints)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        match fs::rename(self.path(), self.previous()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.temporary, self.path())?,
        }
        File::open(&self.folder)?.sync_all()
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(folder: &Path, position: u64) -> Entry {
        let metadata = fs::metadata(folder).unwrap();
        Entry {
            id: FileId::of(&metadata),
            fingerprint: Fingerprint::default(),
            path: "/var/log/ä.log".into(),
            position,
            proof: None,
            born: Some(7),
            end: Some(9),
            failed: false,
            passed_over: true,
            read: Version::of(&metadata),
            seen: now(),
        }
    }

    #[test]
    fn what_is_saved_comes_back_and_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("sources/in")).unwrap();
        assert_eq!(store.load().unwrap(), Saved::Never);
        for position in [1, 9] {
            let entries = vec![entry(folder.path(), position)];
            store.save(|| Some(entries.clone())).unwrap();
            assert_eq!(store.load().unwrap(), Saved::Entries(entries.clone()));
            assert_eq!(entries[0].is_done(), position == 9);
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
    fn what_cannot_be_understood_is_set_aside() {
        for text in ["", "{", "[]", "{\"version\":2,\"files\":[]}", "\0"] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            fs::write(store.path(), text).unwrap();
            assert_eq!(store.load().unwrap(), Saved::Lost, "{text:?}");
            let names = names(folder.path());
            assert!(names.len() == 1 && names[0].starts_with("checkpoints.json.corrupt-"), "{names:?}");
            assert_eq!(fs::read_to_string(folder.path().join(&names[0])).unwrap(), text);
        }
    }

    #[test]
    fn a_version_that_was_cut_anywhere_or_deleted_costs_only_what_changed_since_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let whole = |position| vec![entry(folder.path(), position)];
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
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file.join("in")).err().unwrap().to_string();
        assert!(error.contains("folder `") && error.contains("file/in`"), "{error}");
    }
}
