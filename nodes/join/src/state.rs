//! Snapshots of the open joined events.

use std::collections::VecDeque;

use wattle_node::Snapshot;
use wattle_snapshot::{Damaged, Reader, Writer};

use crate::group::{Ended, Group, Held};
use crate::tail::Tail;

/// Version of the format.
pub(crate) const VERSION: u32 = 2;

/// The version before, without the last rows.
const WITHOUT_TAIL: u32 = 1;

/// Bytes that a saved group has at least.
const LEAST_BYTES: usize = 26;

/// What a snapshot contains.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) fingerprint: u64,
    /// Number of the next group.
    pub(crate) number: u64,
    /// The open groups in the order in which they began.
    pub(crate) open: Vec<Group>,
    /// Groups that have ended, but whose events were not made yet.
    pub(crate) owed: Vec<Ended>,
    /// The last rows.
    pub(crate) tail: Tail,
}

/// Writes a snapshot.
pub(crate) fn save(fingerprint: u64, number: u64, open: &[&Group], owed: &VecDeque<Ended>, tail: &Tail) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.word(fingerprint);
    writer.number(number);
    writer.size(open.len());
    open.iter().for_each(|group| write(group, &mut writer));
    writer.size(owed.len());
    for Ended { group, is_whole } in owed {
        writer.flag(*is_whole);
        write(group, &mut writer);
    }
    tail.save(&mut writer);
    writer.finish()
}

fn write(group: &Group, writer: &mut Writer) {
    writer.number(group.number);
    for bytes in group.key.to_le_bytes().as_chunks::<8>().0 {
        writer.word(u64::from_le_bytes(*bytes));
    }
    writer.number(u64::from(group.state));
    writer.number(group.events);
    writer.size(group.bytes);
    let none = Held::default();
    let held = group.held.as_deref().unwrap_or(&none);
    for bytes in [&held.text, &held.body, &held.attributes, &held.resource] {
        writer.bytes(bytes);
    }
    writer.time(held.timestamp);
}

/// Reads a snapshot.
///
/// # Errors
///
/// It is of another version, or damaged.
pub(crate) fn load(snapshot: &Snapshot) -> Result<Saved, String> {
    if ![VERSION, WITHOUT_TAIL].contains(&snapshot.version) {
        return Err(format!("the state has version {}, and this node reads {VERSION}", snapshot.version));
    }
    let mut reader = Reader::new(&snapshot.bytes)?;
    let (fingerprint, number) = (reader.word()?, reader.number()?);
    let open = (0..reader.size(LEAST_BYTES)?).map(|_| read(&mut reader)).collect::<Result<_, _>>()?;
    let owed = (0..reader.size(LEAST_BYTES)?).map(|_| {
        let is_whole = reader.flag()?;
        Ok(Ended { group: read(&mut reader)?, is_whole })
    });
    let owed = owed.collect::<Result<_, Damaged>>()?;
    let mut tail = Tail::default();
    if snapshot.version != WITHOUT_TAIL {
        tail.load(&mut reader)?;
    }
    let saved = Saved { fingerprint, number, open, owed, tail };
    reader.end()?;
    Ok(saved)
}

fn read(reader: &mut Reader<'_>) -> Result<Group, Damaged> {
    let number = reader.number()?;
    let low = reader.word()?;
    let key = u128::from(reader.word()?) << 64 | u128::from(low);
    let state = u16::try_from(reader.number()?).map_err(|_| Damaged)?;
    let events = reader.number()?;
    let bytes = usize::try_from(reader.number()?).map_err(|_| Damaged)?;
    let mut part = || reader.bytes().map(<[u8]>::to_vec);
    let (text, body, attributes, resource) = (part()?, part()?, part()?, part()?);
    // The host checks what the node emits; a wrong snapshot must not become a fault at the next tick.
    for json in [&attributes, &resource] {
        if !json.is_empty() && wattle_node::json::check(json, 512) != Ok(wattle_node::json::Kind::Object) {
            return Err(Damaged);
        }
    }
    let held = Held { text, body, attributes, resource, timestamp: reader.time()? };
    let mut group = Group::new(number, key, state, 0, bytes);
    (group.events, group.count, group.held) = (events, 0, Some(Box::new(held)));
    Ok(group)
}
