//! Paths: the binary under test, the output of `cargo xtask nodes`, the sample data.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    // Relative to where cargo was called, which is the root for those who follow the README.
    workspace().join(folder)
}

/// A file in the target folder.
///
/// # Panics
///
/// The file is missing: nothing can be tested, and a skipped test would look like one that passed.
pub fn built(name: &str) -> PathBuf {
    let path = target().join(name);
    assert!(path.is_file(), "{} is missing; run `cargo xtask test`, which builds it", path.display());
    path
}

/// The agent.
pub fn binary() -> PathBuf {
    built("release/wattle")
}

/// Files of a folder of the sample data, in the order of their names; prints a line and returns
/// `None` if the samples are missing.
pub fn samples(name: &str) -> Option<Vec<PathBuf>> {
    let folder = workspace().join("../shared/data").join(name);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: the sample data `{name}` is not there");
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    Some(files)
}

/// A data folder with a cache of compiled nodes, so not every test compiles them again.
pub(crate) fn shared_data() -> PathBuf {
    use std::sync::OnceLock;
    static READY: OnceLock<PathBuf> = OnceLock::new();
    let made = READY.get_or_init(|| {
        let folder = target().join("tests-data");
        std::fs::create_dir_all(&folder).unwrap();
        // Test binaries can run in parallel.
        let lock = std::fs::File::create(folder.join("tests-lock")).unwrap();
        lock.lock().unwrap();
        let mut graph = std::process::Command::new(binary());
        let done = graph.args(["graph", "cloudtrail@1.2.0"]).env("WATTLE_DATA_DIR", &folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        folder
    });
    made.clone()
}
