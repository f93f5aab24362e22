//! `wattle node test`: the cases of a project on the real sandbox.

use wattle_workbench::Sandboxed;

use crate::cli::node::TestOptions;
use crate::exit::{Done, FAILED, Failure, print};

use super::component::{built, runtime};
use super::project::Project;

pub(crate) fn test(options: &TestOptions) -> Done {
    let project = Project::open(&options.project)?;
    let compiled = runtime()?.compile(&built(&project)?).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Failure::new(format!("{}: {}{hint}", project.manifest.name, error.message))
    })?;
    let cases = project.cases();
    let results =
        wattle_cases::run_folder(&cases, &options.filter, &mut Sandboxed::new(compiled)).map_err(Failure::new)?.0;
    let failed = results.values().filter(|result| result.is_err()).count();
    for (name, result) in &results {
        match result {
            Ok(()) => print(&format!("test {name} ... ok"))?,
            Err(problem) => print(&format!("test {name} ... FAILED\n    {}", problem.replace('\n', "\n    ")))?,
        }
    }
    print(&format!("{} passed, {failed} failed", results.len() - failed))?;
    match (results.len(), failed) {
        (0, _) => Err(Failure::new(format!("no case in `{}` was run", cases.display()))),
        (_, 0) => Ok(()),
        _ => Err(Failure::silent(FAILED)),
    }
}
