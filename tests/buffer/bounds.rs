//! Full buffers and full disks.

use std::fs;
use std::time::Instant;

use wattle_tests::{Endpoint, Folder, SmallDisk, free_address, wait_until};

use crate::{assert_came, bytes_on_disk, config, lines, numbers};

#[test]
fn a_full_buffer_stops_its_source_until_there_is_space() {
    let folder = Folder::new();
    let to = free_address();
    folder.write("in/a.log", lines(0..40_000, 1000));
    let mut agent = folder.start(&config(to, "buffer = { type = \"disk\", max_size = \"8MiB\" }"));
    agent.wait_for("the disk buffer is full, its sources wait");
    assert!(bytes_on_disk(&folder, "out") <= 8 << 20);
    let endpoint = Endpoint::listen(to);
    wait_until("all lines", || numbers(&endpoint).len() >= 40_000);
    assert!(bytes_on_disk(&folder, "out") <= 8 << 20);
    assert_came(&numbers(&endpoint), 40_000);
    let ended = agent.stop();
    assert!(!ended.log.contains("dropped by the full buffer"), "{}", ended.log);
}

/// The number of events that a full buffer dropped, from the summary.
fn dropped(log: &str) -> usize {
    let line = log.lines().find(|line| line.contains("dropped by the full buffer")).unwrap_or_else(|| panic!("{log}"));
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| *word == "dropped").unwrap();
    words[at - 1].parse().unwrap()
}

#[test]
fn a_full_buffer_that_drops_counts_its_drops_and_blocks_no_source() {
    for kind in ["type = \"disk\", max_size = \"4MiB\"", "type = \"memory\", max_size = \"1MiB\""] {
        let folder = Folder::new();
        let to = free_address();
        let text = lines(0..20_000, 1000);
        folder.write("in/a.log", &text);
        let buffer = format!("buffer = {{ {kind}, when_full = \"drop_newest\" }}");
        let mut agent = folder.start(&config(to, &buffer));
        agent.wait_for("is full, dropping events");
        let endpoint = Endpoint::listen(to);
        wait_until("what was kept", || !numbers(&endpoint).is_empty());
        wait_until_quiet(&endpoint);
        let ended = agent.stop();
        let came: std::collections::BTreeSet<usize> = numbers(&endpoint).into_iter().collect();
        let received = ended.summary().pipeline().received;
        assert_eq!((came.len() + dropped(&ended.log)) as u64, received, "{kind}: {}", ended.log);
        assert!(numbers(&endpoint).is_sorted(), "{kind}");
    }
}

/// Waits until no event arrives for a while.
fn wait_until_quiet(endpoint: &Endpoint) {
    let (mut last, mut since) = (0, Instant::now());
    wait_until("quiet", || {
        let now = numbers(endpoint).len();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed().as_millis() > 500
    });
}

#[test]
fn a_full_disk_stops_the_source_until_there_is_space() {
    let folder = Folder::new();
    // Smaller than a batch of the source can be, so one batch must be divided.
    let Some(disk) = SmallDisk::mount(folder.path("data/buffer"), "size=2m") else {
        println!("only root may mount a small disk; the model test of host/buffer has full disks for all");
        return;
    };
    let to = free_address();
    folder.write("in/a.log", lines(0..20_000, 1000));
    fs::write(disk.ballast(), vec![0; 1 << 20]).unwrap();
    let mut agent = folder.start(&config(to, "buffer = { type = \"disk\", max_size = \"64MiB\" }"));
    let line = agent.wait_for("cannot write the disk buffer, retrying; its sources wait");
    assert!(line.contains("No space left"), "{line}");
    fs::remove_file(disk.ballast()).unwrap();
    agent.wait_for("the disk buffer stores events again");
    let endpoint = Endpoint::listen(to);
    wait_until("all lines", || numbers(&endpoint).len() >= 20_000);
    assert_came(&numbers(&endpoint), 20_000);
    assert_eq!(agent.stop().summary().pipeline().delivered, 20_000);
    drop(disk);
}
