//! The sink as a whole: from batches to files and acknowledgements.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use wattle_batch::Disposition::{Delivered, Retry};

use super::*;
use crate::compress::{Compression, decompress};
use crate::testing::Rig;

/// A running sink and the folder that it writes to.
struct Running {
    folder: TempDir,
    rig: Rig,
    encoder: Arc<dyn Encoder>,
    task: tokio::task::JoinHandle<Result<(), SinkError>>,
}

impl Running {
    fn start(path: &str, options: Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), path, options)
    }

    /// Starts a sink with these options; the codec is `text` by default.
    fn start_in(folder: TempDir, path: &str, mut options: Value) -> Self {
        let path = folder.path().join(path);
        options["path"] = path.to_str().unwrap().into();
        options.as_object_mut().unwrap().entry("encoding").or_insert(json!({"codec": "text"}));
        let built = crate::build("out", "file", &options).unwrap();
        let rig = Rig::new();
        let task = tokio::spawn(built.sink.run(rig.context()));
        Self { folder, rig, encoder: built.encoder, task }
    }

    fn push(&self, bodies: &[&str]) {
        self.rig.push_batch(&*self.encoder, bodies);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Ends the input and waits until the sink has ended.
    async fn finish(self) -> (TempDir, Rig) {
        self.rig.context().input.close();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap().unwrap();
        (self.folder, self.rig)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn events_are_acknowledged_as_fsync_requires() {
    for (fsync, interval, at_once) in
        [("never", "100s", true), ("batch", "100s", true), ("interval", "50ms", true), ("interval", "100s", false)]
    {
        let sink = Running::start("a.log", json!({"fsync": fsync, "fsync_interval": interval}));
        sink.push(&["one", "two"]);
        sink.push(&["three"]);
        sink.rig.until("the file", || sink.text("a.log") == "one\ntwo\nthree\n").await;
        if at_once {
            sink.rig.wait(2).await;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(sink.rig.acks(), [], "nothing is synced yet");
            assert_eq!(sink.rig.counts().0, 0);
        }
        let (_folder, rig) = sink.finish().await;
        assert_eq!(rig.acks(), [Delivered; 2], "{fsync} {interval}");
        assert_eq!(rig.counts(), (3, 14, 0, 0));
    }
}

#[tokio::test]
async fn unsynced_events_of_a_dropped_sink_are_not_acknowledged() {
    let sink = Running::start("a.log", json!({"fsync_interval": "100s"}));
    sink.push(&["one"]);
    sink.rig.until("the file", || sink.text("a.log") == "one\n").await;
    sink.task.abort();
    sink.rig.wait(1).await;
    assert_eq!(sink.rig.acks(), [Retry]);
}

#[tokio::test]
async fn events_are_sorted_into_folders_with_few_files_open() {
    for limit in [1, 100] {
        let sink = Running::start("{{ body.k }}/%Y.log", json!({"max_open_files": limit}));
        for n in 0..20 {
            let bodies: Vec<_> = ["a", "b", "../c"].iter().map(|k| json!({"k": k, "n": n}).to_string()).collect();
            sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let (folder, rig) = sink.finish().await;
        assert_eq!(names(folder.path()), [".._c", "a", "b"]);
        let text = read(folder.path(), "a/1970.log");
        let numbers: Vec<u64> =
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert_eq!(rig.acks(), [Delivered; 20]);
        assert_eq!(rig.counts().0, 60);
    }
}

#[tokio::test]
async fn an_existing_file_is_appended_to_or_truncated_and_a_torn_line_is_completed() {
    for (mode, before, expected) in [
        ("append", "old\n", "old\nnew\nnewer\n"),
        ("append", "", "new\nnewer\n"),
        ("append", "old\nto", "old\nto\nnew\nnewer\n"),
        ("truncate", "old\nto", "new\nnewer\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.log"), before).unwrap();
        let options = json!({"mode": mode, "idle_timeout": "10ms", "fsync": "never"});
        let sink = Running::start_in(folder, "a.log", options);
        sink.push(&["new"]);
        sink.rig.wait(1).await;
        // Long enough that the sink closes the file; opening it again must not truncate it again.
        tokio::time::sleep(Duration::from_millis(100)).await;
        sink.push(&["newer"]);
        let (folder, _) = sink.finish().await;
        assert_eq!(read(folder.path(), "a.log"), expected, "{mode} {before:?}");
    }
}

#[tokio::test]
async fn without_framing_events_are_not_separated() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "old").unwrap();
    let sink = Running::start_in(folder, "a", json!({"encoding": {"codec": "text", "framing": "none"}}));
    sink.push(&["x", "y"]);
    let (folder, _) = sink.finish().await;
    assert_eq!(read(folder.path(), "a"), "oldxy");
}

