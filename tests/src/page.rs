//! Configurations of pages in `docs`.

use crate::{Folder, workspace};

/// The configuration in a section of docs/SCALE.md, with the files of the agent in this folder and these texts replaced.
///
/// # Panics
///
/// The section or a text is missing.
pub fn scale_page(section: &str, folder: &Folder, replaced: &[(&str, &str)]) -> String {
    let page = std::fs::read_to_string(workspace().join("docs/SCALE.md")).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).expect("the page has this section");
    let (_, rest) = rest.split_once("```toml\n").expect("the section has a configuration");
    let mut text = rest.split("```").next().unwrap().to_owned();
    let data = folder.path("");
    for (from, to) in replaced.iter().copied().chain([("/var/lib/wattle/", data.to_str().unwrap())]) {
        assert!(text.contains(from), "the configuration has no `{from}`");
        text = text.replace(from, to);
    }
    text
}
