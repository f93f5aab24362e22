//! The options of an `http_client` source as checked.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Uri};
use wattle_http_client::{Server, check_proxy};
use wattle_json::Path;
use wattle_options::{Number, OptionErrors, Period, Quantity as _, Secret};

use super::options::{AuthOptions, Options, PageFraming, PaginationOptions, QueryValues, SinceOptions, StartOption};
use super::page::{Place, parse_body};
use super::since::{Format, Since, Start};
use super::state::{Identity, digest};
use super::template::{Field, Template};

/// Limit of `max_response_bytes`, so that positions in a page stay below 4 GiB.
const MAX_RESPONSE_BYTES: u64 = 1 << 30;

/// How to find the next page.
#[derive(Clone, Debug)]
pub(super) enum Pagination {
    None,
    Link,
    NextUrl { path: Place },
    Cursor { path: Place, has_more: Option<Place> },
    Page { start: u64, page_size: Option<u64>, has_more: Option<Place> },
    Offset { start: u64, page_size: Option<u64>, has_more: Option<Place> },
}

impl Pagination {
    /// Whether the next page is found in the body, which is JSON then.
    pub(super) fn reads_body(&self) -> bool {
        let is_in_body = |place: &Place| matches!(place, Place::Body(_));
        match self {
            Self::None | Self::Link => false,
            Self::NextUrl { path } => is_in_body(path),
            Self::Cursor { path, has_more } => is_in_body(path) || has_more.as_ref().is_some_and(is_in_body),
            Self::Page { has_more, .. } | Self::Offset { has_more, .. } => has_more.as_ref().is_some_and(is_in_body),
        }
    }

    /// The field that requests of pages need.
    fn field(&self) -> Option<Field> {
        match self {
            Self::None | Self::Link | Self::NextUrl { .. } => None,
            Self::Cursor { .. } => Some(Field::Cursor),
            Self::Page { .. } => Some(Field::Page),
            Self::Offset { .. } => Some(Field::Offset),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Link => "link",
            Self::NextUrl { .. } => "next_url",
            Self::Cursor { .. } => "cursor",
            Self::Page { .. } => "page",
            Self::Offset { .. } => "offset",
        }
    }
}

/// The options as checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) server: Server,
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    /// Parameters of the query, in order.
    pub(super) query: Vec<(String, Template)>,
    /// Headers of every request. Those of the options are marked as sensitive, so that `Debug` hides them.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Template>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) framing: PageFraming,
    pub(super) items_path: Option<Path>,
    pub(super) pagination: Pagination,
    pub(super) since: Option<Since>,
    pub(super) max_pages: u64,
    pub(super) max_response_bytes: usize,
    pub(super) max_run_bytes: u64,
    /// What a saved position belongs to.
    pub(super) identity: Identity,
    /// Texts that must not be in a log.
    pub(super) secrets: Vec<Secret>,
}

/// The address of the API. Its query may contain a token, so `Debug` does not print that.
#[derive(Clone)]
pub(super) struct Endpoint(pub(super) Uri);

impl Endpoint {
    /// The address of the server.
    fn root(&self) -> Uri {
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        // The other parts are those of an address.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// The address without its query.
    pub(super) fn public(&self) -> String {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.public())
    }
}

impl Settings {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let uri = errors.check("endpoint", parse_uri(&options.endpoint));
        let method = method(&options, errors);
        let secrets = secrets(&options, uri.as_ref());
        let query = query(&options.query, errors);
        let body = options.body.as_ref().and_then(|body| errors.check("body", Template::parse(body)));
        let headers = headers(&options, errors);
        let items_path = options.items_path.as_ref().and_then(|path| errors.check("items_path", parse_body(path)));
        if items_path.is_some() && options.framing != PageFraming::Auto {
            errors.add("framing", "has no effect with `items_path`; remove one of them");
        }
        let pagination = pagination(options.pagination, errors);
        if let Some(pagination) = pagination.as_ref().filter(|_| options.framing == PageFraming::Lines)
            && pagination.reads_body()
        {
            errors.add("pagination", "reads a JSON body, but `framing` is `lines`; use a header, or another framing");
        }
        let has_since = options.since.is_some();
        let since = options.since.and_then(|since| check_since(&since, errors));
        let field = pagination.as_ref().map(|pagination| (pagination.name(), pagination.field()));
        check_fields(&query, body.as_ref(), field, has_since, errors);
        let interval = options.interval.unwrap_or(Period(Duration::from_mins(1)));
        errors.not_zero("interval", interval);
        let timeout = options.timeout.unwrap_or(Period(Duration::from_secs(30)));
        errors.not_zero("timeout", timeout);
        let max_pages = options.max_pages.map_or(1000, |number| number.0);
        errors.at_least_one("max_pages", max_pages);
        let max_response_bytes = options.max_response_bytes.map_or(16 << 20, |size| size.0);
        if !(1..=MAX_RESPONSE_BYTES).contains(&max_response_bytes) {
            errors.add("max_response_bytes", "must be at least 1 and at most `1GiB`");
        }
        let max_run_bytes = options.max_run_bytes.map_or(1 << 30, |size| size.0);
        errors.at_least_one("max_run_bytes", max_run_bytes);
        if let Some(proxy) = &options.proxy {
            check_proxy(proxy, errors);
        }
        let tls = options.tls.check(errors);
        let endpoint = Endpoint(uri?);
        let server = Server { uri: endpoint.root(), proxy: options.proxy, tls, is_http2: false };
        if errors.count() == 0 {
            errors.accept(server.check().map_err(|error| vec![error]));
        }
        let (method, pagination) = (method?, pagination?);
        let written: Vec<&str> = query
            .iter()
            .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(value.literals()))
            .chain(body.iter().flat_map(Template::literals))
            .collect();
        let identity = Identity {
            api: digest([
                endpoint.public().as_str(),
                options.items_path.as_deref().unwrap_or_default(),
                since.as_ref().map_or("", |since| since.format.name()),
                &since.as_ref().map(|since| since.path.to_string()).unwrap_or_default(),
            ]),
            request: digest(
                [method.as_str(), pagination.name(), endpoint.0.query().unwrap_or_default()].into_iter().chain(written),
            ),
        };
        Some(Self {
            server,
            endpoint,
            method,
            query,
            headers,
            body,
            interval: interval.0,
            timeout: timeout.0,
            framing: options.framing,
            items_path,
            pagination,
            since,
            max_pages,
            max_response_bytes: usize::try_from(max_response_bytes).unwrap_or(usize::MAX),
            max_run_bytes,
            identity,
            secrets,
        })
    }
}

