//! Keeps the cache up to date: lists the objects of the API server, then watches them.
//!
//! A watch is one response without an end, with an event on each line. When it ends or breaks, the next watch continues
//! at the last version of the objects. If the API server no longer has that version (410), the objects are listed
//! again.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

use super::api::{Api, ApiError};
use super::cache::Cache;
use super::pod::{RawMeta, RawPod};
use crate::pauses::Pauses;
use crate::source::SourceContext;

/// Characters of a selector that are escaped in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// First and last pause after an error.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A watch that lasted this long was a success, after which pauses begin at the first one again.
const GOOD_WATCH: Duration = Duration::from_secs(10);

/// How long the API server is asked to keep a watch open, in seconds: at least this long, and up to twice as long, so
/// that the agents of all nodes do not ask again at the same time.
const WATCH_SECONDS: u64 = 150;

/// How long a watch may be silent. The API server sends a bookmark each minute, or ends it in time.
const MAX_SILENCE: Duration = Duration::from_secs(2 * WATCH_SECONDS + 30);

/// Maximum length of a line of a watch. The API server stores no object of more than 1.5 MiB.
const MAX_LINE_BYTES: usize = 8 << 20;

/// Version with which the API server answers a list from its memory.
const ANY_VERSION: &str = "0";

/// Objects of the API, and where they go.
pub(super) trait Objects: Send + Sync {
    type Raw: DeserializeOwned + Send;

    /// What the objects are, for logs.
    const NAME: &'static str;

    /// Path and selectors.
    fn target(&self) -> String;
    fn replace(&self, all: Vec<Self::Raw>);
    fn set(&self, one: Self::Raw);
    fn delete(&self, one: Self::Raw);
}

/// The pods of a node.
pub(super) struct PodObjects {
    pub(super) cache: Arc<Cache>,
    pub(super) node: String,
    pub(super) label_selector: Option<String>,
}

impl Objects for PodObjects {
    type Raw = RawPod;

    const NAME: &'static str = "pods";

    fn target(&self) -> String {
        let labels = self.label_selector.as_ref().map(|labels| format!("&labelSelector={}", encode(labels)));
        let node = encode(&format!("spec.nodeName={}", self.node));
        format!("/api/v1/pods?fieldSelector={node}{}", labels.unwrap_or_default())
    }

    fn replace(&self, all: Vec<RawPod>) {
        self.cache.replace_pods(all);
    }

    fn set(&self, one: RawPod) {
        self.cache.set_pod(one);
    }

    fn delete(&self, one: RawPod) {
        self.cache.delete_pod(one);
    }
}

/// The selected namespaces.
pub(super) struct NamespaceObjects {
    pub(super) cache: Arc<Cache>,
    pub(super) label_selector: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawNamespace {
    metadata: RawMeta,
}

impl Objects for NamespaceObjects {
    type Raw = RawNamespace;

    const NAME: &'static str = "namespaces";

    fn target(&self) -> String {
        format!("/api/v1/namespaces?labelSelector={}", encode(&self.label_selector))
    }

    fn replace(&self, all: Vec<RawNamespace>) {
        self.cache.replace_namespaces(all.into_iter().map(|namespace| namespace.metadata.name));
    }

    fn set(&self, one: RawNamespace) {
        self.cache.select_namespace(one.metadata.name, true);
    }

    fn delete(&self, one: RawNamespace) {
        self.cache.select_namespace(one.metadata.name, false);
    }
}

/// Encodes a text for a query.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
}

/// The kind of an event of a watch.
#[derive(Deserialize)]
struct EventHead<'e> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'e, str>,
    #[allow(dead_code, reason = "an event without an object is not valid")]
    object: IgnoredAny,
}

#[derive(Deserialize)]
struct EventOf<T> {
    object: T,
}

/// The part of an object that all have.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    metadata: RawMeta,
}

/// An error in a watch.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

/// Lists and watches until the future is dropped. No error ends it.
pub(super) async fn run(objects: impl Objects, api: &Api, context: &SourceContext) {
    let mut pauses = Pauses::new(FIRST_PAUSE, LAST_PAUSE);
    let mut outage = Outage::default();
    let mut version: Option<String> = None;
    let mut list_version = ANY_VERSION;
    loop {
        let result = match version.take() {
            None => list(&objects, api, list_version).await.map(|listed| version = Some(listed)),
            Some(from) => {
                let begun = Instant::now();
                let mut at = from;
                let watched = watch(&objects, api, &mut at).await;
                if begun.elapsed() >= GOOD_WATCH {
                    pauses.reset();
                } else if watched.is_ok() {
                    // A server that ends each watch at once must not be asked without a pause.
                    tokio::time::sleep(pauses.next()).await;
                }
                // After 410, the next round lists.
                version = (!matches!(watched, Err(ApiError::Expired))).then_some(at);
                watched
            }
        };
        match result {
            Ok(()) => outage.end(context, &objects),
            Err(ApiError::Expired) => {
                // The memory of the API server may be older than what was seen, so the next list is from its store.
                list_version = "";
                tracing::debug!(source = %context.name, what = name_of(&objects), "version is too old; listing again");
                tokio::time::sleep(pauses.next()).await;
                continue;
            }
            Err(error) => {
                outage.begin(context, &objects, &error);
                tokio::time::sleep(pauses.next()).await;
                continue;
            }
        }
        list_version = ANY_VERSION;
    }
}

