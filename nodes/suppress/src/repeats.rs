//! The repeats of each key: how many, and when.

use wattle_keyed::{KeyHash, Tally};
use wattle_node::json;
use wattle_snapshot::{Damaged, EventId, Reader, Writer};

/// Stands for all keys beyond the limit.
const OTHER: &[u8] = b"\"_other\"";

/// The repeats of a key in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// The key as JSON.
    shown: Box<[u8]>,
    /// When the window began, by the ticks of the node.
    pub(crate) start: i64,
    /// Number of repeats.
    pub(crate) count: u64,
    /// Time of the first event that the node remembers, and of the last repeat.
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Repeated {
    fn new(shown: Vec<u8>, start: i64, first: &[u8]) -> Self {
        Self { shown: shown.into(), start, count: 0, first: first.to_vec(), last: Vec::new() }
    }

    /// Adds what another instance has counted.
    fn add(&mut self, other: Self) {
        if other.start < self.start {
            (self.start, self.first) = (other.start, other.first);
        } else {
            self.last = other.last;
        }
        self.count = self.count.saturating_add(other.count);
    }
}

/// What a snapshot has: the repeats of each key, and those of all further ones.
pub(crate) type Saved = (Vec<(KeyHash, Repeated)>, Option<(KeyHash, Repeated)>);

/// The open windows of all keys.
#[derive(Debug)]
pub(crate) struct Windows {
    tally: Tally<Repeated>,
    /// The keys beyond the limit of the map together, with the first of them: other instances have other keys.
    other: Option<(KeyHash, Repeated)>,
    /// Number of keys in the map without repeats.
    idle: usize,
    max_keys: usize,
}

impl Windows {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { tally: Tally::new(max_keys), other: None, idle: 0, max_keys }
    }

    /// Begins a window with an event that passes. Returns the window that it ends, if that had repeats.
    pub(crate) fn begin(
        &mut self,
        key: KeyHash,
        now: i64,
        time: &[u8],
        shown: impl FnOnce() -> Vec<u8>,
    ) -> Option<(KeyHash, Repeated)> {
        self.make_room(key);
        let mut is_new = false;
        let window = self.tally.entry(key, || {
            is_new = true;
            Repeated::new(shown(), now, time)
        })?;
        if is_new {
            self.idle += 1;
            return None;
        }
        let next = Repeated::new(window.shown.to_vec(), now, time);
        let ended = std::mem::replace(window, next);
        if ended.count == 0 {
            return None;
        }
        self.idle += 1;
        Some((key, ended))
    }

    /// Counts a repeat. Returns whether its key was one too many.
    pub(crate) fn repeat(&mut self, key: KeyHash, now: i64, time: &[u8], shown: impl FnOnce() -> Vec<u8>) -> bool {
        self.make_room(key);
        let mut is_new = false;
        let window = self.tally.entry(key, || {
            is_new = true;
            Repeated::new(shown(), now, time)
        });
        let (window, is_other) = match window {
            Some(window) => (window, false),
            None => (&mut self.other.get_or_insert_with(|| (key, Repeated::new(OTHER.to_vec(), now, time))).1, true),
        };
        if !is_new && !is_other && window.count == 0 {
            self.idle = self.idle.saturating_sub(1);
        }
        window.count = window.count.saturating_add(1);
        window.last.clear();
        window.last.extend_from_slice(time);
        is_other
    }

    /// Forgets keys without repeats, which owe nothing, if the map is full. Many events never repeat.
    fn make_room(&mut self, key: KeyHash) {
        let is_full = self.tally.entries().len() >= self.max_keys && self.tally.get_mut(key).is_none();
        // Not for a few: each time costs a walk over the whole map.
        if is_full && self.idle > self.max_keys / 8 {
            self.tally.take_if(|window| window.count == 0);
            self.idle = 0;
        }
    }

    /// Removes the windows that began at this time or before, and returns those with repeats.
    pub(crate) fn end(&mut self, until: i64) -> Vec<(KeyHash, Repeated)> {
        let mut ended = self.tally.take_if(|window| window.start <= until);
        let all = ended.len();
        ended.retain(|(_, window)| window.count > 0);
        self.idle = self.idle.saturating_sub(all - ended.len());
        ended.extend(self.other.take_if(|(_, window)| window.start <= until));
        ended
    }

    /// The open windows with repeats.
    pub(crate) fn so_far(&self) -> Vec<(KeyHash, Repeated)> {
        let all = self.tally.entries().iter().chain(&self.other);
        all.filter(|(_, window)| window.count > 0).cloned().collect()
    }

    /// Adds what another instance has counted.
    pub(crate) fn add(&mut self, (windows, other): Saved) {
        for (key, window) in windows {
            let mut is_new = false;
            let own = self.tally.entry(key, || {
                is_new = true;
                window.clone()
            });
            match own {
                Some(_) if is_new => self.idle += usize::from(window.count == 0),
                Some(own) => {
                    self.idle = self.idle.saturating_sub(usize::from(own.count == 0 && window.count > 0));
                    own.add(window);
                }
                // Without repeats it owes nothing.
                None if window.count == 0 => {}
                None => self.add_other(key, window),
            }
        }
        if let Some((key, window)) = other {
            self.add_other(key, window);
        }
    }

    fn add_other(&mut self, key: KeyHash, window: Repeated) {
        match &mut self.other {
            Some((_, own)) => own.add(window),
            None => self.other = Some((key, Repeated { shown: OTHER.into(), ..window })),
        }
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.size(self.tally.entries().len());
        for (key, window) in self.tally.entries() {
            write(*key, window, writer);
        }
        writer.flag(self.other.is_some());
        if let Some((key, window)) = &self.other {
            write(*key, window, writer);
        }
    }
}