/// Values that a server may repeat in its responses.
fn secrets(options: &Options, uri: Option<&Uri>) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = options.headers.values().cloned().collect();
    for value in options.query.values() {
        match value {
            QueryValues::One(value) => secrets.push(value.clone()),
            QueryValues::Many(values) => secrets.extend(values.iter().cloned()),
        }
    }
    // A body is not in an error as a whole, but its texts may be.
    let body = options.body.iter().flat_map(|body| body.reveal().split('"'));
    let address = uri.and_then(Uri::query).into_iter().flat_map(|query| query.split(['&', '=']));
    secrets.extend(body.chain(address).map(|text| Secret::new(text.to_owned())));
    secrets.extend(match &options.auth {
        Some(AuthOptions::Basic { user, password }) => vec![password.clone(), basic(user, password)],
        Some(AuthOptions::Bearer { token }) => vec![token.clone()],
        Some(AuthOptions::Header { value, .. }) => vec![value.clone()],
        None => Vec::new(),
    });
    secrets
}

fn basic(user: &str, password: &Secret) -> Secret {
    // RFC 7617, section 2.
    Secret::new(BASE64_STANDARD.encode(format!("{user}:{}", password.reveal())))
}

fn method(options: &Options, errors: &mut OptionErrors) -> Option<Method> {
    let given = options.method.as_deref().unwrap_or("GET");
    let method = match given.to_ascii_uppercase().as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => {
            errors.add("method", format!("`{given}` is not `GET` or `POST`; others change something at the server"));
            return None;
        }
    };
    if method == Method::GET && options.body.is_some() {
        errors.add("body", "needs `method = \"POST\"`");
    }
    Some(method)
}

fn query(values: &BTreeMap<String, QueryValues>, errors: &mut OptionErrors) -> Vec<(String, Template)> {
    let mut query = Vec::new();
    for (name, values) in values {
        let values = match values {
            QueryValues::One(value) => std::slice::from_ref(value),
            QueryValues::Many(values) => values,
        };
        for value in values {
            query.extend(
                errors.check(&format!("query.{name}"), Template::parse(value)).map(|value| (name.clone(), value)),
            );
        }
    }
    query
}

fn headers(options: &Options, errors: &mut OptionErrors) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("wattle/", env!("CARGO_PKG_VERSION"))));
    let accept = if options.framing == PageFraming::Auto { "application/json, */*;q=0.5" } else { "*/*" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if options.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let mut set = |path: &str, name: &str, value: &str, errors: &mut OptionErrors| {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(mut value)) => {
                // It may be a key.
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            (Err(_), _) => errors.add(path, format!("`{name}` is not the name of a header; write it like `x-api-key`")),
            (_, Err(_)) => errors.add(path, "contains characters that a header must not contain, such as a line break"),
        }
    };
    match &options.auth {
        Some(AuthOptions::Basic { user, .. }) if user.contains(':') => {
            errors.add("auth.user", "must not contain a colon")
        }
        Some(AuthOptions::Basic { user, password }) => {
            set("auth", AUTHORIZATION.as_str(), &format!("Basic {}", basic(user, password).reveal()), errors);
        }
        Some(AuthOptions::Bearer { token }) if token.reveal().is_empty() => errors.add("auth.token", "is empty"),
        Some(AuthOptions::Bearer { token }) => {
            set("auth.token", AUTHORIZATION.as_str(), &format!("Bearer {}", token.reveal()), errors);
        }
        Some(AuthOptions::Header { name, value }) => {
            let path = if HeaderName::from_bytes(name.as_bytes()).is_ok() { "auth.value" } else { "auth.name" };
            set(path, name, value.reveal(), errors);
        }
        None => {}
    }
    for (name, value) in &options.headers {
        set(&format!("headers.{name}"), name, value.reveal(), errors);
    }
    headers
}

