//! A trail with digests, as AWS delivers it and after every kind of change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use wattle_trail::{Chain, DigestReport, Hash, Problem, PublicKeys, Report, Signer, Verdict, verify};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

/// Hours of a trail in two regions, with two log files an hour; the second hour has none.
struct Trail {
    folder: tempfile::TempDir,
    /// Paths of the digests of the first region, in their order.
    digests: Vec<PathBuf>,
    /// Paths of its log files.
    files: Vec<PathBuf>,
}

fn put(root: &Path, key: &str, content: &[u8]) -> PathBuf {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut gzip = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap();
    path
}

fn content(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::copy(&mut MultiGzDecoder::new(fs::File::open(path).unwrap()), &mut content).unwrap();
    content
}

impl Trail {
    fn new(with_signatures: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::generated().unwrap();
        let (mut digests, mut files) = (Vec::new(), Vec::new());
        for region in REGIONS {
            let mut chain = Chain::new("111122223333", region, "logs", "main");
            for hour in 0..4 {
                let file = |number: usize| {
                    let key = format!(
                        "AWSLogs/111122223333/CloudTrail/{region}/2026/01/02/\
                         111122223333_CloudTrail_{region}_20260102T0{hour}10Z_{number:016}.json.gz"
                    );
                    let text = format!("{{\"Records\":[{{\"eventName\":\"{region}{hour}{number}\"}}]}}");
                    let path = put(folder.path(), &key, text.as_bytes());
                    (path, (key, Hash::of(text.as_bytes())))
                };
                let (paths, listed): (Vec<_>, Vec<_>) = (0..if hour == 1 { 0 } else { 2 }).map(file).unzip();
                let times = [hour, hour + 1].map(|hour| format!("2026-01-02T0{hour}:00:00Z"));
                let digest = chain.next(&signer, &times[0], &times[1], &listed).unwrap();
                let path = put(folder.path(), &digest.key, &digest.content);
                if with_signatures {
                    fs::write(
                        path.with_file_name(format!("{}.signature", path.file_name().unwrap().display())),
                        &digest.signature,
                    )
                    .unwrap();
                }
                if region == REGIONS[0] {
                    digests.push(path);
                    files.extend(paths);
                }
            }
        }
        Self { folder, digests, files }
    }

    fn key(&self, path: &Path) -> String {
        path.strip_prefix(self.folder.path()).unwrap().display().to_string()
    }

    fn verify(&self) -> Report {
        verify(self.folder.path(), &keys()).unwrap()
    }

    /// The problems by number of the digest of the first region. Nothing is wrong with the second one.
    fn problems(&self) -> Vec<(usize, Problem)> {
        let report = self.verify();
        let mut all = Vec::new();
        for DigestReport { key, problems, .. } in report.digests {
            let number = self.digests.iter().position(|path| self.key(path) == key);
            assert!(number.is_some() || problems.is_empty(), "{key}: {problems:?}");
            all.extend(problems.into_iter().map(|problem| (number.unwrap(), problem)));
        }
        all
    }

    fn rewrite(&self, path: &Path, change: impl Fn(String) -> String) {
        let text = change(String::from_utf8(content(path)).unwrap());
        put(self.folder.path(), &self.key(path), text.as_bytes());
    }
}

fn keys() -> PublicKeys {
    PublicKeys::parse(Signer::generated().unwrap().public_keys().as_bytes()).unwrap()
}

#[test]
fn a_trail_as_it_was_delivered_is_verified() {
    let report = Trail::new(true).verify();
    let verdicts: Vec<_> = report.digests.iter().map(|digest| (digest.verdict(), digest.files)).collect();
    let hours = [(Verdict::Verified, 2), (Verdict::Verified, 0), (Verdict::Verified, 2), (Verdict::Verified, 2)];
    assert_eq!(verdicts, [hours, hours].concat());
    assert_eq!(report.unlisted, Vec::<String>::new());
}

#[test]
fn a_copy_without_metadata_has_the_signatures_of_all_digests_but_the_last() {
    let trail = Trail::new(false);
    let open: Vec<_> = trail.verify().digests.into_iter().filter(|digest| !digest.problems.is_empty()).collect();
    assert_eq!(open.len(), 2, "{open:?}");
    for digest in open {
        assert_eq!((digest.end.as_str(), &digest.problems[..]), ("2026-01-02T04:00:00Z", &[Problem::NoSignature][..]));
        assert_eq!(digest.verdict(), Verdict::Unverifiable);
    }
}

#[test]
fn a_part_of_a_bucket_is_verified_too() {
    let trail = Trail::new(true);
    let report = verify(&trail.folder.path().join("AWSLogs/111122223333"), &keys()).unwrap();
    assert_eq!(report.digests.len(), 8);
    assert!(report.digests.iter().all(|digest| digest.verdict() == Verdict::Verified), "{report:?}");
    // Without the hours before, the chain begins with the first digest of the folder.
    let late = Trail::new(true);
    fs::remove_file(&late.digests[0]).unwrap();
    fs::remove_file(&late.digests[1]).unwrap();
    assert_eq!(late.problems(), []);
}

