//! The store of pulled images in the data folder, by digest.
//!
//! ```text
//! oci/images/<digest of the manifest>/manifest.json   as received from the registry
//!                                     config.json     its digest is in the manifest
//!                                     files.sum       the list of files; its digest is in the configuration
//!                                     pack/           the files
//! oci/tags/<digest of the reference>.json             the current image of a tag on this agent
//! ```
//!
//! Each part contains the digest of the next, from the manifest to the last file. So the digest of
//! the manifest suffices to verify an image, even years later and without the registry. An image
//! never changes: it is renamed into place as a whole. The image of a tag changes only when a
//! configuration with the new image takes effect.
//!
//! The most recently used images stay, for rollbacks. A new image removes older ones, except the
//! current images of tags.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use wattle_pack::digest::FileList;

use crate::files::write_synced;
use crate::image::{self, Image, ImageError, PackConfig, Parts};
use crate::reference::Reference;
use crate::unpack::{IntoFolder, private_folder};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The image is not in the store.
    #[error("it is not pulled yet")]
    Absent,
    /// A file operation failed.
    #[error("`{}`: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        error: io::Error,
    },
    /// A part was altered on disk.
    #[error("`{}` was altered: {error}", path.display())]
    Altered {
        /// The file or folder.
        path: PathBuf,
        /// The failed check.
        error: String,
    },
    /// The image is not a valid pack.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl StoreError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Digest of the manifest.
    pub digest: String,
    /// Identity of the pack.
    pub pack: PackConfig,
    /// Folder of its files.
    pub folder: PathBuf,
    /// List of the files that the folder must contain.
    pub list: FileList,
}

/// An unpacked image that is not in the store yet. Dropping it removes its files.
#[derive(Debug)]
pub struct Staged<'a> {
    store: &'a Store,
    digest: String,
    temporary: PathBuf,
    list: FileList,
}

impl Staged<'_> {
    /// Folder of the files.
    pub fn folder(&self) -> PathBuf {
        self.temporary.join("pack")
    }

    /// List of the unpacked files.
    pub fn list(&self) -> &FileList {
        &self.list
    }

    /// Moves the image into the store.
    ///
    /// # Errors
    ///
    /// A file operation failed.
    pub fn commit(self) -> Result<Stored, StoreError> {
        let (store, place) = (self.store, self.store.image(&self.digest));
        let replace = || -> io::Result<()> {
            let images = store.root.join("images");
            private_folder(&images)?;
            if place.exists() {
                // The existing image is damaged, because `Store::insert` keeps an intact one.
                let damaged = store.temporary();
                fs::rename(&place, &damaged)?;
                fs::remove_dir_all(&damaged)?;
            }
            fs::rename(&self.temporary, &place)?;
            sync_folder(&images)
        };
        replace().map_err(StoreError::io(&place))?;
        let stored = store.get(&self.digest)?;
        store.prune();
        Ok(stored)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After `commit` the folder no longer has this name.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// The current image of a tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tag {
    reference: String,
    digest: String,
}

/// The store of pulled images.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Maximum number of images, without the current images of tags. Each load of a configuration uses
/// its images again, so that they are among the most recently used.
const MAX_IMAGES: usize = 20;

