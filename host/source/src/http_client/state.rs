//! The position of a source in its API, and where it is saved.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::since::{Mark, Since};

/// Most events that are remembered, those with the newest values.
pub(super) const MAX_SEEN: usize = 20_000;

/// The next page.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Next {
    /// A whole address at the server.
    Url(String),
    Cursor(String),
    Page(u64),
    Offset(u64),
}

/// The identity of an event: a digest of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventId([u8; 16]);

/// The position.
#[derive(Clone, Default)]
pub(super) struct State {
    /// Everything up to this value is delivered.
    pub(super) since: Option<Mark>,
    /// The newest value of the current run.
    pub(super) newest: Option<Mark>,
    /// Everything up to this value is delivered, by a run whose last page will have more.
    pub(super) caught_up: Option<Mark>,
    /// The page to request next; `None` for the first one.
    pub(super) next: Option<Next>,
    /// Events of earlier runs that the API returns again, since their values are not before `since`.
    pub(super) seen: HashMap<EventId, Mark>,
    /// The same of the current run.
    pub(super) fresh: HashMap<EventId, Mark>,
}

/// The position as it is saved.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Digest of the address and of the options that identify events.
    api: String,
    /// Digest of the request.
    request: String,
    since: Option<Mark>,
    newest: Option<Mark>,
    caught_up: Option<Mark>,
    next: Option<Next>,
    #[serde(default)]
    seen: Vec<(String, Mark)>,
    #[serde(default)]
    fresh: Vec<(String, Mark)>,
}

/// What a position belongs to. With another API it says nothing, and with another request its page does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) api: String,
    pub(super) request: String,
}

/// What became of a saved position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    Whole,
    /// Another request: only `since` is used.
    OtherRequest,
    /// Another API: nothing is used.
    OtherApi,
}

