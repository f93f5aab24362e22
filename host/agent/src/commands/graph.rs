//! `wattle graph`: draws the graph of pipelines.

use std::path::Path;

use wattle_diagnostics::Invalid;
use wattle_manifest::Expectations;
use wattle_plan::{ArtifactLimits, PipelinePlan, Plan};

use crate::builtin;
use crate::cli::{DiagnosticFormat, GraphFormat, GraphOptions};
use crate::commands::validate::show;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print};
use wattle_supervisor::pack_tests::catalog_of_tests;
use wattle_supervisor::{Configuration, environment};

pub(crate) fn graph(options: &GraphOptions, color: bool) -> Done {
    let refused = |invalid: Invalid| {
        let all: Vec<String> = invalid.diagnostics.iter().map(|d| show(d, DiagnosticFormat::Text, color)).collect();
        Failure::diagnostics(all.join("\n"))
    };
    let path = Path::new(&options.pack);
    if path.extension().is_some_and(|e| e == "toml") && path.file_name().is_none_or(|n| n != "pack.toml") {
        let configuration = Configuration::File(path.into());
        let settings = configuration.settings();
        let catalog = catalog(&settings.data_dir, settings.artifacts)?;
        let (plan, _) = load(&configuration, &catalog, &builtin::library()).map_err(refused)?;
        return match options.format {
            GraphFormat::Mermaid => print_each(&plan, wattle_plan::mermaid),
            GraphFormat::Dot => print_each(&plan, wattle_plan::dot),
            GraphFormat::Svg => {
                let mut graph = wattle_plan::document(&plan, 0);
                for pipeline in &mut graph.pipelines {
                    pipeline.drawing = wattle_plan::lay_out(pipeline);
                }
                print(wattle_plan::svg(&graph.pipelines).trim_end())
            }
        };
    }
    let data_dir = wattle_manifest::default_data_dir(&environment);
    let library = builtin::library().with_folder(data_dir.join("packs"));
    let folder = path.parent().filter(|_| path.file_name().is_some_and(|n| n == "pack.toml"));
    let reference = folder.map_or_else(|| options.pack.clone(), |f| format!("./{}", f.display()));
    let catalog = catalog(&data_dir, ArtifactLimits::default())?;
    let tests = wattle_manifest::load_tests(&reference, &library, Expectations::Optional).unwrap_or_default();
    let catalog = catalog_of_tests(&catalog, &tests).map_err(|error| Failure::config(error.to_string()))?;
    let (plan, _) =
        wattle_manifest::load_pack(&reference, &serde_json::Map::new(), &catalog, &library).map_err(refused)?;
    let drawing = match options.format {
        GraphFormat::Mermaid => wattle_plan::mermaid(&plan),
        GraphFormat::Dot => wattle_plan::dot(&plan),
        GraphFormat::Svg => wattle_plan::svg(&[wattle_plan::drawn(&plan)]),
    };
    print(drawing.trim_end())
}

/// Prints a drawing of each pipeline.
fn print_each(plan: &Plan, draw: fn(&PipelinePlan) -> String) -> Done {
    for pipeline in &plan.pipelines {
        print(draw(pipeline).trim_end())?;
    }
    Ok(())
}
