//! Checks log files of CloudTrail against the digests that AWS signs, while both are read.
//!
//! The source remembers the hash of each file as it read it. When a digest comes, it checks the signature, the digest
//! before, and each file that the digest lists. What it does not remember, because another agent read it, because of a
//! restart, or because the digest came first, it reads again for its hash. So the check needs no state on disk, and no
//! order.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use wattle_aws::{CloudTrail, ObjectHead};
use wattle_trail::{Digest, Hash, Problem, PublicKeys, Verdict};

use super::object::{ObjectError, reason};
use super::read::{Place, Reader, is_missing};
use crate::decompress::ReadFailure;
use crate::stats::add;

/// Largest digest, uncompressed. One entry has about 600 bytes.
pub(super) const MAX_DIGEST_BYTES: u64 = 256 << 20;

/// Maximum number of files whose hash is remembered, of about 250 bytes each. What falls out is read again.
const MAX_SEEN: usize = 100_000;

/// Maximum number of problems, and of unlisted files, in the result of one digest.
const MAX_LISTED: usize = 100;

/// A file that was written so close to the begin or the end of the time of a digest may be in the one before or after.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// AWS writes a digest soon after the end of its hour. One that was written later than this is a copy, and so are the
/// files beside it.
const COPIED_AFTER: SignedDuration = SignedDuration::from_hours(12);

/// How long before and after a digest the keys are asked for.
const KEYS_AROUND: SignedDuration = SignedDuration::from_hours(24);

/// Whether a key is that of a digest.
pub(super) fn is_digest(key: &str) -> bool {
    key.contains("/CloudTrail-Digest/") && key.ends_with(".json.gz")
}

/// What is known for the checks of a source.
pub(super) struct Integrity {
    keys: Mutex<PublicKeys>,
    /// Has the keys that files lack.
    service: CloudTrail,
    seen: Mutex<Seen>,
}

/// Files that were read.
#[derive(Default)]
struct Seen {
    /// By bucket and key.
    files: BTreeMap<String, (Hash, Option<Timestamp>)>,
    order: VecDeque<String>,
}

impl Seen {
    fn add(&mut self, name: String, hash: Hash, modified: Option<Timestamp>) {
        if self.files.insert(name.clone(), (hash, modified)).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > MAX_SEEN {
            if let Some(oldest) = self.order.pop_front() {
                self.files.remove(&oldest);
            }
        }
    }
}

