use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::values::ValuesBuilder;

const HOUR: u64 = 3_600_000;

fn keys<T: AsRef<[u8]>>(rows: &[T]) -> Values {
    let mut builder = ValuesBuilder::with_rows(rows.len());
    rows.iter().for_each(|row| builder.push(Some(row.as_ref()), usize::MAX).unwrap());
    builder.finish()
}

fn grant(max_keys: u64) -> SeenGrant {
    SeenGrant { max_keys, ..SeenGrant::default() }
}

/// A store with a time of its own.
struct Rig {
    store: Arc<SeenStore>,
    grant: SeenGrant,
    now: u64,
    forgotten: u64,
}

impl Rig {
    fn new(grant: SeenGrant) -> Self {
        Self { store: Arc::default(), grant, now: 1_000_000, forgotten: 0 }
    }

    /// Claims keys for an hour in an ongoing call.
    fn claim(&mut self, rows: &[&str], claims: &mut Claims) -> Vec<u8> {
        self.claim_for(rows, HOUR, claims)
    }

    fn claim_for(&mut self, rows: &[&str], ttl: u64, claims: &mut Claims) -> Vec<u8> {
        let claim = self.store.claim(&self.grant, &keys(rows), ttl, self.now, claims);
        self.forgotten += claim.forgotten;
        claim.is_new
    }

    /// A call whose events are delivered, or offered again.
    fn call(&mut self, rows: &[&str], is_delivered: bool) -> Vec<u8> {
        let mut claims = Claims::default();
        let is_new = self.claim(rows, &mut claims);
        claims.end(is_delivered);
        is_new
    }
}

#[test]
fn a_key_is_new_once_also_within_a_call() {
    let mut rig = Rig::new(grant(100));
    assert_eq!(rig.call(&["a", "b", "a"], true), [1, 1, 0]);
    assert_eq!(rig.call(&["b", "c"], true), [0, 1]);
    let rows = Values { kinds: vec![4, 0, 0], ..keys(&["c", "", ""]) };
    let claim = rig.store.claim(&rig.grant, &rows, HOUR, rig.now, &mut Claims::default());
    assert_eq!(claim.is_new, [0, 1, 1], "rows without a key are always new");
}

#[test]
fn a_claim_is_removed_if_its_events_are_offered_again() {
    let mut rig = Rig::new(grant(100));
    assert_eq!(rig.call(&["a", "b"], false), [1, 1]);
    let mut first = Claims::default();
    assert_eq!(rig.claim(&["a", "b"], &mut first), [1, 1]);
    // Another event with the key, while the first is on its way.
    assert_eq!(rig.call(&["a"], true), [0]);
    first.end(false);
    assert_eq!(rig.call(&["a", "b"], true), [1, 1]);
    assert_eq!(rig.call(&["a", "b"], true), [0, 0]);
}

#[test]
fn a_call_that_faults_has_claimed_nothing() {
    let mut rig = Rig::new(grant(100));
    assert_eq!(rig.call(&["old"], true), [1]);
    let mut claims = Claims::default();
    assert_eq!(rig.claim(&["a", "old"], &mut claims), [1, 0]);
    assert_eq!(rig.claim(&["b", "a"], &mut claims), [1, 0]);
    drop(claims);
    assert_eq!(rig.call(&["a", "b", "old"], true), [1, 1, 0]);
}

#[test]
fn the_end_of_an_older_claim_does_not_touch_a_newer_one() {
    let mut rig = Rig::new(grant(100));
    let (mut first, mut second) = (Claims::default(), Claims::default());
    assert_eq!(rig.claim_for(&["a"], 10, &mut first), [1]);
    rig.now += 10;
    assert_eq!(rig.claim(&["a"], &mut second), [1]);
    first.end(false);
    assert_eq!(rig.call(&["a"], true), [0]);
    second.end(false);
    assert_eq!(rig.call(&["a"], true), [1]);
}

#[test]
fn a_claim_ends_after_its_time_or_that_of_the_grant() {
    let mut rig = Rig::new(SeenGrant { max_age: Duration::from_millis(100), ..grant(100) });
    let mut claims = Claims::default();
    assert_eq!(rig.claim_for(&["short"], 10, &mut claims), [1]);
    assert_eq!(rig.claim_for(&["long"], 1000, &mut claims), [1]);
    assert_eq!(rig.claim_for(&["never", "never"], 0, &mut claims), [1, 1]);
    claims.end(true);
    rig.now += 9;
    assert_eq!(rig.claim_for(&["short", "long"], 1000, &mut Claims::default()), [0, 0]);
    rig.now += 1;
    assert_eq!(rig.claim_for(&["short", "long"], 1000, &mut Claims::default()), [1, 0]);
    rig.now += 90;
    assert_eq!(rig.forgotten, 0);
    assert_eq!(rig.claim_for(&["long"], 1000, &mut Claims::default()), [1]);
    assert_eq!(rig.forgotten, 1, "without `max_age`, it would have been a duplicate");
}

