//! The source `kubernetes_logs`: reads the logs of the containers of this node.
//!
//! It is the source `file` on `/var/log/pods`, which follows, rotates and saves positions. This module adds the lines
//! of container runtimes (see [`LineFormat::Container`](crate::frame::LineFormat)), facts about pods ([`about`],
//! [`path`]), and with `metadata = "api"` a cache of the pods of the node ([`cache`]), which two tasks keep up to date
//! ([`watch`]).
//!
//! # Invariants
//!
//! - A log waits for metadata on disk, never in memory, and the wait is bounded.
//! - No failure of the API server ends the source or loses events.
//! - A pod that a selector does not select, or that its annotations exclude, is never read once this is known.

mod about;
mod api;
mod cache;
mod options;
mod path;
mod pod;
mod selector;
mod watch;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Duration;

use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::file::FileSource;
use crate::source::{Source, SourceContext};
use api::Api;
pub(crate) use options::Options;
use options::{Cluster, Settings};
use watch::{NamespaceObjects, PodObjects};

/// Interval at which a source that reads once looks for the first list.
const SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// The source, ready to run.
pub(crate) struct KubernetesLogs {
    settings: Settings,
}

impl KubernetesLogs {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Settings::new(options, errors)? })
    }
}

impl Source for KubernetesLogs {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let Settings { files, cluster } = self.settings;
            let files = Box::new(FileSource::of(files));
            let Some(cluster) = cluster else { return files.run(context).await };
            let watching = keep_up_to_date(&cluster, &context);
            let reading = async {
                if context.once {
                    wait_for_pods(&cluster).await;
                }
                files.run(context.clone()).await
            };
            tokio::select! {
                result = reading => result,
                () = watching => Ok(()),
            }
        })
    }
}

/// Keeps the cache up to date until the future is dropped.
async fn keep_up_to_date(cluster: &Cluster, context: &SourceContext) {
    let (node, access) = match (cluster.node(), cluster.access()) {
        (Ok(node), Ok(access)) => (node, access),
        (Err(reason), _) | (_, Err(reason)) => {
            context.stats.fail(format!("cannot get metadata of containers: {reason}"));
            tracing::error!(
                source = %context.name, reason,
                "no metadata of containers; events have only what the paths of logs say, and selectors select nothing"
            );
            return std::future::pending().await;
        }
    };
    let api = Api::new(access, context.name.clone());
    let pods = PodObjects { cache: cluster.cache.clone(), node, label_selector: cluster.label_selector.clone() };
    let pods = watch::run(pods, &api, context);
    let namespaces = async {
        if let Some(label_selector) = cluster.namespace_selector.clone() {
            watch::run(NamespaceObjects { cache: cluster.cache.clone(), label_selector }, &api, context).await;
        }
    };
    tokio::join!(pods, namespaces);
}

/// Waits for the first list, up to `metadata_timeout`: a source that reads once does not wait for each log.
async fn wait_for_pods(cluster: &Cluster) {
    let synced = async {
        while !cluster.cache.is_synced() {
            tokio::time::sleep(SYNC_INTERVAL).await;
        }
    };
    let _ = tokio::time::timeout(cluster.timeout, synced).await;
}
