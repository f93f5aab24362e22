use std::sync::Arc;

use super::*;
use crate::fault::Blame;
use wattle_batch::{Ack, Batch, Column, NodeInfo, Origin};

fn in_process(limits: NodeLimits) -> State {
    let origin = Origin { source: "in".into(), resource: "{}".into(), observed: 0 };
    let batch = Batch::new(Column::from_rows(["one"]).unwrap(), Arc::new(origin), Ack::none());
    let info = NodeInfo { name: "n".into(), version: "n@1".into(), ports: vec!["out".into()], fields: Vec::new() };
    let mut state = State::new(limits);
    state.begin(Call::new(batch, Arc::new(info)), 3, 3);
    state
}

fn fault(state: &mut State, error: &wasmtime::Error) -> (FaultKind, Blame) {
    let fault = Fault::of(error, state);
    (fault.kind, fault.blame)
}

#[test]
fn a_panic_inside_a_host_call_is_the_hosts_fault() {
    let mut state = in_process(NodeLimits::default());
    let error = state.in_call::<()>(0, |_| panic!("broken index")).unwrap_err();
    let fault = Fault::of(&error, &mut state);
    assert_eq!((fault.kind, fault.blame), (FaultKind::HostError, Blame::Host));
    assert!(fault.message.contains("broken index"), "{}", fault.message);
    assert_eq!(state.end().map(|call| call.abort().rows()), Some(1), "the batch is still there");
}

#[test]
fn a_broken_rule_inside_a_host_call_is_the_guests_fault() {
    let mut state = in_process(NodeLimits::default());
    let error = state.in_call(0, |call| call.route(vec![7])).unwrap_err();
    assert_eq!(fault(&mut state, &error), (FaultKind::InvalidDecision, Blame::Guest));
}

#[test]
fn every_host_call_counts_and_its_arguments_are_charged() {
    let limits = NodeLimits { host_calls: 3, log_lines: 1, ..NodeLimits::default() };
    let mut state = in_process(limits.clone());
    state.in_call(0, |call| Ok(call.rows())).unwrap();
    state.panicked("one".into()).unwrap();
    assert!(state.resolve("body", true, false).unwrap().is_err(), "only in `configure`");
    let error = state.in_call(0, |call| Ok(call.rows())).unwrap_err();
    assert_eq!(fault(&mut state, &error).0, FaultKind::HostCallLimit);

    let mut state = in_process(limits.clone());
    state.panicked("one".into()).unwrap();
    let error = state.panicked("two".into()).unwrap_err();
    assert_eq!(fault(&mut state, &error).0, FaultKind::LogLimit);

    let mut state = in_process(limits);
    state.in_call(NodeLimits::OUTPUT_FLOOR_BYTES as usize, |_| Ok(())).unwrap();
    let error = state.in_call(1, |_| Ok(())).unwrap_err();
    assert_eq!(fault(&mut state, &error).0, FaultKind::OutputLimit);
}

#[test]
fn fields_are_limited_and_resolving_one_twice_counts_once() {
    let mut state = State::new(NodeLimits { fields: 2, ..NodeLimits::default() });
    state.fields = Some(Vec::new());
    for path in ["body", "body.a", "body"] {
        state.resolve(path, true, false).unwrap().unwrap();
    }
    let error = state.resolve("body.b", true, false).unwrap_err();
    assert_eq!(fault(&mut state, &error).0, FaultKind::FieldLimit);
}

#[test]
fn tables_and_memories_are_limited_together() {
    let mut state = State::new(NodeLimits { memory_bytes: 100, table_elements: 10, ..NodeLimits::default() });
    assert!(state.memory_growing(0, 60, None).unwrap() && state.table_growing(0, 6, None).unwrap());
    assert!(!state.memory_growing(0, 60, None).unwrap() && !state.table_growing(0, 6, None).unwrap());
    assert!(state.denied());
}

#[test]
fn a_capability_is_refused_without_a_grant_or_at_the_wrong_time() {
    use super::capabilities::When;
    use wattle_capability::{Capability, Clock, Mock, NodeServices};
    let call = |state: &mut State, capability, when| {
        let error = state.capability(capability, when, 0, |services, _| Ok(services.clock().now())).unwrap_err();
        let fault = Fault::of(&error, state);
        assert_eq!(fault.kind, FaultKind::InvalidDecision);
        fault.message
    };
    let mut state = State::new(NodeLimits::default());
    assert!(call(&mut state, Capability::Clock, When::Configured).contains("as in `describe`"));
    let mut grants = wattle_plan::Grants { clock: true, ..Default::default() };
    grants.kv = Some(wattle_plan::KvGrant::default());
    let mock = Mock { grants, clock: Clock::Fixed(5), ..Mock::default() };
    state.held.services = Some(NodeServices::mocked(&mock).unwrap());
    assert!(call(&mut state, Capability::Random, When::Configured).contains("not granted"));
    assert!(call(&mut state, Capability::Kv, When::Process).contains("outside of `process`"));
    let now = state.capability(Capability::Clock, When::Configured, 0, |services, _| Ok(services.clock().now()));
    assert_eq!(now.unwrap(), 5);
    let services = state.held.services.clone().unwrap();
    assert_eq!(services.meter(Capability::Clock).read(), [1, 0, 0]);
}