/// Makes the temporary names of one process unique.
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Creates the store of a data folder. The folder need not exist.
    pub fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.join("oci") }
    }

    fn image(&self, digest: &str) -> PathBuf {
        self.root.join("images").join(digest.trim_start_matches("sha256:"))
    }

    fn tag_file(&self, reference: &Reference) -> PathBuf {
        let name = image::digest(reference.to_string().as_bytes());
        self.root.join("tags").join(format!("{}.json", name.trim_start_matches("sha256:")))
    }

    fn temporary(&self) -> PathBuf {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!("tmp-{}-{count}", std::process::id()))
    }

    /// Adds an image. An intact image in the store stays unchanged.
    ///
    /// # Errors
    ///
    /// The image is not valid, or a file operation failed.
    pub fn insert(&self, image: &Image) -> Result<Stored, StoreError> {
        let digest = image.digest();
        if let Ok(stored) = self.get(&digest)
            && FileList::of_folder(&stored.folder).is_ok_and(|list| list == stored.list)
        {
            return Ok(stored);
        }
        self.stage(image)?.commit()
    }

    /// Unpacks an image to a temporary folder, for checks before it is added.
    ///
    /// # Errors
    ///
    /// The image is not valid, or a file operation failed.
    pub fn stage(&self, image: &Image) -> Result<Staged<'_>, StoreError> {
        // A killed agent may have left temporary files.
        self.clean();
        let temporary = self.temporary();
        let mut staged = Staged { store: self, digest: image.digest(), temporary, list: FileList::default() };
        let io = StoreError::io(&staged.temporary);
        let write = |list: &FileList| -> io::Result<()> {
            write_synced(&staged.temporary.join("manifest.json"), image.manifest())?;
            write_synced(&staged.temporary.join("config.json"), image.config())?;
            write_synced(&staged.temporary.join("files.sum"), list.text().as_bytes())?;
            sync_folder(&staged.temporary)
        };
        let mut folder = match IntoFolder::create(&staged.folder()) {
            Ok(folder) => folder,
            Err(error) => return Err(io(error)),
        };
        let list = image.unpack_into(&mut folder)?;
        write(&list).map_err(io)?;
        staged.list = list;
        Ok(staged)
    }

    /// Creates an unlinked file for a layer during a pull; the system removes it with its last
    /// handle.
    pub(crate) fn spool(&self) -> Result<fs::File, StoreError> {
        let path = self.temporary();
        let create = || -> io::Result<fs::File> {
            private_folder(&self.root)?;
            let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        };
        create().map_err(StoreError::io(&path))
    }

    /// Removes the least recently used images that are not the current image of a tag.
    fn prune(&self) {
        let files = |folder: &str| fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let tags = files("tags").filter_map(|entry| serde_json::from_slice::<Tag>(&fs::read(entry.path()).ok()?).ok());
        let named: HashSet<PathBuf> = tags.map(|tag| self.image(&tag.digest)).collect();
        let used = |image: &PathBuf| image.join("manifest.json").metadata().and_then(|file| file.modified());
        let mut images: Vec<(Reverse<SystemTime>, PathBuf)> = files("images")
            .map(|entry| entry.path())
            .map(|image| (Reverse(used(&image).unwrap_or(SystemTime::UNIX_EPOCH)), image))
            .collect();
        // The most recently used images come first.
        images.sort();
        for (_, image) in images.into_iter().skip(MAX_IMAGES).filter(|(_, image)| !named.contains(image)) {
            // Renamed first, so that an interrupted removal leaves no incomplete image.
            let temporary = self.temporary();
            let removed = fs::rename(&image, &temporary).and_then(|()| fs::remove_dir_all(&temporary));
            let error = removed.err().map(|error| error.to_string());
            tracing::info!(image = %image.display(), error, "removed an unused image");
        }
    }

    /// Finds an image, and verifies its manifest, configuration and list of files. The caller must
    /// verify the files themselves.
    ///
    /// # Errors
    ///
    /// The image is not in the store, or was altered.
    pub fn get(&self, digest: &str) -> Result<Stored, StoreError> {
        let place = self.image(digest);
        if !image::is_digest(digest) || !place.is_dir() {
            return Err(StoreError::Absent);
        }
        let read = |name: &str| {
            let path = place.join(name);
            fs::read(&path).map(|bytes| (path.clone(), bytes)).map_err(StoreError::io(&path))
        };
        let altered = |path: PathBuf, error: String| StoreError::Altered { path, error };
        let expect = |path: &Path, bytes: &[u8], expected: &str| {
            let found = image::digest(bytes);
            let error = format!("its digest is `{found}`, but `{expected}` is expected");
            if found == expected { Ok(()) } else { Err(altered(path.to_owned(), error)) }
        };
        let (path, manifest) = read("manifest.json")?;
        expect(&path, &manifest, digest)?;
        let parts = Parts::read(&manifest).map_err(|error| altered(path, error.to_string()))?;
        let (path, config) = read("config.json")?;
        expect(&path, &config, &parts.config.digest)?;
        let pack = image::read_config(&config).map_err(|error| altered(path, error.to_string()))?;
        let (path, list) = read("files.sum")?;
        expect(&path, &list, &pack.digest)?;
        let list =
            FileList::parse(&String::from_utf8_lossy(&list)).map_err(|error| altered(path, error.to_string()))?;
        // Updates the time of the last use. If that fails, the image may be removed too early and
        // is then pulled again.
        let _ = fs::File::open(place.join("manifest.json")).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(Stored { digest: digest.to_owned(), pack, folder: place.join("pack"), list })
    }

    /// Returns the digest of a reference, or of the current image of its tag.
    pub fn digest(&self, reference: &Reference) -> Option<String> {
        match &reference.digest {
            Some(digest) => Some(digest.clone()),
            None => self.tag(reference).map(|tag| tag.digest),
        }
    }

    fn tag(&self, reference: &Reference) -> Option<Tag> {
        let path = self.tag_file(reference);
        let text = fs::read(&path).ok()?;
        match serde_json::from_slice::<Tag>(&text) {
            Ok(tag) if tag.reference == reference.to_string() && image::is_digest(&tag.digest) => Some(tag),
            _ => {
                tracing::warn!(path = %path.display(), "cannot read the current image of a tag; pulling it again");
                None
            }
        }
    }

    /// Sets the current image of a tag.
    ///
    /// # Errors
    ///
    /// A file operation failed.
    pub fn set(&self, reference: &Reference, digest: &str) -> Result<(), StoreError> {
        let path = self.tag_file(reference);
        if self.tag(reference).is_some_and(|tag| tag.digest == digest) {
            return Ok(());
        }
        let tag = Tag { reference: reference.to_string(), digest: digest.to_owned() };
        let temporary = self.temporary();
        let write = || -> io::Result<()> {
            let folder = self.root.join("tags");
            private_folder(&folder)?;
            write_synced(&temporary, &serde_json::to_vec(&tag)?)?;
            fs::rename(&temporary, &path)?;
            sync_folder(&folder)
        };
        write().map_err(StoreError::io(&path))
    }

    /// Removes temporary files of processes that no longer run.
    fn clean(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(process) = name.to_str().and_then(|name| name.strip_prefix("tmp-")?.split('-').next()) else {
                continue;
            };
            if !Path::new("/proc").join(process).exists() {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
