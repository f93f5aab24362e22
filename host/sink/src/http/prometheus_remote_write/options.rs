//! Options of the sink `prometheus_remote_write`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::OptionErrors;

use super::{Receiver, SeriesEncoder};
use crate::encode::Template;
use crate::http::common::destination_options;
use crate::http::server::{AuthOptions, ServerOptions, Settings};
use crate::prometheus::Labels;

/// The version of the protocol, in the header that the specification requires.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static("0.1.0"));

destination_options! {
    /// Options of the sink `prometheus_remote_write`.
    ///
    /// # Metrics
    ///
    /// Each metric event becomes one or more samples with the time of the event. The name of the metric gets its unit
    /// and, as a counter, `_total`; the attributes of the event become labels. `service.namespace` and `service.name`
    /// of the resource become the label `job`, and `service.instance.id` becomes `instance`; an attribute of that name
    /// replaces them. Add other fields with `labels`.
    ///
    /// # Order and repetitions
    ///
    /// A request has the samples of a series in the order of their times, and one request runs at a time unless
    /// `request.concurrency` says otherwise. A server takes the samples of a series in the order of time only: if the
    /// response to a request is lost, or the server stored a part of a request that it refuses, it can refuse samples
    /// that it has. They count as rejected.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// 429 and 5xx are retried. With 400, the server refuses samples, such as those that are older than the last one of
    /// their series. The sink sends the request again in halves until the refused events are alone. They go to
    /// `dead_letter` with the reason of the server, or count as rejected. The sink itself rejects events that are not
    /// metrics, metrics with the temporality `delta`, and metrics whose numbers contradict each other. The rest is as
    /// in the sink `http`.
    Options {
        /// Address of the receiver with its path, such as `https://prometheus.example.com:9090/api/v1/write`.
        endpoint: String,
        /// Labels of all samples by their names, with fields of the event in braces, such as
        /// `{ cluster = "{{ resource.k8s.cluster }}" }`. They replace attributes of that name. An empty value is no
        /// label. Default: none.
        #[serde(default)]
        labels: BTreeMap<String, String>,
        /// What exponential histograms become. Default: `native`.
        #[serde(default)]
        exponential_histograms: ExponentialHistograms,
        /// Tenant, with fields of the event in braces, in the header `X-Scope-OrgID`. Without a value, requests have
        /// none. Default: none.
        tenant_id: Option<String>,
        /// Credentials for the server. Default: none.
        auth: Option<AuthOptions>,
    }
    address = endpoint,
    dead_letter = "in `event` the samples as text with times in milliseconds, or the event if it was never sent"
}

/// What exponential histograms become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ExponentialHistograms {
    /// Native histograms, which the server must have enabled.
    #[default]
    Native,
    /// Histograms with buckets: up to 160 on each side of zero.
    Classic,
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(SeriesEncoder, Settings)> {
    let labels = Labels::read("labels", &options.labels, errors);
    let tenant = options.tenant_id.as_ref().and_then(|text| errors.check("tenant_id", Template::parse(text)));
    let server = ServerOptions {
        auth: options.auth.take(),
        // Requests at the same time would mix the samples of a series.
        concurrency: Some(1),
        ..options.server("application/x-protobuf")
    };
    let mut settings = server.validate(Arc::new(Receiver { has_tenants: tenant.is_some() }), errors)?;
    for (name, value) in [(CONTENT_ENCODING, HeaderValue::from_static("snappy")), VERSION] {
        settings.headers.entry(name).or_insert(value);
    }
    let is_native = options.exponential_histograms == ExponentialHistograms::Native;
    Some((SeriesEncoder { labels, tenant, is_native }, settings))
}
