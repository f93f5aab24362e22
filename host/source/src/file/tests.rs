//! The file source on real files: what it reads, how often, and what it does with finished files.

mod compressed;
mod follow;
mod model;
mod restart;
mod rotation;
mod slow;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stats::get;
use crate::testing::{Rig, Running, resource, texts};

/// A folder of inputs and a data folder.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) rig: Rig,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let rig = Rig::new(&folder.path().join("data"));
        Self { folder, rig }
    }

    pub(super) fn once() -> Self {
        let Self { folder, rig } = Self::new();
        Self { folder, rig: rig.once() }
    }

    /// The same folders after a restart of the agent.
    pub(super) fn again(self) -> Self {
        let once = self.rig.once;
        let rig = Rig::new(&self.folder.path().join("data"));
        Self { folder: self.folder, rig: if once { rig.once() } else { rig } }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn append(&self, name: &str, content: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.folder.path().join(folder)) else { return Vec::new() };
        let mut names: Vec<String> = found.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Starts the source on all files in the folder, with short times.
    pub(super) fn start(&self, more: Value) -> Running {
        let mut options = json!({
            "include": [format!("{}/**", self.folder.path().join("in").display())],
            "glob_interval": "20ms",
            "stable_after": "0s",
            "rotate_wait": "100ms",
        });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        self.rig.start("file", options)
    }

    /// Runs the source to its end.
    pub(super) async fn all(&self, more: Value) -> Vec<String> {
        let running = self.start(more);
        let (bodies, ended) = self.rig.drain(running).await;
        ended.unwrap();
        bodies
    }

    pub(super) fn failures(&self) -> u64 {
        get(&self.rig.stats.failures)
    }
}

#[tokio::test]
async fn once_reads_everything_in_order_of_name_and_ends() {
    let world = World::once();
    world.write("b.log", "b1\nb2\n\nb3");
    world.write("a.json", "{\n}");
    world.write("c/d.log", "d1\r\n");
    world.write("empty.log", "");
    world.write("empty.json", "");
    assert_eq!(world.all(json!({})).await, ["{\n}", "b1", "b2", "b3", "d1"]);
    let stats = &world.rig.stats;
    assert_eq!((get(&stats.events), get(&stats.bytes)), (5, 11));
    assert_eq!((get(&stats.skipped_empty), get(&stats.failures)), (1, 0));
    assert_eq!((get(&stats.total_bytes), get(&stats.read_bytes)), (16, 16));
    let world = world.again();
    assert!(world.all(json!({})).await.is_empty(), "all events were already delivered");
}

