//! Fakes of the sandbox and of the endpoints: they check options as strictly as the real ones, and
//! run nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_manifest::{ConfigOrigin, EndpointKind, Endpoints};
use wattle_options::{Address, Network, OptionError, PathPattern, Selects, Use, Used, uses};
use wattle_pack::{BuiltinPack, Library};
use wattle_plan::{Artifact, Grants, NodeError, NodeLimits, NodeShape, Nodes, Origin, Plan, Sharing, StateSettings};

/// Nodes with the ports of the built-in nodes. The artifact of any other node is a text: `ports a
/// b` is a node with these ports, `imports a b` a node with these imports, and any other text is
/// refused with that text as the reason. The built-in `edit` needs the clock with `now = true`.
pub(crate) struct FakeNodes;

/// Options of each built-in node.
const OPTIONS: &[(&str, &[&str])] = &[
    ("aggregate", &["by"]),
    ("edit", &["now"]),
    ("extract", &["fields"]),
    ("mask", &["fields", "rules", "replacement", "skip_values"]),
    ("parse", &["field", "format", "into", "on_conflict"]),
    ("route", &["paths"]),
    ("unroll", &["from", "path", "into", "single", "broken", "unsupported"]),
];

impl Nodes for FakeNodes {
    fn builtin(&self, name: &str) -> Option<Arc<Artifact>> {
        let (name, _) = OPTIONS.iter().find(|(known, _)| *known == name)?;
        Some(Arc::new(Artifact::new(*name, name.as_bytes(), Origin::Builtin)))
    }

    fn builtin_names(&self) -> Vec<String> {
        OPTIONS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn imports(&self, artifact: &Artifact) -> Vec<String> {
        let bytes = artifact.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let imports = text.trim().strip_prefix("imports ").unwrap_or_default();
        imports.split_whitespace().map(str::to_owned).collect()
    }

    fn check_field(&self, path: &str) -> Result<(), String> {
        let root = path.split('.').next().unwrap_or_default();
        let is_field = ["body", "attributes"].contains(&root);
        if is_field { Ok(()) } else { Err(format!("field `{path}` must begin with `body` or `attributes`")) }
    }

    fn configure(
        &self,
        artifact: &Arc<Artifact>,
        options: &str,
        _: &NodeLimits,
        grants: &Grants,
    ) -> Result<NodeShape, NodeError> {
        let options: Json = serde_json::from_str(options).unwrap();
        let needs_clock = artifact.origin == Origin::Builtin && options["now"] == true;
        if needs_clock && !grants.has("clock") {
            return Err(NodeError::Capability("clock"));
        }
        let capabilities = if needs_clock { vec!["clock"] } else { Vec::new() };
        let ports = if artifact.origin == Origin::Builtin {
            let known = OPTIONS.iter().find(|(name, _)| *name == artifact.name).unwrap().1;
            let mut errors = unknown_options(&options, known);
            find_bad_patterns(&options, "", &mut errors);
            if !errors.is_empty() {
                return Err(NodeError::Options(errors));
            }
            match artifact.name.as_str() {
                "route" => route_ports(&options)?,
                _ => vec!["out".to_owned()],
            }
        } else {
            let text = String::from_utf8_lossy(&artifact.bytes()).trim().to_owned();
            match text.strip_prefix("ports") {
                Some(ports) => ports.split_whitespace().map(str::to_owned).collect(),
                None => {
                    let hint = text.contains("wasi").then(|| "build it for `wasm32-unknown-unknown`".to_owned());
                    return Err(NodeError::Artifact { message: text, hint });
                }
            }
        };
        let masks = artifact.name == "mask";
        let version = "0.1.0".to_owned();
        let sharing = match (artifact.name.as_str(), options["by"].as_array()) {
            ("aggregate", Some(by)) => Sharing::Key(by.iter().map(|by| by.as_str().unwrap().to_owned()).collect()),
            ("aggregate", None) => Sharing::Single,
            _ => Sharing::Worker,
        };
        let state = StateSettings { sharing, ..StateSettings::default() };
        Ok(NodeShape {
            ports,
            name: artifact.name.clone(),
            version,
            summary: String::new(),
            masks,
            is_stateful: false,
            capabilities,
            state,
        })
    }
}

fn route_ports(options: &Json) -> Result<Vec<String>, NodeError> {
    let error = |path: String| NodeError::Options(vec![OptionError::new(path, "missing")]);
    let paths = options["paths"].as_array().ok_or_else(|| error("paths".to_owned()))?;
    let name = |(index, path): (usize, &Json)| {
        path["name"].as_str().map(str::to_owned).ok_or_else(|| error(format!("paths[{index}].name")))
    };
    paths.iter().enumerate().map(name).chain([Ok("unmatched".to_owned())]).collect()
}

fn unknown_options(options: &Json, known: &[&str]) -> Vec<OptionError> {
    let keys = options.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str()));
    keys.map(|key| OptionError::new(key, "unknown option")).collect()
}

