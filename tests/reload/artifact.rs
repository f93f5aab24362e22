//! Replaces an artifact while a followed file grows.

use std::fs::File;
use std::io::Write as _;

use wattle_tests::{Config, Folder, built, wait_until};

fn config() -> String {
    Config::new()
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pack("main", &["lines"], "./pack")
        .file_sinks(&["ok", "fails"])
        .text()
}

const PACK: &str = r#"
[pack]
name = "mine"
version = "0.1.0"
contract = "0.1"
description = "A guest that fails every tenth row."
[nodes.guest]
artifact = "guest.wasm"
inputs = ["input"]
options = { fault = "panic" }
[outputs.ok]
inputs = ["guest"]
[outputs.fails]
inputs = ["guest.failed"]
"#;

/// The same artifact with one text replaced by another of the same length.
fn changed(artifact: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        artifact.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(i, _)| i).collect();
    assert!(!places.is_empty(), "the guest has no such text");
    let mut artifact = artifact.to_vec();
    for place in places {
        artifact[place..place + to.len()].copy_from_slice(to);
    }
    artifact
}

struct Writer {
    file: File,
    rows: usize,
}

impl Writer {
    /// Adds rows, every tenth of them poisonous.
    fn write(&mut self, count: usize) {
        for row in self.rows..self.rows + count {
            let kind = if row % 10 == 0 { "poison" } else { "healthy" };
            writeln!(self.file, "{{\"row\":{row},\"kind\":\"{kind}\"}}").unwrap();
        }
        self.rows += count;
    }
}

fn messages(folder: &Folder, text: &str) -> usize {
    folder.events("fails.ndjson").iter().filter(|e| e["failure"]["message"].as_str().unwrap().contains(text)).count()
}

#[test]
fn a_replaced_artifact_takes_effect_and_a_broken_one_does_not() {
    let folder = Folder::new();
    let guest = std::fs::read(built("guests/faulty.wasm")).unwrap();
    folder.write("pack/pack.toml", PACK);
    folder.write("pack/guest.wasm", &guest);
    folder.write("in.log", "");
    let mut writer = Writer { file: File::options().append(true).open(folder.path("in.log")).unwrap(), rows: 0 };
    let mut agent = folder.start(&config());
    writer.write(50);
    wait_until("failures of the first artifact", || messages(&folder, "poison in row") == 5);

    writer.write(50);
    folder.replace("pack/guest.wasm", changed(&guest, b"poison in row", b"potion in row"));
    agent.wait_for("reloaded");
    writer.write(50);
    wait_until("failures of the second artifact", || messages(&folder, "potion in row") >= 5);

    let before = agent.log().len();
    folder.replace("pack/guest.wasm", &guest[..guest.len() / 2]);
    agent.wait_for("the running one stays");
    let said = &agent.log()[before..];
    assert!(said.contains("error[E0206]") && said.contains("pack.toml:") && said.contains("guest.wasm"), "{said}");
    writer.write(50);
    wait_until("failures of the artifact that stayed", || messages(&folder, "potion in row") >= 10);

    folder.replace("pack/guest.wasm", changed(&guest, b"poison in row", b"venom! in row"));
    agent.wait_for("reloaded");
    writer.write(50);
    wait_until("failures of the last artifact", || messages(&folder, "venom! in row") >= 5);

    let summary = agent.stop().summary();
    assert_eq!((summary.pipeline().delivered, summary.pipeline().failed), (225, 25));
    let mut rows: Vec<u64> = ["ok.ndjson", "fails.ndjson"]
        .iter()
        .flat_map(|file| folder.events(file))
        .map(|event| serde_json::from_str::<serde_json::Value>(event["body"].as_str().unwrap()).unwrap())
        .map(|body| body["row"].as_u64().unwrap())
        .collect();
    rows.sort_unstable();
    assert!(rows.into_iter().eq(0..writer.rows as u64), "every row once");
}
