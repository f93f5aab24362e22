//! Rotation, disks, links and limits of files, and mistakes in `include`.

use std::os::unix::fs::symlink;

use super::*;
use crate::testing::gzip;

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

/// A source whose sink accepts nothing: its queue is full after a few lines.
fn blocked() -> World {
    let mut world = World::new();
    world.rig.queue = wattle_buffer::Queue::new(1, None, None);
    world.rig.limits.max_events = 2;
    world
}

impl World {
    /// Waits until the source has checked all files, twice because a check may be running already.
    async fn looks(&self) {
        let before = get(&self.rig.stats.looks);
        self.rig.until(|| get(&self.rig.stats.looks) >= before + 2).await;
    }

    /// Delivers events until this line arrives.
    async fn take_until(&self, last: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.last().is_none_or(|body| body != last) {
            let batch = self.rig.pop().await;
            bodies.extend(texts(&batch));
            batch.into_ack().deliver();
        }
        bodies
    }

    async fn stop(&self, running: Running) {
        self.rig.stop();
        running.ended().await.unwrap();
    }
}

/// From the field: logrotate with `compress`; the same globs match the copy.
#[tokio::test]
async fn a_compressed_rotated_file_continues_at_its_position() {
    for (first, is_away) in [(3, false), (400, false), (3, true), (400, true)] {
        let world = World::new();
        world.write("app.log", lines(0..first));
        let running = world.start(json!({}));
        world.rig.take(first as usize).await;
        let (mut world, mut running) = (world, Some(running));
        if is_away {
            world.stop(running.take().unwrap()).await;
            world = world.again();
        }
        world.append("app.log", "unread\n");
        fs::rename(world.path("app.log"), world.path("app.log.1")).unwrap();
        world.write("app.log", "next\n");
        if !is_away {
            let mut bodies = world.rig.take(2).await;
            bodies.sort();
            assert_eq!(bodies, ["next", "unread"]);
        }
        let text = fs::read(world.path("app.log.1")).unwrap();
        world.write("app.log.1.gz", gzip(&text));
        world.looks().await_if(!is_away).await;
        fs::remove_file(world.path("app.log.1")).unwrap();
        let running = running.unwrap_or_else(|| world.start(json!({})));
        if is_away {
            let mut bodies = world.rig.take(2).await;
            bodies.sort();
            assert_eq!(bodies, ["next", "unread"]);
        }
        world.rig.expect_quiet(Duration::from_millis(300)).await;
        world.stop(running).await;
        assert_eq!((world.failures(), world.rig.stats.lost_bytes.total()), (0, 0));
    }
}

/// A future that is awaited conditionally.
trait AwaitIf: Future<Output = ()> + Sized {
    async fn await_if(self, wanted: bool) {
        if wanted {
            self.await;
        }
    }
}

impl<F: Future<Output = ()>> AwaitIf for F {}

/// From the field: copytruncate. The globs match the copy, or it is in the same folder, or it does
/// not exist.
#[tokio::test]
async fn lines_removed_by_copytruncate_are_read_in_the_copy_or_counted_as_lost() {
    for (copy, delivered, lost) in [("a.log.1", true, 0), ("b.txt", false, 15)] {
        let world = World::new();
        world.write("a.log", "one\ntwo without end");
        let running = world.start(json!({ "include": [world.path("*.log")] }));
        assert_eq!(world.rig.take(1).await, ["one"]);
        world.looks().await;
        fs::copy(world.path("a.log"), world.path(copy)).unwrap();
        fs::OpenOptions::new().write(true).open(world.path("a.log")).unwrap().set_len(0).unwrap();
        world.looks().await;
        world.append("a.log", "three\n");
        let mut bodies = world.rig.take(if delivered { 2 } else { 1 }).await;
        bodies.sort();
        assert_eq!(bodies, if delivered { vec!["three", "two without end"] } else { vec!["three"] });
        world.rig.expect_quiet(Duration::from_millis(200)).await;
        assert_eq!(get(&world.rig.stats.lost_bytes.truncated), lost, "{copy}");
        world.stop(running).await;
    }
}

