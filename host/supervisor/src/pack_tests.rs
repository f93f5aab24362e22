//! Runs the tests of packs offline, on the real data path and sandbox: for `wattle pack test`, and
//! before a reload applies a changed pack.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::thread::{self, available_parallelism};

use serde_json::Value;
use wattle_batch::{Column, ColumnTooLarge};
use wattle_capability::{Clock, LogTarget, Services};
use wattle_cases::Mocks;
use wattle_diagnostics::Invalid;
use wattle_manifest::{Expectations, Framing, PackTest};
use wattle_mocks::Provided;
use wattle_pack::Library;
use wattle_plan::{PipelinePlan, Plan};
use wattle_runtime::Catalog;
use wattle_topology::{BuildError, Pace, run_offline, sandboxed};

use crate::mocked;

/// Why a test cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The input cannot be unpacked.
    #[error("{name}: {error}")]
    Unpack {
        /// Name of the input file.
        name: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The input is too large for a batch.
    #[error(transparent)]
    Input(#[from] ColumnTooLarge),
    /// The mocks of a test are invalid.
    #[error("`case.toml` of the test `{test}`: {problem}")]
    Mocks {
        /// The test.
        test: String,
        /// What is wrong, with the place below `mocks`.
        problem: String,
    },
    /// The pack is invalid with the parameters of the test.
    #[error("{}", .0.join("\n    "))]
    Pack(Vec<String>),
    /// The pipeline cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An output contains an event that is not JSON.
    #[error(transparent)]
    Output(#[from] serde_json::Error),
}

/// Packs that fail their tests.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct PackTestsError(Vec<PackFailure>);

/// Why a pack fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackFailure {
    /// Its tests are invalid.
    #[error("tests of pack `{reference}` cannot be read: {}", .diagnostics.join("; "))]
    Unreadable {
        /// The pack as the configuration names it.
        reference: String,
        /// All errors, one per line.
        diagnostics: Vec<String>,
    },
    /// Tests failed.
    #[error("pack `{reference}` fails its tests: {}", .problems.join("; "))]
    Failed {
        /// The pack as the configuration names it.
        reference: String,
        /// Every difference from the expectations.
        problems: Vec<String>,
    },
}

/// Runs tests of one pack. A pipeline is built once for all tests with the same parameters and mocks.
pub struct Bench<'a> {
    pack: &'a str,
    catalog: &'a Catalog,
    library: &'a Library,
    plans: HashMap<String, Built>,
}

/// A pipeline, and the services of its nodes.
struct Built {
    plan: PipelinePlan,
    services: Arc<Services>,
    clock: Clock,
    /// The time at which each test begins, if its mocks say so.
    start: Option<i64>,
}

impl<'a> Bench<'a> {
    /// For a pack as a command line names it.
    pub fn new(pack: &'a str, catalog: &'a Catalog, library: &'a Library) -> Self {
        Self { pack, catalog, library, plans: HashMap::new() }
    }

    /// Runs a test and returns every difference from its expectations.
    ///
    /// # Errors
    ///
    /// The test cannot be run.
    pub fn run(&mut self, test: &PackTest) -> Result<Vec<String>, TestError> {
        Ok(self.observe(test)?.problems(test))
    }

    /// Runs a test and returns its outputs.
    ///
    /// # Errors
    ///
    /// The test cannot be run.
    pub fn observe(&mut self, test: &PackTest) -> Result<Observed, TestError> {
        let bodies = events(test)?;
        let runtime = self.catalog.runtime().clone();
        let Built { plan, services, clock, start } = self.built(test)?;
        if let Some(start) = start {
            clock.set(*start);
        }
        let make = sandboxed(runtime, services.clone());
        let ran = run_offline(plan, &*make, &bodies, &Pace { clock: clock.clone(), step: test.clock_step })?;
        let mut outputs = BTreeMap::new();
        for (output, lines) in &ran.outputs {
            let events = lines.iter().map(|line| serde_json::from_slice(line)).collect::<Result<Vec<Value>, _>>();
            outputs.insert(output.clone(), events?);
        }
        let lost = (!ran.counts.is_conserved())
            .then(|| format!("{} events in, {} events out", ran.counts.events_in(), ran.counts.events_out()));
        Ok(Observed { outputs, lost })
    }

