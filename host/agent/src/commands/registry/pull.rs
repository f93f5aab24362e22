//! `wattle pack pull`: a pack from a registry, for the agent and for the library.

use std::path::Path;

use wattle_registry::files::{self, Files};
use wattle_registry::head::Head;
use wattle_registry::{Client, Reference, Store};

use super::{distrusted, refused, settings};
use crate::cli::registry::PullOptions;
use crate::exit::{Done, Failure, print};
use crate::remote::client_options;

pub(crate) fn pull(options: &PullOptions) -> Done {
    let reference: Reference = options.reference.parse()?;
    let settings = settings(options.config.as_deref())?;
    let image = Client::new(client_options(&settings.registry)).pull(&reference)?;
    let pack = image.unpack()?;
    // Before as much as its name is read.
    let source = reference.source();
    if settings.trust.requires(&source) {
        settings.trust.verify(&source, &pack).map_err(|problems| distrusted(&problems))?;
    }
    let head = Head::of_files(&pack)?;
    head.check(image.pack_config())?;
    let store = Store::new(&settings.data_dir);
    let stored = store.insert(&image)?;
    if reference.digest.is_none() {
        store.set(&reference, &stored.digest)?;
    }
    let library = options.library.clone().unwrap_or(settings.packs);
    let folder = library.join(&head.name).join(&head.version);
    install(&pack, &stored.pack.digest, &folder)?;
    print(&format!("pulled {}@{} from {reference}", head.name, head.version))?;
    print(&format!("pack  {}\nimage {}", stored.pack.digest, stored.digest))?;
    print(&format!("{}\n{}", folder.display(), reference.pinned(&stored.digest)))
}

/// Puts files into the library, whole or not at all.
fn install(pack: &Files, digest: &str, folder: &Path) -> Done {
    if folder.exists() {
        let there = files::read_folder(folder).and_then(|files| Ok(files::list(&files)?.digest()));
        let there = there.map_err(|error| refused(folder, error))?;
        return if there == digest {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "`{}` has another pack under this version: `{there}`, not `{digest}`; remove it first",
                folder.display()
            )))
        };
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    // Names of packs and versions do not begin with a dot, so nobody takes this for one.
    let temporary = parent.join(format!(".pull-{}", std::process::id()));
    std::fs::create_dir_all(parent).map_err(|error| refused(parent, error))?;
    let written = files::write_folder(pack, &temporary).and_then(|()| std::fs::rename(&temporary, folder));
    written.map_err(|error| {
        let _ = std::fs::remove_dir_all(&temporary);
        refused(folder, error)
    })
}