fn pagination(options: PaginationOptions, errors: &mut OptionErrors) -> Option<Pagination> {
    let place = |text: &str, option: &str, errors: &mut OptionErrors| errors.check(option, Place::parse(text));
    let more = |text: Option<String>, errors: &mut OptionErrors| {
        text.and_then(|text| errors.check("pagination.has_more", Place::parse(&text)))
    };
    let size = |size: Option<Number<u64>>, errors: &mut OptionErrors| {
        errors.at_least_one("pagination.page_size", size.map_or(1, |size| size.0));
        size.map(|size| size.0)
    };
    let first = |start: Option<Number<u64>>, default| start.map_or(default, |start: Number<u64>| start.0);
    Some(match options {
        PaginationOptions::None => Pagination::None,
        PaginationOptions::Link => Pagination::Link,
        PaginationOptions::NextUrl { path } => Pagination::NextUrl { path: place(&path, "pagination.path", errors)? },
        PaginationOptions::Cursor { path, has_more } => {
            let (path, has_more) = (place(&path, "pagination.path", errors), more(has_more, errors));
            Pagination::Cursor { path: path?, has_more }
        }
        PaginationOptions::Page { start, page_size, has_more } => {
            let (page_size, has_more) = (size(page_size, errors), more(has_more, errors));
            Pagination::Page { start: first(start, 1), page_size, has_more }
        }
        PaginationOptions::Offset { start, page_size, has_more } => {
            let (page_size, has_more) = (size(page_size, errors), more(has_more, errors));
            Pagination::Offset { start: first(start, 0), page_size, has_more }
        }
    })
}

fn check_since(options: &SinceOptions, errors: &mut OptionErrors) -> Option<Since> {
    let path = errors.check("since.path", parse_body(&options.path));
    let format = options.format;
    let start = match &options.start {
        None if format == Format::Number => Some(Start::At(0)),
        None => Some(Start::Ago(Duration::from_hours(1))),
        Some(StartOption::Number(number)) => format.read(&number.to_string()).map(Start::At),
        Some(StartOption::Text(text)) => match text.trim().strip_prefix('-') {
            Some(ago) if format != Format::Number => Period::from_text(ago).map(|ago| Start::Ago(ago.0)),
            _ => format.read(text).map(Start::At),
        },
    };
    if start.is_none() {
        let expected = match format {
            Format::Number => "must be a whole number, since `format` is `number`",
            _ => "must be a duration such as `-1h`, or a time such as `2026-01-31T00:00:00Z`",
        };
        errors.add("since.start", expected);
    }
    let overlap = options.overlap.map_or(Duration::ZERO, |overlap| overlap.0);
    if format == Format::Number && !overlap.is_zero() {
        errors.add("since.overlap", "is a time, but `format` is `number`; remove one of them");
    }
    let overlap = i64::try_from(overlap.as_nanos()).unwrap_or(i64::MAX);
    Some(Since { path: path?, start: start?, overlap, format })
}

/// Checks that fields occur where they have a value, and that values are used.
fn check_fields(
    query: &[(String, Template)],
    body: Option<&Template>,
    pagination: Option<(&'static str, Option<Field>)>,
    has_since: bool,
    errors: &mut OptionErrors,
) {
    let uses = |field| query.iter().map(|(_, value)| value).chain(body).any(|value| value.has(field));
    for field in [Field::Cursor, Field::Page, Field::Offset] {
        let Some((strategy, needed)) = pagination else { break };
        let name = field.name();
        match (needed == Some(field), uses(field)) {
            (true, false) => errors.add(
                "pagination",
                format!(
                    "has the strategy `{strategy}`, but no value of `query` or `body` has the field `{{{{ {name} }}}}`"
                ),
            ),
            (false, true) => errors.add(
                if query.iter().any(|(_, value)| value.has(field)) { "query" } else { "body" },
                format!("has the field `{{{{ {name} }}}}`, which needs `pagination.strategy = \"{name}\"`"),
            ),
            _ => {}
        }
    }
    match (has_since, uses(Field::Since)) {
        (true, false) => {
            errors.add("since", "is not used; put the field `{{ since }}` into a value of `query` or `body`")
        }
        (false, true) => errors.add("since", "is missing; the field `{{ since }}` needs it"),
        _ => {}
    }
}

/// Reads the address of the API. The errors do not repeat it, as it may contain a token.
fn parse_uri(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri =
        text.parse().map_err(|_| "is not a valid address; write it like `https://api.example.com/v1/logs`")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("must begin with `http://` or `https://` and a host name");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not contain a user and a password; use `auth`");
    }
    Ok(uri)
}
