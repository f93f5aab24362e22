//! `wattle node conformance`: checks that a component complies with the contract.

use serde_json::json;
use wattle_devkit::Report;

use crate::cli::node::ConformanceOptions;
use crate::exit::{Done, FAILED, Failure, print, print_json};
use crate::waiting::Waiting;

use super::component::{Component, runtime};

pub(crate) fn conformance(options: &ConformanceOptions) -> Done {
    let component = Component::find(&options.component)?;
    let runtime = runtime()?;
    let _waiting = Waiting::compiling(&runtime);
    let report = if options.examples {
        wattle_devkit::examples(&runtime, &component.artifact)
    } else {
        wattle_devkit::conformance(&runtime, &component.artifact, &component.options, &component.provided())
    };
    if options.component.json {
        print_json(&json_of(&report).to_string())?
    } else {
        print_text(&report)?
    }
    match report.failed() {
        0 => Ok(()),
        _ => Err(Failure::silent(FAILED)),
    }
}

fn print_text(report: &Report) -> Done {
    for check in &report.checks {
        match &check.outcome {
            Ok(()) => print(&format!("check {} ... ok", check.name))?,
            Err(problem) => {
                print(&format!("check {} ... FAILED\n    {}", check.name, problem.replace('\n', "\n    ")))?
            }
        }
    }
    print(&format!("{} passed, {} failed", report.passed(), report.failed()))
}

fn json_of(report: &Report) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = report
        .checks
        .iter()
        .map(|check| {
            json!({
                "name": check.name, "passed": check.outcome.is_ok(), "problem": check.outcome.as_ref().err(),
                "ms": check.took.as_secs_f64() * 1e3,
            })
        })
        .collect();
    json!({ "passed": report.passed(), "failed": report.failed(), "checks": checks })
}