/// Finds strings under the keys `pattern` and `regex` with an unclosed parenthesis.
fn find_bad_patterns(value: &Json, path: &str, errors: &mut Vec<OptionError>) {
    match value {
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_bad_patterns(item, &format!("{path}[{index}]"), errors);
            }
        }
        Json::Object(members) => {
            for (key, member) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                find_bad_patterns(member, &path, errors);
            }
        }
        Json::String(text) => {
            let pattern = path.ends_with("pattern") || path.ends_with("regex");
            if pattern && text.matches('(').count() != text.matches(')').count() {
                let message = format!("regex parse error: unclosed group in `{text}`");
                errors.push(OptionError::new(path, message));
            }
        }
        _ => {}
    }
}

/// Sources and sinks that take a few options.
pub(crate) struct FakeEndpoints;

impl Endpoints for FakeEndpoints {
    fn types(&self, kind: EndpointKind) -> Vec<&str> {
        match kind {
            EndpointKind::Source => vec!["demo", "file", "http", "stdin"],
            EndpointKind::Sink => vec!["blackhole", "console", "file", "sender"],
        }
    }

    fn check(&self, _: EndpointKind, type_name: &str, options: &Json) -> Result<(), Vec<OptionError>> {
        let known: &[&str] = match type_name {
            "file" => &["path", "framing", "token"],
            "http" => &["address", "token"],
            "sender" => &["uri", "dead_letter"],
            _ => &["token"],
        };
        let mut errors = unknown_options(options, known);
        if type_name == "file" && !options["path"].is_string() {
            errors.push(OptionError::new("path", "a path is needed"));
        }
        if let Some(token) = options["token"].as_str().filter(|token| !token.starts_with("token-")) {
            let message = format!("`{token}` does not begin with `token-`");
            errors.push(OptionError::new("token", message));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn uses(&self, kind: EndpointKind, type_name: &str, options: &Json) -> Vec<Use> {
        let path = uses::text(options, "path").unwrap_or_default();
        match (kind, type_name) {
            (_, "file") if path.is_empty() => Vec::new(),
            (EndpointKind::Source, "http") => {
                let address = Address::new(Network::Tcp, uses::text(options, "address").unwrap_or("127.0.0.1:8080"));
                let listens = address.map(|address| Use { option: "address", what: Used::Listens(address) });
                listens.into_iter().collect()
            }
            (EndpointKind::Source, "file") => {
                vec![Use { option: "path", what: Used::Reads(Arc::new(FakeFiles(path.to_owned()))) }]
            }
            (EndpointKind::Sink, "file") => vec![Use { option: "path", what: Used::Writes(PathPattern::new(path)) }],
            (EndpointKind::Sink, "sender") => {
                uses::sends_to_url(options, "uri").into_iter().chain(uses::dead_letter(options)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The files of an absolute path with at most one `*`.
#[derive(Debug)]
struct FakeFiles(String);

impl Selects for FakeFiles {
    fn name_of(&self, path: &Path) -> Option<PathBuf> {
        let text = path.to_string_lossy();
        let is_selected = match self.0.split_once('*') {
            Some((before, after)) => text.starts_with(before) && text.ends_with(after),
            None => text == self.0,
        };
        is_selected.then(|| path.to_owned())
    }

    fn excludes(&self, _: &Path) -> bool {
        false
    }

    fn globs(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// Environment for all tests.
pub(crate) fn env(name: &str) -> Option<String> {
    let value = match name {
        "WATTLE_DATA_DIR" => "/nonexistent/wattle",
        "SECRET" => "swordfish",
        "FOUR" => "4",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A library with the pack `sample` in two versions: input, one mask, outputs `masked` and `fails`.
pub(crate) fn library() -> Library {
    let pack = |version: &str, manifest: &'static [u8]| BuiltinPack {
        name: "sample".to_owned(),
        version: version.to_owned(),
        files: vec![("pack.toml".to_owned(), manifest)],
    };
    Library::new(vec![
        pack("1.0.0", include_bytes!("sample/1.0.0.toml")),
        pack("1.1.0", include_bytes!("sample/1.1.0.toml")),
    ])
}

/// Loads a configuration from text.
pub(crate) fn load(text: &str) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
    let origin = ConfigOrigin::Text { name: "agent.toml", text };
    wattle_manifest::load(origin, &env, &FakeNodes, &FakeEndpoints, &library())
}
