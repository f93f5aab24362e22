//! Snapshots of the node.

use wattle_snapshot::{Damaged, Reader, Window, Writer};

use crate::store::{Counts, Group, GroupId, Pattern, Seen, Store};
use crate::tree::Shape;

/// Version of the format.
pub(crate) const VERSION: u32 = 1;

/// Writes the window and all patterns.
pub(crate) fn save(window: Option<Window>, shape: Shape, store: &Store) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.flag(window.is_some());
    if let Some(window) = window {
        writer.signed(window.start);
        writer.signed(window.end);
    }
    writer.size(shape.levels);
    writer.size(shape.max_children);
    let groups = store.groups.by_use();
    writer.size(groups.len());
    for group in groups.iter().filter_map(|id| store.groups.get(*id)) {
        writer.bytes(&group.name);
        writer.number(group.learned);
        let Counts { events, no_text, unmatched, warm_up, evicted } = group.counts;
        [events, no_text, unmatched, warm_up, evicted].into_iter().for_each(|count| writer.number(count));
    }
    writer.size(store.len());
    for pattern in store.by_use() {
        // Every pattern has a group, so its place is found.
        writer.size(groups.iter().position(|id| *id == pattern.group).unwrap_or_default());
        writer.number(pattern.number);
        let path = store.path(pattern);
        writer.flag(path.is_some());
        if let Some(path) = path {
            writer.size(path.len());
            path.into_iter().for_each(|key| writer.word(key));
        }
        writer.bytes(pattern.text.as_bytes());
        writer.flag(pattern.is_known);
        writer.time(pattern.known_since);
        let Seen { count, first, last, former, sample } = &pattern.seen;
        writer.number(*count);
        writer.time(*first);
        writer.time(*last);
        writer.size(former.len());
        former.iter().for_each(|id| writer.word(*id));
        writer.bytes(sample.as_bytes());
    }
    writer.finish()
}

/// Adds what a snapshot has. Returns its window.
///
/// # Errors
///
/// The bytes are damaged. The store then has a part of them and must not be used.
pub(crate) fn restore(bytes: &[u8], shape: Shape, store: &mut Store) -> Result<Option<Window>, Damaged> {
    let mut reader = Reader::new(bytes)?;
    let window = if reader.flag()? { Some(Window { start: reader.signed()?, end: reader.signed()? }) } else { None };
    let saved = (reader.number()?, reader.number()?);
    let has_shape = saved == (shape.levels as u64, shape.max_children as u64);
    let mut saved_groups = Vec::new();
    for _ in 0..reader.size(7)? {
        saved_groups.push(read_group(&mut reader)?);
    }
    // If not all fit, those used last stay.
    let mut groups: Vec<Option<GroupId>> = saved_groups.iter().rev().map(|group| store.restore_group(group)).collect();
    groups.reverse();
    let first_number = store.next_number();
    for _ in 0..reader.size(20)? {
        let group = usize::try_from(reader.number()?).ok().and_then(|place| groups.get(place)).ok_or(Damaged)?;
        let number = first_number.saturating_add(reader.number()?);
        let path = read_path(&mut reader)?;
        let pattern = Pattern {
            number,
            text: reader.text()?.into(),
            is_known: reader.flag()?,
            known_since: reader.time()?,
            seen: read_seen(&mut reader)?,
            ..Pattern::default()
        };
        // Where the trees have another shape, the words of the template lead to the leaf.
        let path = path.map(|path| if has_shape { path } else { Vec::new() });
        store.restore(pattern, *group, path.as_deref());
    }
    reader.end()?;
    // The order of use is that of the snapshot again.
    for group in &saved_groups {
        store.groups.find(&group.name);
    }
    Ok(window)
}

fn read_group(reader: &mut Reader<'_>) -> Result<Group, Damaged> {
    let name = reader.bytes()?.into();
    let learned = reader.number()?;
    let counts = Counts {
        events: reader.number()?,
        no_text: reader.number()?,
        unmatched: reader.number()?,
        warm_up: reader.number()?,
        evicted: reader.number()?,
    };
    Ok(Group { name, learned, counts, ..Group::default() })
}

fn read_path(reader: &mut Reader<'_>) -> Result<Option<Vec<u64>>, Damaged> {
    if !reader.flag()? {
        return Ok(None);
    }
    let path = (0..reader.size(8)?).map(|_| reader.word()).collect::<Result<Vec<_>, _>>()?;
    if path.is_empty() { Err(Damaged) } else { Ok(Some(path)) }
}

fn read_seen(reader: &mut Reader<'_>) -> Result<Seen, Damaged> {
    Ok(Seen {
        count: reader.number()?,
        first: reader.time()?,
        last: reader.time()?,
        former: (0..reader.size(8)?).map(|_| reader.word()).collect::<Result<_, _>>()?,
        sample: reader.text()?.into(),
    })
}
