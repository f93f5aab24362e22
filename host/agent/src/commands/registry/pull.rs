//! `wattle pack pull`: pulls a pack from a registry into the store and the library folder.

use std::sync::Arc;

use wattle_pack::Library;
use wattle_registry::head::Head;
use wattle_registry::{Client, Reference, Store};

use super::{distrusted, settings};
use crate::cli::registry::PullOptions;
use crate::exit::{Done, print};
use wattle_supervisor::client_options;

pub(crate) fn pull(options: &PullOptions) -> Done {
    let reference: Reference = options.reference.parse()?;
    let settings = settings(&options.config)?;
    let store = Store::new(&settings.data_dir);
    let image = Client::new(client_options(&settings.registry)).pull(&reference, &store)?;
    let staged = store.stage(&image)?;
    // Check trust before anything of the pack is read, even its name.
    let source = reference.source();
    if settings.trust.requires(&source) {
        let verified = wattle_pack::verify_folder(&settings.trust, &source, &staged.folder(), staged.list());
        verified.map_err(|problems| distrusted(&problems))?;
    }
    let head = Head::of_folder(&staged.folder())?;
    head.check(image.pack_config())?;
    let stored = staged.commit()?;
    if reference.digest.is_none() {
        store.set(&reference, &stored.digest)?;
    }
    let library = options.library.clone().unwrap_or(settings.packs);
    let here = Library::default().with_remote(Arc::new(store));
    let pinned = reference.pinned(&stored.digest).to_string();
    let installed = wattle_manifest::install(&pinned, &here, &library)?;
    print(&format!("pulled {}@{} from {reference}", head.name, head.version))?;
    print(&format!("pack  {}\nimage {}", stored.pack.digest, stored.digest))?;
    print(&format!("{}\n{pinned}", installed.folder.display()))
}
