//! The tests of packs, offline, through the real data path in the real sandbox: for `wattle test`, and before a reload
//! takes a changed pack up.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::thread::{self, available_parallelism};

use serde_json::Value;
use wattle_batch::Column;
use wattle_pack::{Expectations, Framing, Library, PackTest, PipelinePlan, Plan};
use wattle_runtime::Catalog;
use wattle_topology::{run_offline, sandboxed};

/// Runs tests of one pack. A pipeline is built once for all tests with the same parameters.
pub struct Bench<'a> {
    pack: &'a str,
    catalog: &'a Catalog,
    library: &'a Library,
    plans: HashMap<String, PipelinePlan>,
}

impl<'a> Bench<'a> {
    /// For a pack as a command line names it.
    pub fn new(pack: &'a str, catalog: &'a Catalog, library: &'a Library) -> Self {
        Self { pack, catalog, library, plans: HashMap::new() }
    }

    /// Runs a test. Answers with what is not as expected.
    ///
    /// # Errors
    ///
    /// Why it could not be run.
    pub fn run(&mut self, test: &PackTest) -> Result<Vec<String>, String> {
        Ok(self.observe(test)?.problems(test))
    }

    /// Runs a test. Answers with what came out of it.
    ///
    /// # Errors
    ///
    /// Why it could not be run.
    pub fn observe(&mut self, test: &PackTest) -> Result<Observed, String> {
        let bodies = events(test)?;
        let make = sandboxed(self.catalog.runtime().clone(), self.catalog.services().clone());
        let plan = self.plan(test)?;
        let ran = run_offline(plan, &*make, bodies).map_err(|e| e.to_string())?;
        let mut outputs = BTreeMap::new();
        for (output, lines) in &ran.outputs {
            let events = lines.iter().map(|line| serde_json::from_slice(line)).collect::<Result<Vec<Value>, _>>();
            outputs.insert(output.clone(), events.map_err(|e| e.to_string())?);
        }
        let lost = (!ran.counts.is_conserved())
            .then(|| format!("{} events in, {} events out", ran.counts.events_in(), ran.counts.events_out()));
        Ok(Observed { outputs, lost })
    }

    fn plan(&mut self, test: &PackTest) -> Result<&PipelinePlan, String> {
        let key = Value::Object(test.params.clone()).to_string();
        if !self.plans.contains_key(&key) {
            let loaded = wattle_pack::load_pack(self.pack, &test.params, self.catalog, self.library);
            let (plan, _) =
                loaded.map_err(|i| i.diagnostics.iter().map(|d| d.render_line()).collect::<Vec<_>>().join("\n    "))?;
            self.plans.insert(key.clone(), plan);
        }
        self.plans.get(&key).ok_or_else(|| "the pipeline of a test was lost; please report this".to_owned())
    }
}

/// What came out of a test.
pub struct Observed {
    /// Events by output, as the codec `json` writes them.
    pub outputs: BTreeMap<String, Vec<Value>>,
    /// Numbers of events that do not agree.
    lost: Option<String>,
}

impl Observed {
    /// What is not as the test expects.
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

    /// What is wrong whatever the test expects.
    pub fn lost(&self) -> Vec<String> {
        self.lost.iter().cloned().collect()
    }
}

/// Verdicts about packs, so that a pack that comes back is not tested again.
#[derive(Default)]
pub(crate) struct PackTests {
    /// By digest of the pack and fingerprint of the pipeline; `None` for a pack that passed.
    verdicts: HashMap<(String, String), Option<String>>,
}

impl PackTests {
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
    ) -> Result<(), String> {
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
                // What has been loaded and found to be trusted, and not what lies there by now.
                let found = library.clone().with_found(&plan.packs, reference, pack);
                // The guests of a test run on this thread; others serve what flows.
                tokio::task::block_in_place(|| verdict(reference, catalog, &found))
            };
            failed.extend(kept.or_insert_with(test).clone());
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

/// Runs the tests of a pack; `None` if it passes them all.
fn verdict(reference: &str, catalog: &Catalog, library: &Library) -> Option<String> {
    let tests = match wattle_pack::load_tests(reference, library, Expectations::Required) {
        Ok(tests) => tests,
        Err(invalid) => {
            let all: Vec<String> = invalid.diagnostics.iter().map(|d| d.render_line()).collect();
            return Some(format!("tests of pack `{reference}` cannot be read: {}", all.join("; ")));
        }
    };
    // Side by side: somebody waits for the swap.
    let cores = available_parallelism().map_or(1, usize::from);
    let share = tests.len().div_ceil(cores).max(1);
    let problems: Vec<String> = thread::scope(|scope| {
        let run = |tests| scope.spawn(move || problems(Bench::new(reference, catalog, library), tests));
        let shares: Vec<_> = tests.chunks(share).map(run).collect();
        let lost = |_| vec!["a test was lost; please report this".to_owned()];
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(lost)).collect()
    });
    (!problems.is_empty()).then(|| format!("pack `{reference}` fails its tests: {}", problems.join("; ")))
}

/// Everything that is not as these tests expect.
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_key_of_an_expectation_that_is_read_is_compared() {
        // `wattle_pack` reads expectations and does not depend on what compares them.
        assert_eq!(wattle_pack::EVENT_KEYS, wattle_cases::EVENT_KEYS);
    }
}
