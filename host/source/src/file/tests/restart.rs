//! Acknowledgements, saved positions, and restarts.

use super::*;

#[tokio::test]
async fn reading_continues_at_the_saved_position() {
    let world = World::new();
    world.write("a.log", "one\ntwo\nthr");
    world.write("b.json", "{}");
    let running = world.start(json!({}));
    world.rig.take(3).await;
    world.rig.stop();
    running.ended().await.unwrap();

    let world = world.again();
    world.append("a.log", "ee\nfour\n");
    let running = world.start(json!({}));
    assert_eq!(world.rig.take(2).await, ["three", "four"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn unacknowledged_events_are_read_again_after_a_kill() {
    let mut world = World::new();
    world.rig.limits.max_events = 1;
    world.write("a.log", "one\ntwo\nthree\n");
    let running = world.start(json!({}));
    let first = world.rig.pop().await;
    let second = world.rig.pop().await;
    let third = world.rig.pop().await;
    assert_eq!(texts(&third), ["three"]);
    assert!([&first, &second, &third].iter().all(|batch| !batch.is_redelivered()));
    first.into_ack().deliver();
    third.into_ack().deliver();
    let saved = world.folder.path().join("data/sources/in/checkpoints.json");
    let number = |key: &str| {
        let text = fs::read_to_string(&saved).unwrap_or_default();
        serde_json::from_str::<Value>(&text).ok().and_then(|saved| saved["files"][0][key].as_u64())
    };
    world.rig.until(|| number("position") == Some(4) && number("offered") == Some(14)).await;
    running.kill().await;
    drop(second);

    let mut world = world.again();
    world.rig.limits.max_events = 1;
    world.append("a.log", "four\n");
    let running = world.start(json!({}));
    let mut bodies = Vec::new();
    for is_redelivered in [true, true, false] {
        let batch = world.rig.pop().await;
        assert_eq!(batch.is_redelivered(), is_redelivered, "{:?}", texts(&batch));
        bodies.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    assert_eq!(bodies, ["two", "three", "four"], "the position stays before the gap");
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!(number("position"), Some(19));
}

#[tokio::test]
async fn a_position_that_moves_after_a_while_is_saved_at_once() {
    let world = World::new();
    world.write("a.log", "");
    let running = world.start(json!({}));
    // The short interval after a start has passed.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let saved = world.folder.path().join("data/sources/in/checkpoints.json");
    let has = |text: &str| fs::read_to_string(&saved).is_ok_and(|saved| saved.contains(text));
    world.append("a.log", "one\n");
    let batch = world.rig.pop().await;
    world.rig.until(|| has("\"offered\":4")).await;
    // As after the snapshot of a node, not long after the save of what was offered.
    let since = std::time::Instant::now();
    batch.into_ack().deliver();
    world.rig.until(|| has("\"position\":4")).await;
    assert!(since.elapsed() < Duration::from_millis(250), "{:?}", since.elapsed());
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn an_unacknowledged_document_is_read_again() {
    let world = World::new();
    world.write("a.json", "{}");
    let running = world.start(json!({ "when_finished": "delete" }));
    let batch = world.rig.pop().await;
    assert!(!batch.is_redelivered());
    let saved = world.folder.path().join("data/sources/in/checkpoints.json");
    world.rig.until(|| fs::read_to_string(&saved).is_ok_and(|text| text.contains("\"offered\":2"))).await;
    running.kill().await;
    drop(batch);
    assert_eq!(world.names("in"), ["a.json"]);
    let world = world.again();
    let running = world.start(json!({ "when_finished": "delete" }));
    let batch = world.rig.pop().await;
    assert_eq!((texts(&batch), batch.is_redelivered()), (vec!["{}".to_owned()], true));
    batch.into_ack().deliver();
    world.rig.until(|| world.names("in").is_empty()).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn events_left_in_the_queue_at_a_stop_are_read_after_the_next_start() {
    let mut world = World::new();
    world.rig.queue = wattle_buffer::Queue::new(1, None, None);
    world.rig.limits.max_events = 1;
    world.write("a.log", "one\ntwo\nthree\nfour\n");
    let running = world.start(json!({}));
    let one = world.rig.pop().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.rig.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!running.is_ended(), "the source waits for events in flight");
    one.into_ack().deliver();
    let (queued, ended) = world.rig.drain(running).await;
    ended.unwrap();
    assert!(queued.len() < 3, "{queued:?}");
    let world = world.again();
    let running = world.start(json!({}));
    let rest = world.rig.take(3 - queued.len()).await;
    assert_eq!([queued, rest].concat(), ["two", "three", "four"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn returned_events_are_read_again_while_running() {
    for options in [json!({}), json!({ "framing": "document" })] {
        for once in [false, true] {
            let world = if once { World::once() } else { World::new() };
            world.write("a.log", "one\ntwo\n");
            let running = world.start(options.clone());
            let first = world.rig.pop().await;
            assert!(!first.is_redelivered());
            let before = texts(&first);
            drop(first);
            let again = world.rig.pop().await;
            assert_eq!(texts(&again), before);
            assert!(again.is_redelivered());
            assert_eq!(get(&world.rig.stats.retries), 1);
            again.into_ack().deliver();
            world.rig.stop();
            running.ended().await.unwrap();
            assert!(world.again().once_more().await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_position_never_passes_returned_events() {
    let mut world = World::once();
    world.rig.limits.max_events = 1;
    world.write("a.log", "one\ntwo\nthree\n");
    let running = world.start(json!({}));
    let one = world.rig.pop().await;
    let two = world.rig.pop().await;
    world.rig.pop().await.into_ack().deliver();
    drop(two);
    one.into_ack().deliver();
    let (bodies, ended) = world.rig.drain(running).await;
    ended.unwrap();
    assert_eq!(bodies, ["two", "three"], "reading restarts at the first undelivered event");
}

/// From the field: a power loss truncates a checkpoint, or an operator deletes it.
#[tokio::test]
async fn a_truncated_or_deleted_checkpoint_neither_repeats_old_logs_nor_loses_lines() {
    for read_from in ["beginning", "end"] {
        for damage in ["cut", "deleted"] {
            let world = World::new();
            world.write("a.log", "1\n2\n3\n".repeat(300));
            let running = world.start(json!({ "read_from": read_from }));
            if read_from == "beginning" {
                world.rig.take(900).await;
            } else {
                world.rig.expect_quiet(Duration::from_millis(200)).await;
            }
            let saved = world.folder.path().join("data/sources/in/checkpoints.json");
            let previous = world.folder.path().join("data/sources/in/checkpoints.json.previous");
            // The previous version exists after the second save.
            let mut new = 0;
            while !previous.exists() {
                assert!(new < 1000, "positions are not saved");
                world.append("a.log", "new\n");
                assert_eq!(world.rig.take(1).await, ["new"]);
                new += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            world.rig.stop();
            running.ended().await.unwrap();
            match damage {
                "cut" => fs::write(&saved, "").unwrap(),
                _ => fs::remove_file(&saved).unwrap(),
            }
            let world = world.again();
            world.append("a.log", "while away\n");
            let running = world.start(json!({ "read_from": read_from }));
            let mut bodies = Vec::new();
            while bodies.last().is_none_or(|last| last != "while away") {
                let batch = world.rig.pop().await;
                bodies.extend(texts(&batch));
                batch.into_ack().deliver();
            }
            // At most the lines since the previous version, and never the 900 lines from before the
            // source.
            assert!(bodies.len() <= new + 1 || read_from == "beginning", "{read_from} {damage}: {}", bodies.len());
            world.rig.stop();
            running.ended().await.unwrap();
        }
    }
}

/// From the field: the volume of the data folder refuses writes for a while.
#[tokio::test]
async fn failing_saves_do_not_stop_events_and_are_retried() {
    let world = World::new();
    let folder = world.folder.path().join("data/sources/in");
    let running = world.start(json!({}));
    world.write("a.log", "one\n");
    world.rig.take(1).await;
    let position = || {
        let text = fs::read_to_string(folder.join("checkpoints.json")).unwrap_or_default();
        let saved: Value = serde_json::from_str(&text).unwrap_or_default();
        saved["files"][0]["position"].as_u64()
    };
    world.rig.until(|| position() == Some(4)).await;
    // A rename over a folder that is not empty fails.
    fs::remove_file(folder.join("checkpoints.json.previous")).ok();
    fs::create_dir_all(folder.join("checkpoints.json.previous/full")).unwrap();
    for line in ["two", "three"] {
        world.append("a.log", &format!("{line}\n"));
        assert_eq!(world.rig.take(1).await, [line]);
    }
    world.rig.expect_quiet(Duration::from_millis(700)).await;
    assert_eq!(position(), Some(4), "the old positions stay valid");
    fs::remove_dir_all(folder.join("checkpoints.json.previous")).unwrap();
    world.rig.until(|| position() == Some(14)).await;
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn without_any_saved_positions_read_from_applies() {
    for (read_from, expected) in [("beginning", vec!["one"]), ("end", vec![])] {
        let world = World::once();
        world.write("a.log", "one\n");
        let folder = world.folder.path().join("data/sources/in");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("checkpoints.json"), "{\"version\":1,\"files\":[{]}").unwrap();
        assert_eq!(world.all(json!({ "read_from": read_from, "follow": true })).await, expected);
        let names = world.names("data/sources/in");
        assert!(names.iter().any(|name| name.starts_with("checkpoints.json.corrupt-")), "{names:?}");
    }
}

#[tokio::test]
async fn an_unusable_data_folder_is_an_error() {
    let world = World::once();
    fs::write(world.folder.path().join("data"), "a file").unwrap();
    let error = world.start(json!({})).ended().await.unwrap_err().to_string();
    assert!(error.starts_with("cannot create folder `"), "{error}");
}

#[tokio::test]
async fn a_file_renamed_between_two_runs_is_read_to_its_end() {
    for pattern in ["*.log", "a.log*"] {
        let world = World::new();
        let options = json!({ "include": [world.path(pattern)] });
        world.write("a.log", "one\n");
        let running = world.start(options.clone());
        world.rig.take(1).await;
        world.rig.stop();
        running.ended().await.unwrap();

        world.append("a.log", "two\n");
        fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
        world.write("a.log", "three\n");
        let world = world.again();
        let running = world.start(options);
        let mut bodies = world.rig.take(2).await;
        bodies.sort();
        assert_eq!(bodies, ["three", "two"], "{pattern}");
        world.rig.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_truncated_or_replaced_between_two_runs_is_read_from_its_beginning() {
    for after in ["two\n", "something entirely different\n"] {
        let world = World::once();
        world.write("a.log", "one is longer\n");
        assert_eq!(world.all(json!({})).await.len(), 1);
        fs::write(world.path("a.log"), after).unwrap();
        assert_eq!(world.again().all(json!({})).await, [after.trim_end()]);
    }
}

#[tokio::test]
async fn lines_within_a_compressed_file_are_not_repeated_after_a_kill() {
    let mut world = World::new();
    world.rig.limits.max_events = 1;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"one\ntwo\nthree\n").unwrap();
    world.write("a.log.gz", encoder.finish().unwrap());
    let running = world.start(json!({}));
    world.rig.pop().await.into_ack().deliver();
    tokio::time::sleep(Duration::from_millis(800)).await;
    running.kill().await;
    let world = world.again();
    let running = world.start(json!({}));
    assert_eq!(world.rig.take(2).await, ["two", "three"]);
    world.rig.stop();
    running.ended().await.unwrap();
}

/// A reproducible pseudo-random generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn no_line_is_lost_with_random_writers_sinks_and_kills() {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let options = json!({ "include": [world.path("a.log*")], "max_open_files": 2 });
        let mut delivered = std::collections::BTreeSet::new();
        let (mut written, mut rotated) = (0, 0);
        let mut running = None;
        for step in 0..300 {
            let source = running.take().unwrap_or_else(|| world.start(options.clone()));
            for _ in 0..dice.below(20) {
                world.append("a.log", &format!("{written}\n"));
                written += 1;
            }
            if dice.below(15) == 0 && world.path("a.log").exists() {
                rotated += 1;
                fs::rename(world.path("a.log"), world.path(&format!("a.log.{rotated}"))).unwrap();
            }
            let wait = Duration::from_millis(dice.below(30));
            if let Ok(Some(batch)) = tokio::time::timeout(wait, world.rig.queue.pop()).await {
                let lines: Vec<u32> = texts(&batch.0).iter().map(|line| line.parse().unwrap()).collect();
                // A dropped batch is sent again; a delivered one must not be needed again.
                if dice.below(10) > 0 {
                    delivered.extend(lines);
                    batch.0.into_ack().deliver();
                }
            }
            if step % 100 == 99 {
                source.kill().await;
                world = world.again();
            } else {
                running = Some(source);
            }
        }
        let source = world.start(options);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while delivered.len() < written && std::time::Instant::now() < deadline {
            if let Ok(Some(batch)) = tokio::time::timeout(Duration::from_secs(1), world.rig.queue.pop()).await {
                delivered.extend(texts(&batch.0).iter().map(|line| line.parse::<u32>().unwrap()));
                batch.0.into_ack().deliver();
            }
        }
        let missing: Vec<u32> = (0..written as u32).filter(|number| !delivered.contains(number)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?} of {written}");
        world.rig.stop();
        world.rig.drain(source).await.1.unwrap();
    }
}

impl World {
    /// Returns the events of one more run.
    async fn once_more(self) -> Vec<String> {
        let Self { folder, rig } = self;
        let world = Self { folder, rig: rig.once() };
        world.all(json!({})).await
    }
}
