//! Every kind of invalid configuration and its diagnostics.
//!
//! A case is a folder in `golden` with an `agent.toml`, or with a pack in `pack` that is loaded on
//! its own together with its tests. A folder `conf.d` beside `agent.toml` belongs to the configuration. In a case named `locked-*` only pinned packs may run; in one
//! named `lint-*` the pack is linted too. Its artifacts are text, which `fakes.rs` reads in place of
//! a runtime: a file `a.wasm.txt` is `a.wasm` in the copy of the cases that the tests load.
//! `expected.err` holds all rendered diagnostics; `UPDATE_EXPECT=1` writes it again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use wattle_diagnostics::{Diagnostic, codes};
use wattle_manifest::{ConfigOrigin, Expectations, lint_pack, load, load_pack, load_tests};
use wattle_pack::Pinning;

use crate::fakes::{FakeEndpoints, FakeNodes, env, library};

/// Relative to the package, where cargo runs tests.
const FOLDER: &str = "tests/golden";

/// The copy of the cases, with the names of artifacts.
static COPY: LazyLock<String> = LazyLock::new(|| {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
    // Of an earlier run.
    let _ = fs::remove_dir_all(&copy);
    copy_folder(Path::new(FOLDER), &copy);
    copy.to_str().unwrap().to_owned()
});

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap();
        let to = to.join(name.strip_suffix(".txt").filter(|name| name.ends_with(".wasm")).unwrap_or(&name));
        if entry.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&entry).unwrap(), to).unwrap();
        } else if entry.is_dir() {
            copy_folder(&entry, &to);
        } else {
            fs::copy(&entry, &to).unwrap();
            if name == "token" {
                // Whatever the mode of the checkout.
                fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
    }
}

fn cases() -> Vec<String> {
    let mut cases: Vec<String> =
        fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    cases.sort();
    cases
}

fn diagnostics(case: &str) -> Vec<Diagnostic> {
    let folder = Path::new(&*COPY).join(case);
    let file = folder.join("agent.toml");
    if file.exists() || !folder.join("pack").exists() {
        let pinning = if case.starts_with("locked-") { Pinning::Required } else { Pinning::Obeyed };
        let more = Some(folder.join("conf.d")).filter(|folder| folder.exists());
        let files: Vec<PathBuf> = [file].into_iter().chain(more).collect();
        let library = library().with_pinning(pinning);
        let loaded = load(ConfigOrigin::Files(&files), &env, &FakeNodes, &FakeEndpoints, &library);
        return loaded.map_or_else(|invalid| invalid.diagnostics, |(_, warnings)| warnings);
    }
    let pack = format!("{}/{case}/pack", *COPY);
    if case.starts_with("lint-") {
        return lint_pack(&pack, &FakeNodes, &library()).unwrap_or_else(|invalid| invalid.diagnostics);
    }
    match load_pack(&pack, &serde_json::Map::new(), &FakeNodes, &library()) {
        Err(invalid) => invalid.diagnostics,
        Ok((_, warnings)) => load_tests(&pack, &library(), Expectations::Required)
            .map_or_else(|invalid| invalid.diagnostics, |_| warnings),
    }
}

#[test]
fn diagnostics_are_as_expected() {
    let mut wrong = Vec::new();
    for case in cases() {
        let found = diagnostics(&case);
        let rendered: Vec<String> = found.iter().map(|diagnostic| diagnostic.render(false)).collect();
        let rendered = rendered.join("\n").replace(&format!("{}/{case}/", *COPY), "");
        assert!(!rendered.is_empty(), "{case}: it has no diagnostics");
        let file = Path::new(FOLDER).join(&case).join("expected.err");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &rendered).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if rendered != expected {
            wrong.push(format!("--- {case}: expected\n{expected}\n--- {case}: got\n{rendered}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nset UPDATE_EXPECT=1 to accept", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let seen: BTreeSet<&str> = cases().iter().flat_map(|case| diagnostics(case)).map(|d| d.code).collect();
    let missing: Vec<&str> = codes::ALL.iter().map(|code| code.id).filter(|id| !seen.contains(id)).collect();
    assert!(missing.is_empty(), "codes without a golden case: {missing:?}");
}

#[test]
fn every_diagnostic_is_in_the_table_with_its_severity() {
    for diagnostic in cases().iter().flat_map(|case| diagnostics(case)) {
        let code = codes::find(diagnostic.code).unwrap();
        assert_eq!(code.severity, diagnostic.severity);
    }
}
