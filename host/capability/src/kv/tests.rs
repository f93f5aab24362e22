use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::entries::{END_BYTES, ENTRY_BYTES, NUMBER_BYTES};
use super::*;

fn values<T: AsRef<[u8]>>(rows: &[T]) -> Values {
    let mut builder = ValuesBuilder::with_rows(rows.len());
    rows.iter().for_each(|row| builder.push(Some(row.as_ref()), usize::MAX).unwrap());
    builder.finish()
}

fn texts(values: &Values) -> Vec<Option<String>> {
    values.iter().map(|row| row.map(|row| String::from_utf8_lossy(row).into_owned())).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A store, its grant and its time.
struct Rig {
    store: Arc<Store>,
    grant: KvGrant,
    now: u64,
}

impl Rig {
    fn new(grant: KvGrant) -> Self {
        Self { store: Arc::default(), grant, now: 1000 }
    }

    fn set(&self, keys: &[&str], given: &[&str], staged: &mut Staged) -> Result<(), KvError> {
        self.store.set(&self.grant, &values(keys), &values(given), None, self.now, staged)
    }

    fn add(&self, keys: &[&str], amounts: &[i64], staged: &mut Staged) -> Result<Vec<i64>, KvError> {
        self.store.add(&self.grant, &values(keys), amounts, self.now, staged)
    }

    fn delete(&self, keys: &[&str], staged: &mut Staged) {
        self.store.delete(&values(keys), self.now, staged);
    }

    fn get(&self, keys: &[&str], staged: &Staged) -> Vec<Option<String>> {
        texts(&self.store.get(&values(keys), self.now, usize::MAX, staged).unwrap())
    }

    fn usage(&self) -> (usize, usize) {
        self.store.entries.lock().usage()
    }

    fn committed(&self, keys: &[&str]) -> Vec<Option<String>> {
        self.get(keys, &Staged::default())
    }

    /// A call that sets values and succeeds.
    fn put(&self, keys: &[&str], given: &[&str]) {
        let mut staged = Staged::default();
        self.set(keys, given, &mut staged).unwrap();
        assert_eq!(staged.commit(self.now, || {}), 0);
    }
}

#[test]
fn changes_are_seen_by_their_call_at_once_and_by_others_when_it_succeeds() {
    let rig = Rig::new(KvGrant::default());
    rig.put(&["old", "n"], &["1", "5"]);
    let mut staged = Staged::default();
    rig.set(&["a", "b", "a"], &["1", "", "2"], &mut staged).unwrap();
    rig.delete(&["old", "absent"], &mut staged);
    assert_eq!(rig.add(&["n", "n"], &[1, 2], &mut staged), Ok(vec![6, 8]));
    let keys = ["a", "b", "old", "n", "absent"];
    assert_eq!(rig.get(&keys, &staged), [text("2"), text(""), None, text("8"), None]);
    assert_eq!(rig.committed(&keys), [None, None, text("1"), text("5"), None]);
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.committed(&keys), [text("2"), text(""), None, text("8"), None]);
    assert_eq!(rig.usage(), (3, 3 * ENTRY_BYTES + "a2".len() + "b".len() + "n8".len()));
    assert!(rig.store.entries.lock().is_unreserved());
    let mut staged = Staged::default();
    rig.delete(&["a", "b", "n"], &mut staged);
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.usage(), (0, 0));
}

#[test]
fn a_call_that_faults_changes_nothing_and_frees_its_room() {
    let rig = Rig::new(KvGrant::default());
    rig.put(&["n", "t"], &["5", "x"]);
    let before = rig.usage();
    let mut staged = Staged::default();
    rig.set(&["t", "new"], &["y", "z"], &mut staged).unwrap();
    rig.add(&["n", "m"], &[1, 1], &mut staged).unwrap();
    rig.delete(&["t"], &mut staged);
    assert!(!rig.store.entries.lock().is_unreserved());
    drop(staged);
    assert_eq!(rig.committed(&["n", "m", "t", "new"]), [text("5"), None, text("x"), None]);
    assert_eq!(rig.usage(), before);
    assert!(rig.store.entries.lock().is_unreserved());
}

#[test]
fn additions_of_all_workers_count_and_those_of_faulted_calls_do_not() {
    let rig = Rig::new(KvGrant::default());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let rig = &rig;
            scope.spawn(move || {
                for call in 0..500 {
                    let mut staged = Staged::default();
                    rig.add(&["n", "m", "n"], &[1, -1, 1], &mut staged).unwrap();
                    let sums = rig.add(&["n", "m"], &[0, 0], &mut staged).unwrap();
                    assert!(sums[0] >= 2 && sums[1] <= -1);
                    if (call + worker) % 5 > 0 {
                        assert_eq!(staged.commit(rig.now, || {}), 0);
                    }
                }
            });
        }
    });
    assert_eq!(rig.committed(&["n", "m"]), [text("3200"), text("-1600")]);
}