#[test]
fn the_oldest_claims_beyond_the_limit_are_forgotten_and_counted() {
    let mut rig = Rig::new(grant(3));
    assert_eq!(rig.call(&["a", "b", "c"], true), [1, 1, 1]);
    assert_eq!(rig.call(&["d", "e"], true), [1, 1]);
    assert_eq!((rig.forgotten, rig.store.usage().keys), (2, 3));
    assert_eq!(rig.call(&["c", "d", "e"], true), [0, 0, 0]);
    assert_eq!(rig.call(&["a"], true), [1]);
    assert_eq!(rig.forgotten, 3);
    // Also provisional ones: the end of their events then changes nothing.
    let mut claims = Claims::default();
    assert_eq!(rig.claim(&["p"], &mut claims), [1]);
    assert_eq!(rig.call(&["q", "r", "s"], true), [1, 1, 1]);
    claims.end(true);
    assert_eq!(rig.call(&["q", "p"], true), [0, 1]);
}

#[test]
fn expired_claims_leave_their_place_without_being_counted() {
    let mut rig = Rig::new(grant(3));
    let mut claims = Claims::default();
    assert_eq!(rig.claim_for(&["a", "b", "c"], 10, &mut claims), [1, 1, 1]);
    claims.end(true);
    rig.now += 10;
    assert_eq!(rig.call(&["d", "e"], true), [1, 1]);
    assert_eq!((rig.forgotten, rig.store.usage().keys), (0, 2));
}

#[test]
fn sources_that_offer_events_again_and_again_take_no_memory() {
    let mut rig = Rig::new(grant(10_000));
    for round in 0..200 {
        // The firm claims in between keep the places of the removed ones from being the last.
        let rows: Vec<String> = (0..500).map(|n| format!("{n}")).collect();
        let mut claims = Claims::default();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert!(rig.claim(&rows, &mut claims).iter().all(|is_new| *is_new == 1));
        assert_eq!(rig.call(&[&format!("firm {round}")], true), [1]);
        claims.end(false);
    }
    let claimed = rig.store.claimed.lock();
    assert_eq!((claimed.memory.len(), rig.forgotten), (200, 0));
    assert!(claimed.memory.bytes() < 200_000, "{} bytes", claimed.memory.bytes());
}

#[test]
fn a_claim_takes_about_44_bytes() {
    let store: Arc<SeenStore> = Arc::default();
    let count = 1_000_000_u32;
    let all: Vec<[u8; 4]> = (0..count).map(u32::to_le_bytes).collect();
    for rows in all.chunks(1000) {
        let mut claims = Claims::default();
        let claim = store.claim(&SeenGrant::default(), &keys(rows), HOUR, 1, &mut claims);
        assert!(claim.is_new.iter().all(|is_new| *is_new == 1));
        claims.end(true);
    }
    let claimed = store.claimed.lock();
    assert_eq!(claimed.memory.len(), count as usize);
    let each = claimed.memory.bytes() as f64 / f64::from(count);
    assert!((40.0..46.0).contains(&each), "{each} bytes");
}