fn name(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// The hash of an object, or why there is none.
enum Found {
    Hash(Hash),
    Missing,
    Unreadable(String),
}

impl Integrity {
    pub(super) fn new(keys: PublicKeys, service: CloudTrail) -> Self {
        Self { keys: Mutex::new(keys), service, seen: Mutex::default() }
    }

    /// Remembers a file that was read to its end.
    pub(super) fn saw(&self, place: &Place, facts: &ObjectHead, hash: Hash) {
        self.seen.lock().add(name(&place.bucket, &place.key), hash, modified(facts));
    }

    /// Checks a digest, counts and logs the result, and returns it for `resource.source.integrity`. Blocks, so it must run
    /// on a thread outside of the runtime.
    ///
    /// # Errors
    ///
    /// An object that is necessary for the check cannot be read now.
    pub(super) fn check(
        &self,
        reader: &Reader,
        place: &Place,
        facts: &ObjectHead,
        content: &[u8],
        runtime: &Handle,
    ) -> Result<Value, ObjectError> {
        let signature = facts.metadata.iter().find(|(name, _)| name == "signature");
        let signature = signature.map(|(_, signature)| signature.as_str());
        let mut problems = Vec::new();
        let (mut files, mut unlisted) = (0, Vec::new());
        match Digest::parse(content) {
            Err(error) => problems.push(Problem::UnreadableDigest { reason: error.to_string() }),
            Ok(digest) => {
                let hash = Hash::of(content);
                problems.extend(digest.place_problem(&place.key));
                problems.extend(self.check_signature(reader, &digest, hash, signature, runtime));
                problems.extend(self.check_previous(reader, place, &digest, runtime)?);
                for file in &digest.log_files {
                    let key = file.s3_object.clone();
                    problems.extend(match self.hash_of(reader, &place.bucket, &key, runtime)? {
                        Found::Hash(hash) => file.problem(hash),
                        Found::Missing => Some(Problem::MissingFile { key }),
                        Found::Unreadable(reason) => Some(Problem::UnreadableFile { key, reason }),
                    });
                }
                files = digest.log_files.len();
                unlisted = self.unlisted(place, &digest, modified(facts));
                // The next digest names this one.
                self.seen.lock().add(name(&place.bucket, &place.key), hash, None);
            }
        }
        Ok(report(reader, place, files, &problems, &unlisted))
    }

    fn check_signature(
        &self,
        reader: &Reader,
        digest: &Digest,
        hash: Hash,
        signature: Option<&str>,
        runtime: &Handle,
    ) -> Option<Problem> {
        let is_known = self.keys.lock().has(&digest.digest_public_key_fingerprint);
        if !is_known && signature.is_some() {
            self.fetch_keys(reader, digest, runtime);
        }
        digest.signature_problem(hash, signature, &self.keys.lock())
    }

    /// Asks CloudTrail for the keys of the region and the time of a digest.
    fn fetch_keys(&self, reader: &Reader, digest: &Digest, runtime: &Handle) {
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let times = time(&digest.digest_start_time).zip(time(&digest.digest_end_time));
        let times =
            times.and_then(|(from, to)| Some((from.checked_sub(KEYS_AROUND).ok()?, to.checked_add(KEYS_AROUND).ok()?)));
        let (Some(region), Some((from, to))) = (region_of(&digest.digest_s3_object), times) else { return };
        let fetched = runtime.block_on(self.service.public_keys(region, from, to));
        let keys = fetched.map_err(|error| error.to_string());
        match keys.and_then(|keys| PublicKeys::parse(&keys).map_err(|error| error.to_string())) {
            Ok(keys) => self.keys.lock().extend(keys),
            Err(error) => tracing::warn!(
                source = %reader.context.name, region, error,
                "cannot get the public keys of CloudTrail; permit `cloudtrail:ListPublicKeys`, or set `integrity.public_keys`"
            ),
        }
    }

    fn check_previous(
        &self,
        reader: &Reader,
        place: &Place,
        digest: &Digest,
        runtime: &Handle,
    ) -> Result<Option<Problem>, ObjectError> {
        let Some(previous) = &digest.previous_digest_s3_object else { return Ok(None) };
        let key = previous.clone();
        Ok(match self.hash_of(reader, &place.bucket, previous, runtime)? {
            Found::Hash(hash) => digest.previous_problem(hash),
            Found::Missing => Some(Problem::MissingDigest { key }),
            Found::Unreadable(reason) => Some(Problem::UnreadableFile { key, reason }),
        })
    }

    /// The hash of an object as it was read; reads it if it is not known.
    fn hash_of(&self, reader: &Reader, bucket: &str, key: &str, runtime: &Handle) -> Result<Found, ObjectError> {
        let known = self.seen.lock().files.get(&name(bucket, key)).map(|(hash, _)| *hash);
        if let Some(hash) = known {
            return Ok(Found::Hash(hash));
        }
        let place = Place { bucket: bucket.to_owned(), key: key.to_owned(), version: None, region: None };
        let mut object = match reader.open(&place, None, runtime) {
            Ok(object) => object,
            Err(ObjectError::Service(error)) if is_missing(&error) => return Ok(Found::Missing),
            Err(error) => return Err(error),
        };
        match reader.hash(&mut object) {
            Ok(hash) => {
                self.saw(&place, object.facts(), hash);
                Ok(Found::Hash(hash))
            }
            Err(ReadFailure::Io(error)) => match reason(&error) {
                Some(error) => Err(error.clone()),
                None => Ok(Found::Unreadable(error.to_string())),
            },
            Err(failure) => Ok(Found::Unreadable(failure.to_string())),
        }
    }

    /// Files that were read and written in the time of a digest, and that it does not list. `written` is when the digest
    /// itself was written.
    fn unlisted(&self, place: &Place, digest: &Digest, written: Option<Timestamp>) -> Vec<String> {
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let times = time(&digest.digest_start_time).zip(time(&digest.digest_end_time));
        let (Some(folder), Some((from, to))) = (folder_of(&place.key), times) else { return Vec::new() };
        let folder = name(&place.bucket, &folder);
        let listed: std::collections::HashSet<&str> =
            digest.log_files.iter().map(|file| file.s3_object.as_str()).collect();
        let is_copy = written.is_some_and(|written| written.duration_since(to) > COPIED_AFTER);
        let seen = self.seen.lock();
        let files = seen.files.range(folder.clone()..).take_while(|(name, _)| name.starts_with(&folder));
        let files = files.filter(|(name, (_, modified))| {
            // Only S3 sets the time of writing, so the time in the name counts only where that one is lost.
            let time = if is_copy { delivered(name) } else { *modified };
            time.is_some_and(|time| time.duration_since(from) >= MARGIN && to.duration_since(time) > MARGIN)
        });
        let keys = files.filter_map(|(name, _)| name.split_once('/').map(|(_, key)| key));
        keys.filter(|key| !listed.contains(key)).map(str::to_owned).collect()
    }
}

/// When an object was written.
fn modified(facts: &ObjectHead) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(facts.last_modified.as_deref()?).ok()?;
    Some(time.timestamp())
}