fn write(key: KeyHash, window: &Repeated, writer: &mut Writer) {
    for half in key.to_le_bytes().as_chunks::<8>().0 {
        writer.word(u64::from_le_bytes(*half));
    }
    writer.signed(window.start);
    writer.number(window.count);
    for bytes in [&window.shown[..], &window.first, &window.last] {
        writer.bytes(bytes);
    }
}

/// Reads the windows of a snapshot.
pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Saved, Damaged> {
    let size = reader.size(21)?;
    let windows = (0..size).map(|_| read(reader)).collect::<Result<_, _>>()?;
    Ok((windows, if reader.flag()? { Some(read(reader)?) } else { None }))
}

fn read(reader: &mut Reader<'_>) -> Result<(KeyHash, Repeated), Damaged> {
    let low = reader.word()?;
    let key = u128::from(reader.word()?) << 64 | u128::from(low);
    let (start, count, shown) = (reader.signed()?, reader.number()?, reader.bytes()?);
    // It becomes a part of a JSON body.
    json::check(shown, 4).map_err(|_| Damaged)?;
    let (first, last) = (reader.text()?.as_bytes().to_vec(), reader.text()?.as_bytes().to_vec());
    Ok((key, Repeated { shown: shown.into(), start, count, first, last }))
}

/// The body and the attributes of a summary.
pub(crate) fn summary(key: KeyHash, window: &Repeated, fingerprint: u64, is_partial: bool) -> (Vec<u8>, Vec<u8>) {
    let mut body = b"{\"key\":".to_vec();
    body.extend_from_slice(&window.shown);
    body.extend_from_slice(format!(",\"suppressed\":{}", window.count).as_bytes());
    for (name, time) in [("first", &window.first), ("last", &window.last)] {
        body.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
        json::escape(time, &mut body);
        body.push(b'"');
    }
    body.push(b'}');
    let id = EventId::new("suppress").with(&fingerprint.to_le_bytes()).with_number(window.start);
    let id = id.with(&key.to_le_bytes()).finish();
    let mut attributes = Vec::new();
    let pairs = [("id", id.as_slice()), ("summary", b"suppress"), ("partial", b"true")];
    wattle_node::write_object(pairs.into_iter().take(if is_partial { 3 } else { 2 }), &mut attributes);
    (body, attributes)
}
