//! `wattle node wrap`: converts a core module to a component.

use std::path::Path;

use crate::cli::node::WrapOptions;
use crate::exit::{Done, Failure, print};

pub(crate) fn wrap(options: &WrapOptions) -> Done {
    let bytes = std::fs::read(&options.module)
        .map_err(|error| Failure::new(format!("`{}`: {error}", options.module.display())))?;
    let component = component_of(&bytes, &options.module)?;
    write_whole(&options.out, &component)?;
    print(&format!("{}: {} bytes", options.out.display(), component.len()))
}

/// The component of a module; a component stays unchanged.
pub(crate) fn component_of(bytes: &[u8], path: &Path) -> Result<Vec<u8>, Failure> {
    wattle_wrap::wrap(bytes).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Failure::new(format!("`{}`: {}{hint}", path.display(), error.message))
    })
}

/// Writes a file by a rename, so that an agent that watches it never reads a part of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Done {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)?;
    }
    let new = path.with_extension("wasm.new");
    fs_err::write(&new, bytes)?;
    Ok(fs_err::rename(&new, path)?)
}
