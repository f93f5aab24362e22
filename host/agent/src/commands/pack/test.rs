//! `wattle pack test`: runs the tests of a pack offline, on the real data path and sandbox.

use std::path::Path;

use wattle_manifest::{Expectations, PackTest};

use super::{expectations, library, refused};
use crate::cli::pack::TestOptions;
use crate::commands::tally::Tally;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure};
use crate::waiting::Waiting;
use wattle_supervisor::pack_tests::Bench;

pub(super) fn test(options: &TestOptions, color: bool) -> Done {
    let folder = Path::new(&options.pack);
    if options.update && !folder.join("pack.toml").is_file() {
        let hint = "name the folder of a pack; `wattle pack install` creates one for a built-in pack";
        return Err(Failure::config(format!("`{}` is not a folder; {hint}", options.pack)));
    }
    let catalog = plain_catalog()?;
    let _waiting = Waiting::compiling(catalog.runtime());
    let library = library(&options.library)?;
    let rule = if options.update { Expectations::Optional } else { Expectations::Required };
    let tests =
        wattle_manifest::load_tests(&options.pack, &library, rule).map_err(|invalid| refused(&invalid, color))?;
    let wanted = |test: &&PackTest| options.filter.as_ref().is_none_or(|f| test.name.contains(f.as_str()));
    let mut tally = Tally::default();
    let mut bench = Bench::new(&options.pack, &catalog, &library);
    for test in tests.iter().filter(wanted) {
        let observed = match bench.observe(test) {
            Ok(observed) => observed,
            Err(problem) => {
                tally.failed(&test.name, &problem.to_string())?;
                continue;
            }
        };
        let written = if options.update { expectations::update(folder, test, &observed)? } else { Vec::new() };
        // Expectations that were just written match, but lost events are always a problem.
        let problems = if options.update { observed.lost() } else { observed.problems(test) };
        match (problems.as_slice(), written.as_slice()) {
            ([], []) => tally.passed(&test.name)?,
            ([], written) => tally.updated(&test.name, written)?,
            (problems, _) => tally.failed(&test.name, &problems.join("\n"))?,
        }
    }
    tally.end(&options.pack)
}
