//! Versions of packs: what a lock pins, how an upgrade moves a pin, and the differences between two
//! versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Map;
use wattle_diagnostics::Invalid;
use wattle_manifest::{PackView, Section, diff, load, load_pack, outline};
use wattle_pack::{LOCK_FILE, Library, Lock, Pinning};
use wattle_plan::Plan;

use crate::fakes::{FakeEndpoints, FakeNodes, env};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.configure("pack = \"p@^1\"");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn configure(&self, pipeline: &str) {
        let text = format!(
            "[packs]\npath = \"library\"\n[sources.s]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"s\"]\n{pipeline}\n\
             [sinks.k]\ntype = \"console\"\ninputs = [\"p.*\"]\n"
        );
        self.write("agent.toml", &text);
    }

    /// Adds a version of the pack `p`.
    fn publish(&self, version: &str) {
        let folder = format!("library/p/{version}");
        self.write(
            &format!("{folder}/pack.toml"),
            &format!(
                "[pack]\nname = \"p\"\nversion = \"{version}\"\ncontract = \"0.1\"\n\
                 [nodes.n]\nartifact = \"nodes/n.wasm\"\ninputs = [\"input\"]\n\
                 [outputs.out]\ninputs = [\"n.*\"]\n"
            ),
        );
        self.write(&format!("{folder}/nodes/n.wasm"), "ports out");
    }

    fn load(&self, pinning: Pinning) -> Result<Plan, Invalid> {
        let library = Library::default().with_pinning(pinning);
        load(wattle_manifest::ConfigOrigin::Files(&[self.at("agent.toml")]), &env, &FakeNodes, &FakeEndpoints, &library)
            .map(|(plan, _)| plan)
    }

    /// What runs, or the code of the first error.
    fn runs(&self) -> String {
        match self.load(Pinning::Obeyed) {
            Ok(plan) => plan.pipelines[0].pack.as_ref().unwrap().to_string(),
            Err(invalid) => invalid.diagnostics[0].code.to_owned(),
        }
    }

    fn upgrade(&self) {
        let path = self.at(LOCK_FILE);
        let old = Lock::read(&path).unwrap().unwrap_or_default();
        let plan = self.load(Pinning::Ignored(Vec::new())).unwrap();
        old.pin_uses(&plan.packs, &[], "2026-01-01T00:00:00Z").write(&path).unwrap();
    }
}

#[test]
fn a_pin_holds_its_version_until_an_upgrade() {
    let place = Place::new();
    place.publish("1.0.0");
    assert_eq!(place.load(Pinning::Required).unwrap_err().diagnostics[0].code, "E0435");
    place.upgrade();
    place.publish("1.1.0");
    assert_eq!(place.runs(), "p@1.0.0");
    assert!(place.load(Pinning::Required).is_ok());
    place.upgrade();
    assert_eq!(place.runs(), "p@1.1.0");
    let mut lock = Lock::read(&place.at(LOCK_FILE)).unwrap().unwrap();
    assert_eq!(lock.roll_back("p").len(), 1);
    lock.write(&place.at(LOCK_FILE)).unwrap();
    assert_eq!(place.runs(), "p@1.0.0");
}

#[test]
fn a_pre_release_runs_only_if_a_requirement_names_one() {
    let place = Place::new();
    place.publish("2.0.0-rc.1");
    place.configure("pack = \"p\"");
    assert_eq!(place.runs(), "E0402", "a reference without a version names no pre-release");
    place.publish("1.0.0");
    for (reference, runs) in
        [("p", "p@1.0.0"), ("p@>=1", "p@1.0.0"), ("p@2.0.0-rc.1", "p@2.0.0-rc.1"), ("p@^2.0.0-rc.0", "p@2.0.0-rc.1")]
    {
        place.configure(&format!("pack = \"{reference}\""));
        assert_eq!(place.runs(), runs, "{reference}");
    }
}

#[test]
fn another_requirement_uses_the_same_pin_if_it_matches() {
    let place = Place::new();
    place.publish("1.0.0");
    place.upgrade();
    place.publish("1.1.0");
    place.publish("2.0.0");
    for (reference, runs) in
        [("p@1", "p@1.0.0"), ("p", "p@1.0.0"), ("p@^2", "E0432"), ("p@1.1.0", "p@1.1.0"), ("p@2.0.0", "p@2.0.0")]
    {
        place.configure(&format!("pack = \"{reference}\""));
        assert_eq!(place.runs(), runs, "{reference}");
    }
    assert_eq!(
        place.load(Pinning::Required).unwrap_err().diagnostics[0].code,
        "E0432",
        "an exact version is not pinned"
    );
}

#[test]
fn one_changed_byte_of_any_file_of_a_pinned_pack_is_detected_and_named() {
    let place = Place::new();
    place.publish("1.0.0");
    place.write("library/p/1.0.0/tests/a/input.txt", "x");
    place.upgrade();
    for (file, expected) in [
        ("nodes/n.wasm", "artifact `nodes/n.wasm` is"),
        ("pack.toml", "another of its files changed"),
        ("tests/a/input.txt", "another of its files changed"),
    ] {
        let path = place.at(&format!("library/p/1.0.0/{file}"));
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let invalid = place.load(Pinning::Obeyed).unwrap_err();
            let first = &invalid.diagnostics[0];
            assert_eq!(first.code, "E0434", "{file} at {at}");
            assert!(first.notes.iter().any(|note| note.contains(expected)), "{file} at {at}: {first:?}");
        }
        fs::write(&path, good).unwrap();
        assert_eq!(place.runs(), "p@1.0.0");
    }
    assert!(place.load(Pinning::Obeyed).unwrap().files.contains(&place.at("library/p/1.0.0")), "its folder is watched");
}

