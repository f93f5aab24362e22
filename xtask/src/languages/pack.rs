//! A node of the language inside the CloudTrail pack: how much the whole pipeline does then.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Bench;

/// The pack that the node is put into.
const PACK: &str = "packs/cloudtrail/1.1.0";
/// Documents of the input.
const DOCUMENTS: &str = "500";
/// Where the node goes: in front of this one.
const ROUTE: &str = "[nodes.route]\nartifact = \"builtin:route\"\ninputs = [\"extract\"]";
const WITH_NODE: &str = r#"[nodes.own]
artifact = "own.wasm"
inputs = ["extract"]
options = { from = "attributes.Record.eventName", to = "attributes.shout", skip = "no such name" }

[nodes.route]
artifact = "builtin:route"
inputs = ["own"]"#;

impl Bench {
    /// Megabytes a second through the pack with this artifact in it, on one worker.
    pub(super) fn in_pack(&self, artifact: &Path) -> anyhow::Result<Value> {
        let pack = self.folder.join("pack");
        let _ = fs::remove_dir_all(&pack);
        fs::create_dir_all(&pack)?;
        let manifest = fs::read_to_string(Path::new(PACK).join("pack.toml"))?;
        ensure!(manifest.contains(ROUTE), "the pack {PACK} has changed");
        fs::write(pack.join("pack.toml"), manifest.replace(ROUTE, WITH_NODE))?;
        fs::copy(artifact, pack.join("own.wasm")).with_context(|| artifact.display().to_string())?;
        let input = self.folder.join("trail.ndjson");
        if !input.is_file() {
            let mut generate = self.command(&self.folder, &["generate", "--documents", DOCUMENTS, "--seed", "7"]);
            let status = generate.stdout(fs::File::create(&input)?).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "wattle generate ended with {status}");
        }
        let mut best: f64 = 0.0;
        // The first run compiles the artifact.
        for _ in 0..3 {
            let arguments =
                ["--log", "error", "run", "--quiet", "--pack", "./pack", "--workers", "1", "--out", "trail"];
            let since = Instant::now();
            let status = self.command(&self.folder, &arguments).stdin(fs::File::open(&input)?).status()?;
            let seconds = since.elapsed().as_secs_f64();
            ensure!(status.success(), "wattle run ended with {status}");
            best = best.max(fs::metadata(&input)?.len() as f64 / 1e6 / seconds);
        }
        let shouted = fs::read_to_string(self.folder.join("trail/processed.ndjson"))?;
        ensure!(!shouted.is_empty(), "nothing came through the pack");
        println!("{best:>7.1} MB/s through the CloudTrail pack with this node in it");
        Ok(json!(best))
    }
}
