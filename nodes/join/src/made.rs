//! The events that the node makes of rows from several batches.

use wattle_document::{Documents, Place, Route, Source};
use wattle_node::json::{self, Kind, Path};
use wattle_node::{EventKind, Events, Setup};
use wattle_snapshot::EventId;

use crate::form::Form;
use crate::group::{Group, Held};

/// Depth of JSON that the host accepts.
const MAX_DEPTH: usize = 512;

/// Where the joined text goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// It is the body.
    Body,
    /// To this place in a JSON body.
    InBody(Route),
    /// To this place in the attributes.
    InAttributes(Route),
}

/// Writes events.
#[derive(Debug)]
pub(crate) struct Maker {
    documents: Documents,
    source: Source,
    pub(crate) target: Target,
    resource: Option<Route>,
    count: Option<Route>,
    id: Route,
    attributes: Vec<u8>,
    body: Vec<u8>,
}

impl Maker {
    /// Resolves the fields that the node writes. Returns `None` after it reported all errors to `setup`.
    pub(crate) fn new(field: &str, resource: &str, count: Option<&str>, setup: &mut Setup<'_>) -> Option<Self> {
        let mut documents = Documents::default();
        let target = match field {
            "body" => Some(Target::Body),
            _ => match (field.strip_prefix("body"), field.strip_prefix("attributes")) {
                (Some(path), _) => route("field", path, &mut documents, setup).map(Target::InBody),
                (_, Some(path)) => route("field", path, &mut documents, setup).map(Target::InAttributes),
                _ => {
                    let message = format!("`{field}` is not `body` or a field below `body` or `attributes`");
                    setup.error("field", message);
                    None
                }
            },
        };
        let mut attribute = |at: &str, path: &str| match path.strip_prefix("attributes") {
            Some(below) => route(at, below, &mut documents, setup),
            None => {
                setup.error(at, format!("`{path}` is not a field below `attributes`, such as `attributes.{at}`"));
                None
            }
        };
        let resource = if resource.is_empty() { Some(None) } else { attribute("resource_field", resource).map(Some) };
        let count = count.map_or(Some(None), |path| attribute("count_field", path).map(Some));
        let id = attribute("id", "attributes.id");
        let source = documents.add_source();
        let (target, resource, count, id) = (target?, resource?, count?, id?);
        Some(Self { documents, source, target, resource, count, id, attributes: Vec::new(), body: Vec::new() })
    }

    /// Adds the event of a group without rows in this batch. Returns whether all fields had a place.
    pub(crate) fn add(&mut self, group: Group, is_whole: bool, form: &Form, events: &mut Events) -> bool {
        let Some(held) = group.held else { return true };
        let Held { mut text, body, attributes, resource, timestamp } = *held;
        form.finish(is_whole, 0, &mut text);
        let id = EventId::new("join").with(&group.key.to_le_bytes()).with_number(timestamp.unwrap_or(i64::MIN));
        let id = id.with(&text).finish();
        self.documents.clear();
        let place = self.open(attributes);
        let mut is_placed = true;
        if let Target::InAttributes(route) = &self.target {
            // A text of a snapshot can be anything, and attributes must be JSON.
            let value = if form.is_json() && json::check(&text, MAX_DEPTH).is_ok() {
                self.documents.new_json(&text)
            } else {
                self.documents.new_text(String::from_utf8_lossy(&text).as_bytes())
            };
            is_placed &= self.documents.put(place, route, value).is_ok();
        }
        let count = group.events.to_string();
        let id = [b"\"", id.as_slice(), b"\""].concat();
        let others = [
            (self.resource.as_ref().filter(|_| !resource.is_empty()), resource.as_slice(), false),
            (self.count.as_ref().filter(|_| group.events > 1), count.as_bytes(), true),
            (Some(&self.id), id.as_slice(), false),
        ];
        for (route, json, overwrites) in others {
            let Some(route) = route else { continue };
            let known = self.documents.get(place, route).map_or(Kind::Missing, |found| self.documents.kind(found));
            if overwrites || known == Kind::Missing {
                let value = self.documents.new_json(json);
                is_placed &= self.documents.put(place, route, value).is_ok();
            }
        }
        self.attributes.clear();
        self.documents.write(place, &mut self.attributes);
        let body = match &self.target {
            Target::Body => &text,
            Target::InAttributes(_) => &body,
            Target::InBody(_) => {
                self.place_in_body(&body, &text, form.is_json());
                &self.body
            }
        };
        events.push(body, Some(&self.attributes), timestamp);
        is_placed
    }

    /// Replaces the text in a JSON body, for `Target::InBody`, and returns the body.
    pub(crate) fn place_in_body(&mut self, body: &[u8], text: &[u8], is_json: bool) -> &[u8] {
        self.body.clear();
        let Target::InBody(route) = &self.target else { return &self.body };
        self.documents.clear();
        let value = if is_json { self.documents.new_json(text) } else { self.documents.new_text(text) };
        let place = {
            let kind = json::check(body, MAX_DEPTH).unwrap_or(Kind::Missing);
            let text = self.documents.new_text(body);
            self.documents.open_within(text, kind)
        };
        // The text was read from this place, so it exists.
        let _ = self.documents.put(place, route, value);
        self.documents.write(place, &mut self.body);
        &self.body
    }

    /// Opens attributes.
    fn open(&mut self, attributes: Vec<u8>) -> Place {
        if attributes.is_empty() {
            return self.documents.open_empty();
        }
        let start = attributes.len() - attributes.trim_ascii_start().len();
        let end = attributes.trim_ascii_end().len();
        self.documents.load(self.source, attributes.into());
        self.documents.open(self.source, start, end, Kind::Object)
    }

    /// An empty collection for [`add`](Self::add).
    pub(crate) fn events() -> Events {
        Events::new(EventKind::Log)
    }
}

/// The route below a root. Returns `None` after it reported an error to `setup`.
fn route(at: &str, below: &str, documents: &mut Documents, setup: &mut Setup<'_>) -> Option<Route> {
    let path = match below.strip_prefix('.') {
        Some(path) => Path::parse(path).map_err(|error| error.to_string()),
        None if below.starts_with('[') => Path::parse(below).map_err(|error| error.to_string()),
        None => Err("a key must follow the root".to_owned()),
    };
    match path {
        Ok(path) => Some(documents.route(&path)),
        Err(error) => {
            setup.error(at, error);
            None
        }
    }
}