#[test]
fn one_changed_byte_of_the_lock_is_detected() {
    let place = Place::new();
    place.publish("1.0.0");
    place.upgrade();
    place.publish("1.1.0");
    let path = place.at(LOCK_FILE);
    let good = fs::read(&path).unwrap();
    let start = good.windows(8).position(|window| window == b"checksum").unwrap();
    for at in start..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        assert!(place.load(Pinning::Obeyed).is_err(), "byte {at}");
    }
}

fn view(reference: &str, library: &Library) -> PackView {
    let outline = outline(reference, library).unwrap();
    let plan = load_pack(reference, &Map::new(), &FakeNodes, library).ok().map(|(plan, _)| plan);
    let imports = plan.iter().flat_map(|plan| &plan.nodes).map(|node| {
        (node.name.clone(), vec![format!("wattle:node/{}", String::from_utf8_lossy(&node.artifact.bytes()))])
    });
    let imports: BTreeMap<String, Vec<String>> = imports.collect();
    PackView { outline, plan, imports }
}

fn lines(old: &PackView, new: &PackView) -> Vec<String> {
    diff(old, new).iter().map(|change| format!("{}: {change}", change.section)).collect()
}

#[test]
fn lists_the_differences_of_two_versions_by_section() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "p/1.0.0/pack.toml",
        "[pack]\nname = \"p\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n\
         [params.width]\ntype = \"integer\"\ndefault = 3\nmax = 9\n\
         [nodes.n]\nartifact = \"nodes/n.wasm\"\ninputs = [\"input\"]\noptions = { width = \"${params.width}\", keys = [\"a\"] }\n\
         [nodes.old]\nartifact = \"builtin:parse\"\ninputs = [\"n.*\"]\n\
         [outputs.out]\ninputs = [\"old.*\"]\n",
    );
    write("p/1.0.0/nodes/n.wasm", "ports out");
    write(
        "p/1.1.0/pack.toml",
        "[pack]\nname = \"p\"\nversion = \"1.1.0\"\ncontract = \"0.1\"\nlicense = \"MIT\"\n\
         [params.width]\ntype = \"integer\"\ndefault = 4\nmax = 9\n[params.key]\ntype = \"string\"\nsecret = true\ndefault = \"\"\n\
         [nodes.n]\nartifact = \"nodes/n.wasm\"\ninputs = [\"input\"]\n\
         options = { width = \"${params.width}\", keys = [\"a\", \"b\"], key = \"${params.key}\" }\n\
         [outputs.out]\ntitle = \"Out\"\ninputs = [\"n.out\", \"n.more\", \"n.failed\"]\n",
    );
    write("p/1.1.0/nodes/n.wasm", "ports out more");
    let library = Library::default().with_folder(folder.path());
    let (old, new) = (view("p@1.0.0", &library), view("p@1.1.0", &library));
    assert!(old.plan.is_some() && new.plan.is_some());
    assert_eq!(lines(&old, &old), Vec::<String>::new());
    let changes = lines(&old, &new);
    for line in [
        "pack: ~ version: 1.0.0 -> 1.1.0",
        "pack: + license: MIT",
        "params: + key: string, default \"\", secret",
        "params: ~ width: integer, default 3, at most 9 -> integer, default 4, at most 9",
        "graph: - node old: builtin:parse after n.*",
        "options: + n.key: \"${params.key}\"",
        "options: ~ n.keys: [\"a\"] -> [\"a\",\"b\"]",
        "ports: ~ node n: out, failed -> out, more, failed",
        "ports: - node old: out, failed",
        "outputs: ~ out: out (takes old.*) -> Out (takes n.out, n.more, n.failed)",
        "imports: + node n: wattle:node/ports out more",
        "imports: - node n: wattle:node/ports out",
        "files: ~ nodes/n.wasm",
        "files: ~ pack.toml",
    ] {
        assert!(changes.iter().any(|change| change == line), "`{line}` is not among {changes:#?}");
    }
    let artifacts: Vec<_> = diff(&old, &new).into_iter().filter(|c| c.section == Section::Artifacts).collect();
    assert_eq!(artifacts.len(), 2, "one changed, one gone: {artifacts:?}");
    assert!(!serde_json::to_string(&diff(&old, &new)).unwrap().is_empty());
}

#[test]
fn an_outline_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[pack]\nname = \"p\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n\
                    [params.key]\ntype = \"string\"\ndefault = \"hunter2\"\nsecret = true\n";
    fs::write(folder.path().join("pack.toml"), manifest).unwrap();
    let outline = outline(folder.path().to_str().unwrap(), &Library::default()).unwrap();
    assert!(!serde_json::to_string(&outline).unwrap().contains("hunter2"));
    assert!(!format!("{outline:?}").contains("hunter2"));
    assert_eq!(outline.folder.as_deref(), Some(Path::new(folder.path())));
}
