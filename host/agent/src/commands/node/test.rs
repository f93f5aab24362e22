//! `wattle node test`: runs the test cases of a project in the sandbox.

use crate::cli::node::TestOptions;
use crate::commands::tally::Tally;
use crate::exit::{Done, Failure};

use super::component::subject;
use super::project::Project;

pub(crate) fn test(options: &TestOptions) -> Done {
    let project = Project::open(&options.project)?;
    let cases = project.cases();
    let results = wattle_cases::run_folder(&cases, &options.filter, &mut subject(&project)?).map_err(Failure::new)?.0;
    let mut tally = Tally::default();
    for (name, result) in &results {
        match result {
            Ok(()) => tally.passed(name)?,
            Err(problems) => tally.failed(name, problems)?,
        }
    }
    project.report_missing_mocks();
    tally.end(&cases.display().to_string())
}
