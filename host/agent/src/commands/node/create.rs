//! `wattle node new`: creates a project from a template.

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
        return Err(Failure::new(format!("`{name}` already exists; use another name, or remove it")));
    }
    for (path, bytes) in templates::files(options.lang, options.columns) {
        // A file with its real name would hide files of the template from git.
        let path = if path == "gitignore" { ".gitignore".to_owned() } else { path };
        let path = root.join(renamed(&path, name));
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        // Shared files are copied unchanged; the others contain the name of the node.
        match std::str::from_utf8(bytes) {
            Ok(text) if !path.starts_with(root.join("sdk")) => fs_err::write(&path, renamed(text, name))?,
            _ => fs_err::write(&path, bytes)?,
        }
    }
    print(&format!(
        "{name}: a node in {}\n\n  cd {name}\n  wattle node build\n  wattle node test\n\nSee README.md.",
        templates::title(options.lang)
    ))
}

/// Replaces the name of the template's node in its three spellings.
fn renamed(text: &str, name: &str) -> String {
    text.replace("my-node", name).replace("my_node", &name.replace('-', "_"))
}
