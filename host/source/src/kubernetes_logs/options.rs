//! The options of a `kubernetes_logs` source, as written and as checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, Number, OptionErrors, Period, Size};

use super::about::PodLogs;
use super::api::Access;
use super::cache::{Cache, Limits};
use super::pod::Wanted;
use super::selector;
use crate::file::{ContainerFiles, Links, ReadFrom, Settings as FileSettings};

/// Variables with the name of the node, the first one first.
const NODE_NAMES: [&str; 2] = ["NODE_NAME", "VECTOR_SELF_NODE_NAME"];

/// Where the kubelet mounts the credentials of a service account.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Folder with the logs of the pods of this node. Default: `/var/log/pods`.
    directory: Option<PathBuf>,
    /// Globs of log files to exclude, as in a source `file`. Default: none.
    #[serde(default)]
    exclude: Vec<String>,
    /// Namespaces to read. Default: all.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Namespaces not to read. Default: none.
    #[serde(default)]
    exclude_namespaces: Vec<String>,
    /// Selector of the labels of pods, such as `app=web,tier in (front, back)`. Requires `metadata = "api"`: logs are
    /// not read before the API server lists their pod. Default: all pods.
    extra_label_selector: Option<String>,
    /// Selector of the labels of namespaces. Requires `metadata = "api"`. Default: all namespaces.
    extra_namespace_label_selector: Option<String>,
    /// Where facts about pods come from. `api`: the API server, and the path while it does not respond. `path`: only
    /// the path of the log, without a connection. Default: `api`.
    #[serde(default)]
    metadata: Metadata,
    /// Whether events have the labels of their pod, as `k8s.pod.label.NAME`. Default: `true`.
    pod_labels: Option<Flag>,
    /// Names of annotations of pods that events have, as `k8s.pod.annotation.NAME`. A name that ends with `*` is a
    /// prefix. Default: none.
    #[serde(default)]
    pod_annotations: Vec<String>,
    /// How long the log of a new pod waits for metadata of the API server. After that, its events have only what the
    /// path says, until the metadata arrives. Default: `5s`.
    metadata_timeout: Option<Period>,
    /// How long metadata stays after its pod was deleted and its logs were last read. Default: `1m`.
    delay_deletion: Option<Period>,
    /// Maximum memory of metadata in bytes. Pods beyond it have only what the path says. Default: `64MiB`.
    max_metadata_bytes: Option<Size>,
    /// Name of this node. Default: the environment variable `NODE_NAME`, or `VECTOR_SELF_NODE_NAME`.
    self_node_name: Option<String>,
    /// Address of the API server, such as `https://10.0.0.1:6443`.
    /// Default: from `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` in the environment.
    api_server: Option<String>,
    /// File with the token for the API server, which is read for each request. Default: the one of the service account.
    token_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authorities of the API server. Default: the one of the service account.
    ca_file: Option<PathBuf>,
    /// Where to start reading logs that existed before the first run of the source, or before it lost its positions:
    /// `beginning` or `end`. Default: `beginning`.
    #[serde(default)]
    read_from: ReadFrom,
    /// Interval between searches for new logs. Default: `1s`.
    glob_interval: Option<Period>,
    /// How long the source continues to read a renamed or deleted log after its last change. Default: `5s`.
    rotate_wait: Option<Period>,
    /// Maximum length of an event in bytes, after its parts are joined. Longer events are skipped, counted and logged.
    /// Default: `1MiB`.
    max_event_bytes: Option<Size>,
    /// Maximum number of open files. If the limit of the process is lower, the sources share it. Default: `1024`.
    max_open_files: Option<Number<u64>>,
}

/// Where facts about pods come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Metadata {
    /// From the API server.
    #[default]
    Api,
    /// From the path of the log.
    Path,
}

/// The connection to the API server, as the options say.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) cache: Arc<Cache>,
    server: Option<Uri>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    pub(super) node: Option<String>,
    pub(super) label_selector: Option<String>,
    pub(super) namespace_selector: Option<String>,
    /// How long a source that reads once waits for the first list.
    pub(super) timeout: Duration,
}

/// The options as checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) files: FileSettings,
    /// `None` with metadata of the path only.
    pub(super) cluster: Option<Cluster>,
}

impl Settings {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let before = errors.count();
        let cluster = cluster(&options, errors);
        check_names(&options, errors);
        let node = options.self_node_name.clone().or_else(node_name);
        let logs = PodLogs {
            namespaces: options.namespaces,
            exclude_namespaces: options.exclude_namespaces,
            node,
            cache: cluster.as_ref().map(|cluster| cluster.cache.clone()),
            has_logged: false.into(),
        };
        let directory = options.directory.unwrap_or_else(|| PathBuf::from("/var/log/pods"));
        if directory.as_os_str().is_empty() {
            errors.add("directory", "names no folder");
        }
        let mut exclude = options.exclude;
        // The kubelet compresses to this file, and renames it.
        exclude.push("*.tmp".to_owned());
        let files = ContainerFiles {
            include: vec![format!("{}/*/*/*.log*", globset::escape(&directory.to_string_lossy()))],
            exclude,
            read_from: options.read_from,
            follow_symlinks: Links::SameOwner,
            glob_interval: options.glob_interval.unwrap_or(Period(Duration::from_secs(1))),
            rotate_wait: options.rotate_wait.unwrap_or(Period(Duration::from_secs(5))),
            max_event_bytes: options.max_event_bytes.unwrap_or(Size(1 << 20)),
            max_open_files: options.max_open_files.unwrap_or(Number(1024)),
            about: Arc::new(logs),
        };
        let files = errors.accept(files.check())?;
        (errors.count() == before).then_some(Self { files, cluster })
    }
}

