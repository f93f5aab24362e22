//! Compressed files: complete, damaged and dangerous.

use super::*;
use crate::testing::gzip;

fn numbered(lines: u32) -> String {
    (0..lines).map(|number| format!("line number {number}\n")).collect()
}

#[tokio::test]
async fn compressed_files_are_recognised_by_their_first_bytes_not_by_their_names() {
    let world = World::once();
    world.write("a.json.gz", gzip("{\n}"));
    world.write("b.log.gz", gzip("b1\nb2\n"));
    world.write("c", gzip("c1\nc2"));
    world.write("d.zst", zstd::encode_all(&b"d1\nd2\n"[..], 1).unwrap());
    world.write("e.json.zst", zstd::encode_all(&b"[\n]"[..], 1).unwrap());
    world.write("f.gz", "not compressed\n");
    world.write("g.json.gz", [gzip("[1,"), gzip("2]")].concat());
    world.write("h.gz", [gzip("h1\nh"), gzip("2\n")].concat());
    let expected = ["{\n}", "b1", "b2", "c1", "c2", "d1", "d2", "[\n]", "not compressed", "[1,2]", "h1", "h2"];
    assert_eq!(world.all(json!({})).await, expected);
    assert_eq!(get(&world.rig.stats.total_bytes), get(&world.rig.stats.read_bytes));
    assert!(world.again().all(json!({})).await.is_empty());

    let world = World::once();
    world.write("a.gz", gzip("text\n"));
    assert_ne!(world.all(json!({ "decompression": "none" })).await, ["text"]);
}

#[tokio::test]
async fn a_truncated_document_gives_its_readable_part_and_a_failure() {
    let text = numbered(20_000);
    let packed = gzip(&text);
    let world = World::once();
    world.write("a.json.gz", &packed[..packed.len() / 2]);
    world.write("b.json", "{}");
    let options = json!({ "when_finished": "delete", "framing": "document" });
    let bodies = world.all(options.clone()).await;
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].len() > 10_000 && bodies[0].len() < text.len() && text.starts_with(&bodies[0]));
    assert_eq!(bodies[1], "{}");
    assert_eq!(world.failures(), 1);
    assert_eq!(world.names("in"), ["a.json.gz"]);
    let world = world.again();
    assert!(world.all(options.clone()).await.is_empty());
    assert_eq!(world.names("in"), ["a.json.gz"], "a failed file is kept across a restart");
    world.write("a.json.gz", &packed);
    assert_eq!(world.again().all(options).await, [text], "the file is read when it is complete");
}

#[tokio::test]
async fn truncated_lines_give_those_before_the_damage_and_a_failure() {
    let text = numbered(20_000);
    let packed = gzip(&text);
    let world = World::once();
    world.write("a.log.gz", &packed[..packed.len() / 2]);
    world.write("b.log.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 nothing that inflates");
    let bodies = world.all(json!({})).await;
    assert!(bodies.len() > 1000 && text.starts_with(&bodies.join("\n")), "{}", bodies.len());
    assert_eq!(world.failures(), 2);
}

#[tokio::test]
async fn decompression_bombs_fail_and_other_files_continue() {
    let zeros = vec![0; 40 << 20];
    let mut lines = b"first\n".to_vec();
    lines.extend(&zeros);
    for option in ["max_decompressed_bytes", "max_decompression_ratio"] {
        let world = World::once();
        world.write("a.json.gz", gzip(&zeros));
        world.write("b.json.zst", zstd::encode_all(&zeros[..], 1).unwrap());
        world.write("c.log.gz", gzip(&lines));
        world.write("d.json", "{}");
        let limit = if option == "max_decompressed_bytes" { json!("20MiB") } else { json!(100) };
        assert_eq!(world.all(json!({ option: limit })).await, ["first", "{}"], "{option}");
        assert_eq!(world.failures(), 3, "{option}");
    }
}

