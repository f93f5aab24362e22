//! Options of the sink `datadog_logs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::HeaderName;
use wattle_options::{OptionErrors, Secret};

use super::{Intake, LogEncoder};
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, Template};
use crate::http::common::destination_options;
use crate::http::server::{ServerOptions, Settings};
use crate::http::writing::Members;

/// The header with the key.
const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
/// Limits of a request, which Datadog documents.
const MAX_EVENTS: usize = 1000;
const MAX_BYTES: usize = 5_000_000;

destination_options! {
    /// Options of the sink `datadog_logs`.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// An event is delivered when Datadog accepts its request (202). 408, 429 and 5xx are retried. 401 and 403 are
    /// retried and logged as errors, because an operator must fix the key or the site. A request that is too large
    /// (413) is sent again in halves, and so is one that is refused (400), until the refused events are alone. They go
    /// to `dead_letter` with the reason of the server, or count as rejected. The rest is as in the sink `http`. Datadog
    /// does not recognize events that it receives twice.
    Options {
        /// API key. Use a variable, such as `${DD_API_KEY}`.
        default_api_key: Secret,
        /// Site of the organization, such as `datadoghq.eu` or `us5.datadoghq.com`. Default: `datadoghq.com`.
        #[serde(default = "default_site")]
        site: String,
        /// Address of the API without `/api/v2/logs`, such as that of a proxy of yours; replaces `site`.
        /// Default: `https://http-intake.logs.<site>`.
        #[serde(default)]
        endpoint: String,
        /// Source of the log, which chooses its pipeline in Datadog, with fields of the event in braces. An empty value
        /// is left out. Default: none.
        ddsource: Option<String>,
        /// Tags by their keys, likewise, such as `{ env = "production", team = "{{ attributes.team }}" }`. Default:
        /// none.
        #[serde(default)]
        ddtags: BTreeMap<String, String>,
        /// Name of the service, likewise. Default: `{{ resource.service.name }}`, also if `service.name` is one key.
        service: Option<String>,
        /// Host, likewise. Default: `{{ resource.host.name }}`, also if `host.name` is one key.
        hostname: Option<String>,
        /// Status, likewise. Default: `{{ severity.text }}`.
        status: Option<String>,
        /// How to write the message of a log. Datadog reads the members of a message that is a JSON object, as of codec
        /// `json`, as attributes.
        #[serde(default)]
        encoding: EncodingOptions,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Default: `gzip`.
        #[serde(default = "default_compression")]
        compression: Compression,
    }
    address = endpoint,
    dead_letter = "the log as it was sent in `event`"
}

fn default_site() -> String {
    "datadoghq.com".to_owned()
}

const fn default_compression() -> Compression {
    Compression::Gzip
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(LogEncoder, Settings)> {
    let is_host =
        |site: &str| !site.is_empty() && site.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if !is_host(&options.site) {
        errors.add("site", "is not the name of a site; write it like `datadoghq.eu`");
    } else if options.endpoint.is_empty() {
        options.endpoint = format!("https://http-intake.logs.{}", options.site);
    }
    let mut reserved = Vec::new();
    for (name, text, default) in [
        ("ddsource", &options.ddsource, None),
        ("service", &options.service, Some("{{ resource.service.name }}{{ resource.\"service.name\" }}")),
        ("hostname", &options.hostname, Some("{{ resource.host.name }}{{ resource.\"host.name\" }}")),
        ("status", &options.status, Some("{{ severity.text }}")),
    ] {
        let text = text.as_deref().or(default);
        let template = text.and_then(|text| errors.check(name, Template::parse(text)));
        reserved.extend(template.map(|template| (name.to_owned(), template)));
    }
    let mut tags = Vec::new();
    for (key, text) in &options.ddtags {
        let path = format!("ddtags.{key}");
        if key.is_empty() || key.contains([',', ':']) {
            errors.add(&path, "is not the key of a tag; leave out `,` and `:`");
        }
        tags.extend(errors.check(&path, Template::parse(text)).map(|template| (key.clone(), template)));
    }
    let mut encoding = Encoding::of_values(&options.encoding, errors);
    // The message is the text of the event, not a JSON value.
    (encoding.framing, encoding.values) = (Framing::None, false);
    let server = ServerOptions {
        path: "/api/v2/logs".into(),
        compression: options.compression,
        ..options.server("application/json")
    };
    let mut settings = server.validate(Arc::new(Intake), errors)?;
    settings.set_secret(API_KEY, "default_api_key", options.default_api_key.reveal(), errors);
    let limits = &mut settings.limits;
    if limits.max_events == usize::MAX {
        limits.max_events = MAX_EVENTS;
    }
    if limits.max_events > MAX_EVENTS {
        errors.add("batch.max_events", "must be at most 1000, because Datadog takes no more in a request");
    }
    if limits.max_bytes > MAX_BYTES {
        errors.add("batch.max_bytes", "must be at most 5MB, because Datadog takes no more in a request");
    }
    let (reserved, tags) = (Members(reserved), Members(tags));
    Some((LogEncoder { encoding, reserved, tags }, settings))
}
