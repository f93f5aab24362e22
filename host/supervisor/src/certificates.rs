//! The certificates of the agent itself, which its listeners and clients present: when they expire, and the warning before.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wattle_plan::{EndpointPlan, Plan};

use crate::admin::State;

/// Interval between warnings.
const CHECK_INTERVAL: Duration = Duration::from_hours(6);

/// How long before the end the warnings begin.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A certificate of the running configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFile {
    /// `source` or `sink`.
    pub(crate) kind: &'static str,
    /// The name of the source or sink.
    pub(crate) name: String,
    /// The file with the certificate.
    pub(crate) path: PathBuf,
}

impl CertificateFile {
    /// The certificates of a plan. All sources and sinks name theirs in `tls.crt_file`.
    pub(crate) fn of(plan: &Plan) -> Arc<[Self]> {
        let file = |kind, endpoint: &EndpointPlan| {
            let path = endpoint.options.pointer("/tls/crt_file")?.as_str()?;
            Some(Self { kind, name: endpoint.name.clone(), path: path.into() })
        };
        let sources = plan.sources.iter().filter_map(|source| file("source", source));
        sources.chain(plan.sinks.iter().filter_map(|sink| file("sink", &sink.endpoint))).collect()
    }

    /// When the certificate expires; `None` if the file has none. Reads the file.
    pub(crate) fn expiry(&self) -> Option<Timestamp> {
        wattle_tls::expiry(&self.path)
    }
}

/// How soon a certificate expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Soon {
    No,
    /// In this number of whole days.
    InDays(i64),
    Expired,
}

impl Soon {
    fn of(expiry: Timestamp, now: Timestamp) -> Self {
        let left = expiry.duration_since(now);
        if left.is_negative() || left.is_zero() {
            Self::Expired
        } else if left <= NOTICE {
            Self::InDays(left.as_hours() / 24)
        } else {
            Self::No
        }
    }
}

/// Warns of certificates that expire soon, at the start and every few hours. Never returns.
pub(crate) async fn watch(state: Arc<State>) {
    loop {
        let files = state.certificates();
        // Files can be on a slow file system.
        let _ = tokio::task::spawn_blocking(move || warn(&files, Timestamp::now())).await;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

fn warn(files: &[CertificateFile], now: Timestamp) {
    for file in files {
        let Some(expiry) = file.expiry() else { continue };
        let CertificateFile { kind, name, path } = file;
        let (source, sink) = if *kind == "source" { (Some(name), None) } else { (None, Some(name)) };
        match Soon::of(expiry, now) {
            Soon::No => {}
            Soon::InDays(days) => tracing::warn!(
                source, sink, file = %path.display(), days, expiry = %expiry,
                "certificate expires soon; replace the file, new connections use it without a restart"
            ),
            Soon::Expired => tracing::error!(
                source, sink, file = %path.display(), expiry = %expiry,
                "certificate has expired, so peers refuse connections; replace the file"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_begin_two_weeks_before_the_end() {
        let expiry: Timestamp = "2026-03-15T12:00:00Z".parse().unwrap();
        for (now, expected) in [
            ("2026-03-01T11:59:59Z", Soon::No),
            ("2026-03-01T12:00:00Z", Soon::InDays(14)),
            ("2026-03-14T13:00:00Z", Soon::InDays(0)),
            ("2026-03-15T12:00:00Z", Soon::Expired),
            ("2027-01-01T00:00:00Z", Soon::Expired),
        ] {
            assert_eq!(Soon::of(expiry, now.parse().unwrap()), expected, "{now}");
        }
    }
}