#[test]
fn sums_saturate_and_a_text_is_not_a_number() {
    let rig = Rig::new(KvGrant::default());
    rig.put(&["n", "t"], &["4000", "two"]);
    let mut staged = Staged::default();
    assert_eq!(rig.add(&["n", "n"], &[1, i64::MAX], &mut staged), Ok(vec![4001, i64::MAX]));
    assert_eq!(rig.add(&["x", "t"], &[1, 1], &mut staged), Err(KvError::NotANumber("t".into())));
    assert_eq!(rig.get(&["x", "t"], &staged), [None, text("two")]);
    rig.set(&["s", "d"], &["7", "7"], &mut staged).unwrap();
    rig.delete(&["d"], &mut staged);
    assert_eq!(rig.add(&["s", "d"], &[1, 1], &mut staged), Ok(vec![8, 1]));
    let missing = Values { kinds: vec![0, 4], ..values(&["", "n"]) };
    assert_eq!(rig.store.add(&rig.grant, &missing, &[1, 0], rig.now, &mut staged), Ok(vec![0, i64::MAX]));
    assert_eq!(
        rig.store.add(&rig.grant, &missing, &[1], rig.now, &mut staged),
        Err(KvError::Amounts { keys: 2, amounts: 1 })
    );
}

#[test]
fn a_number_that_another_worker_replaces_by_a_text_stays_a_text() {
    let rig = Rig::new(KvGrant::default());
    let mut staged = Staged::default();
    rig.add(&["n", "m"], &[1, 1], &mut staged).unwrap();
    rig.put(&["n"], &["text"]);
    assert_eq!(rig.get(&["n", "m"], &staged), [text("text"), text("1")]);
    assert_eq!(staged.commit(rig.now, || {}), 1);
    assert_eq!(rig.committed(&["n", "m"]), [text("text"), text("1")]);
}

#[test]
fn nothing_is_staged_if_the_total_exceeds_the_grant() {
    let rig = Rig::new(KvGrant { max_bytes: 2 * (ENTRY_BYTES as u64 + 2), max_keys: 2, durable: false });
    rig.put(&["a", "b"], &["1", "1"]);
    let mut staged = Staged::default();
    let more = rig.set(&["a", "c"], &["2", "2"], &mut staged).unwrap_err();
    assert_eq!(more.to_string(), "3 keys would be kept; 2 are granted (`max_keys`)");
    let longer = rig.set(&["a"], &["22"], &mut staged).unwrap_err();
    assert_eq!(longer.to_string(), "133 bytes would be kept; 132 are granted (`max_size`)");
    assert!(rig.add(&["a"], &[1], &mut staged).is_err(), "the number could become longer");
    assert_eq!(rig.get(&["a", "c"], &staged), [text("1"), None]);
    // One entry takes the space of the other.
    rig.set(&["a", "b"], &["22", ""], &mut staged).unwrap();
    rig.delete(&["b"], &mut staged);
    rig.set(&["c"], &[""], &mut staged).unwrap();
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.usage(), (2, 132));
    let kept = rig.store.get(&values(&["a", "a"]), rig.now, 3, &Staged::default());
    assert!(kept.is_err(), "answers are bounded too");
}

#[test]
fn the_room_of_a_call_is_not_given_to_another() {
    let rig = Rig::new(KvGrant { max_bytes: 1 << 20, max_keys: 2, durable: false });
    let (mut first, mut second) = (Staged::default(), Staged::default());
    rig.set(&["a"], &["1"], &mut first).unwrap();
    rig.add(&["b"], &[1], &mut second).unwrap();
    assert_eq!(
        rig.set(&["c"], &["1"], &mut first).unwrap_err().to_string(),
        "3 keys would be kept; 2 are granted (`max_keys`)"
    );
    drop(second);
    rig.set(&["c"], &["1"], &mut first).unwrap();
    assert_eq!(first.commit(rig.now, || {}), 0);
    // A call that makes room can use it itself, but others only after it.
    let (mut first, mut second) = (Staged::default(), Staged::default());
    rig.delete(&["a", "c"], &mut first);
    assert!(rig.set(&["d"], &["1"], &mut second).is_err());
    rig.set(&["d"], &["1"], &mut first).unwrap();
    assert_eq!(first.commit(rig.now, || {}), 0);
    rig.set(&["e"], &["1"], &mut second).unwrap();
    assert_eq!(second.commit(rig.now, || {}), 0);
    assert_eq!(rig.usage().0, 2);
}

