//! `wattle graph`: draws the graph of pipelines.

use std::path::{Path, PathBuf};

use wattle_diagnostics::Invalid;
use wattle_manifest::Expectations;
use wattle_plan::{ArtifactLimits, PipelinePlan, Plan};

use crate::builtin;
use crate::cli::{DiagnosticFormat, GraphFormat, GraphOptions};
use crate::commands::validate::show;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, USAGE, print};
use wattle_supervisor::pack_tests::catalog_of_tests;
use wattle_supervisor::{Configuration, environment};

pub(crate) fn graph(options: &GraphOptions, color: bool) -> Done {
    let refused = |invalid: Invalid| {
        let all: Vec<String> = invalid.diagnostics.iter().map(|d| show(d, DiagnosticFormat::Text, color)).collect();
        Failure::diagnostics(all.join("\n"))
    };
    let paths: Vec<PathBuf> = options.packs.iter().map(PathBuf::from).collect();
    if paths.iter().all(|path| is_configuration(path)) {
        let configuration = Configuration::Files(paths);
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
    let [reference] = options.packs.as_slice() else {
        return Err(Failure::with(USAGE, "several arguments must all be files or folders of one configuration"));
    };
    let path = Path::new(reference);
    let data_dir = wattle_manifest::default_data_dir(&environment);
    let library = builtin::library().with_folder(data_dir.join("packs"));
    let folder = path.parent().filter(|_| path.file_name().is_some_and(|n| n == "pack.toml"));
    let reference = folder.map_or_else(|| reference.clone(), |f| format!("./{}", f.display()));
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

/// Whether a path is a file of a configuration, or a folder with such files and not a pack.
fn is_configuration(path: &Path) -> bool {
    if path.is_dir() {
        let has_files = || wattle_manifest::files_of(&[path.to_owned()]).is_ok_and(|files| !files.is_empty());
        return !path.join("pack.toml").is_file() && has_files();
    }
    path.extension().is_some_and(|e| e == "toml") && path.file_name().is_none_or(|n| n != "pack.toml")
}

/// Prints a drawing of each pipeline.
fn print_each(plan: &Plan, draw: fn(&PipelinePlan) -> String) -> Done {
    for pipeline in &plan.pipelines {
        print(draw(pipeline).trim_end())?;
    }
    Ok(())
}
