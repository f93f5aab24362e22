//! Tests rollouts with chosen counts and moments.

use std::path::Path;

use wattle_pack::Library;
use wattle_plan::ArtifactLimits;
use wattle_runtime::{Catalog, Runtime};
use wattle_topology::{Balance, BatchTotals};

use super::*;
use crate::configuration::Configuration;

const HOUR: Duration = Duration::from_secs(3600);

/// A plan with the pipeline `main`, whose versions differ in their number of outputs.
fn plan(outputs: &[&str]) -> Plan {
    let mut text = String::from(
        "[sources.in]\ntype = \"stdin\"\n[sinks.out]\ntype = \"blackhole\"\ninputs = [\"main.*\"]\n\
         [pipelines.main]\ninputs = [\"in\"]\n",
    );
    for output in outputs {
        text += &format!("[pipelines.main.outputs.{output}]\ninputs = [\"input\"]\n");
    }
    let catalog = Catalog::new(Runtime::new(None, ArtifactLimits::default()).unwrap(), Vec::new());
    let loaded = Configuration::Text(text).load(&catalog, &Library::new(Vec::new()));
    loaded.map(|(plan, _)| plan).map_err(|invalid| invalid.diagnostics).unwrap()
}

fn old() -> Plan {
    plan(&["all"])
}

fn new() -> Plan {
    plan(&["all", "more"])
}

/// The new version as the running one, with the old one as its canary: all outputs of a canary are
/// among those of the pipeline.
fn with_canary() -> Plan {
    let mut plan = new();
    let candidate = old().pipelines.remove(0);
    plan.pipelines[0].canary = Some(Box::new(CandidatePlan { candidate, settings: CanarySettings::default() }));
    plan
}

/// Counts batches of ten events; a node faulted in some of them.
fn observe(observer: &Observer, pipeline: &str, batches: u64, faulted: u64) {
    let counts = observer.counts().pipeline(pipeline);
    for batch in 0..batches {
        let mut balance = Balance::default();
        counts.received.add(10, &mut balance);
        counts.delivered.add(10, &mut balance);
        counts.observe(BatchTotals { events: 10, ..BatchTotals::default() }, batch < faulted, 1000, 1000);
    }
}

fn runs(plan: &Plan) -> String {
    plan.pipelines[0].fingerprint()
}

/// A rollout after a reload from the old version to the new one, after 100 batches without a fault.
fn reloaded(observer: &Observer, at: Moment) -> Rollout {
    let mut rollout = Rollout::open(None);
    rollout.began(None, &old(), observer, at);
    assert!(!rollout.is_busy());
    observe(observer, "main", 100, 0);
    rollout.began(Some(&old()), &new(), observer, at);
    assert!(rollout.is_busy());
    rollout
}

#[test]
fn a_version_that_faults_after_a_reload_is_rolled_back_until_the_configuration_changes() {
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = reloaded(&observer, now);
    assert_eq!(rollout.decide(&new(), &observer, now), None);
    observe(&observer, "main", 100, 50);
    let decision = rollout.decide(&new(), &observer, now).unwrap();
    assert!(!decision.is_promotion && decision.why.contains("50 of 100 batches since the change"), "{decision:?}");
    rollout.record_decision(&decision, &new()).unwrap();
    assert_eq!(runs(&rollout.apply(new())), runs(&old()));
    let notes = rollout.notes(&new());
    assert!(notes.len() == 1 && notes[0].contains("was rolled back and does not run"), "{notes:?}");
    assert_eq!(runs(&rollout.apply(old())), runs(&old()));
    assert!(rollout.notes(&old()).is_empty());
    assert_eq!(runs(&rollout.apply(new())), runs(&new()), "the configuration asked for it again");
}

#[test]
fn a_version_is_safe_after_its_probation() {
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = reloaded(&observer, now);
    let probation = new().agent.rollback.probation;
    assert_eq!(rollout.decide(&new(), &observer, now.after(probation)), None);
    assert!(!rollout.is_busy());
    observe(&observer, "main", 100, 100);
    assert_eq!(rollout.decide(&new(), &observer, now.after(probation)), None);
    assert_eq!(rollout.reversible(&new()), ["main"], "an operator can still roll it back");
}

