//! The configuration of a command: files, or the one that `wattle run --pack` generates.

use std::path::Path;

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_pack::Library;
use wattle_plan::{ArtifactLimits, Plan};
use wattle_runtime::{Catalog, Runtime};
use wattle_supervisor::{Configuration, environment};

use crate::builtin;
use crate::cli::{Framing, RunOptions};
use crate::exit::{Failure, USAGE};
use crate::waiting::Waiting;

/// Events of each output of `--pack` that a terminal shows.
pub(crate) const PREVIEW: u32 = 5;

/// The configuration that the command line selects.
pub(crate) fn of(options: &RunOptions) -> Result<Configuration, Failure> {
    let paths = options.config.paths()?;
    match &options.pack {
        Some(_) if options.config.is_option() => {
            Err(Failure::with(USAGE, "`--config` and `--pack` cannot be used together"))
        }
        Some(pack) => quick(pack, options).map(Configuration::Text),
        None if !paths.is_empty() => Ok(Configuration::Files(paths)),
        None => Err(Failure::with(
            USAGE,
            "name a configuration (`wattle run FILE` or `--config FILE`) or a pack (`--pack PACK`); \
             see `wattle run --help`",
        )),
    }
}

/// Loads a configuration. If compiling takes long, shows the artifacts.
pub(crate) fn load(
    configuration: &Configuration,
    catalog: &Catalog,
    library: &Library,
) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
    let _waiting = Waiting::compiling(catalog.runtime());
    configuration.load(catalog, library)
}

/// A runtime that keeps compiled code in the data folder, with the built-in artifacts.
pub(crate) fn catalog(data_dir: &Path, limits: ArtifactLimits) -> Result<Catalog, Failure> {
    let runtime = Runtime::new(Some(&data_dir.join("cache")), limits)?;
    Ok(Catalog::new(runtime, builtin::artifacts()))
}

/// The same for a command without a configuration.
pub(crate) fn plain_catalog() -> Result<Catalog, Failure> {
    catalog(&wattle_manifest::default_data_dir(&environment), ArtifactLimits::default())
}

/// The configuration of `--pack`: standard input, the pack, and its outputs to files or standard
/// output.
fn quick(pack: &str, options: &RunOptions) -> Result<String, Failure> {
    let is_folder = Path::new(pack).join("pack.toml").is_file();
    let pack = if is_folder && !pack.contains('/') { format!("./{pack}") } else { pack.to_owned() };
    let framing = match options.framing {
        Framing::Auto => "auto",
        Framing::Lines => "lines",
        Framing::Document => "document",
    };
    let params = params(&options.params, escape_dollar)?;
    let table = |pairs: Vec<(&str, toml::Value)>| -> toml::Value {
        toml::Value::Table(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    };
    let mut sinks = toml::Table::new();
    let inputs = |output: &str| toml::Value::Array(vec![format!("main.{output}").into()]);
    match &options.out {
        Some(folder) => {
            for output in outputs(&pack, &params)? {
                let path = folder.join(format!("{output}.ndjson"));
                // The attributes of these events say what failed, was found or was counted. Of all others, write only the
                // body, as JSON.
                let is_whole = matches!(output.as_str(), "fails" | "findings" | "metrics");
                let codec = if is_whole { "json" } else { "ndjson" };
                let sink = table(vec![
                    ("type", "file".into()),
                    ("inputs", inputs(&output)),
                    ("path", escape_dollar(&path.to_string_lossy()).into()),
                    ("encoding", table(vec![("codec", codec.into())])),
                ]);
                sinks.insert(output, sink);
            }
        }
        // One sink per output, so the terminal shows the output of each event.
        None if options.previews() => {
            for output in outputs(&pack, &params)? {
                let sink = table(vec![
                    ("type", "console".into()),
                    ("inputs", inputs(&output)),
                    ("preview", i64::from(PREVIEW).into()),
                ]);
                sinks.insert(output, sink);
            }
        }
        None => {
            sinks.insert("stdout".into(), table(vec![("type", "console".into()), ("inputs", inputs("*"))]));
        }
    }
    let mut source = vec![("type", "stdin".into()), ("framing", framing.into())];
    if let Some(max) = options.max_line_bytes {
        source.push(("max_line_bytes", i64::try_from(max.0).unwrap_or(i64::MAX).into()));
    }
    let source = table(source);
    // A pack must run without a configuration. These capabilities need no settings and reach nothing outside of the
    // agent. Claims of `seen` end with the run, so they need no shorter limit.
    let mut grants: Vec<_> = ["log", "metrics", "clock", "random", "host", "kv"].map(|name| (name, true.into())).into();
    grants.push(("seen", table(vec![("max_age", "366d".into())])));
    let pipeline = table(vec![
        ("inputs", toml::Value::Array(vec!["stdin".into()])),
        ("pack", escape_dollar(&pack).into()),
        ("params", toml::Value::Table(params)),
        ("grants", table(grants)),
    ]);
    let whole = table(vec![
        ("sources", table(vec![("stdin", source)])),
        ("pipelines", table(vec![("main", pipeline)])),
        ("sinks", toml::Value::Table(sinks)),
    ]);
    Ok(toml::to_string(&whole)?)
}

/// Parameters of a command line. A value that is valid TOML keeps its type; any other value is text.
fn params(given: &[String], text: impl Fn(&str) -> String) -> Result<toml::Table, Failure> {
    let mut params = toml::Table::new();
    for param in given {
        let Some((name, value)) = param.split_once('=') else {
            return Err(Failure::config(format!("parameter `{param}` does not have the form NAME=VALUE")));
        };
        let typed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
        params.insert(name.into(), typed.unwrap_or_else(|| text(value).into()));
    }
    Ok(params)
}

/// Parameters of a command line for a pack that is loaded without a configuration.
pub(crate) fn param_values(given: &[String]) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    match serde_json::to_value(params(given, str::to_owned)?)? {
        serde_json::Value::Object(params) => Ok(params),
        _ => Ok(serde_json::Map::new()),
    }
}

/// Escapes dollar signs, which the configuration would replace otherwise.
pub(crate) fn escape_dollar(text: &str) -> String {
    text.replace('$', "$$")
}

/// Names of a pack's outputs.
fn outputs(pack: &str, params: &toml::Table) -> Result<Vec<String>, Failure> {
    let data_dir = wattle_manifest::default_data_dir(&environment);
    let catalog = catalog(&data_dir, ArtifactLimits::default())?;
    let library = builtin::library().with_folder(data_dir.join("packs"));
    let params = match serde_json::to_value(params) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let _waiting = Waiting::compiling(catalog.runtime());
    match wattle_manifest::load_pack(pack, &params, &catalog, &library) {
        Ok((plan, _)) => Ok(plan.outputs.into_iter().map(|o| o.name).collect()),
        Err(invalid) => Err(Failure::config(invalid.text())),
    }
}
