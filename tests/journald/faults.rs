//! Kills of the agent and of `journalctl`, rotation, and damaged and deleted files.

use std::fs;
use std::thread::JoinHandle;
use std::time::Duration;

use wattle_tests::{Agent, Folder, wait_until};

use crate::journal::{Journal, entries};
use crate::{check, messages, written};

const COUNT: u64 = 20_000;
/// Entries that the load writes at a time.
const STEP: u64 = 100;

/// Writes entries for some seconds.
fn load(journal: &Journal) -> JoinHandle<()> {
    let mut writer = journal.writer("system.journal");
    std::thread::spawn(move || {
        for first in (0..COUNT).step_by(STEP as usize) {
            writer.write(&entries(first..first + STEP));
            std::thread::sleep(Duration::from_millis(15));
        }
        writer.finish();
    })
}

fn until_written(folder: &Folder, count: u64) {
    wait_until("entries arrive", || written(folder).len() as u64 >= count);
}

/// Processes that the agent started.
fn children(agent: &Agent) -> Vec<u32> {
    let parent = agent.id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name, in brackets, can have spaces.
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&*parent)
    })
    .collect()
}

#[test]
fn an_agent_that_is_killed_loses_nothing() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let config = messages(&journal, "");
    let load = load(&journal);
    let mut agent = folder.start(&config);
    for round in 1..=3 {
        until_written(&folder, 3000 * round);
        agent.kill();
        agent = folder.start(&config);
    }
    load.join().unwrap();
    until_written(&folder, COUNT);
    let doubled = check(&folder, 0..COUNT);
    println!("agent killed three times under load: 0 of {COUNT} lost, {doubled} doubled");
    agent.stop();
}

#[test]
fn an_agent_that_stops_loses_and_doubles_nothing() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let config = messages(&journal, "");
    let load = load(&journal);
    for round in 1..=3 {
        let agent = folder.start(&config);
        until_written(&folder, 3000 * round);
        let ids = children(&agent);
        assert_eq!(ids.len(), 1);
        agent.stop();
        wait_until("`journalctl` ends with the agent", || !fs::exists(format!("/proc/{}", ids[0])).unwrap());
    }
    load.join().unwrap();
    let agent = folder.start(&config);
    until_written(&folder, COUNT);
    assert_eq!(check(&folder, 0..COUNT), 0);
    agent.stop();
}

#[test]
fn a_journalctl_that_is_killed_is_started_again_and_loses_and_doubles_nothing() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let load = load(&journal);
    let mut agent = folder.start(&messages(&journal, ""));
    for round in 1..=3 {
        until_written(&folder, 3000 * round);
        for id in children(&agent) {
            let killed = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
            assert!(killed.success());
        }
    }
    agent.wait_for("starting journalctl again");
    load.join().unwrap();
    until_written(&folder, COUNT);
    assert_eq!(check(&folder, 0..COUNT), 0);
    agent.stop();
}

#[test]
fn files_that_rotate_under_load_lose_and_double_nothing() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let agent = folder.start(&messages(&journal, ""));
    let (files, each) = (10, 1000);
    for file in 0..files {
        let mut writer = journal.writer("system.journal");
        for first in (file * each..(file + 1) * each).step_by(STEP as usize) {
            writer.write(&entries(first..first + STEP));
        }
        writer.finish();
        // As journald does: the full file gets another name, and a new one takes its place.
        let archived = format!("system@{file:032x}-{:016x}-{:016x}.journal", file * each, file);
        fs::rename(journal.file("system.journal"), journal.file(&archived)).unwrap();
    }
    until_written(&folder, files * each);
    assert_eq!(check(&folder, 0..files * each), 0);
    agent.stop();
}

#[test]
fn reading_continues_after_entries_that_were_vacuumed() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let config = messages(&journal, "");
    journal.write("old.journal", &entries(0..100));
    folder.once(&config);
    fs::remove_file(journal.file("old.journal")).unwrap();
    // Entries that came and went meanwhile are lost; all that are there are read.
    journal.write("new.journal", &entries(200..300));
    let ended = folder.once(&config);
    assert_eq!(check(&folder, (0..100).chain(200..300)), 0);
    assert_eq!(ended.log.matches("is not in the journal any more").count(), 1, "{}", ended.log);
    let ended = folder.once(&config);
    assert!(!ended.log.contains("is not in the journal any more"), "{}", ended.log);
}

#[test]
fn a_damaged_file_costs_no_entry_before_the_damage_and_none_of_other_files() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    journal.write("good.journal", &entries(0..500));
    journal.write("bad.journal", &entries(500..5000));
    let whole = fs::read(journal.file("bad.journal")).unwrap();
    // Entries are written one after the other, so what follows the 1000th is damage.
    let damage = find(&whole, crate::message(1500).as_bytes());
    let mut damaged = whole.clone();
    for (index, byte) in damaged[damage..].iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    fs::write(journal.file("bad.journal"), &damaged).unwrap();
    folder.once(&messages(&journal, ""));
    let arrived = written(&folder);
    let before = (0..1500).filter(|number| arrived.contains_key(&crate::message(*number))).count();
    println!("{} of 5000 entries arrived, {before} of those before the damage", arrived.len());
    assert_eq!(before, 1500);

    // Of a file that is cut, `journalctl` reads nothing, and says so.
    fs::write(journal.file("bad.journal"), &whole[..damage]).unwrap();
    let place = Folder::new();
    let ended = place.once(&messages(&journal, ""));
    let arrived = written(&place);
    assert!((0..500).all(|number| arrived.contains_key(&crate::message(number))));
    assert!(ended.log.contains("bad.journal is truncated, ignoring file"), "{}", ended.log);
}

fn find(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).position(|window| window == part).unwrap()
}
