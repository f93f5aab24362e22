//! `wattle pack pack`: a folder to an archive.

use std::path::PathBuf;

use wattle_registry::archive;

use super::{image, read_folder, refused};
use crate::cli::registry::PackOptions;
use crate::exit::{Done, print};

pub(crate) fn pack(options: &PackOptions) -> Done {
    read_folder(&options.folder)?;
    let image = image(&options.folder)?;
    let config = image.pack_config();
    let name = || PathBuf::from(format!("{}-{}.tar", config.name, config.version));
    let out = options.out.clone().unwrap_or_else(name);
    let bytes = archive::write(&image).map_err(|error| refused(&out, error))?;
    // Whole or not at all: nobody is to find half of it under this name.
    let temporary = out.with_extension("tar.tmp");
    std::fs::write(&temporary, &bytes).map_err(|error| refused(&temporary, error))?;
    std::fs::rename(&temporary, &out).map_err(|error| refused(&out, error))?;
    print(&format!("{}: {}@{}, {} bytes", out.display(), config.name, config.version, bytes.len()))?;
    print(&format!("pack  {}\nimage {}", config.digest, image.digest()))
}
