//! The templates and SDKs in the binary. They are real projects in the repository: `templates/`,
//! `sdk/` and `nodes/sdk`; `build.rs` collects them.

use std::collections::BTreeMap;

use crate::cli::node::Language;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/templates.rs"));
}

/// Trees of files in a project, each with its folder; a later tree replaces files of an earlier
/// one.
fn trees(language: Language, columns: bool) -> Vec<(&'static str, &'static str)> {
    let (template, over, sdk): (_, _, &[(&str, &str)]) = match language {
        Language::Rust => (
            "templates/rust",
            "templates/rust-columns",
            &[
                ("workspace", ""),
                ("nodes/sdk", "sdk/nodes/sdk"),
                ("host/address", "sdk/host/address"),
                ("host/batch", "sdk/host/batch"),
                ("host/cases", "sdk/host/cases"),
                ("host/json", "sdk/host/json"),
                ("host/pattern", "sdk/host/pattern"),
                ("wit", "sdk/wit"),
            ],
        ),
        Language::C => ("templates/c", "templates/c-columns", &[("sdk/c", "sdk")]),
        Language::Js => ("templates/js", "templates/js-columns", &[("sdk/js", "sdk"), ("wit", "sdk/wit")]),
        Language::Ts => ("templates/ts", "templates/ts-columns", &[("sdk/js", "sdk"), ("wit", "sdk/wit")]),
        Language::Python => {
            ("templates/python", "templates/python-columns", &[("sdk/python", "sdk"), ("wit", "sdk/wit")])
        }
        Language::Go => ("templates/go", "templates/go-columns", &[("sdk/go", "sdk")]),
    };
    let mut trees = vec![(template, "")];
    trees.extend(columns.then_some((over, "")));
    trees.extend(sdk);
    trees
}

/// The files of a project, by path.
pub(crate) fn files(language: Language, columns: bool) -> BTreeMap<String, &'static [u8]> {
    let mut files = BTreeMap::new();
    for (tree, to) in trees(language, columns) {
        let found = embedded::TREES.iter().find(|(name, _)| *name == tree);
        for (path, bytes) in found.map(|(_, files)| *files).unwrap_or_default() {
            files.insert(if to.is_empty() { (*path).to_owned() } else { format!("{to}/{path}") }, *bytes);
        }
    }
    files
}

/// The display name of a language.
pub(crate) fn title(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust",
        Language::C => "C",
        Language::Js => "JavaScript",
        Language::Ts => "TypeScript",
        Language::Python => "Python",
        Language::Go => "Go",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_both_interfaces_and_its_sdk() {
        for language in [Language::Rust, Language::C, Language::Js, Language::Ts, Language::Python, Language::Go] {
            for columns in [false, true] {
                let files = files(language, columns);
                for name in ["node.toml", "README.md", "tests/cases/basic.json"] {
                    assert!(files.contains_key(name), "{} has no {name}", title(language));
                }
                assert!(files.keys().any(|path| path.starts_with("sdk/")), "{}", title(language));
            }
            assert!(files(language, false) != files(language, true), "{} has two faces", title(language));
        }
    }
}
