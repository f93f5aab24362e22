//! `wattle pack test`: the tests of a pack, offline, through the real data path in the real sandbox.

use std::io::Read as _;

use serde_json::Value;
use wattle_batch::Column;
use wattle_pack::{Framing, Library, PackTest};
use wattle_runtime::Catalog;
use wattle_topology::{run_offline, sandboxed};

use super::{library, refused};
use crate::cli::pack::TestOptions;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure, print};

pub(super) fn test(options: &TestOptions, color: bool) -> Done {
    let catalog = plain_catalog()?;
    let library = library(&options.library);
    let tests = wattle_pack::load_tests(&options.pack, &library).map_err(|invalid| refused(&invalid, color))?;
    let wanted = |test: &&PackTest| options.filter.as_ref().is_none_or(|f| test.name.contains(f.as_str()));
    let (mut passed, mut failed) = (0, 0);
    for test in tests.iter().filter(wanted) {
        match run_test(&options.pack, test, &catalog, &library) {
            Ok(problems) if problems.is_empty() => {
                passed += 1;
                print(&format!("test {} ... ok", test.name))?;
            }
            Ok(problems) => {
                failed += 1;
                print(&format!("test {} ... FAILED", test.name))?;
                for problem in problems {
                    print(&format!("    {problem}"))?;
                }
            }
            Err(problem) => {
                failed += 1;
                print(&format!("test {} ... FAILED\n    {problem}", test.name))?;
            }
        }
    }
    print(&format!("{passed} passed, {failed} failed"))?;
    match (passed, failed) {
        (0, 0) => Err(Failure::new(format!("no test of `{}` was run", options.pack))),
        (_, 0) => Ok(()),
        _ => Err(Failure { code: crate::exit::FAILED, message: String::new() }),
    }
}

fn run_test(pack: &str, test: &PackTest, catalog: &Catalog, library: &Library) -> Result<Vec<String>, String> {
    let (plan, _) = wattle_pack::load_pack(pack, &test.params, catalog, library)
        .map_err(|i| i.diagnostics.iter().map(|d| d.render_line()).collect::<Vec<_>>().join("\n    "))?;
    let bodies = events(test)?;
    let ran = run_offline(&plan, &*sandboxed(catalog.runtime().clone()), bodies).map_err(|e| e.to_string())?;
    let mut problems = Vec::new();
    for (output, expected) in &test.expected {
        let lines = ran.outputs.get(output).map(Vec::as_slice).unwrap_or_default();
        let actual: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_slice(line))
            .collect::<Result<_, _>>()
            .map_err(|e| e.to_string())?;
        for mismatch in wattle_pack::compare(expected, &actual) {
            problems.push(format!("output `{output}`, {mismatch}"));
        }
    }
    if !ran.counts.is_conserved() {
        problems.push(format!("{} events in, {} events out", ran.counts.events_in(), ran.counts.events_out()));
    }
    Ok(problems)
}

/// The events of a test's input.
fn events(test: &PackTest) -> Result<Column, String> {
    let mut input = test.input.clone();
    if test.input_name.ends_with(".gz") {
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(input.as_slice());
        reader.read_to_end(&mut unpacked).map_err(|e| format!("{}: {e}", test.input_name))?;
        input = unpacked;
    }
    match test.framing {
        Framing::Document => Column::from_document(input.into()).map_err(|e| e.to_string()),
        Framing::Lines => {
            let lines = input.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
            Column::from_rows(lines.filter(|l| !l.is_empty())).map_err(|e| e.to_string())
        }
    }
}
