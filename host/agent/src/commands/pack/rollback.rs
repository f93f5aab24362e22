//! `wattle pack rollback`: restores the previous pin.

use wattle_diagnostics::Invalid;
use wattle_pack::{Library, Lock, Pin};

use super::{lock_path, refused};
use crate::builtin;
use crate::cli::pack::RollbackOptions;
use crate::client::settings;
use crate::exit::{Done, Failure, print};
use wattle_supervisor::stored;

pub(super) fn rollback(options: &RollbackOptions, color: bool) -> Done {
    let path = lock_path(&options.config)?;
    let lock = Lock::read(&path).map_err(|invalid| refused(&invalid, color))?;
    let Some(mut lock) = lock else {
        return Err(Failure::config(format!("there is no `{}`; `wattle pack upgrade` writes it", path.display())));
    };
    let changes = lock.roll_back(&options.name);
    if changes.is_empty() {
        let message = format!("`{}` has no previous pin of `{}`", path.display(), options.name);
        return Err(Failure::new(message));
    }
    let settings = settings(&options.config, "change the pin in the lock")?;
    let library = builtin::library().with_folder(settings.packs).with_remote(stored(&settings.data_dir));
    for (_, former) in &changes {
        check(former, &library).map_err(|why| {
            let id = format!("{}@{}", former.name, former.version);
            Failure::new(format!("{id}, the previous pin, {why}; nothing changed"))
        })?;
    }
    lock.write(&path)?;
    for (left, former) in &changes {
        print(&format!("{}: {} -> {}", former.reference, left.version, former.version))?;
    }
    Ok(())
}

/// Why a former pin cannot be restored.
#[derive(Debug, thiserror::Error)]
enum PinError {
    /// The pack has other files now.
    #[error("has the digest `{actual}` now, and had `{expected}`")]
    DigestMismatch {
        /// Digest of the pin.
        expected: String,
        /// Digest of the pack in the library.
        actual: String,
    },
    /// The library does not have the pack.
    #[error("is no longer in the library")]
    Missing,
}

/// Checks that the pack of a former pin exists, so the lock never pins a missing pack.
fn check(former: &Pin, library: &Library) -> Result<(), PinError> {
    if !matches!(former.source.as_str(), "builtin" | "library") {
        return Ok(());
    }
    let found = wattle_manifest::outline(&format!("{}@{}", former.name, former.version), library);
    match found {
        Ok(outline) if outline.digest == former.digest => Ok(()),
        Ok(outline) => Err(PinError::DigestMismatch { expected: former.digest.clone(), actual: outline.digest }),
        Err(Invalid { .. }) => Err(PinError::Missing),
    }
}
