//! The current window: what has passed of each key.

use wattle_keyed::{KeyHash, Tally, write_time};
use wattle_snapshot::{Damaged, EventId, Reader, Window, Writer};

/// What a key may have in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// What a key has had in the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The key as JSON.
    pub(crate) shown: Box<[u8]>,
    pub(crate) passed: u64,
    pub(crate) passed_bytes: u64,
    pub(crate) throttled: u64,
    pub(crate) throttled_bytes: u64,
}

impl Usage {
    pub(crate) fn new(shown: Vec<u8>) -> Self {
        Self { shown: shown.into(), ..Self::default() }
    }

    /// Whether an event of this size passes.
    pub(crate) const fn passes(&mut self, bytes: u64, limit: Limit) -> bool {
        let sum = self.passed_bytes.saturating_add(bytes);
        let passes = self.passed < limit.events && sum <= limit.bytes;
        if passes {
            self.passed += 1;
            self.passed_bytes = sum;
        } else {
            self.throttled = self.throttled.saturating_add(1);
            self.throttled_bytes = self.throttled_bytes.saturating_add(bytes);
        }
        passes
    }

    fn add(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.passed_bytes = self.passed_bytes.saturating_add(other.passed_bytes);
        self.throttled = self.throttled.saturating_add(other.throttled);
        self.throttled_bytes = self.throttled_bytes.saturating_add(other.throttled_bytes);
    }
}

/// The usage of all keys in a window.
#[derive(Debug)]
pub(crate) struct Usages {
    pub(crate) tally: Tally<Usage>,
    /// The keys beyond the limit of the map together, with the first of them: other instances have other keys.
    pub(crate) other: Option<(KeyHash, Usage)>,
}

/// Stands for all keys beyond the limit.
const OTHER: &[u8] = b"\"_other\"";

/// What a snapshot has of a window: the usage of each key, and that of all further ones.
pub(crate) type Saved = (Vec<(KeyHash, Usage)>, Option<(KeyHash, Usage)>);

impl Usages {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { tally: Tally::new(max_keys), other: None }
    }

    /// The usage of a key. Returns it with `true` if it is that of all further keys.
    pub(crate) fn of(&mut self, key: KeyHash, shown: impl FnOnce() -> Vec<u8>) -> (&mut Usage, bool) {
        match self.tally.entry(key, || Usage::new(shown())) {
            Some(usage) => (usage, false),
            None => (&mut self.other.get_or_insert_with(|| (key, Usage::new(OTHER.to_vec()))).1, true),
        }
    }

    /// Adds what another instance has counted in the same window.
    pub(crate) fn add(&mut self, (usages, other): Saved) {
        for (key, usage) in usages {
            self.of(key, || usage.shown.to_vec()).0.add(&usage);
        }
        if let Some((key, usage)) = other {
            self.other.get_or_insert_with(|| (key, Usage::new(OTHER.to_vec()))).1.add(&usage);
        }
    }

    /// All usages so far in their order.
    pub(crate) fn so_far(&self) -> Saved {
        (self.tally.entries().to_vec(), self.other.clone())
    }

    /// Ends the window: all usages in their order.
    pub(crate) fn take(&mut self) -> Saved {
        (self.tally.take(), self.other.take())
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.size(self.tally.entries().len());
        for (key, usage) in self.tally.entries() {
            write(*key, usage, writer);
        }
        writer.flag(self.other.is_some());
        if let Some((key, usage)) = &self.other {
            write(*key, usage, writer);
        }
    }
}

fn write(key: KeyHash, usage: &Usage, writer: &mut Writer) {
    for half in key.to_le_bytes().as_chunks::<8>().0 {
        writer.word(u64::from_le_bytes(*half));
    }
    writer.bytes(&usage.shown);
    for number in [usage.passed, usage.passed_bytes, usage.throttled, usage.throttled_bytes] {
        writer.number(number);
    }
}

/// Reads the usages of a snapshot.
pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Saved, Damaged> {
    let size = reader.size(21)?;
    let usages = (0..size).map(|_| read(reader)).collect::<Result<_, _>>()?;
    Ok((usages, if reader.flag()? { Some(read(reader)?) } else { None }))
}

fn read(reader: &mut Reader<'_>) -> Result<(KeyHash, Usage), Damaged> {
    let low = reader.word()?;
    let key = u128::from(reader.word()?) << 64 | u128::from(low);
    let shown = reader.bytes()?;
    // It becomes a part of a JSON body.
    wattle_node::json::check(shown, 4).map_err(|_| Damaged)?;
    let mut number = || reader.number();
    let (passed, passed_bytes, throttled, throttled_bytes) = (number()?, number()?, number()?, number()?);
    Ok((key, Usage { shown: shown.into(), passed, passed_bytes, throttled, throttled_bytes }))
}

/// The body and the attributes of a summary.
pub(crate) fn summary(
    window: Window,
    key: KeyHash,
    usage: &Usage,
    fingerprint: u64,
    with_bytes: bool,
    is_partial: bool,
) -> (Vec<u8>, Vec<u8>) {
    let mut body = b"{\"key\":".to_vec();
    body.extend_from_slice(&usage.shown);
    for (name, time) in [("start", window.start), ("end", window.end)] {
        body.extend_from_slice(format!(",\"{name}\":").as_bytes());
        write_time(time, &mut body);
    }
    for (name, number) in [
        ("passed", usage.passed),
        ("passed_bytes", usage.passed_bytes),
        ("throttled", usage.throttled),
        ("throttled_bytes", usage.throttled_bytes),
    ] {
        if with_bytes || !name.ends_with("_bytes") {
            body.extend_from_slice(format!(",\"{name}\":{number}").as_bytes());
        }
    }
    body.push(b'}');
    let id = EventId::new("throttle").with(&fingerprint.to_le_bytes()).with_number(window.start);
    let id = id.with(&key.to_le_bytes()).finish();
    let mut attributes = Vec::new();
    let pairs = [("id", id.as_slice()), ("summary", b"throttle"), ("partial", b"true")];
    wattle_node::write_object(pairs.into_iter().take(if is_partial { 3 } else { 2 }), &mut attributes);
    (body, attributes)
}
