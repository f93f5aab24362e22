//! Files that are rotated, replaced, truncated and damaged while the agent reads them: no event is
//! lost, or the loss is counted and explained.

use std::fs::{self, File};
use std::io::Write as _;

use wattle_tests::{Agent, Config, Ended, Folder, wait_until};

use crate::load::gzip;
use crate::report::{Outcome, Report};

/// A scenario of a source.
type Scenario = fn(&mut fastrand::Rng) -> Outcome;

/// Every fault.
pub const FAULTS: &[(&str, Scenario)] = &[
    ("rotation by rename", rename),
    ("copytruncate", copy_truncate),
    ("delete while open", delete),
    ("replaced by a shorter one", replaced),
    ("cut to a shorter one", cut),
    ("a thousand files at once", thousand),
    ("gzip truncated", truncated),
    ("gzip bomb by ratio", bomb),
    ("gzip beyond the size cap", too_large),
    ("gzip of many members", members),
];

/// Runs every fault, and notes the figures.
pub fn section(report: &mut Report, seed: u64) {
    report.section("Sources: files that change under the reader's eyes");
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, scenario) in FAULTS {
        report.add("source_faults", 1);
        let outcome = report.run(name, || scenario(&mut random));
        report.add("source_faults_survived", u64::from(outcome.as_ref().is_some_and(Outcome::is_good)));
        report.count_lost(outcome.as_ref());
    }
}

fn config(include: &str, options: &str) -> String {
    Config::new()
        .file_source("files", include)
        .set("glob_interval", "50ms")
        .with(options)
        .pipeline("main", &["files"])
        .node("route", "builtin:route", &["input"])
        .with("options.paths = [{ name = \"never\", when = { field = \"body\", regex = \"^never$\" } }]")
        .output("out", &["route.unmatched", "route.never", "route.failed"])
        .file_sink("out", &["main.out"], "out")
        .set("encoding.codec", "text")
        .set("fsync", "never")
        .text()
}

/// Numbered lines of any length.
struct Lines {
    next: usize,
}

impl Lines {
    fn some(&mut self, count: usize, random: &mut fastrand::Rng) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text += &format!("line {:06} {}\n", self.next, "x".repeat(random.usize(..300)));
            self.next += 1;
        }
        text
    }
}

/// The numbers of the output lines, in their order.
fn numbers(folder: &Folder) -> Vec<usize> {
    let text = String::from_utf8(folder.read("out")).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
}

fn wait_for_lines(folder: &Folder, count: usize) {
    wait_until("all lines", || folder.read("out").iter().filter(|b| **b == b'\n').count() >= count);
}

/// Ends the agent, and checks that each line arrived as often as expected.
fn finish(folder: &Folder, agent: Agent, expected: &[usize], note: &str) -> Outcome {
    wait_for_lines(folder, expected.len());
    agent.stop().summary();
    let found = numbers(folder);
    let (mut sorted, mut wanted) = (found.clone(), expected.to_vec());
    sorted.sort_unstable();
    wanted.sort_unstable();
    let lost = wanted.iter().filter(|number| sorted.binary_search(number).is_err()).count() as u64;
    let duplicated = (sorted.len() as u64).saturating_sub(wanted.len() as u64 - lost);
    Outcome { lost, duplicated, ..Outcome::new(format!("{} lines{note}", wanted.len())) }
}

