//! Writes generated CloudTrail to a folder, as AWS lays it out in a bucket.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{Timestamp, ToSpan as _};
use wattle_generator::Generator;
use wattle_trail::{Chain, Hash, Signer};

/// The bucket and the trail that generated digests name.
const BUCKET: &str = "wattle-generated-logs";
const TRAIL: &str = "generated";
/// With digests, time between two documents, so that a hundred of them fill several hours.
const PAUSE_MILLISECONDS: i64 = 600_000;

/// Log files of an account and region, by the hour of their delivery.
type Hours = BTreeMap<Timestamp, Vec<(String, Hash)>>;

/// Log files by account and region.
#[derive(Default)]
struct Delivered(BTreeMap<(String, String), Hours>);

/// Writes documents, and with `digests` the digests of all hours, a signature beside each digest, and the
/// public key. Returns the number of digests.
pub(super) fn write(folder: &Path, documents: u64, digests: bool, generator: &mut Generator) -> io::Result<usize> {
    let mut delivered = Delivered::default();
    let mut document = Vec::new();
    for _ in 0..documents {
        let records = generator.document_size();
        document.clear();
        generator.next_document(records, &mut document);
        let key = generator.next_key("", None);
        put(folder, &key, &document)?;
        if digests {
            delivered.add(key, Hash::of(&document))?;
            generator.skip(PAUSE_MILLISECONDS);
        }
    }
    if digests { delivered.write_digests(folder) } else { Ok(0) }
}

fn put(folder: &Path, key: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(key);
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut gzip = GzEncoder::new(fs_err::File::create(path)?, Compression::default());
    gzip.write_all(content)?;
    gzip.finish()?;
    Ok(())
}

impl Delivered {
    /// Adds a log file. Its key has all that its digest needs.
    fn add(&mut self, key: String, hash: Hash) -> io::Result<()> {
        let other = || io::Error::other(format!("`{key}` is not the key of a log file"));
        let name = key.rsplit('/').next().unwrap_or_default();
        let mut parts = name.split('_');
        let (Some(account), Some(_), Some(region), Some(minute)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(other());
        };
        let hour = minute.get(..11).map(|hour| format!("{hour}:00:00Z"));
        let hour = hour.and_then(|hour| hour.parse::<Timestamp>().ok()).ok_or_else(other)?;
        let hours = self.0.entry((account.to_owned(), region.to_owned())).or_default();
        hours.entry(hour).or_default().push((key, hash));
        Ok(())
    }

    /// Writes a digest for each hour of the trail, also for hours without files, as AWS does.
    fn write_digests(&self, folder: &Path) -> io::Result<usize> {
        let signer = Signer::generated().map_err(io::Error::other)?;
        let hours = || self.0.values().flat_map(BTreeMap::keys);
        let (Some(first), Some(last)) = (hours().min().copied(), hours().max().copied()) else { return Ok(0) };
        let mut written = 0;
        for ((account, region), files) in &self.0 {
            let mut chain = Chain::new(account, region, BUCKET, TRAIL);
            let mut hour = first;
            while hour <= last {
                let end = hour.checked_add(1.hour()).map_err(io::Error::other)?;
                let files = files.get(&hour).map(Vec::as_slice).unwrap_or_default();
                let digest =
                    chain.next(&signer, &hour.to_string(), &end.to_string(), files).map_err(io::Error::other)?;
                put(folder, &digest.key, &digest.content)?;
                fs_err::write(folder.join(format!("{}.signature", digest.key)), &digest.signature)?;
                written += 1;
                hour = end;
            }
        }
        fs_err::write(folder.join("public-keys.json"), signer.public_keys())?;
        Ok(written)
    }
}
