//! Digests of CloudTrail, checked while the log files are read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wattle_trail::{Chain, Hash, Signer, Written};

use super::deliver;
use super::fake::{BUCKET, Fake, announce};
use crate::stats::get;
use crate::testing::{Rig, gzip, resource};

const ACCOUNT: &str = "123456789012";

/// A trail and its digests, one for each hour.
struct Trail {
    fake: Fake,
    files: Vec<String>,
    digests: Vec<Written>,
}

fn content(hour: usize, number: usize) -> String {
    format!("{{\"Records\":[{{\"hour\":{hour},\"file\":{number}}}]}}")
}

fn file(hour: usize, number: usize) -> String {
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/01/31/{ACCOUNT}_CloudTrail_eu-west-1_20260131T{hour:02}30Z_{number:04}.json.gz"
    )
}

fn time(hour: usize) -> String {
    format!("2026-01-31T{hour:02}:00:00Z")
}

impl Trail {
    /// A trail of three hours with two log files each.
    async fn new() -> Self {
        Self::of(3, 2).await
    }

    /// A trail of so many hours with so many log files each.
    async fn of(hours: usize, files_per_hour: usize) -> Self {
        let signer = Signer::generated().unwrap();
        let mut trail = Self { fake: Fake::start().await, files: Vec::new(), digests: Vec::new() };
        trail.fake.state.lock().public_keys = Some(signer.public_keys());
        let mut chain = Chain::new(ACCOUNT, "eu-west-1", BUCKET, "all");
        for hour in 0..hours {
            let files: Vec<(String, Hash)> = (0..files_per_hour)
                .map(|number| (file(hour, number), Hash::of(content(hour, number).as_bytes())))
                .collect();
            for (number, (key, _)) in files.iter().enumerate() {
                trail.put(key, &content(hour, number), hour);
                trail.files.push(key.clone());
            }
            let digest = chain.next(&signer, &time(hour), &time(hour + 1), &files).unwrap();
            trail.put_digest(&digest);
            trail.digests.push(digest);
        }
        trail
    }

    fn put(&self, key: &str, text: &str, hour: usize) {
        self.fake.put_at(key, gzip(text), &format!("2026-01-31T{hour:02}:30:00Z"));
    }

    fn put_digest(&self, digest: &Written) {
        self.fake.put_at(&digest.key, gzip(&digest.content), "2026-01-31T05:00:00Z");
        self.fake.state.lock().signatures.insert(digest.key.clone(), digest.signature.clone());
    }

    fn remove(&self, key: &str) {
        self.fake.state.lock().objects.remove(key);
    }

    fn keys(&self) -> Vec<String> {
        let objects: Vec<String> = self.fake.state.lock().objects.keys().cloned().collect();
        let digests = objects.iter().filter(|key| key.contains("-Digest/")).cloned();
        objects.iter().filter(|key| !key.contains("-Digest/")).cloned().chain(digests).collect()
    }

    /// Reads these objects one after the other. Returns the results of the digests by the hour of their end.
    async fn read(&self, keys: Vec<String>, integrity: Value) -> BTreeMap<String, Value> {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::new(folder.path());
        let options = json!({ "integrity": integrity, "framing": "auto", "max_objects": 1 });
        let running = rig.start("aws_s3", self.fake.options(options));
        let mut results = BTreeMap::new();
        for (number, key) in keys.iter().enumerate() {
            let id = format!("m{number:02}");
            self.fake.send(&id, announce(&[key]));
            let batch = rig.pop().await;
            let source = resource(&batch);
            assert_eq!(source["key"], json!(key));
            if key.contains("-Digest/") {
                let (_, hour) = key.rsplit_once('T').unwrap();
                results.insert(hour.get(..2).unwrap().to_owned(), source["integrity"].clone());
            } else {
                assert_eq!(source.get("integrity"), None, "only digests have a result");
            }
            deliver(batch);
            rig.until(|| self.fake.is_deleted(&id)).await;
        }
        let counts = &rig.stats.queue.digests;
        let counted = [&counts.verified, &counts.unlisted, &counts.unverifiable, &counts.failed].map(get);
        assert_eq!(counted.iter().sum::<u64>(), results.len() as u64, "each digest counts once");
        rig.stop();
        running.ended().await.unwrap();
        results
    }