fn append(folder: &Folder, text: &str) -> File {
    let path = folder.path("in/app.log");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The writer renames its file repeatedly, and continues in the old one for a moment.
fn rename(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    // A file that is renamed before the agent has seen it does not match `include`.
    append(&folder, &lines.some(1, random));
    let agent = folder.start(&config("in/app.log", ""));
    wait_for_lines(&folder, lines.next);
    let rotations = 20;
    for rotation in 0..rotations {
        let mut file = append(&folder, &lines.some(random.usize(1..200), random));
        fs::rename(folder.path("in/app.log"), folder.path(format!("in/app.log.{rotation}"))).unwrap();
        // A writer notices the rotation only after a while.
        file.write_all(lines.some(random.usize(..50), random).as_bytes()).unwrap();
        append(&folder, &lines.some(random.usize(1..20), random));
        // The source cannot distinguish two rotations between two of its scans from one; logrotate
        // rotates daily.
        let so_far = lines.next;
        wait_for_lines(&folder, so_far);
    }
    let expected: Vec<usize> = (0..lines.next).collect();
    finish(&folder, agent, &expected, &format!(", {rotations} rotations"))
}

/// The file is copied and truncated; the writer continues at its beginning.
fn copy_truncate(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    append(&folder, "");
    let agent = folder.start(&config("in/app.log", ""));
    let rotations = 20;
    for rotation in 0..rotations {
        let file = append(&folder, &lines.some(random.usize(1..100), random));
        // With this kind of rotation, any reader loses data that is written between the copy and
        // the truncation.
        let so_far = lines.next;
        wait_for_lines(&folder, so_far);
        fs::copy(folder.path("in/app.log"), folder.path(format!("in/app.log.{rotation}"))).unwrap();
        file.set_len(0).unwrap();
        // Sometimes the file is longer than before when the source looks again.
        append(&folder, &lines.some(random.usize(1..300), random));
        let so_far = lines.next;
        wait_for_lines(&folder, so_far);
    }
    let expected: Vec<usize> = (0..lines.next).collect();
    finish(&folder, agent, &expected, &format!(", {rotations} rotations"))
}

/// The file is deleted while its writer continues for a while.
fn delete(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    append(&folder, "");
    let agent = folder.start(&config("in/app.log", "rotate_wait = \"2s\""));
    for _ in 0..5 {
        let mut file = append(&folder, &lines.some(50, random));
        let so_far = lines.next;
        wait_for_lines(&folder, so_far);
        fs::remove_file(folder.path("in/app.log")).unwrap();
        for _ in 0..5 {
            file.write_all(lines.some(20, random).as_bytes()).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(random.u64(..100)));
        }
        append(&folder, &lines.some(10, random));
        let so_far = lines.next;
        wait_for_lines(&folder, so_far);
    }
    let expected: Vec<usize> = (0..lines.next).collect();
    finish(&folder, agent, &expected, ", 5 deletions")
}

/// Another file takes the name: it begins like the old one, and is shorter.
fn replaced(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    let old = lines.some(100, random);
    append(&folder, &old);
    let agent = folder.start(&config("in/app.log", ""));
    wait_for_lines(&folder, 100);
    let start: String = old.lines().take(30).map(|line| line.to_owned() + "\n").collect();
    folder.write("in/new", &start);
    fs::rename(folder.path("in/new"), folder.path("in/app.log")).unwrap();
    wait_for_lines(&folder, 130);
    append(&folder, &lines.some(10, random));
    let expected: Vec<usize> = (0..100).chain(0..30).chain(100..110).collect();
    finish(&folder, agent, &expected, ", 30 of them twice as they are in two files")
}

/// The file is overwritten: it begins as before, and is shorter.
fn cut(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    let old = lines.some(100, random);
    append(&folder, &old);
    let agent = folder.start(&config("in/app.log", ""));
    wait_for_lines(&folder, 100);
    let start: String = old.lines().take(30).map(|line| line.to_owned() + "\n").collect();
    fs::write(folder.path("in/app.log"), &start).unwrap();
    wait_for_lines(&folder, 130);
    append(&folder, &lines.some(10, random));
    let expected: Vec<usize> = (0..100).chain(0..30).chain(100..110).collect();
    finish(&folder, agent, &expected, ", 30 of them twice as they were written twice")
}