#[test]
fn faults_before_a_reload_do_not_count_against_the_new_version() {
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = Rollout::open(None);
    rollout.began(None, &old(), &observer, now);
    observe(&observer, "main", 100, 100);
    rollout.began(Some(&old()), &new(), &observer, now);
    observe(&observer, "main", 100, 0);
    assert_eq!(rollout.decide(&new(), &observer, now), None);
}

#[test]
fn a_version_is_rolled_back_only_once() {
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = reloaded(&observer, now);
    let decision = Decision { pipeline: "main".into(), is_promotion: false, why: "a test".into() };
    rollout.record_decision(&decision, &new()).unwrap();
    let back = rollout.apply(new());
    rollout.began(Some(&new()), &back, &observer, now);
    assert!(!rollout.is_busy() && rollout.reversible(&back).is_empty());
    assert_eq!(rollout.record_decision(&decision, &back), Err(RollbackError::NoVersion("main".into())));
}

fn began_with_canary(data_dir: &Path, observer: &Observer, at: Moment) -> Rollout {
    let mut rollout = Rollout::open(Some(data_dir));
    let plan = rollout.apply(with_canary());
    assert!(plan.pipelines[0].canary.is_some());
    rollout.began(None, &plan, observer, at);
    rollout
}

#[test]
fn a_promotion_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = began_with_canary(data.path(), &observer, now);
    observe(&observer, "main", 1000, 0);
    observe(&observer, &canary_name("main"), 1000, 0);
    assert_eq!(rollout.decide(&with_canary(), &observer, now), None, "its time is not over");
    let decision = rollout.decide(&with_canary(), &observer, now.after(24 * HOUR)).unwrap();
    assert!(decision.is_promotion && decision.why.contains("kept to all rules"), "{decision:?}");
    rollout.record_decision(&decision, &with_canary()).unwrap();
    for mut rollout in [rollout, Rollout::open(Some(data.path()))] {
        let plan = rollout.apply(with_canary());
        assert!(plan.pipelines[0].canary.is_none());
        assert_eq!(runs(&plan), runs(&old()));
        let notes = rollout.notes(&with_canary());
        assert!(notes.len() == 1 && notes[0].contains("was promoted earlier"), "{notes:?}");
    }
}

#[test]
fn the_time_of_a_canary_continues_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let now = Moment::now();
    drop(began_with_canary(data.path(), &Observer::default(), now));
    let (observer, later) = (Observer::default(), now.after(24 * HOUR));
    let mut rollout = began_with_canary(data.path(), &observer, later);
    observe(&observer, "main", 1000, 0);
    observe(&observer, &canary_name("main"), 1000, 0);
    assert!(rollout.decide(&with_canary(), &observer, later).is_some_and(|decision| decision.is_promotion));
}

#[test]
fn a_canary_that_faults_is_rolled_back_and_gets_no_batches_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let (observer, now) = (Observer::default(), Moment::now());
    let mut rollout = began_with_canary(data.path(), &observer, now);
    observe(&observer, "main", 1000, 0);
    observe(&observer, &canary_name("main"), 100, 50);
    let decision = rollout.decide(&with_canary(), &observer, now).unwrap();
    assert!(!decision.is_promotion, "{decision:?}");
    rollout.record_decision(&decision, &with_canary()).unwrap();
    for mut rollout in [rollout, Rollout::open(Some(data.path()))] {
        let plan = rollout.apply(with_canary());
        assert!(plan.pipelines[0].canary.is_none());
        assert_eq!(runs(&plan), runs(&new()));
        let notes = rollout.notes(&with_canary());
        assert!(notes.len() == 1 && notes[0].contains("was rolled back earlier"), "{notes:?}");
    }
}

#[test]
fn a_canary_that_is_the_running_version_does_not_begin() {
    let mut plan = new();
    let candidate = new().pipelines.remove(0);
    plan.pipelines[0].canary = Some(Box::new(CandidatePlan { candidate, settings: CanarySettings::default() }));
    let mut rollout = Rollout::open(None);
    assert!(rollout.apply(plan.clone()).pipelines[0].canary.is_none());
    let notes = rollout.notes(&plan);
    assert!(notes.len() == 1 && notes[0].contains("is the same as the running version"), "{notes:?}");
}

#[test]
fn corrupt_decisions_are_ignored() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join(FILE), "{").unwrap();
    let mut rollout = Rollout::open(Some(data.path()));
    assert!(rollout.apply(with_canary()).pipelines[0].canary.is_some());
}
