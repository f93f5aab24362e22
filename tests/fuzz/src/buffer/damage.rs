//! Kinds of damage to the files of a folder.

use std::collections::BTreeMap;

use arbitrary::Unstructured;

use super::format::{Forged, Header, name_of, segment, slot};

/// One kind of damage. Files are chosen by their index in the order of names.
#[derive(Debug)]
pub(super) enum Damage<'a> {
    /// Flips bits of a byte.
    Flip(u8, u16, u8),
    Cut(u8, u16),
    Append(u8, &'a [u8]),
    /// Overwrites bytes.
    Overwrite(u8, u16, &'a [u8]),
    /// Replaces bytes by zeros.
    Blank(u8, u16, u16),
    /// Inserts bytes.
    Insert(u8, u16, &'a [u8]),
    /// Removes bytes; the rest moves up.
    Take(u8, u16, u8),
    Remove(u8),
    /// Copies a file to a segment with another number.
    Copy(u8, u8),
    /// Swaps the contents of two files.
    Swap(u8, u8),
    /// Creates an unknown file.
    Make(Name, &'a [u8]),
    /// An intact segment with any content.
    Forge(Header, u32, Vec<Forged<'a>>),
    /// An intact slot of the position with any content.
    ForgeSlot(u64, u64, u64),
}

/// Name of a new file.
#[derive(Debug)]
pub(super) enum Name {
    Segment(u64),
    Next(u8),
    Aside(u64),
    Position,
    Other,
}

impl Name {
    fn read(from: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(match from.arbitrary::<u8>()? % 5 {
            0 => Self::Segment(from.arbitrary()?),
            1 => Self::Next(from.arbitrary()?),
            2 => Self::Aside(from.arbitrary()?),
            3 => Self::Position,
            _ => Self::Other,
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Segment(sequence) => name_of(*sequence),
            Self::Next(sequence) => name_of(u64::from(*sequence)),
            Self::Aside(sequence) => name_of(*sequence) + ".damaged",
            Self::Position => "position".into(),
            Self::Other => "lost+found".into(),
        }
    }
}

/// All damage that the input contains.
pub(super) fn read<'a>(source: &mut Unstructured<'a>) -> Vec<Damage<'a>> {
    let mut all = Vec::new();
    while !source.is_empty() && all.len() < 12 {
        let Ok(damage) = Damage::read(source) else { break };
        all.push(damage);
    }
    all
}

impl<'a> Damage<'a> {
    fn read(from: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match from.arbitrary::<u8>()? % 13 {
            0 => Self::Flip(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            1 => Self::Cut(from.arbitrary()?, from.arbitrary()?),
            2 => Self::Append(from.arbitrary()?, from.arbitrary()?),
            3 => Self::Overwrite(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            4 => Self::Blank(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            5 => Self::Insert(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            6 => Self::Take(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            7 => Self::Remove(from.arbitrary()?),
            8 => Self::Copy(from.arbitrary()?, from.arbitrary()?),
            9 => Self::Swap(from.arbitrary()?, from.arbitrary()?),
            10 => Self::Make(Name::read(from)?, from.arbitrary()?),
            11 => {
                // Mostly numbers that other files use too.
                let small = from.arbitrary::<bool>()?;
                let number = |from: &mut Unstructured<'a>| -> arbitrary::Result<u64> {
                    if small { Ok(from.arbitrary::<u8>()?.into()) } else { from.arbitrary() }
                };
                let header = Header { sequence: number(from)?, previous: number(from)?, previous_end: number(from)? };
                let mut records = Vec::new();
                for _ in 0..from.arbitrary::<u8>()? % 4 {
                    let (more, events, synced) = (from.arbitrary()?, from.arbitrary()?, from.arbitrary()?);
                    records.push(Forged { more, events, synced, content: from.arbitrary()? });
                }
                Self::Forge(header, from.arbitrary()?, records)
            }
            _ => Self::ForgeSlot(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
        })
    }

    pub(super) fn strike(&self, files: &mut BTreeMap<String, Vec<u8>>) {
        let names: Vec<String> = files.keys().cloned().collect();
        let pick = |which: &u8| names.get(usize::from(*which) % names.len().max(1)).cloned();
        let mut change = |which: &u8, change: &dyn Fn(&mut Vec<u8>)| {
            if let Some(bytes) = pick(which).and_then(|name| files.get_mut(&name)) {
                change(bytes);
            }
        };
        let place = |at: &u16, bytes: &[u8]| usize::from(*at) % (bytes.len() + 1);
        match self {
            Self::Flip(which, at, bits) => change(which, &|bytes| {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }),
            Self::Cut(which, at) => change(which, &|bytes| bytes.truncate(place(at, bytes))),
            Self::Append(which, more) => change(which, &|bytes| bytes.extend(*more)),
            Self::Overwrite(which, at, with) => change(which, &|bytes| {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).zip(*with).for_each(|(byte, new)| *byte = *new);
            }),
            Self::Blank(which, at, count) => change(which, &|bytes| {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).take(usize::from(*count)).for_each(|byte| *byte = 0);
            }),
            Self::Insert(which, at, more) => change(which, &|bytes| {
                let at = place(at, bytes);
                bytes.splice(at..at, more.iter().copied());
            }),
            Self::Take(which, at, count) => change(which, &|bytes| {
                let at = place(at, bytes);
                let end = (at + usize::from(*count)).min(bytes.len());
                bytes.drain(at..end);
            }),
            Self::Remove(which) => drop(pick(which).and_then(|name| files.remove(&name))),
            Self::Copy(which, to) => {
                if let Some(bytes) = pick(which).and_then(|name| files.get(&name)) {
                    files.insert(name_of(u64::from(*to)), bytes.clone());
                }
            }
            Self::Swap(a, b) => {
                if let (Some(a), Some(b)) = (pick(a), pick(b)) {
                    let (first, second) = (files[&a].clone(), files[&b].clone());
                    files.insert(a, second);
                    files.insert(b, first);
                }
            }
            Self::Make(name, bytes) => drop(files.insert(name.text(), bytes.to_vec())),
            Self::Forge(header, salt, records) => {
                files.insert(name_of(header.sequence), segment(*header, *salt, records));
            }
            Self::ForgeSlot(counter, sequence, offset) => {
                let bytes = files.entry("position".into()).or_default();
                let at = if counter % 2 == 0 { 0 } else { 4096 };
                bytes.resize(bytes.len().max(4096 + 40), 0);
                bytes[at..at + 40].copy_from_slice(&slot(*counter, *sequence, *offset));
            }
        }
    }
}
