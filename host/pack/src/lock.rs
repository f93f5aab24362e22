//! `wattle.lock`: the version of each pack that a configuration runs, and the digests of all its
//! parts.
//!
//! The file is beside the configuration. Commands write it as a whole; `wattle run` and `wattle
//! validate` obey it and never write it. A pin belongs to a reference as written, such as
//! `cloudtrail@^1`, in the configuration or in a pack that uses another. A reference without its
//! own pin uses a pin of the same pack that meets its requirement.
//!
//! # Invariants
//!
//! - The first key is a checksum of everything after it, so that no byte of the file can change
//!   unnoticed.
//! - A pinned pack runs with the pinned digest or not at all.

mod check;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;

pub(crate) use check::{Choice, check_digest, choose};

use wattle_diagnostics::{Data, Findings, Invalid, Place, Reader, Table, Text, codes, read_text, value};
use wattle_plan::{PackUse, hex_digest};

/// File name of the lock.
pub const LOCK_FILE: &str = "wattle.lock";
/// Version of the format.
const FORMAT: u64 = 1;

/// The pinned version of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The pinned reference, as written.
    pub reference: String,
    /// Name of the pack.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Origin: `builtin`, `library`, `folder`, or the address of a registry with a digest.
    pub source: String,
    /// Digest of its file list.
    pub digest: String,
    /// Digests of its artifacts, by path in the pack.
    pub artifacts: BTreeMap<String, String>,
}

/// A replaced pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerPin {
    /// The pin.
    pub pin: Pin,
    /// Time at which it was replaced, as RFC 3339.
    pub until: String,
}

/// Contents of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Pins in the order of their references.
    pub pins: Vec<Pin>,
    /// Former pins, oldest first.
    pub former: Vec<FormerPin>,
}

/// How strictly a lock applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Pinned packs use their pins; all others are free.
    #[default]
    Obeyed,
    /// Like [`Pinning::Obeyed`], and packs without a pin are refused.
    Required,
    /// The pins of these packs, by name, are ignored; with an empty list, all pins are.
    Ignored(Vec<String>),
}

/// A lock with the places of its contents.
#[derive(Debug, Clone, Default)]
pub struct LockManifest {
    pub(crate) pins: Vec<PinManifest>,
    former: Vec<FormerPin>,
}

#[derive(Debug, Clone)]
pub(crate) struct PinManifest {
    pub(crate) pin: Pin,
    pub(crate) version: Place,
    pub(crate) digest: Place,
}

impl Lock {
    /// Reads the lock of a configuration; `None` if it has none.
    ///
    /// # Errors
    ///
    /// Every error in the file.
    pub fn read(path: &Path) -> Result<Option<Self>, Invalid> {
        let mut findings = Findings::default();
        let lock = LockManifest::read(path, &mut findings);
        let (lock, _, _) = findings.finish(Some(lock))?;
        Ok(lock.map(LockManifest::into_lock))
    }

    /// Returns the pin of a reference.
    pub fn pin(&self, reference: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.reference == reference)
    }
}

