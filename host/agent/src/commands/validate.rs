//! `wattle validate`: reports all errors of a configuration.

use wattle_diagnostics::{Diagnostic, Severity};

use crate::builtin;
use crate::cli::{DiagnosticFormat, ValidateOptions};
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print, print_json, print_styled};
use wattle_supervisor::Configuration;

pub(crate) fn validate(options: &ValidateOptions, color: bool) -> Done {
    let mut paths = options.config.paths()?;
    if paths.is_empty() {
        paths.push("agent.toml".into());
    }
    let configuration = Configuration::Files(paths);
    let name = configuration.name();
    let settings = configuration.settings();
    let catalog = catalog(&settings.data_dir, settings.artifacts)?;
    let (summary, diagnostics) = match load(&configuration, &catalog, &builtin::library_for(options.locked)) {
        Ok((plan, warnings)) => {
            let nodes: usize = plan.pipelines.iter().map(|p| p.nodes.len()).sum();
            let summary = format!(
                "{name}: valid ({} sources, {} pipelines with {nodes} nodes, {} sinks)",
                plan.sources.len(),
                plan.pipelines.len(),
                plan.sinks.len()
            );
            (Some(summary), warnings)
        }
        Err(invalid) => (None, invalid.diagnostics),
    };
    for diagnostic in &diagnostics {
        print_diagnostic(diagnostic, options.format, color)?;
    }
    match summary {
        Some(summary) => {
            if options.format == DiagnosticFormat::Json {
                Ok(())
            } else {
                print(&summary)
            }
        }
        None => {
            let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
            let plural = if errors == 1 { "" } else { "s" };
            Err(Failure::config(format!("{name}: {errors} error{plural}")))
        }
    }
}

/// Prints a diagnostic. Its renderings escape foreign text.
pub(crate) fn print_diagnostic(diagnostic: &Diagnostic, format: DiagnosticFormat, color: bool) -> Done {
    let shown = show(diagnostic, format, color);
    if format == DiagnosticFormat::Json { print_json(&shown) } else { print_styled(&shown) }
}

pub(crate) fn show(diagnostic: &Diagnostic, format: DiagnosticFormat, color: bool) -> String {
    match format {
        DiagnosticFormat::Text => diagnostic.render(color),
        DiagnosticFormat::Short => diagnostic.render_line(),
        DiagnosticFormat::Json => diagnostic.render_json(),
    }
}