#[test]
fn log_files_that_were_altered_removed_or_damaged_are_named() {
    let trail = Trail::new(true);
    trail.rewrite(&trail.files[0], |text| text.replace("eventName", "eventname"));
    fs::remove_file(&trail.files[2]).unwrap();
    let whole = fs::read(&trail.files[5]).unwrap();
    fs::write(&trail.files[5], whole.get(..whole.len() - 9).unwrap()).unwrap();
    let mut problems = trail.problems();
    let (_, last) = problems.pop().unwrap();
    assert!(matches!(last, Problem::UnreadableFile { ref key, .. } if *key == trail.key(&trail.files[5])), "{last:?}");
    let sha256 = Hash::of(&content(&trail.files[0]));
    assert_eq!(
        problems,
        [
            (0, Problem::AlteredFile { key: trail.key(&trail.files[0]), sha256 }),
            (2, Problem::MissingFile { key: trail.key(&trail.files[2]) }),
        ]
    );
}

#[test]
fn compression_does_not_count() {
    let trail = Trail::new(true);
    let text = content(&trail.files[0]);
    let (start, end) = text.split_at(5);
    let mut bytes = Vec::new();
    for part in [start, end] {
        let mut gzip = GzEncoder::new(&mut bytes, Compression::none());
        gzip.write_all(part).unwrap();
        gzip.finish().unwrap();
    }
    fs::write(&trail.files[0], bytes).unwrap();
    // As tools leave files that decompress what they copy.
    fs::write(&trail.files[1], content(&trail.files[1])).unwrap();
    let plain = trail.files[2].with_extension("");
    fs::write(&plain, content(&trail.files[2])).unwrap();
    fs::remove_file(&trail.files[2]).unwrap();
    assert_eq!(trail.problems(), []);
    assert_eq!(trail.verify().unlisted, Vec::<String>::new());
}

#[test]
fn a_log_file_that_was_taken_out_of_its_digest_too_is_noticed() {
    let trail = Trail::new(true);
    let key = trail.key(&trail.files[1]);
    trail.rewrite(&trail.digests[0], |text| {
        let (before, after) = text.split_once(",{\"s3Bucket\"").unwrap();
        assert!(after.contains(&key));
        format!("{before}]}}")
    });
    fs::remove_file(&trail.files[1]).unwrap();
    let previous = trail.key(&trail.digests[0]);
    assert_eq!(trail.problems(), [(0, Problem::AlteredDigest), (1, Problem::BrokenChain { previous })]);
}

#[test]
fn a_digest_that_is_missing_moved_or_damaged_is_noticed() {
    let missing = Trail::new(true);
    fs::remove_file(&missing.digests[1]).unwrap();
    let key = missing.key(&missing.digests[1]);
    assert_eq!(missing.problems(), [(2, Problem::MissingDigest { key })]);

    // An earlier digest in the place of a later one, as if nothing had happened since.
    let moved = Trail::new(true);
    fs::copy(&moved.digests[1], &moved.digests[3]).unwrap();
    let [was, first] = [1, 1].map(|number| moved.key(&moved.digests[number]));
    assert_eq!(moved.problems(), [(3, Problem::MovedDigest { key: was }), (3, Problem::AlteredDigest)]);
    assert!(first.ends_with("T020000Z.json.gz"), "{first}");

    let damaged = Trail::new(true);
    fs::write(&damaged.digests[3], "{").unwrap();
    assert!(matches!(damaged.problems()[..], [(3, Problem::UnreadableDigest { .. })]));
}

#[test]
fn a_signature_of_another_key_or_of_none_proves_nothing() {
    let trail = Trail::new(true);
    let signature =
        trail.digests[3].with_file_name(format!("{}.signature", trail.digests[3].file_name().unwrap().display()));
    for text in ["", "00", "not hexadecimal", &"ab".repeat(256)] {
        fs::write(&signature, text).unwrap();
        assert_eq!(trail.problems(), [(3, Problem::AlteredDigest)], "{text}");
    }
    let other = Signer::generated().unwrap().public_keys().replace("\"Fingerprint\": \"", "\"Fingerprint\": \"00");
    let report = verify(trail.folder.path(), &PublicKeys::parse(other.as_bytes()).unwrap()).unwrap();
    assert!(report.digests.iter().all(|digest| digest.verdict() == Verdict::Unverifiable), "{report:?}");
}

#[test]
fn a_file_that_no_digest_lists_is_named() {
    let trail = Trail::new(true);
    let key = trail.key(&trail.files[0]).replace("T0010Z", "T0011Z");
    put(trail.folder.path(), &key, b"{}");
    let plain = key.replace("T0011Z", "T0012Z").replace(".gz", "");
    fs::write(trail.folder.path().join(&plain), "{}").unwrap();
    assert_eq!(trail.verify().unlisted, [key, plain]);
}

#[test]
fn what_is_no_file_is_unreadable_and_nothing_waits_for_it() {
    let trail = Trail::new(true);
    let signature =
        trail.digests[3].with_file_name(format!("{}.signature", trail.digests[3].file_name().unwrap().display()));
    for path in [&trail.files[0], &trail.digests[2], &signature] {
        fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let problems = trail.problems();
    let is_no_file = |reason: &str| reason.contains("it is not a regular file");
    assert!(
        matches!(
            &problems[..],
            [
                (0, Problem::UnreadableFile { reason, .. }),
                (2, Problem::UnreadableDigest { reason: of_digest }),
                (3, Problem::NoSignature),
                (3, Problem::MissingDigest { .. })
            ] if is_no_file(reason) && is_no_file(of_digest)
        ),
        "{problems:?}"
    );
}

#[test]
fn a_digest_cannot_lead_out_of_the_folder() {
    let trail = Trail::new(true);
    trail.rewrite(&trail.digests[3], |text| text.replacen(&trail.key(&trail.files[5]), "../../../etc/passwd", 1));
    let problems = trail.problems();
    assert!(problems.contains(&(3, Problem::MissingFile { key: "../../../etc/passwd".into() })), "{problems:?}");
}