#[test]
fn a_commit_takes_effect_even_if_others_used_the_room_of_a_value_that_was_deleted_meanwhile() {
    let rig = Rig::new(KvGrant { max_bytes: 1 << 20, max_keys: 1, durable: false });
    rig.put(&["a"], &["1"]);
    let (mut writes, mut deletes) = (Staged::default(), Staged::default());
    rig.set(&["a"], &["2"], &mut writes).unwrap();
    rig.delete(&["a"], &mut deletes);
    assert_eq!(deletes.commit(rig.now, || {}), 0);
    rig.put(&["b"], &["1"]);
    assert_eq!(writes.commit(rig.now, || {}), 0);
    assert_eq!(rig.committed(&["a", "b"]), [text("2"), text("1")]);
    let mut staged = Staged::default();
    assert!(rig.set(&["a"], &["333"], &mut staged).is_ok(), "it needs no more keys");
    assert!(rig.set(&["c"], &["1"], &mut staged).is_err());
}

#[test]
fn a_value_expires_at_its_end_and_additions_keep_the_end() {
    let mut rig = Rig::new(KvGrant { max_bytes: 1 << 20, max_keys: 3, durable: false });
    let mut staged = Staged::default();
    let (keys, given) = (values(&["a", "n"]), values(&["x", "1"]));
    rig.store.set(&rig.grant, &keys, &given, Some(10), rig.now, &mut staged).unwrap();
    assert_eq!(rig.add(&["n"], &[1], &mut staged), Ok(vec![2]));
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.usage(), (2, 2 * (ENTRY_BYTES + END_BYTES + 2)));
    rig.now += 9;
    let mut staged = Staged::default();
    assert_eq!(rig.add(&["n"], &[1], &mut staged), Ok(vec![3]));
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.committed(&["a", "n"]), [text("x"), text("3")]);
    // Its end comes between two calls, or within one.
    let mut staged = Staged::default();
    assert_eq!(rig.add(&["n"], &[1], &mut staged), Ok(vec![4]));
    rig.now += 1;
    assert_eq!(rig.get(&["a", "n"], &staged), [None, text("1")]);
    assert_eq!(staged.commit(rig.now, || {}), 0);
    rig.now += 100;
    assert_eq!(rig.committed(&["a", "n"]), [None, text("1")]);
    // A value without an end replaces one with an end.
    let mut staged = Staged::default();
    rig.store.set(&rig.grant, &values(&["t"]), &values(&["1"]), Some(5), rig.now, &mut staged).unwrap();
    rig.set(&["t"], &["2"], &mut staged).unwrap();
    assert_eq!(staged.commit(rig.now, || {}), 0);
    rig.now += 5;
    assert_eq!(rig.committed(&["t"]), [text("2")]);
}

#[test]
fn expired_values_take_no_room() {
    let mut rig = Rig::new(KvGrant { max_bytes: 1 << 20, max_keys: 100, durable: false });
    let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let mut staged = Staged::default();
    rig.store.set(&rig.grant, &values(&all), &values(&all), Some(10), rig.now, &mut staged).unwrap();
    assert_eq!(staged.commit(rig.now, || {}), 0);
    rig.now += 10;
    let mut staged = Staged::default();
    rig.set(&["new"], &["1"], &mut staged).unwrap();
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.committed(&["new", "5"]), [text("1"), None]);
    // All others are removed a few at a time.
    (0..100).for_each(|_| _ = rig.committed(&["new"]));
    assert_eq!(rig.usage(), (1, ENTRY_BYTES + "new1".len()));
}

#[test]
fn a_sum_reserves_the_room_of_the_longest_number() {
    let rig = Rig::new(KvGrant { max_bytes: (ENTRY_BYTES + NUMBER_BYTES + 1) as u64, max_keys: 1, durable: false });
    let mut staged = Staged::default();
    rig.add(&["n"], &[1], &mut staged).unwrap();
    assert_eq!(staged.commit(rig.now, || {}), 0);
    assert_eq!(rig.usage().1, ENTRY_BYTES + 2);
}

