//! `wattle pack rollback`: the version that was pinned before.

use wattle_pack::{Invalid, LOCK_FILE, Library, Lock, Pin};

use super::refused;
use crate::builtin;
use crate::cli::pack::RollbackOptions;
use crate::exit::{Done, Failure, print};
use wattle_supervisor::Configuration;
use wattle_supervisor::stored;

pub(super) fn rollback(options: &RollbackOptions, color: bool) -> Done {
    let path = options.config.with_file_name(LOCK_FILE);
    let lock = Lock::read(&path).map_err(|invalid| refused(&invalid, color))?;
    let Some(mut lock) = lock else {
        return Err(Failure::config(format!("there is no `{}`; `wattle pack upgrade` writes it", path.display())));
    };
    let changes = lock.roll_back(&options.name);
    if changes.is_empty() {
        let message = format!("`{}` has no former pin of `{}`", path.display(), options.name);
        return Err(Failure::new(message));
    }
    let settings = Configuration::File(options.config.clone()).settings();
    let library = builtin::library().with_folder(settings.packs).with_remote(stored(&settings.data_dir));
    for (_, former) in &changes {
        check(former, &library).map_err(|why| {
            let id = format!("{}@{}", former.name, former.version);
            Failure::new(format!("{id}, which was pinned before, {why}; nothing is changed"))
        })?;
    }
    lock.write(&path)?;
    for (left, former) in &changes {
        print(&format!("{}: {} -> {}", former.reference, left.version, former.version))?;
    }
    Ok(())
}

/// Tells why a former pin cannot be in force again, so that the lock never pins what is not there.
fn check(former: &Pin, library: &Library) -> Result<(), String> {
    if !matches!(former.source.as_str(), "builtin" | "library") {
        return Ok(());
    }
    let found = wattle_pack::outline(&format!("{}@{}", former.name, former.version), library);
    match found {
        Ok(outline) if outline.digest == former.digest => Ok(()),
        Ok(outline) => Err(format!("has the digest `{}` now, and had `{}`", outline.digest, former.digest)),
        Err(Invalid { .. }) => Err("is not in the library any more".to_owned()),
    }
}
