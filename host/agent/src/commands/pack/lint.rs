//! `wattle pack lint`: reports errors and unusual parts of a pack.

use wattle_diagnostics::Severity;
use wattle_manifest::Expectations;
use wattle_supervisor::pack_tests::catalog_of_tests;

use super::library;
use crate::cli::DiagnosticFormat;
use crate::cli::pack::LintOptions;
use crate::commands::validate::print_diagnostic;
use crate::configuration::plain_catalog;
use crate::exit::{CONFIG, Done, FAILED, Failure, print};

pub(super) fn lint(options: &LintOptions, color: bool) -> Done {
    let library = library(&options.library)?;
    let catalog = plain_catalog()?;
    // Errors of the tests are among the diagnostics of the pack.
    let tests = wattle_manifest::load_tests(&options.pack, &library, Expectations::Optional).unwrap_or_default();
    let catalog = catalog_of_tests(&catalog, &tests).map_err(|error| Failure::config(error.to_string()))?;
    let linted = wattle_manifest::lint_pack(&options.pack, &catalog, &library);
    let diagnostics = linted.unwrap_or_else(|invalid| invalid.diagnostics);
    for diagnostic in &diagnostics {
        print_diagnostic(diagnostic, options.format, color)?;
    }
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let code = match (errors, warnings) {
        (0, 0) if options.format == DiagnosticFormat::Json => return Ok(()),
        (0, 0) => return print(&format!("{}: no findings", options.pack)),
        (0, _) => FAILED,
        _ => CONFIG,
    };
    Err(Failure::with(code, format!("{}: {errors} errors, {warnings} warnings", options.pack)))
}