#[tokio::test]
async fn a_file_copied_and_truncated_between_two_runs_is_read_in_the_copy() {
    let world = World::new();
    let options = json!({ "include": [world.path("*.log")] });
    world.write("a.log", "one\n");
    let running = world.start(options.clone());
    world.rig.take(1).await;
    world.stop(running).await;
    let world = world.again();
    world.append("a.log", "two\n");
    fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.write("a.log", "three\n");
    let running = world.start(options);
    let mut bodies = world.rig.take(2).await;
    bodies.sort();
    assert_eq!(bodies, ["three", "two"]);
    world.rig.expect_quiet(Duration::from_millis(200)).await;
    world.stop(running).await;
}

/// From the field: a log is truncated and at once longer than before, with another or with the same
/// beginning.
#[tokio::test]
async fn a_log_rewritten_larger_is_read_from_its_beginning() {
    for banner in ["", &"== started ==\n".repeat(100)] {
        for open in [1, 256] {
            let world = World::new();
            let old: String = (0..10).map(|n| format!("old {n}\n")).collect();
            world.write("a.log", format!("{banner}{old}"));
            let running = world.start(json!({ "max_open_files": open }));
            world.take_until("old 9").await;
            let new: String = (0..100).map(|n| format!("new {n}\n")).collect();
            world.write("a.log", format!("{banner}{new}"));
            let bodies = world.take_until("new 99").await;
            assert_eq!(bodies.iter().filter(|body| body.starts_with("new")).count(), 100);
            assert_eq!(bodies.iter().filter(|body| body.starts_with("old")).count(), 0);
            world.stop(running).await;
            assert_eq!(world.rig.stats.lost_bytes.total(), 0);
        }
    }
}

/// From the field: the next log reuses the inode of a deleted one and has the same header.
#[tokio::test]
async fn a_file_with_the_inode_and_header_of_another_is_read_completely() {
    let header = "Version,Time,Host\n";
    for is_away in [false, true] {
        let world = World::new();
        world.write("a.csv", format!("{header}1,a,x\n"));
        let running = world.start(json!({ "max_open_files": 1 }));
        world.rig.take(2).await;
        let (mut world, mut running) = (world, Some(running));
        if is_away {
            world.stop(running.take().unwrap()).await;
            world = world.again();
        }
        // Rewritten in place, so the inode stays, as if the file system had reused it.
        fs::write(world.path("a.csv"), format!("{header}2,b,y\n3,c,z\n")).unwrap();
        fs::rename(world.path("a.csv"), world.path("b.csv")).unwrap();
        let running = running.unwrap_or_else(|| world.start(json!({})));
        assert_eq!(world.rig.take(3).await, [header.trim_end(), "2,b,y", "3,c,z"]);
        world.stop(running).await;
    }
}

/// A reboot or remount changes the device number; a log moves to another disk.
#[tokio::test]
async fn a_new_device_number_neither_repeats_nor_loses_lines() {
    for is_away in [false, true] {
        let world = World::new();
        world.write("a.log", "one\ntwo\n");
        world.write("b.json", "{}");
        world.write("c.log.gz", gzip("c1\nc2\n"));
        let device: std::sync::Arc<std::sync::atomic::AtomicU64> = std::sync::Arc::default();
        let start = |world: &World| {
            let options = json!({
                "include": [world.path("**")], "glob_interval": "20ms", "stable_after": "0s", "rotate_wait": "100ms",
            });
            let mut source = crate::file::FileSource::new(serde_json::from_value(options).unwrap()).unwrap();
            source.settings.device_shift = device.clone();
            world.rig.start_source(Box::new(source))
        };
        let running = start(&world);
        world.rig.take(5).await;
        let (mut world, mut running) = (world, Some(running));
        if is_away {
            world.stop(running.take().unwrap()).await;
            world = world.again();
        }
        device.store(77, std::sync::atomic::Ordering::Relaxed);
        let running = running.unwrap_or_else(|| start(&world));
        world.looks().await;
        world.append("a.log", "three\n");
        assert_eq!(world.rig.take(1).await, ["three"], "{is_away}");
        world.rig.expect_quiet(Duration::from_millis(200)).await;
        world.stop(running).await;
    }
}

