//! The reports of an interval: one event for each pattern, and one about what no pattern covers.

use std::io::Write as _;

use wattle_convert::time::{Output, Zone};
use wattle_node::{EventKind, Events, json, write_object};
use wattle_snapshot::{EventId, Window, write_hex};

use crate::store::{Group, Pattern};

/// Writes the reports of one interval.
pub(crate) struct Reports<'a> {
    window: Window,
    /// Whether it has not ended yet.
    is_partial: bool,
    /// Begins the ids of the events with what identifies the node.
    id: &'a EventId,
    pub(crate) events: Events,
    body: Vec<u8>,
    attributes: Vec<u8>,
}

impl<'a> Reports<'a> {
    pub(crate) fn new(window: Window, is_partial: bool, id: &'a EventId) -> Self {
        Self { window, is_partial, id, events: Events::new(EventKind::Log), body: Vec::new(), attributes: Vec::new() }
    }

    /// Adds the report of a pattern. `group` has a name that is shown only if `shows_group` is set.
    pub(crate) fn pattern(&mut self, pattern: &Pattern, name: Option<&str>, group: &Group, shows_group: bool) {
        let mut id = Vec::with_capacity(16);
        write_hex(pattern.id, &mut id);
        self.open("pattern", group, shows_group);
        self.text("pattern", &id);
        self.text("template", pattern.text.as_bytes());
        if let Some(name) = name {
            self.text("name", name.as_bytes());
        }
        let seen = &pattern.seen;
        self.number("count", seen.count);
        self.share("share", seen.count, group.counts.events);
        self.time("first_seen", seen.first);
        self.time("last_seen", seen.last);
        self.time("known_since", pattern.known_since);
        self.key("new");
        self.body.extend_from_slice(if pattern.is_known { b"false" } else { b"true" });
        if !seen.former.is_empty() {
            self.key("formerly");
            for (number, former) in seen.former.iter().enumerate() {
                self.body.extend_from_slice(if number == 0 { b"[\"" } else { b",\"" });
                write_hex(*former, &mut self.body);
                self.body.push(b'"');
            }
            self.body.push(b']');
        }
        if !seen.sample.is_empty() {
            self.text("sample", seen.sample.as_bytes());
        }
        self.close("pattern", &id, group, shows_group);
    }

    /// Adds the report about a group: how many patterns it had, of which so many are new, and what none of them covers.
    pub(crate) fn coverage(&mut self, group: &Group, patterns: u64, new: u64, shows_group: bool) {
        self.open("coverage", group, shows_group);
        let counts = &group.counts;
        let uncovered = counts.uncovered();
        self.number("events", counts.events);
        self.number("patterns", patterns);
        self.number("new_patterns", new);
        self.number("uncovered", uncovered);
        self.share("uncovered_share", uncovered, counts.events);
        self.number("no_text", counts.no_text);
        self.number("unmatched", counts.unmatched);
        self.number("warm_up", counts.warm_up);
        self.number("evicted", counts.evicted);
        self.close("coverage", b"", group, shows_group);
    }

    fn open(&mut self, report: &str, group: &Group, shows_group: bool) {
        self.body.clear();
        self.text("report", report.as_bytes());
        if shows_group {
            self.text("group", &group.name);
        }
        self.time("start", Some(self.window.start));
        self.time("end", Some(self.window.end));
    }

    fn close(&mut self, report: &str, pattern: &[u8], group: &Group, shows_group: bool) {
        self.body.push(b'}');
        let id = self.id.clone().with_number(self.window.start).with(report.as_bytes()).with(&group.name).with(pattern);
        let id = id.finish();
        self.attributes.clear();
        let pairs = [
            ("id", &id[..]),
            ("report", report.as_bytes()),
            ("pattern", pattern),
            ("group", &group.name),
            ("partial", b"true"),
        ];
        let is_shown = |(key, _): &(&str, &[u8])| match *key {
            "pattern" => !pattern.is_empty(),
            "group" => shows_group,
            "partial" => self.is_partial,
            _ => true,
        };
        write_object(pairs.into_iter().filter(is_shown), &mut self.attributes);
        self.events.push(&self.body, Some(&self.attributes), Some(self.window.end));
    }

    fn key(&mut self, key: &str) {
        self.body.push(if self.body.is_empty() { b'{' } else { b',' });
        self.body.push(b'"');
        self.body.extend_from_slice(key.as_bytes());
        self.body.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        self.body.push(b'"');
        json::escape(text, &mut self.body);
        self.body.push(b'"');
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        // Writing to a vector cannot fail.
        let _ = write!(self.body, "{number}");
    }

    /// A share with six digits, rounded down, so that no part seems to be the whole.
    fn share(&mut self, key: &str, part: u64, whole: u64) {
        self.key(key);
        let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
        let (ones, mut digits, mut width) = (millionths / 1_000_000, millionths % 1_000_000, 6);
        while digits.is_multiple_of(10) && width > 1 {
            digits /= 10;
            width -= 1;
        }
        let _ = write!(self.body, "{ones}.{digits:0width$}");
    }

    fn time(&mut self, key: &str, time: Option<i64>) {
        let Some(time) = time else { return };
        self.key(key);
        self.body.push(b'"');
        Output::Rfc3339(None).write(time, &Zone::UTC, &mut self.body);
        self.body.push(b'"');
    }
}
