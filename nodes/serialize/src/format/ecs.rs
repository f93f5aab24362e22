//! `ecs`: an object in the shape of the Elastic Common Schema.

use wattle_document::{Content, Documents, Place, Route};
use wattle_node::json::{Kind, Path, Segment};

use super::distinct::{self, Taken};
use crate::header::Header;

/// A part of the envelope.
#[derive(Debug)]
struct Part {
    name: &'static str,
    /// Its path with dots.
    path: &'static str,
    keys: &'static [&'static str],
    route: Route,
}

/// The parts of the envelope with their places.
#[derive(Debug)]
pub(crate) struct Ecs(Vec<Part>);

impl Ecs {
    pub(crate) fn new(documents: &mut Documents) -> Self {
        let places: [(_, _, &'static [&'static str]); 5] = [
            ("timestamp", "@timestamp", &["@timestamp"]),
            ("message", "message", &["message"]),
            ("log_level", "log.level", &["log", "level"]),
            ("host_name", "host.name", &["host", "name"]),
            ("service_name", "service.name", &["service", "name"]),
        ];
        let part = |(name, path, keys): (_, _, &'static [&'static str])| {
            let segments: Vec<_> = keys.iter().map(|key| Segment::Key((*key).into())).collect();
            Part { name, path, keys, route: documents.route(&Path::from(segments)) }
        };
        Self(places.into_iter().map(part).collect())
    }

    /// Puts the envelope into an object and writes it. A member that has the place of a part gets a number.
    pub(crate) fn write(&self, documents: &mut Documents, object: Place, header: &Header, out: &mut Vec<u8>) {
        let text_of = |part: &Part| {
            let text = header.get(part.name);
            let is_left_out = part.name == "timestamp" && super::nanoseconds(text).is_none();
            (!text.is_empty() && !is_left_out).then_some(text)
        };
        let parts: Vec<(&Part, &[u8])> = self.0.iter().filter_map(|part| Some((part, text_of(part)?))).collect();
        let mut root = object;
        if !distinct::is_distinct(documents, object) {
            let taken: Vec<_> = parts.iter().map(|(part, text)| Taken { path: part.path, text }).collect();
            let mut text = Vec::new();
            distinct::write(documents, object, &taken, &mut text);
            let content = documents.new_json(&text);
            root = documents.open_content(content);
        }
        for (Part { keys, route, .. }, text) in parts {
            clear(documents, root, keys, text);
            let content: Content = documents.new_text(text);
            // Nothing is in the way now.
            let _ = documents.put(root, route, content);
        }
        documents.write(root, out);
    }
}

/// Renames the member that a part with this text would replace, or that has no place for it.
fn clear(documents: &mut Documents, mut object: Place, keys: &[&str], text: &[u8]) {
    for (level, key) in keys.iter().enumerate() {
        let Some(member) = documents.find(object, key.as_bytes()) else { return };
        let is_last = level + 1 == keys.len();
        let content = documents.content(member);
        let fits = match content.kind() {
            Kind::Missing | Kind::Null => return,
            Kind::Object => !is_last,
            Kind::String => is_last && documents.text(content, &mut Vec::new()) == text,
            _ => false,
        };
        if !fits {
            let free = (2_u32..).map(|number| format!("{key}_{number}"));
            let free = free.into_iter().find(|key| documents.find(object, key.as_bytes()).is_none());
            free.iter().for_each(|key| documents.rename(member, key.as_bytes()));
            return;
        }
        object = member;
    }
}