#[tokio::test]
async fn records_of_csv_can_have_line_feeds_and_arrive_in_parts() {
    let world = World::once();
    world.write("a.csv", "id,text\r\n1,\"two\nlines\"\r\n2,x\n");
    assert_eq!(world.all(json!({ "framing": "csv" })).await, ["id,text", "1,\"two\nlines\"", "2,x"]);
    // The first line of a followed file that grows is no record yet.
    let world = World::new();
    world.write("a.csv", "1,\"two\n");
    let running = world.start(json!({ "framing": "csv" }));
    world.rig.expect_quiet(Duration::from_millis(300)).await;
    world.append("a.csv", "lines\"\n2,x\n");
    assert_eq!(world.rig.take(2).await, ["1,\"two\nlines\"", "2,x"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_batch_has_events_of_one_file_and_its_path() {
    let world = World::once();
    for name in ["a.log", "b.log"] {
        world.write(name, "1\n2\n");
    }
    let running = world.start(json!({}));
    for name in ["a.log", "b.log"] {
        let batch = world.rig.pop().await;
        assert_eq!(batch.rows(), 2);
        let expected = json!({ "name": "in", "type": "file", "path": world.path(name).to_str().unwrap() });
        assert_eq!(resource(&batch), expected);
        batch.into_ack().deliver();
    }
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_file_name_can_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::once();
    let name = std::ffi::OsStr::from_bytes(b"\xff\n*?.log");
    fs::write(world.folder.path().join("in").join(name), "line\n").unwrap();
    world.write("z[1]{2}.log", "another\n");
    let mut bodies = world.all(json!({})).await;
    bodies.sort();
    assert_eq!(bodies, ["another", "line"]);
    assert!(world.again().all(json!({})).await.is_empty(), "positions are saved under such names too");
}

#[tokio::test]
async fn an_empty_input_is_not_an_error() {
    let world = World::once();
    assert!(world.all(json!({})).await.is_empty());
    let world = World::once();
    assert!(world.all(json!({ "include": ["/nowhere/at/all/*.log"] })).await.is_empty());
    assert_eq!(world.failures(), 0);
}

#[tokio::test]
async fn the_framing_option_overrides_the_file_name() {
    let world = World::once();
    world.write("a.json", "1\n2\n");
    world.write("b.log", "3\n4\n");
    assert_eq!(world.all(json!({ "framing": "lines" })).await, ["1", "2", "3", "4"]);
    let world = World::once();
    world.write("a.json", "1\n2\n");
    world.write("b.log", "3\n4\n");
    assert_eq!(world.all(json!({ "framing": "document" })).await, ["1\n2\n", "3\n4\n"]);
}

#[tokio::test]
async fn finished_files_are_deleted_or_moved_only_when_delivered() {
    let world = World::once();
    world.write("a.json", "{}");
    world.write("empty.json", "");
    let running = world.start(json!({ "when_finished": "delete" }));
    let batch = world.rig.pop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.names("in").contains(&"a.json".to_owned()));
    batch.into_ack().reject(1);
    running.ended().await.unwrap();
    assert!(world.names("in").is_empty(), "rejected counts as handled");

    let world = World::once();
    let target = world.folder.path().join("in/done");
    world.write("a.json", "new");
    world.write("done/a.json", "old");
    assert_eq!(world.all(json!({ "when_finished": { "move_to": target } })).await, ["new"]);
    assert_eq!(world.names("in"), ["done"]);
    assert_eq!(world.names("in/done"), ["a.json", "a.json.1"]);
    assert_eq!(fs::read_to_string(target.join("a.json.1")).unwrap(), "new");
}

#[tokio::test]
async fn a_running_source_removes_finished_documents_and_keeps_followed_files() {
    let world = World::new();
    world.write("a.json", "{}");
    world.write("b.log", "line\n");
    let running = world.start(json!({ "when_finished": "delete" }));
    world.rig.take(2).await;
    world.rig.until(|| world.names("in") == ["b.log"]).await;
    world.write("c.json", "[]");
    assert_eq!(world.rig.take(1).await, ["[]"]);
    world.rig.until(|| world.names("in") == ["b.log"]).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_document_is_read_when_it_is_stable_and_again_after_a_change() {
    let world = World::new();
    let running = world.start(json!({ "stable_after": "300ms" }));
    world.write("a.json", "{\"a\":");
    for piece in ["1", "2", "3", "}"] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.append("a.json", piece);
    }
    assert_eq!(world.rig.take(1).await, ["{\"a\":123}"]);
    world.write("a.json", "{\"a\":456}");
    assert_eq!(world.rig.take(1).await, ["{\"a\":456}"], "of the same size, at the same place");
    world.rig.expect_quiet(Duration::from_millis(500)).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn an_event_beyond_the_limit_is_skipped_and_its_file_is_read_to_its_end_and_kept() {
    let world = World::once();
    world.write("a.log", "one\nmuch too long\ntwo\n");
    world.write("b.log", "three\n");
    world.write("c.json", "too long too");
    world.write("d.json", "{}");
    let options = json!({ "max_event_bytes": 8, "when_finished": "delete" });
    assert_eq!(world.all(options.clone()).await, ["one", "two", "three", "{}"]);
    let stats = &world.rig.stats;
    assert_eq!((get(&stats.skipped_long), get(&stats.skipped_long_bytes), world.failures()), (2, 25, 0));
    assert_eq!(world.names("in"), ["a.log", "c.json"], "incompletely read files are kept");
    let world = world.again();
    assert!(world.all(options).await.is_empty(), "skipped events are not read again");
    assert_eq!(world.names("in"), ["a.log", "c.json"]);
    world.write("e.json", "too long too");
    assert!(world.all(json!({ "max_event_bytes": 8, "framing": "document" })).await.is_empty());
    assert_eq!(world.failures(), 1, "a document beyond the limit fails");
}

#[tokio::test]
async fn lines_after_a_too_long_one_are_read_as_the_file_grows_and_after_a_restart() {
    let world = World::new();
    world.write("a.log", format!("one\n{}\nthree\n", "x".repeat(5000)));
    let options = json!({ "max_line_bytes": "1KiB" });
    let running = world.start(options.clone());
    assert_eq!(world.rig.take(2).await, ["one", "three"]);
    world.append("a.log", &"y".repeat(3000));
    world.rig.expect_quiet(Duration::from_millis(300)).await;
    world.append("a.log", "\nfour\n");
    assert_eq!(world.rig.take(1).await, ["four"]);
    // The line is counted when reading ends, after its events were sent.
    let stats = &world.rig.stats;
    world.rig.until(|| (get(&stats.skipped_long), get(&stats.skipped_long_bytes)) == (2, 8000)).await;
    world.rig.stop();
    running.ended().await.unwrap();
    let world = world.again();
    world.append("a.log", "five\n");
    let running = world.start(options);
    assert_eq!(world.rig.take(1).await, ["five"]);
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!(world.failures(), 0);
}

#[tokio::test]
async fn json_lines_in_a_growing_json_file_are_read_once() {
    let world = World::new();
    world.write("app.json", "{\"n\":1}\n");
    let running = world.start(json!({ "stable_after": "50ms" }));
    assert_eq!(world.rig.take(1).await, ["{\"n\":1}"]);
    for n in 2..5 {
        world.rig.expect_quiet(Duration::from_millis(150)).await;
        world.append("app.json", &format!("{{\"n\":{n}}}\n"));
        assert_eq!(world.rig.take(1).await, [format!("{{\"n\":{n}}}")]);
    }
    world.rig.expect_quiet(Duration::from_millis(150)).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn lines_of_one_event_are_joined_within_the_timeout() {
    let world = World::new();
    let options = json!({ "multiline": { "start_pattern": "^\\S", "timeout_ms": 400 } });
    world.write("a.log", "first\n  a\n");
    let running = world.start(options.clone());
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.append("a.log", "  b\nsecond\n");
    assert_eq!(world.rig.take(1).await, ["first\n  a\n  b"]);
    assert_eq!(world.rig.take(1).await, ["second"], "after the timeout");
    world.append("a.log", "third\n");
    world.rig.expect_quiet(Duration::from_millis(100)).await;
    world.rig.stop();
    running.ended().await.unwrap();
    let world = world.again();
    world.append("a.log", "  c\nlast");
    let running = world.start(options);
    assert_eq!(world.rig.take(1).await, ["third\n  c"], "an open event is read again after a restart");
    fs::rename(world.path("a.log"), world.folder.path().join("a.log.1")).unwrap();
    assert_eq!(world.rig.take(1).await, ["last"], "and ends when the file is rotated");
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn growing_utf_16_is_read_across_restarts_with_and_without_a_mark() {
    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }
    let append = |world: &World, name: &str, bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(world.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    };
    for (mark, options) in [(&b"\xff\xfe"[..], json!({})), (b"", json!({ "encoding": "utf-16le" }))] {
        let mut world = World::new();
        append(&world, "a.log", &[mark, &utf16("first ä\r\nsec")].concat());
        let running = world.start(options.clone());
        assert_eq!(world.rig.take(1).await, ["first ä"]);
        append(&world, "a.log", &utf16("ond 漢\nthi"));
        assert_eq!(world.rig.take(1).await, ["second 漢"]);
        world.rig.stop();
        running.ended().await.unwrap();
        world = world.again();
        append(&world, "a.log", &[utf16("rd\n"), utf16("😀\n")].concat());
        let running = world.start(options);
        assert_eq!(world.rig.take(2).await, ["third", "😀"]);
        world.rig.expect_quiet(Duration::from_millis(100)).await;
        world.rig.stop();
        running.ended().await.unwrap();
    }
    let world = World::once();
    world.write(
        "a.json",
        [&b"\xfe\xff"[..], &"{\"a\":1}".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()].concat(),
    );
    world.write("b.ndjson", "\u{feff}{\"b\":1}\n{\"c\":1}\n");
    assert_eq!(world.all(json!({})).await, ["{\"a\":1}", "{\"b\":1}", "{\"c\":1}"]);
}

#[tokio::test]
async fn a_hole_of_zero_bytes_is_skipped_and_counted() {
    let world = World::new();
    let running = world.start(json!({}));
    world.write("a.log", vec![0; 8192]);
    world.rig.until(|| get(&world.rig.stats.skipped_nuls) == 8192).await;
    world.append("a.log", "after\nmore\n");
    assert_eq!(world.rig.take(2).await, ["after", "more"]);
    world.write("b.log", [vec![0; 300], b"line\n".to_vec()].concat());
    assert_eq!(world.rig.take(1).await, ["line"]);
    // Counted after the batch is sent.
    world.rig.until(|| get(&world.rig.stats.skipped_nuls) == 8492).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn parts_of_container_logs_are_joined_per_stream() {
    let world = World::new();
    let line = |stream: &str, tag: &str, text: &str| format!("2024-01-01T00:00:00.000000001Z {stream} {tag} {text}\n");
    world.write("0.log", line("stdout", "P", "{\"a\":") + &line("stderr", "F", "other"));
    let running = world.start(json!({ "line_format": "cri" }));
    assert_eq!(world.rig.take(1).await, ["other"]);
    world.append("0.log", &(line("stderr", "F", "again") + &line("stdout", "P", "1")));
    assert_eq!(world.rig.take(1).await, ["again"]);
    world.append("0.log", &line("stdout", "F", "}"));
    assert_eq!(world.rig.take(1).await, ["{\"a\":1}"]);
    world.rig.expect_quiet(Duration::from_millis(300)).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_counted_once_and_read_later() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.write("a.log", "secret\n");
    fs::set_permissions(world.path("a.log"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(world.path("a.log")).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let running = world.start(json!({}));
    world.rig.until(|| world.failures() == 1).await;
    world.rig.expect_quiet(Duration::from_millis(200)).await;
    assert_eq!(world.failures(), 1);
    fs::set_permissions(world.path("a.log"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.rig.take(1).await, ["secret"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_thousand_files_are_read_with_few_open_files() {
    let world = World::new();
    let mut expected = Vec::new();
    for number in 0..1000 {
        world.write(&format!("{number:04}.log"), format!("first {number}\n"));
        expected.push(format!("first {number}"));
    }
    let running = world.start(json!({ "max_open_files": 20 }));
    assert_eq!(world.rig.take(1000).await, expected);
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let ours = links.filter(|target| target.starts_with(world.folder.path().join("in"))).count();
    assert!((1..=20).contains(&ours), "{ours}");
    for number in [3, 500, 999] {
        world.append(&format!("{number:04}.log"), "second\n");
    }
    assert_eq!(world.rig.take(3).await, ["second"; 3], "closed files are followed too");
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!(world.failures(), 0);
}

#[tokio::test]
async fn a_full_queue_stops_reading() {
    let mut world = World::new();
    world.rig.queue = wattle_buffer::Queue::new(1 << 20, None, None);
    let line = "x".repeat(99) + "\n";
    world.write("a.log", line.repeat(200_000));
    let running = world.start(json!({}));
    world.rig.until(|| world.rig.queue.byte_len() >= 1 << 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let events = get(&world.rig.stats.events);
    assert!(events < 20_000, "{events} of 200,000 events were read");
    let mut bodies = 0;
    while bodies < 200_000 {
        let batch = world.rig.pop().await;
        assert!(batch.byte_len() <= 256 << 10 && texts(&batch).iter().all(|body| body.len() == 99));
        bodies += batch.rows();
        batch.into_ack().deliver();
    }
    world.rig.stop();
    running.ended().await.unwrap();
}