    fn built(&mut self, test: &PackTest) -> Result<&Built, TestError> {
        let key = serde_json::json!([test.params, test.mocks]).to_string();
        let vacant = match self.plans.entry(key) {
            Entry::Occupied(built) => return Ok(built.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let (catalog, clock) = provided(self.catalog, std::slice::from_ref(test))?;
        let start = clock.is_mocked().then(|| clock.now());
        match wattle_manifest::load_pack(self.pack, &test.params, &catalog, self.library) {
            Ok((plan, _)) => Ok(vacant.insert(Built { plan, services: catalog.services().clone(), clock, start })),
            Err(invalid) => Err(TestError::Pack(lines(&invalid))),
        }
    }
}

/// The catalog for a pack on its own, whose nodes look up what the mocks of its tests have. Without a mock, the time is
/// that of the machine, so that an event of the past is older than any limit on every day.
///
/// # Errors
///
/// The mocks of a test are invalid.
pub fn catalog_of_tests(catalog: &Catalog, tests: &[PackTest]) -> Result<Catalog, TestError> {
    provided(catalog, tests).map(|(catalog, _)| catalog)
}

/// The catalog of these tests, and its clock, which the run of a test moves.
fn provided(catalog: &Catalog, tests: &[PackTest]) -> Result<(Catalog, Clock), TestError> {
    let mut provided = Provided::default();
    let mut clock = Clock::Machine;
    for test in tests {
        let wrong = |problem: String| TestError::Mocks { test: test.name.clone(), problem };
        let mocks = Mocks::read(&Value::Object(test.mocks.clone())).map_err(wrong)?;
        clock = mocks.clock.map_or(clock, Clock::moved);
        provided = provided.with(&mocks).map_err(wrong)?;
        provided.services(LogTarget::Nowhere).map_err(wrong)?;
    }
    Ok((mocked::catalog(catalog, &provided, clock.clone()), clock))
}

fn lines(invalid: &Invalid) -> Vec<String> {
    invalid.diagnostics.iter().map(|diagnostic| diagnostic.render_line()).collect()
}

/// The outputs of a test.
pub struct Observed {
    /// Events by output, as the codec `json` writes them.
    pub outputs: BTreeMap<String, Vec<Value>>,
    /// The numbers of events that came in and went out, if they differ.
    lost: Option<String>,
}

impl Observed {
    /// Every difference from the expectations of the test.
    pub fn problems(&self, test: &PackTest) -> Vec<String> {
        let mut problems = Vec::new();
        for (output, expected) in &test.expected {
            let actual = self.outputs.get(output).map(Vec::as_slice).unwrap_or_default();
            let mismatches = wattle_cases::compare(expected, actual).into_iter();
            problems.extend(mismatches.map(|mismatch| format!("output `{output}`, {mismatch}")));
        }
        problems.extend(self.lost());
        problems
    }

    /// Lost events, which are an error for any test.
    pub fn lost(&self) -> Vec<String> {
        self.lost.iter().cloned().collect()
    }
}

/// Results of tests, so each pack is tested only once.
#[derive(Default)]
pub(crate) struct PackTests {
    /// By digest of the pack and fingerprint of the pipeline; `None` for a pack that passed.
    verdicts: HashMap<(String, String), Option<PackFailure>>,
}

impl PackTests {
    /// Digests of the packs that passed their tests.
    pub(crate) fn passed(&self) -> impl Iterator<Item = &String> {
        self.verdicts.iter().filter(|(_, failure)| failure.is_none()).map(|((digest, _), _)| digest)
    }

    /// Tests the packs of a plan that do not run already.
    ///
    /// # Errors
    ///
    /// Every test that failed.
    pub(crate) fn pass(
        &mut self,
        catalog: &Catalog,
        library: &Library,
        running: &Plan,
        plan: &Plan,
    ) -> Result<(), PackTestsError> {
        let library = library.clone().with_folder(&plan.agent.packs);
        let known: Vec<&PipelinePlan> = running.pipelines.iter().flat_map(PipelinePlan::versions).collect();
        let mut failed = Vec::new();
        for pipeline in plan.pipelines.iter().flat_map(PipelinePlan::versions) {
            let (Some(reference), Some(pack)) = (&pipeline.reference, &pipeline.pack) else { continue };
            let same = |other: &&PipelinePlan| {
                other.pack.as_ref().is_some_and(|other| other.digest == pack.digest)
                    && other.fingerprint() == pipeline.fingerprint()
            };
            if known.iter().any(same) {
                continue;
            }
            let kept = self.verdicts.entry((pack.digest.clone(), pipeline.fingerprint()));
            let test = || {
                // The files that were loaded and whose signature was checked. The files on disk may
                // have changed since.
                let found = library.clone().with_found(&plan.packs, reference, pack);
                // The guests of a test run on this thread; other threads serve sources and sinks.
                tokio::task::block_in_place(|| verdict(reference, catalog, &found))
            };
            failed.extend(kept.or_insert_with(test).clone());
        }
        if failed.is_empty() { Ok(()) } else { Err(PackTestsError(failed)) }
    }
}

/// Runs the tests of a pack; `None` if all pass.
fn verdict(reference: &str, catalog: &Catalog, library: &Library) -> Option<PackFailure> {
    let tests = match wattle_manifest::load_tests(reference, library, Expectations::Required) {
        Ok(tests) => tests,
        Err(invalid) => {
            return Some(PackFailure::Unreadable { reference: reference.to_owned(), diagnostics: lines(&invalid) });
        }
    };
    // In parallel, because the swap waits for them.
    let cores = available_parallelism().map_or(1, usize::from);
    let share = tests.len().div_ceil(cores).max(1);
    let problems: Vec<String> = thread::scope(|scope| {
        let run = |tests| scope.spawn(move || problems(Bench::new(reference, catalog, library), tests));
        let shares: Vec<_> = tests.chunks(share).map(run).collect();
        let lost = |_| vec!["a test was lost; please report this".to_owned()];
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(lost)).collect()
    });
    (!problems.is_empty()).then(|| PackFailure::Failed { reference: reference.to_owned(), problems })
}

/// All differences from the expectations of these tests.
fn problems(mut bench: Bench<'_>, tests: &[PackTest]) -> Vec<String> {
    let mut problems = Vec::new();
    for test in tests {
        match bench.run(test) {
            Ok(found) => problems.extend(found.into_iter().map(|problem| format!("test `{}`: {problem}", test.name))),
            Err(error) => problems.push(format!("test `{}`: {error}", test.name)),
        }
    }
    problems
}

/// The events of a test's input.
fn events(test: &PackTest) -> Result<Column, TestError> {
    let mut input = test.input.clone();
    if test.input_name.ends_with(".gz") {
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(input.as_slice());
        reader
            .read_to_end(&mut unpacked)
            .map_err(|error| TestError::Unpack { name: test.input_name.clone(), error })?;
        input = unpacked;
    }
    match test.framing {
        Framing::Document => Ok(Column::from_document(input.into())?),
        Framing::Lines => {
            let lines = input.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
            Ok(Column::from_rows(lines.filter(|l| !l.is_empty()))?)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_key_that_an_expectation_can_have_is_compared() {
        // `wattle_manifest` reads expectations and does not depend on the code that compares them.
        assert_eq!(wattle_manifest::EVENT_KEYS, wattle_cases::EVENT_KEYS);
    }
}
