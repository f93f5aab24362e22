//! `wattle node new`: a project from the templates that the program carries.

use std::path::Path;

use crate::cli::node::NewOptions;
use crate::exit::{Done, Failure, print};

use super::templates;

pub(crate) fn create(options: &NewOptions) -> Done {
    let name = &options.name;
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split('-').all(word) {
        return Err(Failure::config(format!("`{name}` is not in kebab-case, such as `drop-noise`")));
    }
    let root = Path::new(name);
    if root.exists() {
        return Err(Failure::new(format!("`{name}` is there already; take another name, or remove it")));
    }
    for (path, bytes) in templates::files(options.lang, options.columns) {
        // A real one would keep files of the template out of this repository.
        let path = if path == "gitignore" { ".gitignore".to_owned() } else { path };
        let path = root.join(renamed(&path, name));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // What is shared by all projects is copied as it is; the rest is about the node.
        match std::str::from_utf8(bytes) {
            Ok(text) if !path.starts_with(root.join("sdk")) => std::fs::write(&path, renamed(text, name))?,
            _ => std::fs::write(&path, bytes)?,
        }
    }
    print(&format!(
        "{name}: a node in {}\n\n  cd {name}\n  wattle node build\n  wattle node test\n\nREADME.md says more.",
        templates::title(options.lang)
    ))
}

/// The name of the template's node in its three spellings, replaced.
fn renamed(text: &str, name: &str) -> String {
    text.replace("my-node", name).replace("my_node", &name.replace('-', "_"))
}
