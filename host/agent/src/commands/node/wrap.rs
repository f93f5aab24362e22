//! `wattle node wrap`: a component of a core module.

use std::path::Path;

use crate::cli::node::WrapOptions;
use crate::exit::{Done, Failure, print};

use super::build::write_whole;

pub(crate) fn wrap(options: &WrapOptions) -> Done {
    let bytes = std::fs::read(&options.module)
        .map_err(|error| Failure::new(format!("`{}`: {error}", options.module.display())))?;
    let component = component_of(&bytes, &options.module)?;
    write_whole(&options.out, &component)?;
    print(&format!("{}: {} bytes", options.out.display(), component.len()))
}

/// The component of a module; one that is a component already stays as it is.
pub(crate) fn component_of(bytes: &[u8], path: &Path) -> Result<Vec<u8>, Failure> {
    wattle_wrap::wrap(bytes).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Failure::new(format!("`{}`: {}{hint}", path.display(), error.message))
    })
}