#[derive(Clone, Debug)]
enum Step {
    Set { call: usize, key: u8, value: i64, ttl: Option<u64> },
    Add { call: usize, key: u8, amount: i64 },
    Delete { call: usize, key: u8 },
    Commit { call: usize },
    Fault { call: usize },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (call, key) = (0..3_usize, 0..4_u8);
    prop_oneof![
        4 => (call.clone(), key.clone(), -5..5_i64, prop::option::of(1..20_u64))
            .prop_map(|(call, key, value, ttl)| Step::Set { call, key, value, ttl }),
        6 => (call.clone(), key.clone(), -5..5_i64).prop_map(|(call, key, amount)| Step::Add { call, key, amount }),
        2 => (call.clone(), key).prop_map(|(call, key)| Step::Delete { call, key }),
        2 => call.clone().prop_map(|call| Step::Commit { call }),
        1 => call.prop_map(|call| Step::Fault { call }),
        2 => (1..10_u64).prop_map(Step::Wait),
    ]
}

type Model = BTreeMap<u8, (i64, Option<u64>)>;

/// What a call did, to be repeated on the committed values.
type Script = Vec<(u8, Option<i64>, Option<i64>, Option<u64>)>;

fn live(model: &Model, key: u8, now: u64) -> Option<(i64, Option<u64>)> {
    model.get(&key).copied().filter(|(_, until)| until.is_none_or(|until| until > now))
}

/// The committed values after a call: a key that the call has set or deleted depends on that alone,
/// and any other one on the sum of the amounts.
fn replay(model: &Model, script: &Script, now: u64) -> Model {
    let (mut after, mut own) = (model.clone(), BTreeSet::new());
    for &(key, set, add, until) in script {
        match (set, add) {
            (Some(value), _) => _ = after.insert(key, (value, until)),
            (None, Some(amount)) => {
                // Whether a value of the call had expired was decided when the amount was added.
                let before = if own.contains(&key) { after.get(&key).copied() } else { live(&after, key, now) };
                let (before, until) = before.unwrap_or((0, None));
                after.insert(key, (before + amount, until));
            }
            (None, None) => _ = after.remove(&key),
        }
        if add.is_none() {
            own.insert(key);
        }
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interleaved_calls_have_the_result_of_one_after_the_other(steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = Rig::new(KvGrant::default());
        let mut model = Model::new();
        let mut calls: Vec<(Staged, Script)> = (0..3).map(|_| Default::default()).collect();
        let name = |key: u8| key.to_string();
        for step in steps {
            match step {
                Step::Set { call, key, value, ttl } => {
                    let (staged, script) = &mut calls[call];
                    let (keys, given) = (values(&[name(key)]), values(&[value.to_string()]));
                    rig.store.set(&rig.grant, &keys, &given, ttl, rig.now, staged).unwrap();
                    script.push((key, Some(value), None, ttl.map(|ttl| rig.now + ttl)));
                }
                Step::Add { call, key, amount } => {
                    let (staged, script) = &mut calls[call];
                    // A value of the call that has expired meanwhile counts as deleted.
                    let own = script.iter().rev().find(|(of, set, add, _)| *of == key && (set.is_some() || add.is_none()));
                    if own.is_some_and(|(_, set, _, until)| set.is_some() && until.is_some_and(|until| until <= rig.now)) {
                        script.push((key, None, None, None));
                    }
                    script.push((key, None, Some(amount), None));
                    let expected = live(&replay(&model, script, rig.now), key, rig.now).unwrap().0;
                    let sums = rig.add(&[&name(key)], &[amount], staged).unwrap();
                    prop_assert_eq!(sums, vec![expected]);
                }
                Step::Delete { call, key } => {
                    let (staged, script) = &mut calls[call];
                    rig.delete(&[&name(key)], staged);
                    script.push((key, None, None, None));
                }
                Step::Commit { call } => {
                    let (staged, script) = std::mem::take(&mut calls[call]);
                    prop_assert_eq!(staged.commit(rig.now, || {}), 0);
                    model = replay(&model, &script, rig.now);
                }
                Step::Fault { call } => _ = std::mem::take(&mut calls[call]),
                Step::Wait(time) => rig.now += time,
            }
            for key in 0..4 {
                let expected = live(&model, key, rig.now).map(|(value, _)| value.to_string());
                prop_assert_eq!(rig.committed(&[&name(key)]), vec![expected]);
                for (staged, script) in &calls {
                    let expected = live(&replay(&model, script, rig.now), key, rig.now);
                    let expected = expected.map(|(value, _)| value.to_string());
                    prop_assert_eq!(rig.get(&[&name(key)], staged), vec![expected]);
                }
            }
        }
        drop(calls);
        prop_assert!(rig.store.entries.lock().is_unreserved());
    }
}