#[test]
fn two_workers_never_both_pass_an_event() {
    let (store, grant) = (Arc::<SeenStore>::default(), grant(1_000_000));
    let passed: Vec<HashMap<String, usize>> = std::thread::scope(|scope| {
        let worker = |seed: usize| {
            let (store, grant) = (&store, &grant);
            scope.spawn(move || {
                let mut passed = HashMap::new();
                for call in 0..2000 {
                    let rows: Vec<String> = (0..5).map(|n| format!("{}", call * 3 + n)).collect();
                    let mut claims = Claims::default();
                    let claim = store.claim(grant, &keys(&rows), HOUR, 1, &mut claims);
                    // Some calls fault, and some batches come back and are offered again.
                    let is_delivered = (call + seed) % 7 > 1;
                    claims.end(is_delivered);
                    if is_delivered {
                        let new = rows.into_iter().zip(claim.is_new).filter(|(_, is_new)| *is_new == 1);
                        new.for_each(|(key, _)| *passed.entry(key).or_default() += 1);
                    }
                }
                passed
            })
        };
        let workers = [worker(0), worker(3)];
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    passed.into_iter().flatten().for_each(|(key, count)| *all.entry(key).or_default() += count);
    assert!(all.len() > 5000);
    assert!(all.values().all(|count| *count == 1));
}

/// What happens to a batch.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    Faults,
    OfferedAgain,
}

/// A batch of an event log with duplicates: its events, what happens to it at each attempt, and how
/// many other batches begin before it ends.
type Plan = (Vec<u8>, Vec<Fate>, usize);

fn plan() -> impl Strategy<Value = Plan> {
    let fate = prop_oneof![Just(Fate::Faults), Just(Fate::OfferedAgain), Just(Fate::Delivered)];
    (prop::collection::vec(0..12_u8, 1..6), prop::collection::vec(fate, 0..4), 0..4_usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// An event is passed on by the call that claims its key, and delivered with its batch. Every key
    /// must be delivered, and only once, since no batch is offered again after its delivery.
    #[test]
    fn every_key_is_delivered_exactly_once(plans in prop::collection::vec(plan(), 1..12)) {
        let mut rig = Rig::new(grant(1000));
        let mut waiting: Vec<(Vec<u8>, std::vec::IntoIter<Fate>, usize)> =
            plans.iter().rev().map(|(rows, fates, delay)| (rows.clone(), fates.clone().into_iter(), *delay)).collect();
        // Batches on their way, with the keys that they deliver.
        let mut going: Vec<(usize, Claims, Vec<u8>, _)> = Vec::new();
        let mut delivered: HashMap<u8, usize> = HashMap::new();
        let mut time = 0;
        loop {
            time += 1;
            if let Some((rows, mut fates, delay)) = waiting.pop() {
                let names: Vec<String> = rows.iter().map(u8::to_string).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let mut claims = Claims::default();
                // A call may claim in parts.
                let (first, second) = names.split_at(names.len() / 2);
                let mut is_new = rig.claim(first, &mut claims);
                is_new.extend(rig.claim(second, &mut claims));
                let passed = rows.iter().zip(is_new).filter(|(_, is_new)| *is_new == 1).map(|(key, _)| *key).collect();
                match fates.next().unwrap_or(Fate::Delivered) {
                    Fate::Faults => {
                        drop(claims);
                        waiting.push((rows, fates, delay));
                    }
                    Fate::Delivered => going.push((time + delay, claims, passed, None)),
                    Fate::OfferedAgain => going.push((time + delay, claims, Vec::new(), Some((rows, fates, delay)))),
                }
            } else if going.is_empty() {
                break;
            }
            let (over, rest): (Vec<_>, Vec<_>) = going.into_iter().partition(|(at, ..)| *at <= time);
            going = rest;
            for (_, claims, passed, again) in over {
                claims.end(again.is_none());
                passed.into_iter().for_each(|key| *delivered.entry(key).or_default() += 1);
                waiting.extend(again);
            }
        }
        let offered: std::collections::HashSet<u8> = plans.iter().flat_map(|(rows, ..)| rows.clone()).collect();
        prop_assert_eq!(delivered.len(), offered.len());
        prop_assert!(delivered.values().all(|count| *count == 1), "{:?}", delivered);
    }

    /// Against a list of claims that is searched from one end to the other.
    #[test]
    fn limits_are_those_of_a_list(
        steps in prop::collection::vec((0..30_u8, 1..40_u64, 0..6_u64, 0..3_u8), 1..200),
        max in 1..12_usize,
        max_age in 1..40_u64,
    ) {
        let mut rig = Rig::new(SeenGrant { max_age: Duration::from_millis(max_age), ..grant(max as u64) });
        // Key, end, whether the grant cut it.
        let mut list: Vec<(u8, u64, bool)> = Vec::new();
        let mut forgotten = 0;
        for (key, ttl, wait, fate) in steps {
            rig.now += wait;
            let found = list.iter().position(|(of, ..)| *of == key);
            let is_new = found.is_none_or(|at| list[at].1 <= rig.now);
            if is_new {
                if let Some(at) = found {
                    forgotten += u64::from(list.remove(at).2);
                }
                while list.first().is_some_and(|(_, until, _)| *until <= rig.now) {
                    forgotten += u64::from(list.remove(0).2);
                }
                while list.len() >= max {
                    let (_, until, is_cut) = list.remove(0);
                    forgotten += u64::from(is_cut || until > rig.now);
                }
                list.push((key, rig.now + ttl.min(max_age), ttl > max_age));
            }
            let mut claims = Claims::default();
            prop_assert_eq!(rig.claim_for(&[&key.to_string()], ttl, &mut claims), vec![u8::from(is_new)]);
            if fate == 0 && is_new {
                list.pop();
            }
            claims.end(fate > 0);
        }
        prop_assert!(rig.store.usage().keys as usize <= max);
        // A call drops two expired claims at most, so the store can be behind the list.
        forgotten += list.iter().filter(|(.., is_cut)| *is_cut).count() as u64;
        for n in 0..200 {
            rig.now += 50;
            rig.claim_for(&[&format!("last {n}")], 1, &mut Claims::default());
        }
        prop_assert_eq!(rig.forgotten, forgotten);
    }
}

mod durable;