#[tokio::test]
async fn compressed_streams_of_several_runs_concatenate() {
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let mut folder = tempfile::tempdir().unwrap();
        for run in ["one", "two", "three"] {
            let sink = Running::start_in(folder, "a", json!({"compression": name, "fsync": "never"}));
            sink.push(&[run, "x"]);
            sink.rig.wait(1).await;
            sink.push(&["y"]);
            let rig;
            (folder, rig) = sink.finish().await;
            assert_eq!(rig.acks(), [Delivered; 2]);
        }
        // A run without events adds no bytes.
        let size = std::fs::metadata(folder.path().join("a")).unwrap().len();
        let (folder, _) = Running::start_in(folder, "a", json!({"compression": name})).finish().await;
        let bytes = std::fs::read(folder.path().join("a")).unwrap();
        assert_eq!(bytes.len() as u64, size);
        assert_eq!(decompress(compression, &bytes).unwrap(), b"one\nx\ny\ntwo\nx\ny\nthree\nx\ny\n");
        assert_eq!(names(folder.path()), ["a"]);
    }
}

#[tokio::test]
async fn an_idle_compressed_file_is_complete() {
    let sink = Running::start("a.gz", json!({"compression": "gzip", "idle_timeout": "20ms"}));
    sink.push(&["one"]);
    let complete = || {
        let bytes = std::fs::read(sink.path("a.gz")).unwrap_or_default();
        decompress(Compression::Gzip, &bytes).is_ok_and(|text| text == b"one\n")
    };
    sink.rig.until("a complete file", complete).await;
    sink.push(&["two"]);
    let (folder, _) = sink.finish().await;
    let bytes = std::fs::read(folder.path().join("a.gz")).unwrap();
    assert_eq!(decompress(Compression::Gzip, &bytes).unwrap(), b"one\ntwo\n");
}

#[tokio::test]
async fn a_compressed_file_without_its_end_mark_is_set_aside() {
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let folder = tempfile::tempdir().unwrap();
        let whole = compression.compress([&b"old"[..]]).unwrap();
        let torn = &whole[..whole.len() - 3];
        std::fs::write(folder.path().join("a.json.x"), torn).unwrap();
        let sink = Running::start_in(folder, "a.json.x", json!({"compression": name}));
        sink.push(&["new"]);
        let (folder, _) = sink.finish().await;
        let names = names(folder.path());
        let [aside, fresh] = &names[..] else { panic!("{names:?}") };
        assert!(aside.starts_with("a-") && aside.ends_with("Z-1.json.x"), "{aside}");
        assert_eq!(std::fs::read(folder.path().join(aside)).unwrap(), torn);
        let bytes = std::fs::read(folder.path().join(fresh)).unwrap();
        assert_eq!(decompress(compression, &bytes).unwrap(), b"new\n");
    }
}

/// Reads all files of a folder in the order of their rotation, and checks the size of each.
fn rotated(folder: &Path, compression: Compression, max: usize) -> (usize, String) {
    let number = |name: &String| match name.rsplit_once('-') {
        // Sorted by time and number; the current file has neither and comes last.
        Some((head, tail)) => (head.to_owned(), tail.trim_end_matches(".log").parse::<u64>().unwrap()),
        None => ("~".to_owned(), 0),
    };
    let mut names = names(folder);
    names.sort_by_key(number);
    let mut all = Vec::new();
    for name in &names {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert!(bytes.len() <= max, "{name} has {} bytes", bytes.len());
        all.extend(decompress(compression, &bytes).unwrap());
    }
    (names.len(), String::from_utf8(all).unwrap())
}

