//! The agent with many files, few descriptors, missing permissions and globs that match nothing,
//! and in a crash loop. Tests of rotation are in `host/source/src/file/tests`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Folder, binary, finish, free_address, wait_until};

fn config() -> String {
    Config::new()
        .file_source("app", "logs/**/*.log")
        .pipeline("p", &["app"])
        .set("outputs.out.inputs", vec!["input"])
        .file_sink("out", &["p.out"], "out.txt")
        .set("fsync", "never")
        .set("encoding.codec", "text")
        .text()
}

/// Starts the agent with a hard limit of open files.
fn limited(folder: &Folder, files: usize, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files}; exec {} run {arguments} --config agent.toml", binary().display());
    command.args(["-c", &script]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", folder.path("data"));
    command
}

fn lines(folder: &Folder) -> Vec<String> {
    String::from_utf8(folder.read("out.txt")).unwrap().lines().map(str::to_owned).collect()
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn more_logs_than_the_descriptor_limit_are_all_read_and_followed() {
    let folder = Folder::new();
    for n in 0..300 {
        folder.write(format!("logs/{n}.log"), format!("first {n}\n"));
    }
    folder.write("agent.toml", config());
    let mut agent = Agent::start(&mut limited(&folder, 64, ""));
    agent.wait_for("running");
    wait_until("all logs are read", || lines(&folder).len() >= 300);
    for n in 0..300 {
        append(&folder.path(format!("logs/{n}.log")), &format!("second {n}\n"));
    }
    wait_until("all logs are followed", || lines(&folder).len() >= 600);
    let open = agent.open_files();
    let ended = agent.stop();
    let unique: BTreeSet<String> = lines(&folder).into_iter().collect();
    assert_eq!((unique.len(), lines(&folder).len()), (600, 600));
    assert!(open < 64, "{open}");
    assert!(ended.log.lines().count() < 60, "no line for each file: {}", ended.log);
}

#[test]
fn more_output_files_than_the_descriptor_limit_are_all_written() {
    let folder = Folder::new();
    let mut input = String::new();
    for n in 0..3000 {
        input.push_str(&format!("{{\"id\":{n},\"k\":\"{}\"}}\n", n % 300));
    }
    folder.write("logs/in.log", input);
    folder.write(
        "agent.toml",
        config()
            .replace("outputs.out.inputs = [\"input\"]", "outputs.out.inputs = [\"parse.*\"]\n[pipelines.p.nodes.parse]\nartifact = \"builtin:parse\"\ninputs = [\"input\"]\noptions = { field = \"body\", format = \"json\", into = \"attributes\" }")
            .replace("out.txt", "out/{{ attributes.k }}.log"),
    );
    let ended = finish(&mut limited(&folder, 64, "--once"), b"");
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.summary().sinks["out"], 3000);
    let written =
        fs::read_dir(folder.path("out")).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    assert_eq!(written.map(|text| text.lines().count()).sum::<usize>(), 3000);
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let folder = Folder::new();
    folder.write("logs/a.log", "one\n");
    folder.write("agent.toml", config());
    let script = format!("ulimit -Sn 64; exec {} run --config agent.toml", binary().display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", folder.path("data"));
    let mut agent = Agent::start(&mut command);
    agent.wait_for("running");
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_digit())).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    agent.stop();
}

