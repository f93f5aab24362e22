//! The corpus: generated CloudTrail, the same bytes for the same seed, kept between runs.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use wattle_generator::{DocumentSize, Generator, Options, Shape};

const SEED: u64 = 1;

/// The folder of the corpora.
pub(crate) struct Corpus {
    folder: PathBuf,
}

/// Generated input, and its size before any compression.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl Input {
    pub(crate) fn megabytes(&self) -> f64 {
        crate::figures::mega(self.bytes)
    }
}

impl Corpus {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Documents of this many records, one per line, with about this many bytes in total.
    pub(crate) fn documents(&self, bytes: u64, records: u32) -> anyhow::Result<Input> {
        let name = format!("documents-{records}-{bytes}.ndjson");
        self.lines(&name, bytes, Shape::Records, DocumentSize::Fixed(records))
    }

    /// Records, one per line.
    pub(crate) fn records(&self, bytes: u64) -> anyhow::Result<Input> {
        self.lines(&format!("records-{bytes}.ndjson"), bytes, Shape::Ndjson, DocumentSize::Fixed(100))
    }

    /// Events of a service, one JSON object per line, of about 190 bytes each. Every tenth has the id of an earlier one;
    /// of the messages, a half continue the one before.
    pub(crate) fn events(&self, count: u64) -> anyhow::Result<Input> {
        self.once(&format!("events-{count}.ndjson"), |path| {
            let mut random = fastrand::Rng::with_seed(SEED);
            let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
            let mut written = 0;
            for number in 0..count {
                let line = event(number, &mut random);
                out.write_all(line.as_bytes())?;
                written += line.len() as u64;
            }
            out.flush()?;
            Ok(written)
        })
    }

    /// One line: a document of one record.
    pub(crate) fn single(&self) -> anyhow::Result<Input> {
        self.documents(1, 1)
    }

    fn lines(&self, name: &str, bytes: u64, shape: Shape, size: DocumentSize) -> anyhow::Result<Input> {
        self.once(name, |path| {
            let mut generator = generator(shape, size);
            let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
            let mut document = Vec::new();
            let mut written = 0;
            while written < bytes {
                document.clear();
                let records = generator.document_size();
                generator.next_document(records, &mut document);
                if !document.ends_with(b"\n") {
                    document.push(b'\n');
                }
                out.write_all(&document)?;
                written += document.len() as u64;
            }
            out.flush()?;
            Ok(written)
        })
    }

    /// A folder of `.json.gz` files of 6 to 600 records, as CloudTrail delivers them.
    pub(crate) fn gzips(&self, bytes: u64) -> anyhow::Result<Input> {
        self.files(&format!("gz-{bytes}"), bytes, DocumentSize::Between(6..=600), true)
    }

    /// A folder of `.json.gz` files with as many records as genuine ones: a median of 6, with a long tail.
    pub(crate) fn trail(&self, bytes: u64) -> anyhow::Result<Input> {
        self.files(&format!("trail-{bytes}"), bytes, DocumentSize::Natural, true)
    }

    /// One gzip file of this size, with records, one per line.
    pub(crate) fn gzip_of_lines(&self, compressed: u64) -> anyhow::Result<Input> {
        self.once(&format!("large-{compressed}.json.gz"), |path| {
            let mut generator = generator(Shape::Ndjson, DocumentSize::Fixed(200));
            let mut encoder = GzEncoder::new(File::create(path)?, Compression::default());
            let (mut written, mut lines) = (0, Vec::new());
            while encoder.get_ref().metadata()?.len() < compressed {
                lines.clear();
                let records = generator.document_size();
                generator.next_document(records, &mut lines);
                if !lines.ends_with(b"\n") {
                    lines.push(b'\n');
                }
                encoder.write_all(&lines)?;
                written += lines.len() as u64;
            }
            encoder.finish()?;
            Ok(written)
        })
    }

    /// A folder of plain files of this many records.
    pub(crate) fn plain_files(&self, bytes: u64, records: u32) -> anyhow::Result<Input> {
        self.files(&format!("files-{records}-{bytes}"), bytes, DocumentSize::Fixed(records), false)
    }

    fn files(&self, name: &str, bytes: u64, size: DocumentSize, gzip: bool) -> anyhow::Result<Input> {
        self.once(name, |folder| {
            fs::create_dir_all(folder)?;
            let mut generator = generator(Shape::Records, size);
            let mut document = Vec::new();
            let mut written = 0;
            for index in 0.. {
                if written >= bytes {
                    break;
                }
                document.clear();
                let records = generator.document_size();
                generator.next_document(records, &mut document);
                written += document.len() as u64;
                let path = folder.join(format!("{index:06}.json{}", if gzip { ".gz" } else { "" }));
                if gzip {
                    let mut encoder = GzEncoder::new(File::create(path)?, Compression::default());
                    encoder.write_all(&document)?;
                    encoder.finish()?;
                } else {
                    fs::write(path, &document)?;
                }
            }
            Ok(written)
        })
    }

    /// Creates a file or folder, unless it exists with the stamp of a complete run.
    fn once(&self, name: &str, make: impl FnOnce(&Path) -> anyhow::Result<u64>) -> anyhow::Result<Input> {
        let path = self.folder.join(name);
        let stamp = self.folder.join(format!("{name}.bytes-of-seed-{SEED}"));
        if let Some(bytes) = fs::read_to_string(&stamp).ok().and_then(|text| text.trim().parse().ok()) {
            return Ok(Input { path, bytes });
        }
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let bytes = make(&path).with_context(|| path.display().to_string())?;
        fs::write(&stamp, bytes.to_string()).with_context(|| stamp.display().to_string())?;
        Ok(Input { path, bytes })
    }
}

fn event(number: u64, random: &mut fastrand::Rng) -> String {
    let original = if number % 10 == 9 { number - random.u64(1..=number.min(1200)) } else { number };
    // Spreads the ids like random ones.
    let id = original.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (host, service, user) = (random.u8(..8), random.u8(..5), random.u16(..1000));
    let status = random.choice([200, 200, 200, 200, 304, 404, 500]).unwrap_or(200);
    let (bytes, ms) = (random.u32(..100_000), random.u32(..5_000_000));
    let message = match random.u8(..8) {
        0 => format!("connection from 10.0.{}.{}:{} closed", random.u8(..), random.u8(..), random.u16(1024..)),
        1 => format!("user u{user} logged in from 192.168.{}.{}", random.u8(..), random.u8(..)),
        2 => format!("took {ms} us to read {bytes} bytes from disk sd{}", char::from(random.u8(b'a'..=b'h'))),
        3 => format!("error: no space left on volume {}", random.u16(..500)),
        _ => format!("    at handler.call (/srv/app/handler.js:{}:{})", random.u16(1..900), random.u8(1..80)),
    };
    format!(
        "{{\"id\":\"{id:016x}\",\"host\":\"h{host}\",\"service\":\"s{service}\",\"user\":\"u{user}\",\"status\":{status},\
         \"bytes\":{bytes},\"ms\":{}.{:03},\"message\":\"{message}\"}}\n",
        ms / 1000,
        ms % 1000
    )
}

fn generator(shape: Shape, records_per_document: DocumentSize) -> Generator {
    Generator::new(Options { seed: SEED, shape, records_per_document, ..Options::default() })
}
