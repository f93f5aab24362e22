//! The baseline, on which a new artifact starts, and the change to optimized code: state moves
//! along, the cache is filled, and faults are the same as on optimized code.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wattle_batch::{Ack, Batch, Column, Origin, Outcome};
use wattle_plan::{Artifact, ArtifactLimits, NodeLimits, Origin as From};
use wattle_runtime::{
    Compiled, NodeStats, Process, Refused, Runner, RunnerSettings, Runtime, SingleInstance, StateSlot,
};
use wattle_tests::built;
use wattle_tests::evil::{Cost, EVIL, row};

fn guest(name: &str) -> Artifact {
    let path = built(&format!("guests/{name}.wasm"));
    Artifact::new(name, fs::read(&path).unwrap(), From::File(path))
}

fn compile(cache: Option<&Path>, artifact: &Artifact) -> Arc<Compiled> {
    Runtime::tiered(cache, ArtifactLimits::default()).unwrap().compile(artifact).unwrap()
}

fn batch(rows: &[String]) -> Batch {
    let origin = Origin { source: "test".into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed: 0 };
    Batch::new(Column::from_rows(rows).unwrap(), Arc::new(origin), Ack::none())
}

#[test]
fn a_stateful_node_changes_to_optimized_code_between_two_batches_and_keeps_its_state() {
    let compiled = compile(None, &guest("counter"));
    let settings = RunnerSettings {
        name: "count".into(),
        options: r#"{"field":"body"}"#.into(),
        limits: NodeLimits::default(),
        services: None,
    };
    let stats = Arc::new(NodeStats::default());
    let mut runner = Runner::new(compiled.clone(), settings, stats.clone()).unwrap();
    runner.take_over(&Arc::new(StateSlot::new(Vec::new()))).unwrap();
    let mut last = || -> u64 {
        let outcomes: Vec<Outcome> = runner.process(batch(&["a".to_owned(), "b".to_owned()]));
        assert!(outcomes.iter().all(|outcome| outcome.failed.is_none()));
        let (_, emitted) = outcomes[0].emitted.first().unwrap();
        std::str::from_utf8(emitted.body().row(1)).unwrap().parse().unwrap()
    };
    assert!(!compiled.is_optimized());
    assert_eq!(last(), 2);
    compiled.wait_optimized();
    assert!(compiled.is_optimized());
    // The batch after which it changes, and the following ones.
    assert_eq!([last(), last(), last()], [4, 6, 8]);
    assert_eq!(stats.state_restored.load(Ordering::Relaxed), 1, "it did change, and only once");
    assert_eq!(stats.restarts.load(Ordering::Relaxed), 0, "that is no fault");
}

#[test]
fn the_cache_holds_baseline_code_until_optimized_code_is_ready() {
    let (folder, artifact) = (tempfile::tempdir().unwrap(), guest("counter"));
    let files = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".cwasm")).collect::<Vec<_>>()
    };
    let compiled = compile(Some(folder.path()), &artifact);
    assert!(!compiled.is_optimized());
    compiled.wait_optimized();
    let optimized = files();
    assert_eq!(optimized.len(), 1, "{optimized:?}");
    assert!(compile(Some(folder.path()), &artifact).is_optimized(), "the next start has it at once");
    // The cache after an agent that ended before it had optimized anything.
    fs::remove_file(folder.path().join(&optimized[0])).unwrap();
    let again = compile(Some(folder.path()), &artifact);
    wattle_tests::wait_until("the baseline in the cache", || !files().is_empty() && files() != optimized);
    let third = Runtime::tiered(Some(folder.path()), ArtifactLimits::default()).unwrap();
    let compiled = third.compile(&artifact).unwrap();
    assert_eq!((third.cache_counts().hits, third.cache_counts().misses), (1, 0));
    again.wait_optimized();
    compiled.wait_optimized();
    assert_eq!(files(), optimized);
}

#[test]
fn an_artifact_that_the_baseline_cannot_compile_is_optimized_at_once() {
    let bytes = wat::parse_str("(component (core module (func $f) (func (return_call $f))))").unwrap();
    let artifact = Artifact::new("tail", bytes, From::File("tail.wasm".into()));
    let error = Runtime::tiered(None, ArtifactLimits::default()).unwrap().compile(&artifact).err().unwrap();
    assert!(error.message.contains("does not export `wattle:node/node@"), "it is compiled, and no node: {error}");
}

#[test]
fn faults_on_the_baseline_equal_those_of_optimized_code() {
    let artifact = guest("faulty");
    for evil in EVIL {
        // Compile it again for each case, so that it runs before the optimizer is done.
        let compiled = compile(None, &artifact);
        assert!(!compiled.is_optimized(), "{}", evil.fault);
        let time = Duration::from_millis(if evil.fault.starts_with("spin") { 100 } else { 10_000 });
        let limits = NodeLimits { memory_bytes: 32 << 20, time, ..NodeLimits::default() };
        let options = format!(r#"{{"fault":"{}"}}"#, evil.fault);
        let made = SingleInstance::new(compiled.clone(), "faulty", &options, &limits, None);
        let fault = match made {
            Err(Refused::Fault(fault)) if evil.cost == Cost::Refused => fault,
            Ok(mut instance) if evil.cost != Cost::Refused => instance.process(batch(&[row(0, true)])).err().unwrap(),
            _ => panic!("{}: refused or not", evil.fault),
        };
        assert_eq!(fault.kind.name(), evil.code, "{}: {fault}", evil.fault);
        assert!(fault.message.contains(evil.message), "{}: {fault}", evil.fault);
    }
}
