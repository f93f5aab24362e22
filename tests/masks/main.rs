//! Secrets never leave readable: records with known secret values, in many notations and encodings,
//! cut anywhere.
//!
//! Every run sends the same events through the CloudTrail pack and through a single `mask` node.
//! Afterwards no part of a secret may be readable in anything that the agent wrote, except the
//! quarantine store, and every event is accounted for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod cut;
mod encodings;
mod forms;
mod routes;
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wattle_tests::{Config, Ended, Folder};

use crate::secrets::Readable;

/// The store of quarantined events, the only place that may contain secrets. Its mode is 0600.
const STORE: &str = "data/quarantine";

/// The outputs of both pipelines; the last one belongs to the single node.
const OUTPUTS: [&str; 5] = ["trail.processed", "trail.get_describe_list", "trail.fails", "plain.masked", "plain.fails"];

/// The rules of the single node.
const RULES: &str = r#"options.rules = [
    { json_key = ["accessKeyId", "secretAccessKey", "sessionToken", "assumedRoleId"], any_spelling = true },
    { json_key = ["keyMaterial", "privateKey"] },
    { preset = "aws-access-key-id" },
    { preset = "aws-secret-access-key" },
    { preset = "aws-session-token" },
    { preset = "aws-role-session" },
    { preset = "private-key" },
]"#;

/// A configuration in which both pipelines read this source, and all outputs go to files.
///
/// The outputs of the single node are written unchanged, byte for byte.
fn config(source: &str, more: &str) -> String {
    let mut config = Config::new()
        .agent("data_dir = \"data\"")
        .table("sources.in")
        .with(source)
        .pack("trail", &["in"], "cloudtrail@1.2.0")
        .pipeline("plain", &["in"])
        .node("mask", "builtin:mask", &["input"])
        .with(RULES)
        .output("masked", &["mask"])
        .output("fails", &["mask.failed"])
        .with(more);
    for output in OUTPUTS {
        let name = output.replace('.', "-");
        let codec = if output == "plain.masked" { "encoding.codec = \"text\"" } else { "" };
        config = config.file_sink(&name, &[output], &format!("out/{name}")).set("fsync", "never").with(codec);
    }
    config.text()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The compile cache is a link to the one that all tests share.
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// Checks everything that the agent wrote below its folder: outputs, dead letters, checkpoints,
/// history. `inputs` is the folder of the test's own input.
#[track_caller]
fn assert_files_hide(folder: &Folder, inputs: &str, readable: &Readable) {
    let root = folder.path("");
    for path in files(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if name.starts_with(STORE) {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        } else if name != "agent.toml" && !name.starts_with(inputs) && path.is_file() {
            readable.assert_none(&name, &fs::read(&path).unwrap());
        }
    }
}

/// Checks that the listings of the quarantine contain ids and reasons, and nothing of the events.
#[track_caller]
fn assert_listings_hide(folder: &Folder, readable: &Readable) {
    for arguments in [&["quarantine", "list"][..], &["quarantine", "list", "trail"], &["quarantine", "list", "plain"]] {
        let listed = folder.run(arguments);
        readable.assert_none(&format!("{arguments:?}"), &[listed.output, listed.log.into_bytes()].concat());
    }
}

/// Checks that each pipeline received this many events, and that each event left, failed or was
/// dropped. Returns the number that failed at the masks.
#[track_caller]
fn assert_accounted(ended: &Ended, received: usize) -> u64 {
    // The reader of the summary compares received events with delivered, failed and dropped ones.
    let summary = ended.summary();
    for name in ["trail", "plain"] {
        assert_eq!(summary.pipelines[name].received, received as u64, "{name}: {}", ended.log);
        assert_eq!(summary.pipelines[name].returned, 0, "{name}");
    }
    let plain = &summary.pipelines["plain"];
    assert_eq!(plain.delivered + plain.failed, received as u64, "a single mask drops nothing");
    plain.failed
}
