//! `cargo xtask picture --page`: runs the agent on generated load and takes the pictures of `docs/SEE.md` with Chromium.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::process::run;
use crate::tools;

const SCRIPT: &str = "tests/page/pictures.mjs";
const FOLDER: &str = "docs";

/// The agent; it ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn pictures(wattle: &Path, folder: &Path) -> anyhow::Result<()> {
    let browser = tools::add_chromium()?;
    // Closed again; nothing else takes the port in this moment.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    fs::write(folder.join("agent.toml"), configuration(&address.to_string()))?;
    let input = folder.join("trail.json");
    let generated = Command::new(wattle).args(["generate", "--documents", "2", "--seed", "7"]).output()?;
    ensure!(generated.status.success(), "wattle generate ended with {}", generated.status);
    fs::write(&input, generated.stdout)?;
    let mut agent = Command::new(wattle);
    agent.args(["--log", "error", "run", "--config", "agent.toml"]).current_dir(folder);
    let mut agent = Running(agent.env("WATTLE_DATA_DIR", folder.join("data")).stdin(Stdio::null()).spawn()?);
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_err() {
        ensure!(agent.0.try_wait()?.is_none(), "the agent ended; see {}", folder.display());
        ensure!(Instant::now() < end, "the agent does not listen at {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let spec = serde_json::json!({
        "url": format!("http://{address}/"),
        "out": FOLDER,
        "modules": browser.to_str().context("the target folder is not UTF-8")?,
        "input": input,
    });
    run(Command::new("node").arg(SCRIPT).arg(spec.to_string()))?;
    println!("written to {FOLDER}");
    Ok(())
}

fn configuration(address: &str) -> String {
    format!(
        r#"
[admin]
listen = "{address}"
price_per_gb = 0.5
currency = "EUR"

[sources.trail]
type = "demo"
rate = 60

[pipelines.cloudtrail]
inputs = ["trail"]
pack = "cloudtrail@1.2.0"

[sinks.lake]
type = "blackhole"
inputs = ["cloudtrail.processed", "cloudtrail.get_describe_list"]

[sinks.fails]
type = "blackhole"
inputs = ["cloudtrail.fails"]
"#
    )
}