fn cluster(options: &Options, errors: &mut OptionErrors) -> Option<Cluster> {
    for (name, selector) in [
        ("extra_label_selector", &options.extra_label_selector),
        ("extra_namespace_label_selector", &options.extra_namespace_label_selector),
    ] {
        if let Some(selector) = selector {
            errors.check(name, selector::check(selector));
        }
    }
    if options.metadata == Metadata::Path {
        for (name, is_set) in [
            ("extra_label_selector", options.extra_label_selector.is_some()),
            ("extra_namespace_label_selector", options.extra_namespace_label_selector.is_some()),
            ("pod_labels", options.pod_labels.is_some()),
            ("pod_annotations", !options.pod_annotations.is_empty()),
            ("metadata_timeout", options.metadata_timeout.is_some()),
            ("delay_deletion", options.delay_deletion.is_some()),
            ("max_metadata_bytes", options.max_metadata_bytes.is_some()),
            ("api_server", options.api_server.is_some()),
            ("token_file", options.token_file.is_some()),
            ("ca_file", options.ca_file.is_some()),
        ] {
            if is_set {
                errors.add(name, "needs the API server, which `metadata = \"path\"` does not use; remove one of them");
            }
        }
        return None;
    }
    let max_bytes = options.max_metadata_bytes.map_or(64 << 20, |size| size.0);
    errors.at_least_one("max_metadata_bytes", max_bytes);
    let server = options.api_server.as_ref().and_then(|server| errors.check("api_server", check_server(server)));
    let timeout = options.metadata_timeout.map_or(Duration::from_secs(5), |given| given.0);
    let limits = Limits {
        timeout,
        delay_deletion: options.delay_deletion.map_or(Duration::from_mins(1), |given| given.0),
        max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
    };
    let wanted = Wanted {
        labels: options.pod_labels.is_none_or(|wanted| wanted.0),
        annotations: options.pod_annotations.clone(),
    };
    let (has_selector, selects_namespaces) =
        (options.extra_label_selector.is_some(), options.extra_namespace_label_selector.is_some());
    Some(Cluster {
        cache: Arc::new(Cache::new(wanted, limits, has_selector, selects_namespaces)),
        server,
        token_file: options.token_file.clone(),
        ca_file: options.ca_file.clone(),
        node: options.self_node_name.clone(),
        label_selector: options.extra_label_selector.clone(),
        namespace_selector: options.extra_namespace_label_selector.clone(),
        timeout,
    })
}

fn check_names(options: &Options, errors: &mut OptionErrors) {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 253
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
    };
    let lists = [("namespaces", &options.namespaces), ("exclude_namespaces", &options.exclude_namespaces)];
    for (option, names) in lists {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_name(name)) {
            errors.add(
                &format!("{option}[{index}]"),
                format!("`{name}` is not the name of a namespace: lower-case letters, digits and `-`"),
            );
        }
    }
    for (index, name) in options.namespaces.iter().enumerate() {
        if options.exclude_namespaces.contains(name) {
            errors.add(&format!("namespaces[{index}]"), format!("`{name}` is in `exclude_namespaces` too"));
        }
    }
    if options.self_node_name.as_ref().is_some_and(|name| !is_name(name)) {
        errors.add("self_node_name", "is not the name of a node: lower-case letters, digits, `-` and `.`");
    }
}

/// Checks the address of an API server: scheme, host and port.
fn check_server(server: &str) -> Result<Uri, String> {
    let uri: Uri = server.parse().map_err(|error| format!("`{server}` is not an address: {error}"))?;
    let has_path = uri.path_and_query().is_some_and(|path| !matches!(path.as_str(), "" | "/"));
    let is_known = matches!(uri.scheme_str(), Some("https" | "http"));
    if !is_known || uri.host().is_none_or(str::is_empty) || has_path {
        return Err(format!("`{server}` is not the address of a server; write it like `https://10.0.0.1:6443`"));
    }
    Ok(uri)
}

fn node_name() -> Option<String> {
    NODE_NAMES.iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

impl Cluster {
    /// Name of this node.
    ///
    /// # Errors
    ///
    /// What is missing, and how to set it.
    pub(super) fn node(&self) -> Result<String, String> {
        self.node.clone().or_else(node_name).ok_or_else(|| {
            "the name of the node is not known; set `self_node_name`, or the environment variable `NODE_NAME` from \
             `spec.nodeName`"
                .to_owned()
        })
    }

    /// Where the API server is.
    ///
    /// # Errors
    ///
    /// What is missing, and how to set it.
    pub(super) fn access(&self) -> Result<Access, String> {
        let Some(server) = &self.server else {
            let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let host = variable("KUBERNETES_SERVICE_HOST").ok_or_else(|| {
                "the API server is not known: `KUBERNETES_SERVICE_HOST` is not set, as it is in a pod; set `api_server`, or \
                 `metadata = \"path\"` to read without an API server"
                    .to_owned()
            })?;
            let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let server = check_server(&format!("https://{host}:{port}"))?;
            return Ok(self.with(server, true));
        };
        // Another server has other credentials, unless it is reached from a pod.
        Ok(self.with(server.clone(), server.scheme_str() == Some("https")))
    }

    fn with(&self, server: Uri, has_defaults: bool) -> Access {
        let default = |path: &str| {
            let path = PathBuf::from(path);
            (has_defaults && path.exists()).then_some(path)
        };
        Access {
            server,
            ca_file: self.ca_file.clone().or_else(|| default(CA_FILE)),
            token_file: self.token_file.clone().or_else(|| default(TOKEN_FILE)),
        }
    }
}
