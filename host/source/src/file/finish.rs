//! Deletes or moves files that are completely delivered.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::clock;
use super::identity::Version;
use super::options::WhenFinished;
use super::reader::{LOOK_INTERVAL, Reader};
use super::track::Key;
use super::watched::Watched;

impl Reader {
    /// Handles files that are completely delivered.
    pub(super) fn finish_delivered(&mut self) {
        self.finish_at = clock::now() + LOOK_INTERVAL;
        let delivered: Vec<Key> =
            self.finishing.iter().copied().filter(|key| self.tracker.is_delivered(*key)).collect();
        for key in delivered {
            self.finishing.remove(&key);
            let Some(watched) = self.files.get(&key) else { continue };
            if watched.gone_since.is_some() {
                self.forget(key, true);
            } else if !watched.has_failed && self.settings.when_finished != WhenFinished::Keep {
                match self.dispose(watched) {
                    Ok(true) => {
                        self.forget(key, false);
                    }
                    Ok(false) => {}
                    Err(error) => self
                        .count_failure(&watched.path, &format!("is delivered but cannot be deleted or moved: {error}")),
                }
            }
        }
    }

    /// Deletes or moves a file, unless it changed since it was read; returns whether it did.
    fn dispose(&self, watched: &Watched) -> io::Result<bool> {
        let metadata = fs::metadata(&watched.path)?;
        if self.id_of(&metadata) != watched.id || Version::of(&metadata) != watched.version {
            return Ok(false);
        }
        match &self.settings.when_finished {
            WhenFinished::Keep => return Ok(false),
            WhenFinished::Delete => fs::remove_file(&watched.path)?,
            WhenFinished::MoveTo(folder) => move_to(&watched.path, folder)?,
        }
        Ok(true)
    }
}

/// Moves a file to a folder under its name, with a number after it if the name exists.
fn move_to(path: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default();
    let mut target = folder.join(name);
    let mut number = 0_u64;
    while target.try_exists()? {
        number += 1;
        let mut name = name.to_owned();
        name.push(format!(".{number}"));
        target = folder.join(name);
    }
    match fs::rename(path, &target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(path, &target)?;
            File::open(&target)?.sync_all()?;
            fs::remove_file(path)
        }
        result => result,
    }
}