impl LockManifest {
    /// Creates pins that are not in a file. Errors about them point at the first file that was
    /// read.
    pub(crate) fn of_uses<'a>(uses: impl Iterator<Item = &'a PackUse>) -> Self {
        let place = Place::file(0);
        let pins = uses.map(|used| PinManifest { pin: Pin::from(used), version: place, digest: place });
        Self { pins: pins.collect(), former: Vec::new() }
    }

    /// Reads a lock, or reports its errors; `None` if there is no file.
    pub fn read(path: &Path, findings: &mut Findings) -> Option<Self> {
        findings.watch(path);
        if !path.exists() {
            return None;
        }
        let text = read_text(path, findings)?;
        let number = findings.add_manifest(path, &text);
        let table = value::parse(number, &text, findings)?;
        let file = Place::file(number);
        let mut reader = Reader::new(&table, file, "the lock");
        let checksum = reader.required_string("checksum", findings);
        if checksum.is_some_and(|checksum| body(&text).is_none_or(|body| hex_digest(body.as_bytes()) != checksum.text))
        {
            let finding = codes::ALTERED_LOCK.at(file, format!("`{}` was altered or damaged", path.display()));
            findings.report(finding.hint(
                "undo the change; or delete the file, and pin again with `wattle pack upgrade`, which shows all changes",
            ));
            return None;
        }
        let format = reader.optional("format").map(|entry| (entry.item.place, &entry.item.data));
        if let Some((place, Data::Integer(format))) = format
            && u64::try_from(*format).is_ok_and(|format| format > FORMAT)
        {
            let message = format!("the lock has format {format} of a newer agent; this agent reads up to {FORMAT}");
            let hint = "run the newer agent; or delete the file, and pin again with `wattle pack upgrade`";
            findings.report(codes::BAD_VALUE.at(place, message).hint(hint));
            return None;
        }
        reader.number("format", FORMAT..=FORMAT, findings);
        let pins = tables(&mut reader, "pin", findings);
        let pins = pins.into_iter().filter_map(|(table, place)| read_pin(table, place, false, findings));
        let pins = pins.map(|(pin, _)| pin).collect();
        let former = tables(&mut reader, "former", findings);
        let former = former.into_iter().filter_map(|(table, place)| read_pin(table, place, true, findings));
        let former = former.map(|(pin, until)| FormerPin { pin: pin.pin, until }).collect();
        reader.finish(findings);
        Some(Self { pins, former })
    }

    fn into_lock(self) -> Lock {
        Lock { pins: self.pins.into_iter().map(|pin| pin.pin).collect(), former: self.former }
    }
}

/// The content that the checksum covers: everything after its line.
fn body(text: &str) -> Option<&str> {
    let (before, rest) = text.split_once("checksum = ")?;
    let comments = before.lines().all(|line| line.starts_with('#') && line == line.trim());
    // Comments before the checksum are not covered, but a table must not hide there.
    comments.then(|| rest.split_once('\n').map(|(_, body)| body)).flatten()
}

fn tables<'a>(reader: &mut Reader<'a>, key: &'static str, findings: &mut Findings) -> Vec<(&'a Table, Place)> {
    let Some(entry) = reader.optional(key) else { return Vec::new() };
    let Data::List(items) = &entry.item.data else {
        findings.report(codes::WRONG_TYPE.at(entry.item.place, format!("`{key}` must be a list of tables")));
        return Vec::new();
    };
    let table = |item: &'a wattle_diagnostics::Item| match &item.data {
        Data::Table(table) => Some((table, item.place)),
        _ => None,
    };
    items.iter().filter_map(table).collect()
}

/// Reads a pin; for a former one also the time at which it ended.
fn read_pin(table: &Table, place: Place, former: bool, findings: &mut Findings) -> Option<(PinManifest, String)> {
    let mut reader = Reader::new(table, place, if former { "`[[former]]`" } else { "`[[pin]]`" });
    let reference = reader.required_string("reference", findings);
    let name = reader.required_string("name", findings);
    let version = reader.required_string("version", findings);
    let source = reader.required_string("source", findings);
    let digest = reader.required_string("digest", findings);
    let artifacts = reader.table("artifacts", findings).map(|(table, _)| read_artifacts(table)).unwrap_or_default();
    let until = if former { reader.required_string("until", findings)?.text } else { String::new() };
    reader.finish(findings);
    let version = version?;
    let parsed = match Version::parse(&version.text) {
        Ok(parsed) => parsed,
        Err(_) => {
            let message = format!("bad `version`: `{}`; it is not three numbers with dots", version.text);
            let hint = "`wattle pack upgrade` writes the lock again";
            findings.report(codes::BAD_VALUE.at(version.place, message).hint(hint));
            return None;
        }
    };
    let Text { text: digest, place: digest_place } = digest?;
    let pin =
        Pin { reference: reference?.text, name: name?.text, version: parsed, source: source?.text, digest, artifacts };
    Some((PinManifest { pin, version: version.place, digest: digest_place }, until))
}

fn read_artifacts(table: &Table) -> BTreeMap<String, String> {
    let text = |entry: &wattle_diagnostics::Entry| match &entry.item.data {
        Data::String(text) => Some((entry.key.clone(), text.clone())),
        _ => None,
    };
    table.0.iter().filter_map(text).collect()
}