#[tokio::test]
async fn files_are_rotated_by_size() {
    let bodies: Vec<String> = (0..100).map(|n| format!("{n:09}")).collect();
    let expected: String = bodies.iter().map(|b| format!("{b}\n")).collect();
    for (name, compression, max) in
        [("none", Compression::None, 50), ("gzip", Compression::Gzip, 2000), ("zstd", Compression::Zstd, 2000)]
    {
        let sink = Running::start("a.log", json!({"rotate_bytes": 50, "compression": name, "fsync": "never"}));
        for body in &bodies {
            sink.push(&[body]);
            if compression != Compression::None {
                // Gives each event its own write, so that they are not compressed as one piece.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let (folder, rig) = sink.finish().await;
        let (count, text) = rotated(folder.path(), compression, max);
        assert_eq!(text, expected, "{name}");
        assert!(if compression == Compression::None { count == 20 } else { count > 1 }, "{name}: {count} files");
        assert_eq!(rig.acks(), [Delivered; 100]);
    }
}

#[tokio::test]
async fn a_payload_larger_than_the_limit_gets_a_separate_file() {
    let sink = Running::start("a.log", json!({"rotate_bytes": 10}));
    let long = "x".repeat(100);
    for body in ["one", "two", &long, "three"] {
        sink.push(&[body]);
    }
    let (folder, _) = sink.finish().await;
    let (count, text) = rotated(folder.path(), Compression::None, 101);
    assert_eq!((count, text), (3, format!("one\ntwo\n{long}\nthree\n")));
}

#[tokio::test]
async fn files_are_rotated_by_age_without_new_events() {
    let sink = Running::start("a.log", json!({"rotate_every": "100ms"}));
    sink.push(&["one"]);
    sink.rig.until("a rotated file", || names(sink.folder.path()).iter().any(|n| n.starts_with("a-"))).await;
    assert_eq!(sink.rig.acks(), [Delivered], "a rotated file is synced");
    assert!(!sink.path("a.log").exists());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(names(sink.folder.path()).len(), 1, "no empty file is created");
    sink.push(&["two"]);
    let (folder, _) = sink.finish().await;
    assert_eq!(rotated(folder.path(), Compression::None, 4).1, "one\ntwo\n");
}

#[tokio::test]
async fn a_file_that_another_process_moved_is_created_again() {
    let sink = Running::start("a.log", json!({"fsync": "never"}));
    sink.push(&["one"]);
    sink.rig.wait(1).await;
    std::fs::rename(sink.path("a.log"), sink.path("moved")).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sink.push(&["two"]);
    let (folder, _) = sink.finish().await;
    assert_eq!(read(folder.path(), "moved"), "one\n");
    assert_eq!(read(folder.path(), "a.log"), "two\n");
}

#[tokio::test]
async fn a_folder_that_cannot_be_created_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d"), "in the way").unwrap();
    let sink = Running::start_in(folder, "d/a.log", json!({}));
    sink.push(&["one"]);
    sink.push(&["two"]);
    sink.rig.wait_for_retries(2).await;
    assert_eq!(sink.rig.acks(), []);
    std::fs::remove_file(sink.path("d")).unwrap();
    sink.rig.wait(2).await;
    let (folder, rig) = sink.finish().await;
    assert_eq!(read(folder.path(), "d/a.log"), "one\ntwo\n");
    assert_eq!(rig.acks(), [Delivered; 2]);
}

#[tokio::test]
async fn a_full_disk_blocks_the_queue_and_acknowledges_nothing() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    let options = json!({"path": "/dev/full", "fsync": "never", "encoding": {"codec": "text"}});
    let built = crate::build("out", "file", &options).unwrap();
    let rig = Rig::with_queue(1 << 20);
    let task = tokio::spawn(built.sink.run(rig.context()));
    let body = "x".repeat(100 << 10);
    let mut accepted = 0;
    let mut quiet = 0;
    while quiet < 40 {
        let payload = built.encoder.encode(rig.batch(&[&body])).remove(0);
        if rig.context().input.try_push(payload).is_ok() {
            accepted += 1;
            quiet = 0;
        } else {
            quiet += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // Payloads in the queue and in the sink, and one on its way into each.
    assert!(accepted <= 24, "{accepted} payloads of 100 KiB are in memory");
    rig.wait_for_retries(2).await;
    assert_eq!(rig.acks().iter().filter(|&&d| d == Delivered).count(), 0);
    assert_eq!(rig.counts().0, 0);
    task.abort();
    let _ = task.await;
}
