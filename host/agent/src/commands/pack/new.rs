//! `wattle pack new`: creates a pack that is valid and passes its test.

use std::path::{Path, PathBuf};

use crate::cli::pack::NewOptions;
use crate::exit::{Done, Failure, print};

use super::propose::propose;

/// Placeholder for the name of the pack in templates.
const NAME: &str = "NAME";

/// The licence of new packs.
pub(super) const LICENSE: &str = include_str!("../../../../../LICENSE");

const FILES: &[(&str, &str)] = &[
    ("pack.toml", include_str!("template/pack.toml")),
    ("README.md", include_str!("template/README.md")),
    ("LICENSE", LICENSE),
    ("tests/sample/case.toml", include_str!("template/sample/case.toml")),
    ("tests/sample/input.ndjson", include_str!("template/sample/input.ndjson")),
    ("tests/sample/expected.urgent.ndjson", include_str!("template/sample/expected.urgent.ndjson")),
    ("tests/sample/expected.rest.ndjson", include_str!("template/sample/expected.rest.ndjson")),
    ("tests/sample/expected.fails.ndjson", include_str!("template/sample/expected.fails.ndjson")),
];

pub(super) fn new(options: &NewOptions, color: bool) -> Done {
    let name = &options.name;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        let rule = "a name is a lower-case letter, then lower-case letters, digits and `-`";
        return Err(Failure::config(format!("bad pack name `{}`; {rule}", name.escape_debug())));
    }
    let folder = options.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.exists() {
        return Err(Failure::new(format!("`{}` already exists", folder.display())));
    }
    if let Some(from) = &options.from {
        return propose(from, name, &folder, color);
    }
    for (path, content) in FILES {
        let content = match *path {
            "pack.toml" | "README.md" => content.replace(NAME, name),
            _ => (*content).to_owned(),
        };
        write(&folder.join(path), &content)?;
    }
    let shown = folder.display();
    print(&format!(
        "{shown}: a pack with a graph of built-in nodes, a test, a README and a licence\n\n\
         try:  wattle pack test ./{shown}\n      wattle pack show ./{shown}\n      \
         wattle run --pack ./{shown} --out out"
    ))
}

pub(super) fn write(path: &Path, content: &str) -> Done {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    Ok(fs_err::write(path, content)?)
}
