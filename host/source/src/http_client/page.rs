//! Makes events of a response, and finds the next page in it.

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use wattle_batch::{MAX_JSON_DEPTH, Span};
use wattle_http_client::Response;
use wattle_json::{Kind, Path, Segment, Value};

use super::failure::{Failure, Kind as FailureKind};
use super::link::{self, MAX_BYTES};
use super::options::PageFraming;
use super::settings::{Pagination, Settings};
use super::since::Mark;
use super::state::EventId;
use crate::decompress::{Caps, Compression, decompress};
use crate::http::body::{documents, encoding, is_json, lines};
use crate::in_flight::InFlight;

/// Maximum ratio of decompressed to compressed bytes of a page.
const MAX_RATIO: u64 = 1000;

/// Most events of a page. Each takes memory in addition to its text.
const MAX_EVENTS: usize = 1 << 20;

/// A value in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In its body, which is JSON.
    Body(Path),
    Header(HeaderName),
}

impl Place {
    /// Reads `body`, `body.PATH` or `headers.NAME`.
    ///
    /// # Errors
    ///
    /// It is another text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("headers.") {
            return HeaderName::try_from(name)
                .map(Self::Header)
                .map_err(|_| format!("`{name}` is not the name of a header"));
        }
        parse_body(text).map(Self::Body)
    }

    /// The text at this place; `None` if it is missing, `null`, `false` or empty.
    fn text(&self, body: &[u8], headers: &HeaderMap) -> Result<Option<String>, Failure> {
        let text = match self {
            Self::Header(name) => headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
            Self::Body(path) => match find(body, path)? {
                None => None,
                Some(value) => match value.kind {
                    Kind::String => Some(unquote(value.text(body))?),
                    Kind::Number => Some(String::from_utf8_lossy(value.text(body)).into_owned()),
                    Kind::Bool | Kind::Null | Kind::Missing => None,
                    Kind::Array | Kind::Object => {
                        let text =
                            format!("`pagination.path` leads to a value of type {}, not to a text", value.kind.name());
                        return Err(Failure::lasting(FailureKind::Content, text));
                    }
                },
            },
        };
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Whether the value at this place says yes; `None` without a value.
    fn flag(&self, body: &[u8], headers: &HeaderMap) -> Result<Option<bool>, Failure> {
        let of = |text: &[u8]| !matches!(text, b"false" | b"0" | b"" | b"\"\"" | b"\"false\"");
        Ok(match self {
            Self::Header(name) => headers.get(name).map(|value| of(value.as_bytes())),
            Self::Body(path) => match find(body, path)? {
                Some(value) if value.kind == Kind::Null => Some(false),
                value => value.map(|value| of(value.text(body))),
            },
        })
    }
}

/// Reads `body` or `body.PATH`.
///
/// # Errors
///
/// It is another text.
pub(super) fn parse_body(text: &str) -> Result<Path, String> {
    let path = match text.strip_prefix("body") {
        Some("") => return Ok(Path::default()),
        Some(rest) if rest.starts_with('[') => Path::parse(rest),
        Some(rest) if rest.starts_with('.') => Path::parse(rest.strip_prefix('.').unwrap_or(rest)),
        _ => return Err(format!("`{text}` must begin with `body`, as in `body.items`")),
    };
    let path = path.map_err(|error| error.to_string())?;
    if path.segments().contains(&Segment::Each) {
        return Err("must lead to one value, without `[*]`".to_owned());
    }
    Ok(path)
}

/// An event of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) span: Span,
    /// With `since`: its value, and its identity.
    pub(super) id: Option<EventId>,
    pub(super) mark: Option<Mark>,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) body: Bytes,
    pub(super) items: Vec<Item>,
    /// Number of empty lines.
    pub(super) empty: u64,
    /// The next page as the server names it: an address or a cursor.
    pub(super) next: Option<String>,
    /// Whether the server says that there are more pages.
    pub(super) has_more: Option<bool>,
    /// The body has nothing at `items_path`.
    pub(super) is_without_items: bool,
    /// Bytes that are not UTF-8 became U+FFFD.
    pub(super) is_repaired: bool,
}

impl Page {
    /// Reads a response with status 2xx.
    ///
    /// # Errors
    ///
    /// It is too large, or not what the options say.
    pub(super) fn read(response: &Response, settings: &Settings) -> Result<Self, Failure> {
        let headers = &response.headers;
        let body = unpack(response, settings.max_response_bytes)?;
        let body = if body.starts_with(b"\xef\xbb\xbf") { body.slice(3..) } else { body };
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let needs_json = settings.items_path.is_some() || settings.pagination.reads_body();
        let reads_json = needs_json || settings.framing == PageFraming::Auto && is_json(content_type);
        // JSON is UTF-8. Without the repair, one such byte would refuse the page each time that it is asked for.
        let repaired = if reads_json { repair(&body) } else { None };
        let is_repaired = repaired.is_some();
        let body = repaired.unwrap_or(body);
        let is_blank = body.iter().all(u8::is_ascii_whitespace);
        if needs_json && !is_blank {
            wattle_json::check(&body, MAX_JSON_DEPTH).map_err(|error| not_json(&error))?;
        }
        let mut is_without_items = false;
        let (spans, empty) = match (&settings.items_path, settings.framing) {
            _ if is_blank => (Vec::new(), 0),
            (Some(path), _) => {
                let found = items(&body, path)?;
                is_without_items = found.is_none();
                (found.unwrap_or_default(), 0)
            }
            (None, PageFraming::Document) => (vec![span(0, body.len())], 0),
            (None, PageFraming::Auto) if reads_json => (documents_of(&body)?, 0),
            (None, PageFraming::Auto | PageFraming::Lines) => lines(&body, &mut unlimited())
                .map_err(|refusal| Failure::passing(FailureKind::Content, refusal.reason))?,
        };
        let (next, has_more) = if is_blank && settings.pagination.reads_body() {
            (None, None)
        } else {
            find_next(&settings.pagination, &body, headers)?
        };
        if next.as_ref().is_some_and(|next| next.len() > MAX_BYTES) {
            let text = format!("the next page has a cursor or address of more than {MAX_BYTES} bytes");
            return Err(Failure::lasting(FailureKind::Link, text));
        }
        if spans.len() > MAX_EVENTS {
            let text =
                format!("a page has more than {MAX_EVENTS} events; have the API make smaller pages with `query`");
            return Err(Failure::lasting(FailureKind::TooLarge, text));
        }
        let item = |span: Span| {
            let text = body.get(span.start as usize..span.end as usize).unwrap_or_default();
            let since = settings.since.as_ref();
            Item { span, id: since.map(|_| EventId::of(text)), mark: since.and_then(|since| since.mark(text)) }
        };
        let items = spans.into_iter().map(item).collect();
        Ok(Self { items, body, empty, next, has_more, is_without_items, is_repaired })
    }
}

