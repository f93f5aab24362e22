//! The short form of `cargo xtask chaos`: one or two faults of each kind.
#![allow(clippy::panic, reason = "a scenario that went wrong fails its test")]

use std::time::Duration;

use wattle_chaos::{Outcome, edges, evil, kill, s3, sinks, soak, sources, stateful};
use wattle_tests::evil::EVIL;

const SEED: u64 = 4;

#[track_caller]
fn assert_good(outcome: &Outcome) {
    assert!(outcome.is_good(), "{outcome:?}");
}

#[test]
fn kills_lose_nothing_and_repeat_only_unacknowledged_events() {
    assert_good(&kill::run(SEED, 3));
}

#[test]
fn windows_survive_kills_swaps_and_rollbacks() {
    for kills in [4, 0] {
        let size = stateful::Size { kills, swaps: 4, rollbacks: 1 };
        assert_good(&stateful::run(SEED, size, &mut stateful::Figures::default()));
    }
}

#[test]
fn two_agents_on_one_queue_lose_nothing_and_double_nothing_in_a_bucket() {
    let size = s3::Size { objects: 200, kills: 3 };
    for target in [s3::Target::Http, s3::Target::Bucket] {
        assert_good(&s3::run(SEED, size, target, &mut s3::Figures::default()));
    }
}

#[test]
fn agents_between_servers_lose_nothing_and_double_nothing_that_has_an_id() {
    for (name, scenario) in edges::SCENARIOS {
        let outcome = scenario(SEED, edges::Size { faults: 4 }, &mut edges::Figures::default());
        assert!(outcome.is_good(), "{name}: {outcome:?}");
    }
}

#[test]
fn an_evil_node_fails_its_poisonous_rows_and_no_others() {
    for evil in EVIL.iter().filter(|evil| ["panic", "spin"].contains(&evil.fault)) {
        let outcome = evil::run(evil, &mut 0.0);
        // The delay of the neighbour is a measurement, and tests run in parallel.
        assert_eq!((outcome.lost, outcome.duplicated), (0, 0), "{outcome:?}");
    }
}

#[test]
fn failing_sinks_lose_nothing_and_recover_by_themselves() {
    let size = sinks::Size { trouble: Duration::from_secs(2), down: Duration::from_secs(2), documents: 60 };
    for (name, fault) in sinks::FAULTS.iter().filter(|(name, _)| ["down", "hanging", "full disk"].contains(name)) {
        let outcome = sinks::run(*fault, SEED, size);
        assert!(outcome.is_good(), "{name}: {outcome:?}");
    }
}

#[test]
fn files_that_change_while_the_agent_reads_them_lose_nothing() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for (name, scenario) in sources::FAULTS.iter().filter(|(name, _)| !name.contains("thousand")) {
        let outcome = scenario(&mut random);
        assert!(outcome.is_good(), "{name}: {outcome:?}");
    }
}

#[test]
fn a_short_soak_conserves_every_event() {
    assert_good(&soak::run(SEED, Duration::from_secs(6), &mut None));
}