impl EventId {
    pub(super) fn of(event: &[u8]) -> Self {
        let digest = Sha256::digest(event);
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    fn to_hex(self) -> String {
        hex(&self.0)
    }

    fn from_hex(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A digest of texts. The saved position has no text of the options, which may be secret.
pub(super) fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    hex(digest.finalize().get(..16).unwrap_or_default())
}

impl State {
    /// Ends a run that reached the last page: the next one begins at the newest value. Returns how many events are
    /// forgotten because there is no room.
    pub(super) fn finish(&mut self, since: Option<&Since>) -> usize {
        self.next = None;
        self.advance(self.newest, since)
    }

    /// Ends a run whose last page will have more events.
    pub(super) fn keep(&mut self, next: Next, is_caught_up: bool) {
        self.next = Some(next);
        if is_caught_up {
            self.caught_up = self.caught_up.max(self.newest);
        }
    }

    /// The server does not know the next page any more. Returns how many events are forgotten because there is no room.
    pub(super) fn begin_again(&mut self, since: Option<&Since>) -> usize {
        self.next = None;
        self.advance(self.caught_up, since)
    }

    fn advance(&mut self, to: Option<Mark>, since: Option<&Since>) -> usize {
        self.since = self.since.max(to);
        (self.newest, self.caught_up) = (None, None);
        self.seen.extend(std::mem::take(&mut self.fresh));
        match (since, self.since) {
            (Some(since), Some(mark)) => limit(&mut self.seen, since.floor(mark)),
            _ => 0,
        }
    }

    /// Remembers delivered events with these values. Returns how many are forgotten because there is no room.
    pub(super) fn remember(
        &mut self,
        events: impl IntoIterator<Item = (EventId, Mark)>,
        newest: Option<Mark>,
        since: &Since,
    ) -> usize {
        self.newest = self.newest.max(newest);
        self.fresh.extend(events);
        // The next run begins at `since` or later.
        let from = self.newest.max(self.since).map_or(Mark::MIN, |mark| since.floor(mark));
        limit(&mut self.fresh, from)
    }

    /// The position as it is saved after each page. To keep it small, it has no events from before the values at which the
    /// next run begins; after a restart, an API that returns them all the same repeats them once.
    pub(super) fn entry(&self, identity: &Identity, since: Option<&Since>) -> Entry {
        let from = self.since.zip(since).map_or(Mark::MIN, |(mark, since)| since.floor(mark));
        let list = |seen: &HashMap<EventId, Mark>| {
            seen.iter().filter(|(_, mark)| **mark >= from).map(|(id, mark)| (id.to_hex(), *mark)).collect()
        };
        let Identity { api, request } = identity.clone();
        Entry {
            api,
            request,
            since: self.since,
            newest: self.newest,
            caught_up: self.caught_up,
            next: self.next.clone(),
            seen: list(&self.seen),
            fresh: list(&self.fresh),
        }
    }

    /// A saved position, as far as it is one of these requests.
    pub(super) fn restore(entry: Entry, identity: &Identity, since: Option<&Since>) -> (Self, Restored) {
        if entry.api != identity.api {
            return (Self::default(), Restored::OtherApi);
        }
        let map = |list: Vec<(String, Mark)>| {
            list.into_iter().filter_map(|(id, mark)| Some((EventId::from_hex(&id)?, mark))).collect()
        };
        let mut state = Self {
            since: entry.since,
            newest: entry.newest,
            caught_up: entry.caught_up,
            next: entry.next,
            seen: map(entry.seen),
            fresh: map(entry.fresh),
        };
        if entry.request == identity.request {
            return (state, Restored::Whole);
        }
        let has_page = state.next.is_some();
        // Forgotten events only come again.
        state.begin_again(since);
        (state, if has_page { Restored::OtherRequest } else { Restored::Whole })
    }
}

/// Forgets the oldest of too many events. Returns how many of them the next run, which begins at a value, can receive again.
/// Events before that value stay as long as there is room: an API may filter by day where its values have milliseconds.
fn limit(seen: &mut HashMap<EventId, Mark>, from: Mark) -> usize {
    let mut forgotten = 0;
    let surplus = seen.len().saturating_sub(MAX_SEEN);
    if surplus > 0 {
        let mut marks: Vec<(Mark, EventId)> = seen.iter().map(|(id, mark)| (*mark, *id)).collect();
        marks.sort_unstable();
        for (mark, id) in marks.into_iter().take(surplus) {
            seen.remove(&id);
            forgotten += usize::from(mark >= from);
        }
    }
    forgotten
}

#[cfg(test)]
mod tests {
    use super::super::since::{Format, Start};
    use super::*;
    use wattle_json::Path;

    fn since() -> Since {
        Since { path: Path::default(), start: Start::At(0), overlap: 5, format: Format::Number }
    }

    fn id(number: usize) -> EventId {
        EventId::of(number.to_string().as_bytes())
    }

    fn identity(api: &str, request: &str) -> Identity {
        Identity { api: api.into(), request: request.into() }
    }

    #[test]
    fn only_events_that_come_again_are_remembered() {
        let mut state = State { since: Some(10), ..State::default() };
        assert_eq!(state.remember([(id(1), 10), (id(2), 14), (id(3), 20)], Some(20), &since()), 0);
        assert_eq!(state.fresh.len(), 3, "an API may filter more coarsely than its values are");
        assert!(state.seen.is_empty(), "two events of one run that look alike are two");
        assert_eq!(state.finish(Some(&since())), 0);
        assert_eq!((state.since, state.newest, state.seen.len()), (Some(20), None, 3));
        let saved = state.entry(&identity("a", "r"), Some(&since()));
        assert_eq!(saved.seen, [(id(3).to_hex(), 20)], "the next run begins at 15");
        state.remember([], None, &since());
        state.finish(Some(&since()));
        assert_eq!(state.since, Some(20), "a run without events changes nothing");
    }

    #[test]
    fn the_oldest_of_too_many_events_are_forgotten() {
        let mut state = State::default();
        let events = (0..MAX_SEEN + 7).map(|number| (id(number), if number < 7 { 1 } else { 2 }));
        assert_eq!(state.remember(events, Some(2), &since()), 7);
        assert!(!state.fresh.contains_key(&id(0)) && state.fresh.contains_key(&id(7)));
    }

    #[test]
    fn a_position_is_restored_as_far_as_it_belongs_to_the_requests() {
        let mut state = State { next: Some(Next::Cursor("c".into())), since: Some(3), ..State::default() };
        state.remember([(id(1), 9)], Some(9), &since());
        state.keep(Next::Cursor("d".into()), true);
        let saved = serde_json::to_string(&state.entry(&identity("a", "r"), Some(&since()))).unwrap();
        let restore = |api, request| {
            State::restore(serde_json::from_str(&saved).unwrap(), &identity(api, request), Some(&since()))
        };
        let (same, how) = restore("a", "r");
        assert!(same.next == state.next && same.fresh == state.fresh && how == Restored::Whole);
        assert_eq!((same.since, same.newest, same.caught_up), (Some(3), Some(9), Some(9)));
        let (other, how) = restore("a", "s");
        assert!(other.next.is_none() && other.since == Some(9) && other.seen.contains_key(&id(1)));
        assert_eq!(how, Restored::OtherRequest);
        let (none, how) = restore("b", "r");
        assert!(none.since.is_none() && none.next.is_none() && how == Restored::OtherApi);
    }

    #[test]
    fn a_page_in_the_middle_does_not_move_since() {
        let mut state = State { since: Some(3), ..State::default() };
        state.remember([], Some(9), &since());
        state.keep(Next::Page(2), false);
        assert_eq!((state.since, state.caught_up), (Some(3), None));
        state.begin_again(Some(&since()));
        assert_eq!((state.since, state.newest), (Some(3), None));
    }

    #[test]
    fn digests_depend_on_where_texts_end() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(EventId::from_hex(&id(4).to_hex()), Some(id(4)));
    }
}
