//! The options of an `http_client` source, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use wattle_http_client::ProxyOptions;
use wattle_options::{Number, Period, Secret, Size};
use wattle_tls::TlsOptions;

use super::since::Format;

/// The options as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Address of the API, such as `https://api.example.com/v1/logs`. All pages must be at this server.
    pub(super) endpoint: String,
    /// Method of the requests: `GET` or `POST`. Default: `GET`.
    pub(super) method: Option<String>,
    /// Parameters of the query: a value, or a list of values. A value may have the fields `{{ cursor }}`,
    /// `{{ since }}`, `{{ page }}` and `{{ offset }}`; a parameter whose field has no value yet, such as the cursor of
    /// the first page, is left out. Default: none.
    #[serde(default)]
    pub(super) query: BTreeMap<String, QueryValues>,
    /// Headers of every request. They replace headers that the source sets. Default: none.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Secret>,
    /// Body of the requests, for `POST`. It may have the same fields, which are escaped as in a JSON string; one
    /// without a value is empty. Default: none.
    pub(super) body: Option<Secret>,
    /// Time from the start of a run to the start of the next one. Default: `1m`.
    pub(super) interval: Option<Period>,
    /// Time limit of a request, with its response. Default: `30s`.
    pub(super) timeout: Option<Period>,
    /// How a page becomes events. Default: `auto`.
    #[serde(default)]
    pub(super) framing: PageFraming,
    /// Path of the array of events in a page, such as `body.items`, or `body` for the whole page. Each element is an
    /// event, byte for byte. Default: none; `framing` applies.
    pub(super) items_path: Option<String>,
    /// How to find the next page. Default: `none`.
    #[serde(default)]
    pub(super) pagination: PaginationOptions,
    /// Where the next run begins: at the newest value of the events before. Without it, each run makes the same
    /// requests, unless `pagination` goes on at its last page. Default: none.
    pub(super) since: Option<SinceOptions>,
    /// Maximum number of pages in one run. The next run goes on. Default: 1000.
    pub(super) max_pages: Option<Number<u64>>,
    /// Maximum size of a page in bytes, before and after decompression, at most `1GiB`. A larger one is an error.
    /// Default: `16MiB`.
    pub(super) max_response_bytes: Option<Size>,
    /// Maximum bytes of all pages in one run. The next run goes on. Default: `1GiB`.
    pub(super) max_run_bytes: Option<Size>,
    /// Credentials for the API. Default: none.
    pub(super) auth: Option<AuthOptions>,
    /// Trusted servers, and the client certificate.
    #[serde(default)]
    pub(super) tls: TlsOptions,
    /// The proxy that requests go through: an address such as `http://user:password@proxy.example.com:3128`, or a
    /// table. Default: the environment variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as in curl.
    pub(super) proxy: Option<ProxyOptions>,
}

/// A value of the query, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum QueryValues {
    /// A text, number or boolean.
    One(Secret),
    /// A parameter that occurs more than once.
    Many(Vec<Secret>),
}

impl<'de> Deserialize<'de> for QueryValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let one = |value: Value| match value {
            Value::String(text) => Ok(Secret::new(text)),
            Value::Number(number) => Ok(Secret::new(number.to_string())),
            Value::Bool(flag) => Ok(Secret::new(flag.to_string())),
            // The error must not contain the value.
            _ => Err(D::Error::custom("must be a string, a number, a boolean, or a list of them")),
        };
        match Value::deserialize(deserializer)? {
            Value::Array(values) => Ok(Self::Many(values.into_iter().map(one).collect::<Result<_, _>>()?)),
            value => one(value).map(Self::One),
        }
    }
}

/// How a page becomes events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PageFraming {
    /// A page of JSON (`application/json`, `text/json`, `application/*+json`) has one event for each document, or for
    /// each element of a document that is an array. A page of any other content type has one event for each line.
    #[default]
    Auto,
    /// Each line is an event.
    Lines,
    /// Each page is an event.
    Document,
}

/// Credentials for the API.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum AuthOptions {
    /// User and password.
    Basic {
        /// Name of the user.
        user: String,
        /// Password of the user. Use a variable, such as `${PASSWORD}`.
        password: Secret,
    },
    /// A token.
    Bearer {
        /// The token. Use a variable, such as `${TOKEN}`.
        token: Secret,
    },
    /// A header with a secret, such as `x-api-key`.
    Header {
        /// Name of the header, such as `x-api-key`.
        name: String,
        /// Value of the header. Use a variable, such as `${API_KEY}`.
        value: Secret,
    },
}

/// How to find the next page.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum PaginationOptions {
    /// There is one page.
    #[default]
    None,
    /// The header `Link` has its address, with `rel="next"`.
    Link,
    /// The response has its address.
    NextUrl {
        /// Where: a path such as `body.next`, or `headers.NAME`.
        path: String,
    },
    /// The response has a cursor, which the field `{{ cursor }}` in `query` or `body` sends back.
    Cursor {
        /// Where: a path such as `body.next_cursor`, or `headers.NAME`.
        path: String,
        /// Where the response says whether there are more pages, such as `body.has_more`. Without it, a
        /// page without a cursor is the last one. Default: none.
        has_more: Option<String>,
    },
    /// Pages have numbers, which the field `{{ page }}` in `query` or `body` sends.
    Page {
        /// Number of the first page. Default: 1.
        start: Option<Number<u64>>,
        /// Number of events in a full page. A page with fewer is the last one, as is an
        /// empty one. Default: none.
        page_size: Option<Number<u64>>,
        /// Where the response says whether there are more pages, such as `body.has_more`. Default: none.
        has_more: Option<String>,
    },
    /// The field `{{ offset }}` in `query` or `body` sends the number of events before the page.
    Offset {
        /// Offset of the first page. Default: 0.
        start: Option<Number<u64>>,
        /// Number of events in a full page. A page with fewer is the last one, as is an
        /// empty one. Default: none.
        page_size: Option<Number<u64>>,
        /// Where the response says whether there are more pages, such as `body.has_more`. Default: none.
        has_more: Option<String>,
    },
}

/// Where the next run begins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SinceOptions {
    /// Path of the value in an event, such as `body.created_at`: a time (RFC 3339, or Unix time in any unit), or with
    /// `format = "number"` a whole number.
    pub(super) path: String,
    /// Where the first run begins: so long ago, such as `-1h`, or a value. Default: `-1h`; 0 for `number`.
    pub(super) start: Option<StartOption>,
    /// How far before the newest event the next run begins, for APIs where events appear late. Events that come again
    /// are left out. Default: `0s`.
    pub(super) overlap: Option<Period>,
    /// How `{{ since }}` is written. Default: `rfc3339`.
    #[serde(default)]
    pub(super) format: Format,
}

/// A text or a number.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum StartOption {
    /// A duration such as `-1h`, a time, or a number.
    #[allow(dead_code, reason = "a number becomes its text")]
    Number(u64),
    /// The same as a text.
    Text(String),
}

impl<'de> Deserialize<'de> for StartOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Number(number) => Ok(Self::Text(number.to_string())),
            _ => Err(D::Error::custom("must be a duration such as `-1h`, a time, or a number")),
        }
    }
}
