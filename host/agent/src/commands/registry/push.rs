//! `wattle pack push`: pushes a pack to a registry.

use wattle_registry::{Client, Reference};

use super::{image, settings};
use crate::cli::registry::PushOptions;
use crate::exit::{Done, print};
use wattle_supervisor::client_options;

pub(crate) fn push(options: &PushOptions) -> Done {
    let reference: Reference = options.reference.parse()?;
    let image = image(&options.pack)?;
    let settings = settings(&options.config)?;
    let digest = Client::new(client_options(&settings.registry)).push(&reference, &image)?;
    let config = image.pack_config();
    print(&format!("pushed {}@{} to {reference}", config.name, config.version))?;
    print(&reference.pinned(&digest).to_string())
}