/// When CloudTrail delivered a log file, by its name: `ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHMMZ_RANDOM.json.gz`.
fn delivered(name: &str) -> Option<Timestamp> {
    let time = name.rsplit('/').next()?.rsplit('_').nth(1)?.strip_suffix('Z')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M", time).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// Counts and logs a result. Returns it for `resource.source.integrity`.
fn report(reader: &Reader, place: &Place, files: usize, problems: &[Problem], unlisted: &[String]) -> Value {
    let (source, counts) = (&reader.context.name, &reader.context.stats.queue.digests);
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    let count = problems.len();
    let result = match Verdict::of(problems) {
        Verdict::Failed => {
            tracing::error!(source = %source, bucket, key, problems = count, first, "a digest of CloudTrail proves a change");
            add(&counts.failed, 1);
            "failed"
        }
        Verdict::Unverifiable => {
            tracing::warn!(source = %source, bucket, key, problems = count, first, "a digest of CloudTrail cannot be verified");
            add(&counts.unverifiable, 1);
            "unverifiable"
        }
        Verdict::Verified if !unlisted.is_empty() => {
            let first = unlisted.first().map(String::as_str).unwrap_or_default();
            tracing::warn!(
                source = %source, bucket, key, files = unlisted.len(), first,
                "a digest of CloudTrail does not list files of its time"
            );
            add(&counts.unlisted, 1);
            "unlisted"
        }
        Verdict::Verified => {
            tracing::debug!(source = %source, bucket, key, files, "a digest of CloudTrail is verified");
            add(&counts.verified, 1);
            "verified"
        }
    };
    let listed: Vec<&Problem> = problems.iter().take(MAX_LISTED).collect();
    let unlisted_files: Vec<&String> = unlisted.iter().take(MAX_LISTED).collect();
    json!({
        "result": result, "files": files, "problem_count": count, "problems": listed,
        "unlisted_count": unlisted.len(), "unlisted": unlisted_files,
    })
}

/// The region in the key of a digest: `AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/...`.
fn region_of(key: &str) -> Option<&str> {
    key.split_once("/CloudTrail-Digest/")?.1.split('/').next()
}

/// The folder of the log files of a digest, with a slash at its end.
fn folder_of(key: &str) -> Option<String> {
    let (before, _) = key.split_once("/CloudTrail-Digest/")?;
    Some(format!("{before}/CloudTrail/{}/", region_of(key)?))
}
