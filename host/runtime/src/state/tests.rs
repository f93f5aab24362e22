use std::sync::Arc;

use super::*;
use crate::bindings::BadColumn;
use crate::fault::Blame;
use wattle_batch::{Ack, Batch, Column, Disposition, NodeInfo, Origin};
use wattle_capability::{Capability, Clock, Mock, NodeServices, Values};

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

fn with_memory() -> NodeServices {
    let grants = wattle_plan::Grants {
        seen: Some(wattle_plan::SeenGrant::default()),
        kv: Some(wattle_plan::KvGrant::default()),
        ..Default::default()
    };
    NodeServices::mocked(&Mock { grants, ..Mock::default() }).unwrap()
}

fn key(text: &'static str) -> Result<Values, BadColumn> {
    let end = u32::try_from(text.len()).unwrap();
    Ok(Values { bytes: text.into(), offsets: vec![0, end], kinds: Vec::new() })
}

#[test]
fn claims_end_with_the_acknowledgement_of_their_batch() {
    let services = with_memory();
    // Whether the key is new in a call that faults, or whose batch ends like this.
    let is_new = |end: Option<Disposition>| {
        let mut state = in_process(NodeLimits::default());
        state.held.services = Some(services.clone());
        let is_new = state.claim(0, key("a"), 60_000).unwrap();
        let effects = std::mem::take(&mut state.held.effects);
        if let Some(end) = end {
            let ack = Ack::new(|_| {});
            effects.commit(Some(&services), &ack);
            match end {
                Disposition::Delivered => ack.deliver(),
                Disposition::Rejected => ack.reject(1),
                Disposition::GivenUp => ack.give_up(),
                Disposition::Retry => drop(ack),
            }
        }
        is_new == [1]
    };
    assert!(is_new(None));
    for end in [Disposition::Retry, Disposition::GivenUp, Disposition::Rejected] {
        assert!(is_new(Some(end)), "{end:?}");
    }
    assert!(!is_new(Some(Disposition::Delivered)));
}

#[test]
fn a_claim_has_a_key_for_each_row_and_is_possible_only_in_process() {
    let mut state = in_process(NodeLimits::default());
    state.held.services = Some(with_memory());
    let none = Ok(Values { offsets: vec![0], ..Default::default() });
    let error = state.claim(0, none, 1).unwrap_err();
    assert!(Fault::of(&error, &mut state).message.contains("0 keys for a batch of 1 rows"));
    state.is_tick = true;
    let error = state.claim(0, key("a"), 1).unwrap_err();
    assert!(Fault::of(&error, &mut state).message.contains("outside of `process`"));
    assert_eq!(state.kv_get(0, key("a")).unwrap().rows(), 1, "`kv` serves ticks too");
}

#[test]
fn values_of_a_call_are_committed_with_it() {
    let services = with_memory();
    let add = |is_committed: bool| {
        let mut state = in_process(NodeLimits::default());
        state.held.services = Some(services.clone());
        let sums = state.kv(0, key("n"), |services, keys, staged| Ok(services.kv_add(&keys, &[1], staged)));
        let effects = std::mem::take(&mut state.held.effects);
        if is_committed {
            effects.commit(Some(&services), &Ack::none());
        }
        sums.unwrap().unwrap()
    };
    assert_eq!(add(false), [1]);
    assert_eq!(add(true), [1]);
    assert_eq!(add(true), [2]);
}