    async fn read_all(&self) -> BTreeMap<String, Value> {
        self.read(self.keys(), json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requirement_20_nothing_is_reported_on_a_clean_trail_of_ten_thousand_files() {
    const HOURS: usize = 20;
    let trail = Trail::of(HOURS, 500).await;
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    let running = rig.start("aws_s3", trail.fake.options(json!({ "integrity": {}, "framing": "auto" })));
    let keys = trail.keys();
    for (number, part) in keys.chunks(20).enumerate() {
        trail.fake.send(&format!("m{number}"), announce(&part.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let (mut events, mut results) = (0, Vec::new());
    while events < keys.len() {
        let batch = rig.pop().await;
        events += batch.rows();
        results.extend(resource(&batch).get("integrity").cloned());
        deliver(batch);
    }
    assert_eq!((events, results.len()), (10_000 + HOURS, HOURS));
    for result in &results {
        assert_eq!((&result["result"], &result["files"]), (&json!(VERIFIED), &json!(500)), "{result}");
    }
    let counts = &rig.stats.queue.digests;
    let counted = [&counts.verified, &counts.unlisted, &counts.unverifiable, &counts.failed].map(get);
    assert_eq!(counted, [HOURS as u64, 0, 0, 0]);
    rig.stop();
    running.ended().await.unwrap();
}

/// The results and the names of the problems, by hour.
fn short(results: &BTreeMap<String, Value>) -> Vec<(&str, &str, Vec<&str>)> {
    let problems = |result: &'_ Value| -> Vec<String> {
        result["problems"].as_array().unwrap().iter().map(|p| p["problem"].as_str().unwrap().to_owned()).collect()
    };
    for result in results.values() {
        assert_eq!(result["problem_count"], problems(result).len());
        assert_eq!(result["unlisted_count"], result["unlisted"].as_array().unwrap().len());
    }
    results
        .iter()
        .map(|(hour, result)| {
            let names = result["problems"].as_array().unwrap().iter().map(|p| p["problem"].as_str().unwrap()).collect();
            (hour.as_str(), result["result"].as_str().unwrap(), names)
        })
        .collect()
}

const VERIFIED: &str = "verified";

#[tokio::test]
async fn requirement_20_a_clean_trail_is_verified_and_each_object_is_read_once() {
    let trail = Trail::new().await;
    let results = trail.read_all().await;
    assert_eq!(short(&results), ["01", "02", "03"].map(|hour| (hour, VERIFIED, vec![])));
    assert!(results.values().all(|result| result["files"] == 2));
    for key in trail.keys() {
        assert_eq!(trail.fake.reads_of(&key), 1, "{key}");
    }
}

#[tokio::test]
async fn requirement_20_the_order_does_not_matter_and_what_others_read_is_read_again() {
    let trail = Trail::new().await;
    let mut keys = trail.keys();
    keys.reverse();
    assert_eq!(short(&trail.read(keys, json!({})).await), ["01", "02", "03"].map(|hour| (hour, VERIFIED, vec![])));
    // Another agent read the files, or this one was restarted.
    let trail = Trail::new().await;
    let last = vec![trail.digests[2].key.clone()];
    assert_eq!(short(&trail.read(last, json!({})).await), [("03", VERIFIED, vec![])]);
    for (key, reads) in [(&trail.files[4], 1), (&trail.digests[1].key, 1), (&trail.files[2], 0)] {
        assert_eq!(trail.fake.reads_of(key), reads, "{key}");
    }
}

#[tokio::test]
async fn requirement_20_every_kind_of_tampering_is_named() {
    let (clean, failed) = (|hour| (hour, VERIFIED, vec![]), "failed");

    let trail = Trail::new().await;
    trail.put(&trail.files[2], "{\"Records\":[]}", 1);
    let results = trail.read_all().await;
    assert_eq!(short(&results), [clean("01"), ("02", failed, vec!["altered_file"]), clean("03")]);
    assert_eq!(results["02"]["problems"][0]["key"], json!(trail.files[2]));

    let trail = Trail::new().await;
    trail.put(&trail.files[2], &content(1, 1), 1);
    trail.put(&trail.files[3], &content(1, 0), 1);
    assert_eq!(
        short(&trail.read_all().await),
        [clean("01"), ("02", failed, vec!["altered_file", "altered_file"]), clean("03")],
        "exchanged"
    );

    let trail = Trail::new().await;
    trail.remove(&trail.files[0]);
    assert_eq!(short(&trail.read_all().await), [("01", failed, vec!["missing_file"]), clean("02"), clean("03")]);

    let trail = Trail::new().await;
    let added = file(1, 9);
    trail.put(&added, &content(1, 9), 1);
    let results = trail.read_all().await;
    assert_eq!(short(&results), [clean("01"), ("02", "unlisted", vec![]), clean("03")]);
    assert_eq!(results["02"]["unlisted"], json!([added]));

    // A copy of the bucket, made later: only the names of its files have the time.
    let trail = Trail::new().await;
    trail.fake.put_at(&added, gzip(content(1, 9)), "2026-02-28T12:00:00Z");
    for number in 0..3 {
        let key = trail.files[number * 2].clone();
        trail.fake.put_at(&key, gzip(content(number, 0)), "2026-02-28T12:00:00Z");
        trail.fake.put_at(&trail.digests[number].key, gzip(&trail.digests[number].content), "2026-02-28T12:00:01Z");
    }
    let results = trail.read_all().await;
    assert_eq!(short(&results), [clean("01"), ("02", "unlisted", vec![]), clean("03")]);
    assert_eq!(results["02"]["unlisted"], json!([added]));

    let trail = Trail::new().await;
    let digest = &trail.digests[1];
    let text = String::from_utf8(digest.content.clone()).unwrap().replace(&file(1, 0), &file(1, 1));
    trail.fake.put_at(&digest.key, gzip(text), "2026-01-31T05:00:00Z");
    assert_eq!(
        short(&trail.read_all().await),
        [clean("01"), ("02", failed, vec!["altered_digest", "altered_file"]), ("03", failed, vec!["broken_chain"])]
    );

    let trail = Trail::new().await;
    let (key, forged) = (trail.digests[1].key.clone(), trail.digests[0].signature.clone());
    trail.fake.state.lock().signatures.insert(key, forged);
    assert_eq!(short(&trail.read_all().await), [clean("01"), ("02", failed, vec!["altered_digest"]), clean("03")]);

    let trail = Trail::new().await;
    // Signed by AWS, but not the one that the next digest follows.
    let other = Chain::new(ACCOUNT, "eu-west-1", BUCKET, "all")
        .next(&Signer::generated().unwrap(), &time(1), &time(2), &[(file(1, 0), Hash::of(content(1, 0).as_bytes()))])
        .unwrap();
    trail.put_digest(&other);
    trail.remove(&trail.files[3]);
    assert_eq!(short(&trail.read_all().await), [clean("01"), clean("02"), ("03", failed, vec!["broken_chain"])]);

    let trail = Trail::new().await;
    trail.remove(&trail.digests[1].key);
    assert_eq!(short(&trail.read_all().await), [clean("01"), ("03", failed, vec!["missing_digest"])]);

    let trail = Trail::new().await;
    let moved = Written { key: trail.digests[1].key.clone(), ..trail.digests[0].clone() };
    trail.put_digest(&moved);
    assert_eq!(
        short(&trail.read_all().await),
        [clean("01"), ("02", failed, vec!["moved_digest"]), ("03", failed, vec!["broken_chain"])]
    );

    let trail = Trail::new().await;
    trail.fake.put_at(&trail.digests[2].key, gzip("{}"), "2026-01-31T05:00:00Z");
    assert_eq!(short(&trail.read_all().await), [clean("01"), clean("02"), ("03", failed, vec!["unreadable_digest"])]);
}

#[tokio::test]
async fn requirement_20_without_key_or_signature_a_digest_is_unverifiable() {
    let all = |problem| ["01", "02", "03"].map(|hour| (hour, "unverifiable", vec![problem]));
    let trail = Trail::new().await;
    trail.fake.state.lock().public_keys = None;
    assert_eq!(short(&trail.read_all().await), all("unknown_key"));

    // The file is enough.
    let trail = Trail::new().await;
    let keys = trail.fake.state.lock().public_keys.take().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, keys).unwrap();
    let results = trail.read(trail.keys(), json!({ "public_keys": [path] })).await;
    assert_eq!(short(&results), ["01", "02", "03"].map(|hour| (hour, VERIFIED, vec![])));

    let trail = Trail::new().await;
    trail.fake.state.lock().signatures.clear();
    assert_eq!(short(&trail.read_all().await), all("no_signature"));
}

#[tokio::test]
async fn requirement_20_a_file_that_cannot_be_read_now_delays_the_result() {
    let (trail, folder) = (Trail::new().await, tempfile::tempdir().unwrap());
    trail.fake.state.lock().denied.insert(trail.files[0].clone());
    let rig = Rig::new(folder.path());
    let running = rig.start("aws_s3", trail.fake.options(json!({ "integrity": {} })));
    trail.fake.send("m1", announce(&[&trail.digests[0].key]));
    rig.until(|| !trail.fake.changes_of("m1").is_empty()).await;
    assert!(!trail.fake.is_deleted("m1") && get(&rig.stats.queue.digests.failed) == 0);
    trail.fake.state.lock().denied.clear();
    trail.fake.expire("m1");
    let batch = rig.pop().await;
    assert_eq!(resource(&batch)["integrity"]["result"], "verified");
    deliver(batch);
    rig.until(|| trail.fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_20_the_hash_is_that_of_the_whole_file_whatever_part_was_read_last() {
    let (trail, folder) = (Trail::new().await, tempfile::tempdir().unwrap());
    // As another tool may have copied them: not compressed, and of several events.
    let text = "{\"a\":1}\n{\"b\":2}\n";
    let mut chain = Chain::new(ACCOUNT, "eu-west-1", BUCKET, "all");
    let files = [(trail.files[0].clone(), Hash::of(text.as_bytes()))];
    let digest = chain.next(&Signer::generated().unwrap(), &time(0), &time(1), &files).unwrap();
    trail.fake.put_at(&trail.files[0], text, "2026-01-31T00:30:00Z");
    trail.remove(&trail.files[1]);
    trail.put_digest(&digest);
    for decompression in ["auto", "none"] {
        let mut rig = Rig::new(folder.path());
        rig.limits.max_events = 1;
        let options = json!({ "integrity": {}, "framing": "lines", "decompression": decompression, "max_objects": 1 });
        let running = rig.start("aws_s3", trail.fake.options(options));
        let id = |name: &str| format!("{decompression}-{name}");
        trail.fake.send(&id("file"), announce(&[&trail.files[0]]));
        deliver(rig.pop().await);
        drop(rig.pop().await);
        deliver(rig.pop().await);
        rig.until(|| trail.fake.is_deleted(&id("file"))).await;
        trail.fake.send(&id("digest"), announce(&[&digest.key]));
        let batch = rig.pop().await;
        assert_eq!(resource(&batch)["integrity"]["problems"], json!([]), "{decompression}");
        deliver(batch);
        rig.until(|| trail.fake.is_deleted(&id("digest"))).await;
        rig.stop();
        running.ended().await.unwrap();
    }
}
