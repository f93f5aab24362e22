//! `kill -9` in the middle of writing a line that is so long that the system writes it in many
//! steps: the kill really tears the line, not the test.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Folder, wait_until};

use crate::report::Outcome;

/// Bytes of a line: writing it takes milliseconds.
const LINE: usize = 4 << 20;

/// Time for a line to reach its output.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> String {
    Config::new()
        .file_source("lines", "in")
        .set("glob_interval", "20ms")
        .set("max_line_bytes", "8MiB")
        .pipeline("main", &["lines"])
        .node("route", "builtin:route", &["input"])
        .with("options.paths = [{ name = \"never\", when = { field = \"body\", regex = \"^never$\" } }]")
        .output("out", &["route.unmatched", "route.never", "route.failed"])
        .file_sink("out", &["main.out"], "out")
        .set("encoding.codec", "text")
        .set("fsync_interval", "20ms")
        .text()
}

/// The line of a round. Even when torn, it cannot be confused with the line of another round.
fn line(round: usize) -> String {
    let digit = char::from(b'a' + u8::try_from(round % 26).unwrap());
    format!("{round:04} {} end", String::from(digit).repeat(LINE))
}

/// Runs the rounds.
pub fn run(rounds: usize) -> Outcome {
    let folder = Folder::new();
    folder.write("agent.toml", config());
    let mut input = std::fs::File::create(folder.write("in", "")).unwrap();
    let size = || std::fs::metadata(folder.path("out")).map_or(0, |metadata| metadata.len());
    let ends_whole = |length: u64| length == 0 || tail(&folder, length) == b'\n';
    let (mut torn, mut reported) = (0, 0);
    let start = || Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    for round in 0..rounds {
        let mut agent = start();
        agent.wait_for("running");
        // The rest of the previous round comes first.
        let known = (0..round).map(|round| line(round).len() as u64 + 1).sum();
        wait_until("the lines so far", || size() >= known && ends_whole(size()));
        let before = size();
        writeln!(input, "{}", line(round)).unwrap();
        // Spins, because the write takes only milliseconds.
        let deadline = Instant::now() + PATIENCE;
        while size() <= before {
            assert!(Instant::now() < deadline, "line {round} is not written");
            std::hint::spin_loop();
        }
        let ended = agent.kill();
        reported += ended.log.matches("adding a line break after it").count();
        torn += usize::from(!ends_whole(size()));
    }
    let mut agent = start();
    agent.wait_for("running");
    let whole = || {
        let bytes = folder.read("out");
        let lines: BTreeSet<String> = String::from_utf8(bytes)
            .unwrap()
            .lines()
            .filter(|line| line.ends_with(" end"))
            .map(str::to_owned)
            .collect();
        (0..rounds).filter(|round| lines.contains(&line(*round))).count()
    };
    wait_until("every line", || whole() == rounds);
    let ended = agent.stop();
    reported += ended.log.matches("adding a line break after it").count();
    ended.summary();
    // Each line of the output is an input line, or the beginning of a torn one.
    let output = String::from_utf8(folder.read("out")).unwrap();
    let is_begun = |text: &str| (0..rounds).any(|round| line(round).starts_with(text));
    let broken = output.lines().filter(|text| !text.ends_with(" end")).inspect(|text| assert!(is_begun(text))).count();
    assert!(output.lines().filter(|text| text.ends_with(" end")).all(|text| is_begun(text) && text.len() == LINE + 9));
    let mut outcome = Outcome::new(format!(
        "{rounds} kills while a line of {} MB was written: {torn} torn by it, {broken} torn lines closed, none without a word",
        LINE >> 20
    ));
    if broken > reported {
        outcome.broken = Some(format!("{broken} torn lines, of which the agent reported {reported}"));
    }
    outcome
}

fn tail(folder: &Folder, length: u64) -> u8 {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    let file = std::fs::File::open(folder.path("out")).unwrap();
    file.read_exact_at(&mut last, length - 1).unwrap();
    last[0]
}
