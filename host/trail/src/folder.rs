//! Verifies a copy of a bucket in a folder, such as `aws s3 sync` makes.
//!
//! A copy lacks the metadata of its objects, so the signature of a digest comes from the next one, which
//! repeats it, or from a file beside it with the name of the digest and `.signature`. Some tools decompress the
//! objects that they copy, so a log file may be uncompressed, with or without `.gz` at the end of its name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufRead as _, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use walkdir::WalkDir;

use crate::digest::{Digest, LogFile};
use crate::hash::{Hash, Hasher};
use crate::keys::PublicKeys;
use crate::report::{DigestReport, Problem, Report};

/// Largest digest, uncompressed. One entry has about 600 bytes.
const MAX_DIGEST_BYTES: u64 = 256 << 20;

/// Longest signature in a file. One of RSA with 2048 bits has 512 hexadecimal digits.
const MAX_SIGNATURE_BYTES: u64 = 64 << 10;

/// The first bytes of a gzip file.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// A digest of the folder.
struct Found {
    hash: Hash,
    digest: Digest,
}

/// The folder, and how its paths become keys.
struct Folder<'a> {
    root: &'a Path,
    /// What the keys have before the paths, if the folder is a copy of a part of the bucket.
    prefix: String,
}

impl Folder<'_> {
    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The hash of a log file, uncompressed; `None` if it is missing.
    fn hash(&self, key: &str) -> io::Result<Option<Hash>> {
        let Some(path) = key.strip_prefix(&self.prefix).filter(|path| is_inside(path)) else { return Ok(None) };
        let paths = [Some(path), path.strip_suffix(".gz")];
        for path in paths.into_iter().flatten() {
            let mut content = match content(&self.root.join(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                content => content?,
            };
            let mut hasher = Hasher::default();
            io::copy(&mut content, &mut hasher)?;
            return Ok(Some(hasher.finish()));
        }
        Ok(None)
    }
}

/// The uncompressed bytes of a file.
fn content(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = io::BufReader::new(wattle_files::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(GZIP_MAGIC);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Whether a path of a digest stays in the folder.
fn is_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Verifies all digests in a folder, and the log files that they list. The paths in the folder are the
/// keys of the bucket, or their ends.
///
/// # Errors
///
/// The folder cannot be read. Problems with single files are in the report.
pub fn verify(root: &Path, keys: &PublicKeys) -> io::Result<Report> {
    let (mut digests, mut logs) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.map_err(|error| unreadable(root, error))?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let path = relative.to_string_lossy().into_owned();
        if entry.file_type().is_dir() || !(path.ends_with(".json.gz") || path.ends_with(".json")) {
            continue;
        }
        match path.contains("_CloudTrail-Digest_") {
            true => digests.push(path),
            false if path.contains("_CloudTrail_") || path.contains("_CloudTrail-Insight_") => logs.push(path),
            false => {}
        }
    }
    let read: Vec<(String, Result<Found, String>)> =
        digests.into_iter().map(|path| (path.clone(), read(&root.join(path)))).collect();
    let folder = Folder { root, prefix: prefix(&read) };
    let found: BTreeMap<String, &Found> =
        read.iter().filter_map(|(path, found)| Some((folder.key(path), found.as_ref().ok()?))).collect();
    // The signature of a digest as the next one gives it.
    let later: HashMap<&str, &str> = found
        .values()
        .filter_map(|found| {
            found.digest.previous_digest_s3_object.as_deref().zip(found.digest.previous_digest_signature.as_deref())
        })
        .collect();
    let mut report = Report::default();
    let mut listed = HashSet::new();
    for (path, result) in &read {
        let key = folder.key(path);
        let (start, end, files, problems) = match result {
            Err(reason) => {
                (String::new(), String::new(), 0, vec![Problem::UnreadableDigest { reason: reason.clone() }])
            }
            Ok(Found { hash, digest }) => {
                listed.extend(digest.log_files.iter().map(|file| file.s3_object.clone()));
                let beside = wattle_files::read(&root.join(format!("{path}.signature")), MAX_SIGNATURE_BYTES).ok();
                let beside = beside.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let signature = beside.as_deref().or_else(|| later.get(key.as_str()).copied());
                let mut problems = Vec::new();
                problems.extend(digest.place_problem(&key));
                problems.extend(digest.signature_problem(*hash, signature, keys));
                problems.extend(check_previous(digest, &found));
                problems.extend(digest.log_files.iter().filter_map(|file| check_file(file, &folder)));
                (digest.digest_start_time.clone(), digest.digest_end_time.clone(), digest.log_files.len(), problems)
            }
        };
        report.digests.push(DigestReport { key, start, end, files, problems });
    }
    // A listed file can be there uncompressed.
    let is_listed =
        |key: &String| listed.contains(key) || key.ends_with(".json") && listed.contains(&format!("{key}.gz"));
    report.unlisted = logs.iter().map(|path| folder.key(path)).filter(|key| !is_listed(key)).collect();
    Ok(report)
}

/// Names the path of an error, unless it is that of the folder, which the caller names.
fn unreadable(root: &Path, error: walkdir::Error) -> io::Error {
    let path = error.path().filter(|path| *path != root).map(|path| path.display().to_string());
    let text = error.to_string();
    let error = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
    match path {
        Some(path) => io::Error::new(error.kind(), format!("`{path}`: {error}")),
        None => error,
    }
}

fn read(path: &Path) -> Result<Found, String> {
    let mut bytes = Vec::new();
    let mut text = content(path).map_err(|error| error.to_string())?.take(MAX_DIGEST_BYTES + 1);
    text.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_DIGEST_BYTES {
        return Err(format!("it has more than {MAX_DIGEST_BYTES} bytes"));
    }
    let digest = Digest::parse(&bytes).map_err(|error| error.to_string())?;
    Ok(Found { hash: Hash::of(&bytes), digest })
}

/// What most keys have before the paths in the folder. A single digest that was moved must not decide.
fn prefix(read: &[(String, Result<Found, String>)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, found) in read {
        let key = found.as_ref().ok().map(|found| found.digest.digest_s3_object.as_str());
        if let Some(prefix) = key.and_then(|key| key.strip_suffix(path.as_str())) {
            *counts.entry(prefix).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(prefix, _)| prefix.to_owned()).unwrap_or_default()
}

/// Checks the digest before. The first digest of a folder may have one that the folder lacks.
fn check_previous(digest: &Digest, found: &BTreeMap<String, &Found>) -> Option<Problem> {
    let previous = digest.previous_digest_s3_object.as_ref()?;
    let Some(before) = found.get(previous) else {
        let folder = |key: &str| key.rsplit('/').nth(3).map(str::to_owned);
        let name = |key: &str| key.rsplit('/').next().and_then(|name| Some(name.rsplit_once('_')?.0.to_owned()));
        let own = &digest.digest_s3_object;
        let is_earlier = |(key, other): (&String, &&Found)| {
            (folder(key), name(key)) == (folder(own), name(own))
                && other.digest.digest_end_time < digest.digest_end_time
        };
        return found.iter().any(is_earlier).then(|| Problem::MissingDigest { key: previous.clone() });
    };
    digest.previous_problem(before.hash)
}

fn check_file(file: &LogFile, folder: &Folder<'_>) -> Option<Problem> {
    let key = file.s3_object.clone();
    match folder.hash(&key) {
        Err(error) => Some(Problem::UnreadableFile { key, reason: error.to_string() }),
        Ok(None) => Some(Problem::MissingFile { key }),
        Ok(Some(sha256)) => file.problem(sha256),
    }
}
