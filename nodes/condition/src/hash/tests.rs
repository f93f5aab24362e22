//! Tests of shares and hashes.

use proptest::prelude::*;
use wattle_node::Resolve;

use super::*;

struct NoFields;

impl Resolve for NoFields {
    fn resolve(&mut self, _: &str, _: bool, _: bool) -> Result<u32, String> {
        Ok(0)
    }
}

fn share(rate: Option<u64>, ratio: Option<f64>) -> Share {
    let ratio = ratio.and_then(Number::from_f64);
    Share::new("", rate, ratio.as_ref(), &mut Setup::new(&mut NoFields)).unwrap()
}

fn column(values: &[Option<&str>]) -> Column {
    let mut column = Column { offsets: vec![0], ..Column::default() };
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
        column.offsets.push(u32::try_from(bytes.len()).unwrap());
        column.kinds.push(if value.is_some() { 4 } else { 0 });
    }
    column.bytes = bytes.into();
    column
}

#[test]
fn hashes_of_keys_never_change() {
    let columns = [column(&[Some(""), Some("a"), Some("abc"), None]), column(&[None, Some("b"), None, None])];
    let one = Key { columns: vec![0], seed: 0 };
    // The values of the reference implementation of XXH64.
    let expected = [0xef46_db37_51d8_e999, 0xd24e_c4f1_a98c_6e5b, 0x44bc_2cf5_ad77_0999];
    for (row, hash) in expected.into_iter().enumerate() {
        assert_eq!(one.hash(&columns, row), Some(hash));
    }
    assert_eq!(one.hash(&columns, 3), None);
    let two = Key { columns: vec![0, 1], seed: 0 };
    assert_eq!(two.hash(&columns, 1), Some(XxHash64::oneshot(0, b"a\xffb")));
    assert_eq!(two.hash(&columns, 2), Some(XxHash64::oneshot(0, b"abc\xff")));
    assert_eq!(two.hash(&columns, 3), None);
    let other = Key { columns: vec![0], seed: 1 };
    assert_ne!(other.hash(&columns, 1), one.hash(&columns, 1));
}

#[test]
fn a_share_of_everything_has_every_hash() {
    for share in [share(Some(1), None), share(None, Some(1.0))] {
        assert!(share.has(u64::MAX) && share.has(0));
        assert!((0..5).scan(Counter::default(), |counter, _| Some(share.count(counter))).all(|kept| kept));
    }
    assert!(share(None, Some(1e-300)).has(0));
    assert!(!share(None, Some(1e-300)).has(1));
}

proptest! {
    #[test]
    fn every_nth_event_is_counted(rate in 1..50_u64, events in 1..500_u64) {
        let share = share(Some(rate), None);
        let mut counter = Counter::default();
        let kept: Vec<u64> = (0..events).filter(|_| share.count(&mut counter)).collect();
        let first = rate - rate / 2 - 1;
        prop_assert_eq!(kept, (first..events).step_by(usize::try_from(rate).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn a_ratio_is_counted_to_half_an_event(ratio in 0.001..1.0_f64, events in 1..2000_u32) {
        let share = share(None, Some(ratio));
        let mut counter = Counter::default();
        let kept = (0..events).filter(|_| share.count(&mut counter)).count();
        prop_assert!((kept as f64 - f64::from(events) * ratio).abs() <= 0.500_001);
    }

    #[test]
    fn a_smaller_share_is_a_part_of_a_larger_one(a in 1..1000_u64, b in 1..1000_u64, hash: u64) {
        let (small, large) = (share(Some(a.max(b)), None), share(Some(a.min(b)), None));
        prop_assert!(!small.has(hash) || large.has(hash));
    }

    #[test]
    fn a_hash_belongs_to_a_rate_if_it_is_in_the_lowest_part(rate: u64, hash: u64) {
        let expected = u128::from(hash) * u128::from(rate.max(1)) < HASHES;
        prop_assert_eq!(share(Some(rate.max(1)), None).has(hash), expected);
    }
}