/// The agent does not run as root, and a log gets its mode a moment after its creation.
#[test]
fn a_log_without_permission_is_reported_once_and_read_when_permission_is_given() {
    let folder = Folder::new();
    if chown(folder.path(""), Some(65534), Some(65534)).is_err() {
        println!("skipped: only root can start the agent as another user");
        return;
    }
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    folder.write("logs/a.log", "a\n");
    folder.write("logs/b.log", "b\n");
    folder.write("logs/private/c.log", "c\n");
    folder.write("agent.toml", config());
    fs::set_permissions(folder.path("logs/b.log"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path("logs/private"), fs::Permissions::from_mode(0o700)).unwrap();
    let agent_copy = folder.path("agent");
    fs::copy(binary(), &agent_copy).unwrap();
    fs::set_permissions(&agent_copy, fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path("own");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(65534), Some(65534)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&agent_copy);
    command.args(["run", "--config", "agent.toml"]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", &data);
    let mut agent = Agent::start(&mut command);
    agent.wait_for("running");
    wait_until("the log that may be read is read", || lines(&folder) == ["a"]);
    fs::set_permissions(folder.path("logs/b.log"), fs::Permissions::from_mode(0o644)).unwrap();
    wait_until("the other is read too", || lines(&folder) == ["a", "b"]);
    let log = agent.stop().log;
    assert_eq!(log.matches("b.log").count(), 1, "{log}");
    assert_eq!(log.matches("cannot read a folder").count(), 1, "{log}");
}

#[test]
fn a_glob_that_matches_nothing_is_in_the_log_once_and_in_the_status() {
    let folder = Folder::new();
    folder.write("logs/a.log", "one\n");
    let admin = free_address().to_string();
    let config = config().replace("\"logs/**/*.log\"", "\"logs/*.log\", \"logs\", \"~/x/*.log\"");
    let agent = folder.start(&format!("[admin]\nlisten = \"{admin}\"\n{config}"));
    let mut status = String::new();
    wait_until("the status has it", || {
        status = folder.run(&["status", "--url", &format!("http://{admin}")]).text().to_owned();
        status.contains("`~/x/*.log` finds no file")
    });
    assert!(status.contains("source `app`: `logs` finds no file: it is a folder; write `logs/*`"), "{status}");
    let log = agent.stop().log;
    assert!(log.contains("`~` is not expanded"), "{log}");
    assert_eq!(log.matches("finds no file").count(), 2, "{log}");
}

/// The limits are far above the usual figures, because other tests run at the same time.
#[test]
fn twenty_thousand_idle_logs_cost_little_and_a_new_line_is_delivered() {
    const FILES: usize = 20_000;
    let folder = Folder::new();
    for n in 0..FILES {
        folder.write(format!("logs/{}/{n}.log", n % 100), format!("file {n}\n"));
    }
    let agent = folder.start(&config());
    wait_until("all logs are read", || lines(&folder).len() >= FILES);
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", agent.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    std::thread::sleep(Duration::from_secs(2));
    let (before, since) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(4));
    let share = (ticks() - before) as f64 / 100.0 / since.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share} of a core although nothing changes");
    append(&folder.path("logs/77/777777.log"), "a new one\n");
    append(&folder.path("logs/7/7.log"), "a new line\n");
    wait_until("the new lines are seen", || lines(&folder).len() >= FILES + 2);
    assert!(agent.memory() < 256 << 20, "{}", agent.memory());
    assert!(agent.open_files() < 400, "{}", agent.open_files());
    agent.stop();
    let agent = folder.start(&config());
    append(&folder.path("logs/7/7.log"), "after the restart\n");
    wait_until("the line after the restart is seen", || lines(&folder).len() >= FILES + 3);
    agent.stop();
    assert_eq!(lines(&folder).len(), FILES + 3, "nothing came twice");
}

/// Every life of the agent is shorter than the interval at which positions are saved.
#[test]
fn an_agent_in_a_crash_loop_makes_progress_although_no_life_lasts_half_a_second() {
    const LINES: usize = 200_000;
    let folder = Folder::new();
    let text: String = (0..LINES).map(|n| format!("line {n} {}\n", "x".repeat(80))).collect();
    folder.write("logs/a.log", text);
    // Small batches that are synced one by one, so that the work takes several lives.
    let config = format!("[agent.batch]\nmax_events = 20\n{}", config().replace("\"never\"", "\"batch\""));
    let size = || fs::metadata(folder.path("out.txt")).map_or(0, |out| out.len());
    let mut lives = 0;
    loop {
        let before = size();
        let mut agent = folder.start(&config);
        wait_until("events come", || size() > before || !agent.is_running());
        std::thread::sleep(Duration::from_millis(50));
        agent.kill();
        lives += 1;
        if lines(&folder).iter().any(|line| line.starts_with(&format!("line {} ", LINES - 1))) {
            break;
        }
        assert!(lives < 100, "no progress: {} lines", lines(&folder).len());
    }
    let all = lines(&folder);
    let unique: BTreeSet<&str> = all.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(unique.len() >= LINES);
    assert!(lives > 2, "one life was enough: make the work longer");
    println!("{lives} lives, {} lines twice", all.len() - LINES);
}