#[tokio::test]
async fn lines_of_a_compressed_file_that_grows_by_a_member_are_read_once() {
    let world = World::new();
    world.write("a.log.gz", gzip("one\ntwo\n"));
    let running = world.start(json!({ "stable_after": "100ms" }));
    assert_eq!(world.rig.take(2).await, ["one", "two"]);
    let mut longer = fs::read(world.path("a.log.gz")).unwrap();
    longer.extend(gzip("three\n"));
    world.write("a.log.gz", longer);
    assert_eq!(world.rig.take(1).await, ["three"]);
    world.rig.expect_quiet(Duration::from_millis(300)).await;
    world.rig.stop();
    running.ended().await.unwrap();
    assert_eq!(world.failures(), 0);
}

#[tokio::test]
async fn a_slowly_written_compressed_file_is_read_when_it_is_complete() {
    let packed = gzip(numbered(5000));
    let world = World::new();
    let running = world.start(json!({ "stable_after": "300ms" }));
    world.write("a.log.gz", "");
    for piece in packed.chunks(packed.len() / 5) {
        tokio::time::sleep(Duration::from_millis(80)).await;
        let mut file = fs::OpenOptions::new().append(true).open(world.path("a.log.gz")).unwrap();
        file.write_all(piece).unwrap();
    }
    let bodies = world.rig.take(5000).await;
    assert_eq!(bodies.join("\n") + "\n", numbered(5000));
    assert_eq!(world.failures(), 0);
    world.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn real_cloudtrail_is_read_byte_for_byte() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let Ok(packed) = fs::read(data.join("compact-gz/cloudtrail.log.gz")) else {
        println!("skipped: no sample at {}", data.display());
        return;
    };
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut text).unwrap();
    let world = World::once();
    world.write("a.json.gz", &packed);
    assert_eq!(world.all(json!({})).await, [String::from_utf8(text).unwrap()]);
}

#[tokio::test]
async fn a_compressed_file_copied_with_long_pauses_is_read_completely() {
    let records: Vec<String> = (0..2000).map(|n| format!("{{\"n\":{n},\"x\":\"{:x}\"}}", n * 7919 % 65537)).collect();
    let document = format!("{{\"Records\":[{}]}}", records.join(","));
    for (name, text) in [("a.log.gz", numbered(5000)), ("a.json.gz", document)] {
        let packed = gzip(&text);
        let world = World::new();
        world.write(name, &packed[..packed.len() / 2]);
        let running = world.start(json!({ "stable_after": "50ms" }));
        let mut bodies = Vec::new();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut file = fs::OpenOptions::new().append(true).open(world.path(name)).unwrap();
        file.write_all(&packed[packed.len() / 2..]).unwrap();
        let expected = if name == "a.log.gz" { 5000 } else { 1 };
        while bodies.len() < expected {
            let batch = world.rig.pop().await;
            bodies.extend(texts(&batch));
            batch.into_ack().deliver();
        }
        assert_eq!(bodies.join("\n"), text.trim_end(), "{name}");
        assert_eq!(world.failures(), 0);
        world.rig.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn zeros_after_the_compressed_data_are_padding_and_other_data_is_a_failure() {
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    let world = World::once();
    world.write("a.log.gz", [gzip("a\n"), vec![0; 512]].concat());
    world.write("b.log.gz", [gzip("b\n"), gzip("b2\n"), b"junk".to_vec()].concat());
    world.write("c.log.zst", [zstd("c\n"), b"junk and more of it".to_vec()].concat());
    world.write("d.log.zst", [zstd("d\n"), vec![0; 512]].concat());
    assert_eq!(world.all(json!({})).await, ["a", "b", "b2", "c", "d"]);
    assert_eq!(crate::stats::get(&world.rig.stats.failures), 2);
    let (_, why) = world.rig.stats.last_failure.lock().clone().unwrap();
    assert!(why.contains("other data after its compressed data"), "{why}");
}

#[tokio::test]
async fn a_large_zstd_window_fails_with_the_option_that_allows_it() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(b"text\n").unwrap();
    let packed = encoder.finish().unwrap();
    let world = World::once();
    world.write("a.log.zst", &packed);
    assert!(world.all(json!({})).await.is_empty());
    let failure = world.rig.stats.last_failure.lock().clone().unwrap().1;
    assert!(failure.contains("raise that option") && failure.contains("max_zstd_window"), "{failure}");
    let world = World::once();
    world.write("a.log.zst", &packed);
    assert_eq!(world.all(json!({ "max_zstd_window": "256MiB" })).await, ["text"]);
}
