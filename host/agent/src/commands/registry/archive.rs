//! `wattle pack archive`: writes a pack to an archive.

use std::path::PathBuf;

use wattle_registry::archive as layout;

use super::{image, read_folder, refused};
use crate::cli::registry::ArchiveOptions;
use crate::exit::{Done, print};

pub(crate) fn archive(options: &ArchiveOptions) -> Done {
    read_folder(&options.folder)?;
    let image = image(&options.folder)?;
    let config = image.pack_config();
    let name = || PathBuf::from(format!("{}-{}.tar", config.name, config.version));
    let out = options.out.clone().unwrap_or_else(name);
    let bytes = layout::write(&image).map_err(|error| refused(&out, error))?;
    // Write to a temporary file first, so a reader never finds an incomplete archive.
    let temporary = out.with_extension("tar.tmp");
    std::fs::write(&temporary, &bytes).map_err(|error| refused(&temporary, error))?;
    std::fs::rename(&temporary, &out).map_err(|error| refused(&out, error))?;
    print(&format!("{}: {}@{}, {} bytes", out.display(), config.name, config.version, bytes.len()))?;
    print(&format!("pack  {}\nimage {}", config.digest, image.digest()))
}
