//! `cargo xtask picture`: runs the CloudTrail pack on generated logs and draws what the terminal shows. With `--page`: what
//! the page shows.

mod page;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::nodes;
use crate::process::target_dir;

const FILE: &str = "docs/demo.svg";
const COMMANDS: [&str; 2] =
    ["wattle generate --documents 300 --seed 7", "wattle run --pack cloudtrail@1.2.0 --out out"];
const LINE_HEIGHT: usize = 18;
const PADDING: usize = 16;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run this binary instead of building one
    #[arg(long, value_name = "FILE")]
    wattle: Option<PathBuf>,
    /// Take the pictures of docs/SEE.md from the page of a running agent instead; installs Chromium
    #[arg(long)]
    page: bool,
}

/// Runs the agent and writes the picture.
pub(crate) fn picture(options: &Options) -> anyhow::Result<()> {
    let wattle = match &options.wattle {
        Some(wattle) => std::path::absolute(wattle)?,
        None => nodes::build_agent()?,
    };
    let folder = target_dir()?.join("picture");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    if options.page {
        return page::pictures(&wattle, &folder);
    }
    let shown = run(&wattle, &folder)?;
    fs::write(FILE, svg(&shown)).context(FILE)?;
    println!("written to {FILE}");
    Ok(())
}

/// Runs both commands as the picture shows them, and returns the lines of the terminal.
fn run(wattle: &Path, folder: &Path) -> anyhow::Result<Vec<String>> {
    let [generate, process] = COMMANDS;
    let input = folder.join("trail.json");
    let generated = command(wattle, generate, folder).stdout(File::create(&input)?).output()?;
    ensure!(generated.status.success(), "{generate} ended with {}", generated.status);
    // The warning level keeps the log, with its times, out of the picture; the summary is printed at any level.
    let output = command(wattle, process, folder)
        .args(["--log", "warn", "--color", "never"])
        .stdin(File::open(&input)?)
        .output()?;
    let summary = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{process} ended with {}\n{summary}", output.status);
    let mut lines = vec![format!("$ {generate} | {process}")];
    lines.extend(summary.lines().map(ToOwned::to_owned));
    lines.push("$ head -c 300 out/processed.ndjson".to_owned());
    let processed = fs::read_to_string(folder.join("out/processed.ndjson"))?;
    let start: Vec<char> = processed.chars().take(300).collect();
    lines.extend(start.chunks(100).map(|part| part.iter().collect()));
    Ok(lines)
}

fn command(wattle: &Path, line: &str, folder: &Path) -> Command {
    let mut command = Command::new(wattle);
    command.args(line.split(' ').skip(1)).current_dir(folder).env("WATTLE_DATA_DIR", folder.join("data"));
    command
}

fn svg(lines: &[String]) -> String {
    let height = lines.len() * LINE_HEIGHT + 2 * PADDING;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"monospace\" \
         font-size=\"13\" xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b1f24\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = PADDING + number * LINE_HEIGHT + 12;
        let colour = if line.starts_with('$') { "#7ee787" } else { "#e6edf3" };
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        svg.push_str(&format!("<text x=\"{PADDING}\" y=\"{y}\" fill=\"{colour}\">{text}</text>\n"));
    }
    svg.push_str("</svg>\n");
    svg
}
