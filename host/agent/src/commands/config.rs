//! `wattle config show`: what the files of a configuration are together.

use std::path::Path;

use wattle_supervisor::{Configuration, environment, stored};

use crate::builtin;
use crate::cli::{ConfigCommand, ConfigFormat, ConfigShowOptions, DiagnosticFormat};
use crate::commands::validate::show as render;
use crate::exit::{Done, Failure, print_json, print_styled, say_styled};

pub(crate) fn config(command: &ConfigCommand, color: bool) -> Done {
    let ConfigCommand::Show(options) = command;
    show(options, color)
}

fn show(options: &ConfigShowOptions, color: bool) -> Done {
    let mut paths = options.config.paths()?;
    if paths.is_empty() {
        paths.push(Path::new("agent.toml").to_owned());
    }
    let configuration = Configuration::Files(paths);
    let settings = configuration.settings();
    let library = builtin::library().with_folder(settings.packs).with_remote(stored(&settings.data_dir));
    let shown = wattle_manifest::show(configuration.origin(), &environment, &library);
    let (shown, warnings) = shown.map_err(|invalid| {
        let all: Vec<String> = invalid.diagnostics.iter().map(|d| render(d, DiagnosticFormat::Text, color)).collect();
        Failure::diagnostics(all.join("\n"))
    })?;
    for warning in &warnings {
        say_styled(&render(warning, DiagnosticFormat::Text, color));
    }
    match options.format {
        // Its strings have no control characters, and a comment has only paths.
        ConfigFormat::Toml => print_styled(wattle_printable::text(shown.toml.trim_end()).as_ref()),
        ConfigFormat::Json => print_json(&serde_json::to_string_pretty(&shown.json)?),
    }
}