/// More files than may be open, all at once.
fn thousand(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    let agent = {
        fs::create_dir_all(folder.path("in")).unwrap();
        folder.start(&config("in/*", "stable_after = \"1ms\"\nmax_open_files = 64"))
    };
    for number in 0..500 {
        folder.write(format!("in/{number}.log"), lines.some(random.usize(1..5), random));
        folder.write(format!("in/{number}.log.gz"), gzip(lines.some(random.usize(1..5), random).as_bytes()));
    }
    let so_far = lines.next;
    wait_for_lines(&folder, so_far);
    let open = agent.open_files();
    let expected: Vec<usize> = (0..lines.next).collect();
    let mut outcome = finish(&folder, agent, &expected, &format!(", 1000 files, {open} descriptors open"));
    if open > 64 + 64 {
        outcome.broken = Some(format!("{open} descriptors are open"));
    }
    outcome
}

/// Reads the existing files, one of which is damaged. It must not block the others.
fn once(folder: &Folder, options: &str) -> Ended {
    folder.once_in_part(&config("in/*", &format!("stable_after = \"1ms\"\n{options}")))
}

/// A failure is counted, and the log has the file and the reason.
fn check_failure(ended: &Ended, file: &str, reason: &str) {
    ended.summary();
    assert!(ended.log.contains("source files: 1 failures of inputs"), "the failure is counted: {}", ended.log);
    let logged = ended.log.lines().any(|line| line.contains(file) && line.contains(reason));
    assert!(logged, "the log says that {file} {reason}: {}", ended.log);
}

fn truncated(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    let (whole, damaged) = (lines.some(500, random), lines.some(500, random));
    folder.write("in/whole.log.gz", gzip(whole.as_bytes()));
    let mut bytes = gzip(damaged.as_bytes());
    bytes.truncate(bytes.len() / 2);
    folder.write("in/cut.log.gz", bytes);
    let ended = once(&folder, "");
    check_failure(&ended, "cut.log.gz", "ends too early");
    let found = numbers(&folder);
    let lost = (0..500).filter(|number| !found.contains(number)).count() as u64;
    let saved = found.iter().filter(|number| **number >= 500).count();
    assert!(found.iter().all(|number| *number < 1000));
    assert!(saved > 0, "what stands before the damage is read");
    Outcome { lost, ..Outcome::new(format!("1 failure, counted and explained; {saved} lines before the damage read")) }
}

/// A file that must not be read to its end, beside one that must.
fn refused(text: &[u8], options: &str, reason: &str, random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    folder.write("in/good.log.gz", gzip(lines.some(100, random).as_bytes()));
    let compressed = gzip(text);
    folder.write("in/bad.json.gz", &compressed);
    let ended = once(&folder, options);
    check_failure(&ended, "bad.json.gz", reason);
    let found = numbers(&folder);
    let lost = (0..100).filter(|number| !found.contains(number)).count() as u64;
    let note = format!(
        "1 failure, counted and explained; {} kB stand for {} MB",
        compressed.len() / 1000,
        text.len() / 1_000_000
    );
    Outcome { lost, duplicated: (found.len() as u64).saturating_sub(100), ..Outcome::new(note) }
}

fn bomb(random: &mut fastrand::Rng) -> Outcome {
    refused(&vec![b' '; 100_000_000], "max_decompression_ratio = 100", "bomb", random)
}

fn too_large(random: &mut fastrand::Rng) -> Outcome {
    let text: Vec<u8> = std::iter::repeat_with(|| random.alphanumeric() as u8).take(3_000_000).collect();
    refused(&text, "max_decompressed_bytes = \"1MiB\"", "more than 1048576", random)
}

fn members(random: &mut fastrand::Rng) -> Outcome {
    let (folder, mut lines) = (Folder::new(), Lines { next: 0 });
    let mut bytes = Vec::new();
    for _ in 0..50 {
        bytes.extend(gzip(lines.some(random.usize(..20), random).as_bytes()));
    }
    folder.write("in/many.log.gz", bytes);
    let ended = folder.once(&config("in/*", "stable_after = \"1ms\""));
    ended.summary();
    assert!(!ended.log.contains("failures of inputs"), "{}", ended.log);
    let found = numbers(&folder);
    assert!(found.iter().copied().eq(0..lines.next), "every line once, in order");
    Outcome::new(format!("{} lines, 50 members", lines.next))
}
