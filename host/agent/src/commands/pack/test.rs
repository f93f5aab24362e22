//! `wattle pack test`: the tests of a pack, offline, through the real data path in the real sandbox.

use wattle_pack::PackTest;

use super::{library, refused};
use crate::cli::pack::TestOptions;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure, print};
use crate::pack_tests::Bench;

pub(super) fn test(options: &TestOptions, color: bool) -> Done {
    let catalog = plain_catalog()?;
    let library = library(&options.library);
    let tests = wattle_pack::load_tests(&options.pack, &library).map_err(|invalid| refused(&invalid, color))?;
    let wanted = |test: &&PackTest| options.filter.as_ref().is_none_or(|f| test.name.contains(f.as_str()));
    let (mut passed, mut failed) = (0, 0);
    let mut bench = Bench::new(&options.pack, &catalog, &library);
    for test in tests.iter().filter(wanted) {
        match bench.run(test) {
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
        _ => Err(Failure::silent(crate::exit::FAILED)),
    }
}
