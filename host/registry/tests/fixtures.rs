//! A small pack.

use wattle_registry::Image;
use wattle_registry::files::Files;

/// Files of a pack: text, incompressible bytes, an empty file, a path with a non-ASCII letter, a
/// deep path.
pub(crate) fn files() -> Files {
    let noise: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let deep = format!("{}/x.txt", ["a-rather-long-folder-name"; 6].join("/"));
    Files::from([
        ("pack.toml".to_owned(), b"[pack]\nname = \"sample\"\nversion = \"1.2.3\"\n".to_vec()),
        ("README.md".to_owned(), b"# Sample\n".repeat(40)),
        ("nodes/noise.wasm".to_owned(), noise),
        ("tests/one/expected.all.ndjson".to_owned(), Vec::new()),
        ("tests/\u{e9}/input.json".to_owned(), b"{}".to_vec()),
        (deep, b"deep".to_vec()),
    ])
}

pub(crate) fn image() -> Image {
    Image::pack(&files(), "sample", "1.2.3", "0.1").unwrap()
}

/// Writes files to a folder.
pub(crate) fn write(files: &wattle_registry::files::Files, folder: &std::path::Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