fn name_of<O: Objects>(_: &O) -> &'static str {
    O::NAME
}

/// Replaces all objects; returns their version.
async fn list<O: Objects>(objects: &O, api: &Api, version: &str) -> Result<String, ApiError> {
    let version = if version.is_empty() { String::new() } else { format!("&resourceVersion={version}") };
    let body = api.get(&format!("{}{version}", objects.target())).await?;
    let list: List<O::Raw> = serde_json::from_slice(&body).map_err(ApiError::invalid)?;
    objects.replace(list.items.unwrap_or_default());
    Ok(list.metadata.resource_version)
}

/// Applies changes after a version until the watch ends. Moves the version.
async fn watch<O: Objects>(objects: &O, api: &Api, version: &mut String) -> Result<(), ApiError> {
    let seconds = WATCH_SECONDS + fastrand::u64(0..WATCH_SECONDS);
    let target = format!(
        "{}&watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}",
        objects.target(),
        encode(version)
    );
    let mut body = api.open(&target).await?;
    let mut line: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::time::timeout(MAX_SILENCE, body.frame()).await.map_err(|_| ApiError::Silent(MAX_SILENCE))?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|error| api.broken(&error))?;
        let Ok(mut data) = frame.into_data() else { continue };
        while let Some(feed) = memchr::memchr(b'\n', &data) {
            let rest = data.split_off(feed + 1);
            line.extend_from_slice(&data);
            data = rest;
            apply(objects, &line, version)?;
            line.clear();
        }
        line.extend_from_slice(&data);
        if line.len() > MAX_LINE_BYTES {
            return Err(ApiError::LineTooLong(MAX_LINE_BYTES));
        }
    }
}

fn apply<O: Objects>(objects: &O, line: &[u8], version: &mut String) -> Result<(), ApiError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    let head: EventHead<'_> = serde_json::from_slice(line).map_err(ApiError::invalid)?;
    let object =
        || serde_json::from_slice::<EventOf<O::Raw>>(line).map(|event| event.object).map_err(ApiError::invalid);
    match head.kind.as_ref() {
        "ADDED" | "MODIFIED" => objects.set(object()?),
        "DELETED" => objects.delete(object()?),
        "ERROR" => {
            let Status { code, message } =
                serde_json::from_slice::<EventOf<Status>>(line).map_err(ApiError::invalid)?.object;
            return Err(ApiError::of_status(code, message));
        }
        // A bookmark has a version only, and later API servers may have other events.
        _ => {}
    }
    let event: EventOf<Versioned> = serde_json::from_slice(line).map_err(ApiError::invalid)?;
    if !event.object.metadata.resource_version.is_empty() {
        *version = event.object.metadata.resource_version;
    }
    Ok(())
}

/// Logs an outage once, and its end.
#[derive(Default)]
struct Outage {
    /// The last logged error.
    logged: Option<String>,
}

impl Outage {
    fn begin<O: Objects>(&mut self, context: &SourceContext, objects: &O, error: &ApiError) {
        let text = error.to_string();
        if self.logged.as_ref() == Some(&text) {
            return;
        }
        let (source, what) = (&context.name, name_of(objects));
        context.stats.fail(format!("cannot get {what} from the API server: {text}"));
        if matches!(error, ApiError::Forbidden(_)) {
            tracing::error!(
                %source, what, error = text,
                "API server refuses the metadata of containers; give the service account of the agent a cluster role with the \
                 verbs `get`, `list` and `watch` for `pods` and `namespaces`; retrying"
            );
        } else {
            tracing::warn!(%source, what, error = text, "cannot get the metadata of containers from the API server; retrying");
        }
        self.logged = Some(text);
    }

    fn end<O: Objects>(&mut self, context: &SourceContext, objects: &O) {
        if self.logged.take().is_some() {
            tracing::info!(source = %context.name, what = name_of(objects), "metadata of containers is available again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_encoded() {
        assert_eq!(encode("app in (a, b),x!=y"), "app%20in%20%28a%2C%20b%29%2Cx%21%3Dy");
        assert_eq!(encode("spec.nodeName=n-1_ä"), "spec.nodeName%3Dn-1_%C3%A4");
    }
}