/// From the field: rotation and deletion while the sink accepts nothing.
#[tokio::test]
async fn with_a_blocked_sink_rotation_is_followed_and_losses_are_counted() {
    let mut world = blocked();
    world.rig.limits.max_events = 4096;
    let cut: String = (0..200_000).map(|n| format!("cut {n}\n")).collect();
    world.write("cut.log", &cut);
    world.write("deleted.log", lines(100..200));
    world.write("renamed.log", lines(200..300));
    let running = world.start(json!({}));
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    world.looks().await;
    fs::remove_file(world.path("deleted.log")).unwrap();
    fs::rename(world.path("renamed.log"), world.path("renamed.log.1")).unwrap();
    fs::write(world.path("cut.log"), "after\n").unwrap();
    world.write("new.log", "found meanwhile\n");
    world.rig.until(|| get(&world.rig.stats.lost_bytes.truncated) > 0).await;
    let mut came = Vec::new();
    let wanted = lines(100..300) + "after\nfound meanwhile\n";
    while !wanted.lines().all(|line| came.iter().any(|body| body == line)) {
        let batch = world.rig.pop().await;
        came.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    let read: u64 = came.iter().filter(|body| body.starts_with("cut")).map(|body| body.len() as u64 + 1).sum();
    world.rig.expect_quiet(Duration::from_millis(100)).await;
    let lost = get(&world.rig.stats.lost_bytes.truncated);
    assert_eq!(lost + read, cut.len() as u64, "every byte is delivered or counted");
    world.stop(running).await;
}

/// The number of files kept open for a blocked sink is limited, and losses beyond it are counted.
#[tokio::test]
async fn deleted_files_beyond_the_limit_are_closed_and_counted_as_lost() {
    let world = blocked();
    world.write("a.log", "first\n".repeat(20));
    let running = world.start(json!({ "max_open_files": 4, "rotate_wait": "1h" }));
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    let mut written = 0;
    for n in 0..30 {
        let name = format!("{n:02}.log");
        let text = format!("line of {n}\n");
        written += text.len() as u64;
        world.write(&name, text);
        world.looks().await;
        fs::remove_file(world.path(&name)).unwrap();
    }
    world.looks().await;
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let ours = open.filter(|target| target.starts_with(world.folder.path().join("in"))).count();
    assert!(ours <= 5, "{ours}");
    let mut delivered = 0;
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while delivered + world.rig.stats.lost_bytes.total() < written {
        assert!(std::time::Instant::now() < until, "{delivered} {}", world.rig.stats.lost_bytes.total());
        let batch = world.rig.pop().await;
        delivered += texts(&batch).iter().filter(|t| t.starts_with("line")).map(|t| t.len() as u64 + 1).sum::<u64>();
        batch.into_ack().deliver();
    }
    assert_eq!(delivered + world.rig.stats.lost_bytes.total(), written);
    assert!(world.rig.stats.lost_bytes.total() > 0);
    world.stop(running).await;
}

/// From the field: the symbolic links of Kubernetes.
#[tokio::test]
async fn a_file_behind_several_links_is_read_once_and_followed_when_the_links_change() {
    let world = World::new();
    for name in ["containers", "pods"] {
        fs::create_dir_all(world.path(name)).unwrap();
    }
    let docker = world.folder.path().join("docker");
    fs::create_dir(&docker).unwrap();
    fs::write(docker.join("1.log"), "k1\n").unwrap();
    symlink(docker.join("1.log"), world.path("pods/0.log")).unwrap();
    symlink(world.path("pods/0.log"), world.path("containers/pod.log")).unwrap();
    symlink("../pods", world.path("containers/loop")).unwrap();
    symlink("../containers", world.path("pods/loop")).unwrap();
    let running = world.start(json!({}));
    assert_eq!(world.rig.take(1).await, ["k1"]);
    fs::OpenOptions::new().append(true).open(docker.join("1.log")).unwrap().write_all(b"k2\n").unwrap();
    assert_eq!(world.rig.take(1).await, ["k2"]);
    fs::write(docker.join("2.log"), "k3\n").unwrap();
    fs::remove_file(world.path("pods/0.log")).unwrap();
    symlink(docker.join("2.log"), world.path("pods/0.log")).unwrap();
    assert_eq!(world.rig.take(1).await, ["k3"]);
    world.rig.expect_quiet(Duration::from_millis(200)).await;
    world.stop(running).await;
    assert_eq!(world.failures(), 0);
    let none = World::once();
    fs::write(docker.join("1.log"), "k1\n").unwrap();
    symlink(docker.join("1.log"), none.path("a.log")).unwrap();
    assert!(none.all(json!({ "follow_symlinks": "never" })).await.is_empty());
}

/// From hostile testing: a user with write access to a watched folder adds a link to a file that
/// only root may read.
#[tokio::test]
async fn links_across_owners_are_refused_once_and_other_files_are_read() {
    let world = World::once();
    if std::os::unix::fs::lchown(world.folder.path(), Some(0), None).is_err() {
        println!("skipped: only root can give files to others");
        return;
    }
    fs::write(world.folder.path().join("secret"), "key\n").unwrap();
    symlink(world.folder.path().join("secret"), world.path("x.log")).unwrap();
    symlink(world.folder.path(), world.path("all")).unwrap();
    for link in ["x.log", "all"] {
        std::os::unix::fs::lchown(world.path(link), Some(65534), None).unwrap();
    }
    world.write("y.log", "theirs\n");
    for links in ["same_owner", "always"] {
        let read = world.all(json!({ "follow_symlinks": links })).await;
        assert!(!read.contains(&"key".to_owned()), "{links}: {read:?}");
    }
    let why = world.rig.stats.last_failure.lock().clone().unwrap().1;
    assert!(why.contains("x.log` cannot be opened: a symbolic link of user 65534"), "{why}");
}

/// `include` also applies to files in checkpoints.
#[tokio::test]
async fn a_file_that_include_no_longer_matches_is_not_read() {
    for (include, exclude) in [("app.log", "nothing"), ("*.log*", "secret*")] {
        let world = World::new();
        for name in ["app.log", "secret.log"] {
            world.write(name, "one\n");
        }
        let running = world.start(json!({}));
        world.rig.take(2).await;
        world.stop(running).await;
        let world = world.again();
        for name in ["app.log", "secret.log"] {
            world.append(name, &format!("{name}\n"));
        }
        fs::rename(world.path("secret.log"), world.path("secret.log.1")).unwrap();
        let options = json!({ "include": [world.path(include)], "exclude": [world.path(exclude)] });
        let running = world.start(options);
        assert_eq!(world.rig.take(1).await, ["app.log"]);
        world.rig.expect_quiet(Duration::from_millis(200)).await;
        world.stop(running).await;
    }
}

/// From the field: globs of `include` that match no file.
#[tokio::test]
async fn globs_without_files_are_reported_until_they_match() {
    let world = World::new();
    world.write("a.log", "one\n");
    let include = json!([world.path("*.log"), world.path("*.txt"), "~/logs/*.log"]);
    let running = world.start(json!({ "include": include }));
    world.rig.take(1).await;
    let unmatched = world.rig.stats.unmatched.lock().clone();
    assert_eq!(unmatched.len(), 2, "{unmatched:?}");
    assert!(unmatched[1].ends_with("finds no file: `~` is not expanded; write the whole path"), "{unmatched:?}");
    world.write("b.txt", "two\n");
    world.rig.take(1).await;
    world.rig.until(|| world.rig.stats.unmatched.lock().len() == 1).await;
    world.stop(running).await;
}

/// The first save happens early, so that an agent in a crash loop makes progress.
#[tokio::test]
async fn an_acknowledgement_is_saved_before_an_early_kill() {
    let mut world = World::new();
    world.rig.limits.max_events = 1;
    world.write("a.log", lines(0..20));
    for n in 0..20 {
        let running = world.start(json!({}));
        let batch = world.rig.pop().await;
        assert_eq!(texts(&batch), [format!("line {n}")], "the position advanced before the kill");
        batch.into_ack().deliver();
        let saved = world.folder.path().join("data/sources/in/checkpoints.json");
        let position = lines(0..n + 1).len() as u64;
        let asked = std::time::Instant::now();
        world
            .rig
            .until(|| {
                let text = fs::read_to_string(&saved).unwrap_or_default();
                let saved: Value = serde_json::from_str(&text).unwrap_or_default();
                saved["files"].as_array().is_some_and(|files| files.iter().any(|f| f["position"] == position))
            })
            .await;
        assert!(asked.elapsed() < Duration::from_secs(5));
        running.kill().await;
        world = world.again();
        world.rig.limits.max_events = 1;
    }
}
