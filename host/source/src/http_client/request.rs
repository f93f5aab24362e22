//! Makes the request of a page, and judges its response.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wattle_http_client::{Client, Limits, RequestError, Response, redact};

use super::failure::{Failure, Kind};
use super::limits;
use super::link;
use super::settings::{Pagination, Settings};
use super::state::{Next, State};
use super::template::Values;

/// What a query leaves as it is (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Settings {
    /// The values of the fields for the next page.
    fn values(&self, state: &State) -> Values {
        let since = self.since.as_ref().zip(state.since).map(|(since, mark)| since.write(mark));
        let mut values = Values { since, ..Values::default() };
        match (&self.pagination, &state.next) {
            (_, Some(Next::Cursor(cursor))) => values.cursor = Some(cursor.clone()),
            (_, Some(Next::Page(page))) => values.page = Some(*page),
            (_, Some(Next::Offset(offset))) => values.offset = Some(*offset),
            (Pagination::Page { start, .. }, _) => values.page = Some(*start),
            (Pagination::Offset { start, .. }, _) => values.offset = Some(*start),
            _ => {}
        }
        values
    }

    /// The address of the next page.
    ///
    /// # Errors
    ///
    /// It cannot be an address.
    pub(super) fn uri(&self, state: &State) -> Result<Uri, Failure> {
        if let Some(Next::Url(url)) = &state.next {
            return link::resolve(url, &self.endpoint.0)
                .map_err(|error| Failure::lasting(Kind::Link, error.to_string()));
        }
        let values = self.values(state);
        let mut target = self.endpoint.0.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let mut separator = if self.endpoint.0.query().is_some() { '&' } else { '?' };
        for (name, value) in &self.query {
            let Some(value) = value.fill(&values) else { continue };
            target.push(separator);
            target.extend(utf8_percent_encode(name, ESCAPED));
            target.push('=');
            target.extend(utf8_percent_encode(&value, ESCAPED));
            separator = '&';
        }
        let mut parts = self.endpoint.0.clone().into_parts();
        let invalid = || Failure::lasting(Kind::Setup, "the address with its query is too long");
        parts.path_and_query = Some(target.parse().map_err(|_| invalid())?);
        Uri::from_parts(parts).map_err(|_| invalid())
    }

    fn request(&self, state: &State) -> Result<Request<Bytes>, Failure> {
        let body = self.body.as_ref().map(|body| body.fill_json(&self.values(state))).unwrap_or_default();
        let mut request = Request::new(body.into());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri(state)?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// Requests the next page.
    ///
    /// # Errors
    ///
    /// There is no complete response with status 2xx.
    pub(super) async fn fetch(&self, client: &Client, state: &State) -> Result<Response, Failure> {
        let request = self.request(state)?;
        let limits =
            Limits { timeout: self.timeout, timeout_option: "timeout", max_response_bytes: self.max_response_bytes };
        let response = client.send(request, limits).await.map_err(|error| unreachable(&error))?;
        if response.status.is_success() && response.status != StatusCode::PARTIAL_CONTENT {
            return Ok(response);
        }
        let now = Timestamp::now();
        let exhausted = limits::exhausted(&response.headers, now);
        let wait = wattle_http_client::retry_after(&response.headers, now, limits::MAX_WAIT).or(exhausted);
        // GitHub limits the rate with status 403, too.
        let is_limited = response.status == StatusCode::FORBIDDEN && wait.is_some();
        let reason = self.redact(&reason(&response), state);
        Err(Failure::of_status(response.status.as_u16(), wait, is_limited, &reason))
    }

    /// A text of the server without values of options and without the cursor.
    fn redact(&self, text: &str, state: &State) -> String {
        let next = match &state.next {
            Some(Next::Url(text) | Next::Cursor(text)) => Some(text.as_str()),
            _ => None,
        };
        // An address of a page has the values of its query.
        let of_next = next.into_iter().flat_map(|next| std::iter::once(next).chain(next.split(['?', '&', '='])));
        redact(text, self.secrets.iter().map(wattle_options::Secret::reveal).chain(of_next))
    }
}

/// What a server says about an error: the usual member of a JSON body, or the beginning of a text. Pages of HTML
/// explain nothing in a line.
fn reason(response: &Response) -> String {
    let body = response.body();
    if body.trim_ascii_start().starts_with(b"<") {
        return String::new();
    }
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let members = ["message", "errorSummary", "error_description", "error", "detail", "title"];
    let said = json.as_ref().and_then(|json| members.into_iter().find_map(|name| json.get(name)?.as_str()));
    match said {
        Some(text) => wattle_http_client::beginning(text.as_bytes()),
        None => response.reason(),
    }
}

fn unreachable(error: &RequestError) -> Failure {
    Failure::passing(Kind::Connection, error.with_option("endpoint"))
}

/// How long to wait before the next request, if the response says that the limit is used up.
pub(super) fn pause(headers: &HeaderMap) -> Option<std::time::Duration> {
    limits::exhausted(headers, Timestamp::now())
}