fn find_next(
    pagination: &Pagination,
    body: &[u8],
    headers: &HeaderMap,
) -> Result<(Option<String>, Option<bool>), Failure> {
    let more = |place: &Option<Place>| match place {
        Some(place) => place.flag(body, headers),
        None => Ok(None),
    };
    Ok(match pagination {
        Pagination::None => (None, None),
        Pagination::Link => (link::next(headers), None),
        Pagination::NextUrl { path } => (path.text(body, headers)?, None),
        Pagination::Cursor { path, has_more } => (path.text(body, headers)?, more(has_more)?),
        Pagination::Page { has_more, .. } | Pagination::Offset { has_more, .. } => (None, more(has_more)?),
    })
}

/// The body with U+FFFD for bytes that are not UTF-8; `None` without such bytes.
fn repair(body: &[u8]) -> Option<Bytes> {
    match String::from_utf8_lossy(body) {
        std::borrow::Cow::Borrowed(_) => None,
        std::borrow::Cow::Owned(text) => Some(text.into()),
    }
}

/// Decompresses a body.
fn unpack(response: &Response, max: usize) -> Result<Bytes, Failure> {
    let too_large = || {
        let text = format!(
            "a page has more than {max} bytes (`max_response_bytes`); have the API make smaller pages with `query`, or raise \
             the option"
        );
        Failure::lasting(FailureKind::TooLarge, text)
    };
    let body = response.body();
    if body.len() > max {
        return Err(too_large());
    }
    let names = response.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(named) = encoding(names) else {
        let text = "the body has a content encoding that is not supported; set `accept-encoding` in `headers`";
        return Err(Failure::lasting(FailureKind::Content, text));
    };
    let compression = match named {
        // Servers send files such as `log.json.gz` without the header, too.
        None => Compression::detect(body),
        // A body without content has no header of gzip either.
        Some(_) if body.is_empty() => Compression::None,
        Some(compression) => compression,
    };
    if compression == Compression::None {
        return Ok(Bytes::copy_from_slice(body));
    }
    let caps = Caps { max_bytes: max as u64 + 1, max_ratio: MAX_RATIO };
    let (unpacked, failure) = decompress(compression, body, caps, max as u64);
    if unpacked.len() > max {
        return Err(too_large());
    }
    match failure {
        Some(failure) => Err(Failure::passing(FailureKind::Content, format!("the body {failure}"))),
        None => Ok(unpacked.into()),
    }
}

/// The elements at a path; `None` if there is nothing.
fn items(body: &[u8], path: &Path) -> Result<Option<Vec<Span>>, Failure> {
    let Some(value) = find(body, path)? else { return Ok(None) };
    match value.kind {
        Kind::Array => {
            let mut spans = Vec::new();
            let each = |element: Value| spans.push(span(element.start, element.end));
            wattle_json::elements(body, value, each).map_err(|error| not_json(&error))?;
            Ok(Some(spans))
        }
        Kind::Null | Kind::Missing => Ok(None),
        kind => {
            let text = format!("`items_path` leads to a value of type {}, not to an array", kind.name());
            Err(Failure::lasting(FailureKind::Content, text))
        }
    }
}

fn find(body: &[u8], path: &Path) -> Result<Option<Value>, Failure> {
    wattle_json::find(body, path).map_err(|error| not_json(&error))
}

/// Each document, or each element of an array.
fn documents_of(body: &Bytes) -> Result<Vec<Span>, Failure> {
    match documents(body, &mut unlimited()) {
        Ok(Ok(spans)) => Ok(spans),
        Ok(Err(error)) => Err(not_json(&error)),
        Err(refusal) => Err(Failure::passing(FailureKind::Content, refusal.reason)),
    }
}

/// The size of a page is limited, and there is one at a time, so nothing else is counted.
fn unlimited() -> crate::in_flight::Share {
    InFlight::new(u64::MAX).share()
}

fn unquote(text: &[u8]) -> Result<String, Failure> {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let mut out = Vec::with_capacity(inner.len());
    wattle_json::unescape(inner, &mut out).map_err(|error| not_json(&error))?;
    String::from_utf8(out).map_err(|_| Failure::passing(FailureKind::Content, "the next page is not named in UTF-8"))
}

fn not_json(error: &wattle_json::Error) -> Failure {
    let text = format!("the body is not valid JSON: {} at byte {}", error.kind, error.offset);
    Failure::passing(FailureKind::Content, text)
}

fn span(start: usize, end: usize) -> Span {
    // `max_response_bytes` is below 4 GiB, so positions fit.
    Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}
