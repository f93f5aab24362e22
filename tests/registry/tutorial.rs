//! Runs every command of `docs/TUTORIAL.md` in order, and checks the output that the page shows.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use wattle_tests::{Folder, binary, finish, free_address, workspace};

/// The registry in the text; the test uses a free port instead.
const REGISTRY: &str = "127.0.0.1:5000";

/// The blocks of a text, each with its language.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language, String::new())),
            (None, Some((_, block))) => writeln!(block, "{line}").unwrap(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

#[test]
fn every_command_of_the_tutorial_prints_what_the_page_shows() {
    let started = Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status();
    assert!(started.is_ok(), "`docker-registry` is missing; install it: apt-get install docker-registry");
    let folder = Folder::new();
    let text = std::fs::read_to_string(workspace().join("docs/TUTORIAL.md")).unwrap();
    let text = text.replace(REGISTRY, &free_address().to_string());
    // One shell for all blocks, like a reader; its background jobs end with it.
    let mut script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    let mut promised: Vec<(usize, String)> = Vec::new();
    let (mut commands, mut number) = (0, 0);
    for (language, block) in blocks(&text) {
        match language {
            "sh" => {
                number += 1;
                commands += block.lines().count();
                write!(script, "echo '== block {number}'\n{block}").unwrap();
            }
            "text" => promised.extend(block.lines().map(|line| (number, line.to_owned()))),
            _ => {
                let name = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the name of a file");
                folder.write(name, &block);
            }
        }
    }
    assert!(commands > 30 && promised.len() > 8, "{commands} commands, {} lines", promised.len());
    folder.write("tutorial.sh", script);
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.arg("tutorial.sh").current_dir(folder.path("")).env("PATH", path).env("WATTLE_DATA_DIR", folder.path("data"));
    shell.env("HOME", folder.path("")).env_remove("WATTLE_CONFIG").env_remove("WATTLE_SIGN_KEY");
    // A block that hangs must not hang the test.
    let ended = finish(
        Command::new("timeout")
            .args(["--kill-after=10", "300"])
            .arg(shell.get_program())
            .args(shell.get_args())
            .current_dir(folder.path(""))
            .envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?)))),
        b"",
    );
    let output = ended.text();
    let context = || format!("{output}\n{}\n{}", ended.log, String::from_utf8_lossy(&folder.read("agent.log")));
    assert_eq!(ended.code, 0, "{}", context());
    for (number, line) in promised {
        let after = output.split(&format!("== block {number}\n")).nth(1).unwrap_or_default();
        let block = after.split("== block").next().unwrap();
        let (begin, end) = line.split_once('…').unwrap_or((&line, ""));
        let is_there = block.lines().any(|printed| match end {
            "" if !line.contains('…') => printed == begin,
            _ => printed.starts_with(begin) && printed.ends_with(end),
        });
        assert!(is_there, "block {number} does not print `{line}`; it prints\n{block}\n{}", context());
    }
}
