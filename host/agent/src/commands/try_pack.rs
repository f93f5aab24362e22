//! `wattle try`: shows what a pack does to an input, and how another version differs.

mod recent;
mod show;
mod trace;

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value};
use wattle_api::trial::Tried;
use wattle_plan::ArtifactLimits;
use wattle_runtime::{Catalog, Runtime};
use wattle_source::{InputFraming, InputSettings};
use wattle_supervisor::environment;
use wattle_supervisor::trial::{self, TrialSettings, Version, VersionError};

use super::pack::{library, refused};
use crate::builtin;
use crate::cli::try_pack::{TryFormat, TryOptions};
use crate::cli::{Color, Framing};
use crate::configuration::{param_values, plain_catalog};
use crate::exit::{Done, FAILED, Failure, USAGE, print_json, print_styled};
use crate::waiting::Waiting;

pub(crate) fn try_pack(options: &TryOptions, color: Color) -> Done {
    let use_color = color.wanted(std::io::stdout().is_terminal());
    let (tried, what) = match (options.recent.recent, &options.file) {
        (Some(entered), _) => (recent::run(options, entered)?, "the recent events".to_owned()),
        (None, Some(file)) => (run(options, file, color)?, format!("`{}`", file.display())),
        // The command line requires one of them.
        (None, None) => return Err(Failure::with(USAGE, "name a file, or use `--recent`")),
    };
    let tried = only(tried, options.output.as_deref());
    match options.format {
        TryFormat::Json => print_json(&serde_json::to_string(&tried)?)?,
        TryFormat::Pretty => print_styled(&show::render(&tried, options, use_color))?,
    }
    let is_limit = options.max_bytes.is_some() && tried.result.ended_early.as_deref() == Some(trial::MAX_BYTES_REACHED);
    if let Some(reason) = tried.result.ended_early.as_ref().filter(|_| !is_limit) {
        return Err(Failure::new(format!("{what}: {reason}")));
    }
    let differs = tried.differences.values().any(|d| d.changed + d.added + d.missing > 0);
    if options.exit_code && differs { Err(Failure::silent(FAILED)) } else { Ok(()) }
}

/// Tries packs on a file.
fn run(options: &TryOptions, file: &Path, color: Color) -> Result<Tried, Failure> {
    // Before anything is compiled.
    let input = open(file)?;
    let catalog = catalog(options.fuel)?;
    let (result, against) = versions(options, &catalog, color)?;
    if let Some(name) = &options.output {
        let plans = [Some(&result), against.as_ref()].into_iter().flatten().map(Version::plan);
        check_output(name, result.name(), plans.flat_map(|plan| &plan.outputs).map(|output| output.name.as_str()))?;
    }
    let file = file.display().to_string();
    let _waiting = Waiting::start("trying", move || Some(file.clone()));
    Ok(trial::run(input, &result, against.as_ref(), &settings(options))?)
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
    let file = File::open(path).map_err(|error| wrong(&error))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(wrong(&"is a folder; name a file, or `-` for standard input"));
    }
    Ok(Box::new(file))
}

fn catalog(counts_fuel: bool) -> Result<Catalog, Failure> {
    if !counts_fuel {
        return plain_catalog();
    }
    Ok(Catalog::new(Runtime::metered(ArtifactLimits::default())?, builtin::artifacts()))
}

fn versions(options: &TryOptions, catalog: &Catalog, color: Color) -> Result<(Version, Option<Version>), Failure> {
    let library = library(&options.library)?;
    let params = param_values(&options.params)?;
    let mocks = options.mocks.as_deref().map(read_mocks).transpose()?.unwrap_or_default();
    let _waiting = Waiting::compiling(catalog.runtime());
    let (now, on_errors) = (SystemTime::now(), color.wanted(std::io::stderr().is_terminal()));
    let version = |reference: &str| {
        Version::of_pack(reference, &params, &mocks, catalog, &library, now).map_err(|error| match error {
            VersionError::Invalid(invalid) => refused(&invalid, on_errors),
            VersionError::Mocks(problem) => Failure::config(format!("mocks: {problem}")),
        })
    };
    let pack = options.pack.as_deref().unwrap_or_default();
    Ok((version(pack)?, options.against.as_deref().map(version).transpose()?))
}

/// The table `mocks` of a file.
fn read_mocks(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{}`: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    match wattle_manifest::read_options(path, &text, Some("mocks"), &environment) {
        Ok(Value::Object(mocks)) => Ok(mocks),
        Ok(_) => Err(wrong(&"`mocks` is not a table")),
        Err(invalid) => Err(Failure::config(invalid.text())),
    }
}

fn check_output<'o>(name: &str, pack: &str, outputs: impl Iterator<Item = &'o str>) -> Result<(), Failure> {
    let mut names: Vec<&str> = outputs.collect();
    if names.contains(&name) {
        return Ok(());
    }
    names.sort_unstable();
    names.dedup();
    Err(Failure::config(format!("`{pack}` has no output `{name}`; its outputs are {}", names.join(", "))))
}

fn settings(options: &TryOptions) -> TrialSettings {
    let defaults = InputSettings::default();
    let framing = match options.framing {
        Framing::Auto => InputFraming::Auto,
        Framing::Lines => InputFraming::Lines,
        Framing::Document => InputFraming::Document,
    };
    let max_line_bytes = options.max_line_bytes.map_or(defaults.max_line_bytes, |size| size.0);
    TrialSettings {
        input: InputSettings { framing, max_line_bytes, ..defaults },
        max_bytes: options.max_bytes.map(|size| size.0),
        traces: options.trace.into(),
        samples: options.limit.into(),
        differences: options.limit.into(),
        time_limit: None,
        counts_fuel: options.fuel,
    }
}

/// The result without the other outputs.
fn only(mut tried: Tried, output: Option<&str>) -> Tried {
    if let Some(name) = output {
        for pack in [Some(&mut tried.result), tried.against.as_mut()].into_iter().flatten() {
            pack.outputs.retain(|output| output.name == name);
        }
        tried.differences.retain(|output, _| output == name);
    }
    tried
}

#[cfg(test)]
mod tests;
