//! Growing files and log rotation.

use super::*;

#[tokio::test]
async fn complete_lines_are_read_as_they_are_written() {
    let world = World::new();
    world.write("a.log", "one\ntw");
    let running = world.start(json!({}));
    assert_eq!(world.rig.take(1).await, ["one"]);
    world.rig.expect_quiet(Duration::from_millis(150)).await;
    world.append("a.log", "o\nthree\n");
    assert_eq!(world.rig.take(2).await, ["two", "three"]);
    world.append("b.log", "new file\n");
    assert_eq!(world.rig.take(1).await, ["new file"]);
    world.append("a.log", "\n\r\nfour\n");
    assert_eq!(world.rig.take(1).await, ["four"]);
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!(get(&world.rig.stats.skipped_empty), 2);
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    for found_under_new_name in [false, true] {
        let world = World::new();
        world.write("a.log", "one\n");
        let pattern = if found_under_new_name { "a.log*" } else { "*.log" };
        let running = world.start(json!({ "include": [world.path(pattern)] }));
        assert_eq!(world.rig.take(1).await, ["one"]);
        world.append("a.log", "two\n");
        fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
        world.append("a.log.1", "three\n");
        world.write("a.log", "four\n");
        world.append("a.log.1", "five");
        let mut bodies = world.rig.take(3).await;
        bodies.sort();
        assert_eq!(bodies, ["four", "three", "two"]);
        if found_under_new_name {
            world.append("a.log.1", " whole\n");
            assert_eq!(world.rig.take(1).await, ["five whole"]);
        } else {
            assert_eq!(world.rig.take(1).await, ["five"], "the unfinished last line is an event");
        }
        world.append("a.log", "six\n");
        assert_eq!(world.rig.take(1).await, ["six"]);
        world.rig.stop();
        running.ended().await.unwrap();
        assert_eq!(world.failures(), 0);
    }
}

#[tokio::test]
async fn a_deleted_file_is_read_to_its_end() {
    let world = World::new();
    world.write("a.log", "one\n");
    let running = world.start(json!({}));
    assert_eq!(world.rig.take(1).await, ["one"]);
    let mut writer = fs::OpenOptions::new().append(true).open(world.path("a.log")).unwrap();
    writer.write_all(b"two\n").unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    writer.write_all(b"three\nfour").unwrap();
    assert_eq!(world.rig.take(3).await, ["two", "three", "four"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_deleted_file_can_be_read_again_until_it_is_delivered() {
    let world = World::new();
    world.write("a.log", "one\n");
    let running = world.start(json!({}));
    let batch = world.rig.pop().await;
    fs::remove_file(world.path("a.log")).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    drop(batch);
    assert_eq!(world.rig.take(1).await, ["one"]);
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!((world.failures(), get(&world.rig.stats.lost)), (0, 0));
}

#[tokio::test]
async fn a_truncated_file_is_read_from_its_beginning() {
    for after in ["new\n", "a much longer first line than before\n"] {
        let world = World::new();
        world.write("a.log", "one line\nanother line\n");
        let running = world.start(json!({}));
        assert_eq!(world.rig.take(2).await, ["one line", "another line"]);
        // Like logrotate with copytruncate.
        fs::copy(world.path("a.log"), world.folder.path().join("copy")).unwrap();
        let file = fs::OpenOptions::new().write(true).open(world.path("a.log")).unwrap();
        file.set_len(0).unwrap();
        world.append("a.log", after);
        assert_eq!(world.rig.take(1).await, [after.trim_end()]);
        world.append("a.log", "more\n");
        assert_eq!(world.rig.take(1).await, ["more"]);
        world.rig.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn a_reused_inode_is_a_different_file() {
    let world = World::new();
    world.write("a.log", "old file\nsecond line\n");
    let running = world.start(json!({ "max_open_files": 1 }));
    assert_eq!(world.rig.take(2).await.len(), 2);
    // Rewritten in place, so the inode stays, as if the file system had reused it.
    fs::write(world.path("a.log"), "new file\nsecond line\nthird line\n").unwrap();
    assert_eq!(world.rig.take(3).await, ["new file", "second line", "third line"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn reading_can_begin_at_the_end() {
    let world = World::new();
    world.write("a.log", "old\n");
    world.write("b.json", "{\"old\":true}");
    let running = world.start(json!({ "read_from": "end", "when_finished": "delete" }));
    world.rig.expect_quiet(Duration::from_millis(300)).await;
    world.append("a.log", "new\n");
    assert_eq!(world.rig.take(1).await, ["new"]);
    world.write("c.log", "later\n");
    assert_eq!(world.rig.take(1).await, ["later"]);
    world.write("b.json", "{\"new\":true}");
    assert_eq!(world.rig.take(1).await, ["{\"new\":true}"]);
    world.rig.stop();
    running.ended().await.unwrap();

    let world = world.again();
    world.write("d.log", "while away\n");
    let running = world.start(json!({ "read_from": "end" }));
    assert_eq!(world.rig.take(1).await, ["while away"], "only the first run starts at the end");
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn files_skipped_by_read_from_end_are_not_removed() {
    let world = World::new();
    world.write("b.json", "{}");
    let options = json!({ "read_from": "end", "when_finished": "delete" });
    for _ in 0..2 {
        let running = world.start(options.clone());
        world.rig.expect_quiet(Duration::from_millis(300)).await;
        running.kill().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(world.names("in"), ["b.json"]);
}

#[tokio::test]
async fn without_follow_a_stable_file_is_read_to_its_end() {
    let world = World::new();
    world.write("a.log", "one\ntwo");
    let running = world.start(json!({ "follow": false, "stable_after": "100ms" }));
    assert_eq!(world.rig.take(2).await, ["one", "two"]);
    world.rig.stop();
    running.ended().await.unwrap();
}
