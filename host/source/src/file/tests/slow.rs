//! Slow sinks that are rarely full: one file must not delay the others. Time is simulated.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::file::checkpoint::Saved;
use crate::file::clock::fake;
use crate::file::options::Settings;
use crate::file::reader::Reader;
use crate::file::track::Tracker;

/// Reads the folder with a sink that accepts one batch of one line whenever the reader waits. Calls
/// `taken` after each line. Returns the lines in the order of delivery.
fn read_slowly(world: &World, lines: usize, mut taken: impl FnMut(usize) + 'static) -> Vec<String> {
    let options = json!({ "include": [world.path("**").to_str().unwrap()], "stable_after": "0s" });
    let settings = Settings::new(serde_json::from_value(options).unwrap()).unwrap();
    let mut context = world.rig.context();
    context.limits.max_events = 1;
    // The reader holds four lines at a time, like a file that is much larger than a batch.
    context.limits.max_bytes = 4096;
    let tracker = Arc::new(Tracker::new(world.rig.stats.clone()));
    let (output, mut batches) = mpsc::channel(1);
    let reader = Reader::new(settings, Arc::new(context), tracker.clone(), output, &Saved::Never);
    let delivered: Rc<RefCell<Vec<String>>> = Rc::default();
    let all = delivered.clone();
    let mut waits = 0;
    let sink = move || {
        waits += 1;
        assert!(waits < 100 * lines, "the reader makes no progress: {:?}", short(&delivered.borrow()));
        let Ok(batch) = batches.try_recv() else { return };
        delivered.borrow_mut().extend(texts(&batch));
        batch.into_ack().deliver();
        let count = delivered.borrow().len();
        taken(count);
        if count == lines {
            tracker.stop();
        }
    };
    fake::run(sink, || reader.run());
    all.take()
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|line| format!("line {line} {}\n", "x".repeat(1000))).collect()
}

fn short(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.trim_end_matches('x')).collect()
}

#[test]
fn a_large_file_does_not_block_other_files_with_a_slow_sink() {
    let world = World::new();
    world.write("a.log", numbered(100));
    world.write("b.log", "small\n");
    let later = world.path("c.log");
    let delivered = read_slowly(&world, 102, move |count| {
        if count == 10 {
            fs::write(&later, "later\n").unwrap();
        }
    });
    let place = |wanted: &str| delivered.iter().position(|line| line == wanted).unwrap();
    assert!(place("small") < 20, "{:?}", short(&delivered));
    // The file is found within `glob_interval`, which is five batches, and then gets its turn.
    assert!(place("later") < 40, "{:?}", short(&delivered));
    let rest = delivered.iter().filter(|line| line.starts_with("line"));
    assert!(rest.eq(numbered(100).lines()), "{:?}", short(&delivered));
}

#[test]
fn other_files_are_checked_while_a_slow_sink_receives_a_compressed_file() {
    let world = World::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(numbered(100).as_bytes()).unwrap();
    world.write("a.log.gz", encoder.finish().unwrap());
    let delivered = read_slowly(&world, 100, |_| {});
    assert!(delivered.iter().map(String::as_str).eq(numbered(100).lines()), "{:?}", short(&delivered));
    // 100 batches take 20 s of simulated time.
    let looks = get(&world.rig.stats.looks);
    assert!(looks >= 15, "{looks}");
}
