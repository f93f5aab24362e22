//! The functions without an agent.

pub(crate) mod facts;
pub(crate) mod tables;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::http::{Failure, Request, Response};
use super::log::Level;
use crate::column::{Column, ColumnWriter};
use crate::json::Kind;

pub(super) use facts::fact;
pub(super) use tables::{find, open};

thread_local! {
    static VALUES: RefCell<HashMap<Vec<u8>, Vec<u8>>> = RefCell::default();
    /// Claimed keys, and when each claim ends.
    static SEEN: RefCell<HashMap<Vec<u8>, Instant>> = RefCell::default();
}

pub(super) fn log(_: Level, _: &str) {}

pub(super) fn counter(_: &str, _: &[(&str, &str)]) -> u32 {
    0
}

pub(super) fn gauge(_: &str, _: &[(&str, &str)]) -> u32 {
    0
}

pub(super) fn histogram(_: &str, _: &[(&str, &str)], _: &[f64]) -> u32 {
    0
}

pub(super) fn add(_: u32, _: u64) {}

pub(super) fn set(_: u32, _: f64) {}

pub(super) fn observe(_: u32, _: &[f64]) {}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn monotonic() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Good enough for tests; the agent's generator is good enough for keys.
pub(super) fn random(len: u32) -> Vec<u8> {
    let seeds = (0..len.div_ceil(8)).flat_map(|i| RandomState::new().hash_one(i).to_le_bytes());
    seeds.take(len as usize).collect()
}

fn rows(column: ColumnWriter) -> Column {
    Column { bytes: column.bytes.into(), offsets: column.offsets, kinds: column.kinds }
}

fn pairs<T>(keys: &Column, values: impl Iterator<Item = T>) -> impl Iterator<Item = (&[u8], T)> {
    (0..keys.len()).map(|row| keys.get(row)).zip(values).filter_map(|(key, value)| Some((key?, value)))
}

pub(super) fn get(keys: ColumnWriter) -> Column {
    let mut found = ColumnWriter::default();
    VALUES.with_borrow(|values| {
        let keys = rows(keys);
        for row in 0..keys.len() {
            match keys.get(row).and_then(|key| values.get(key)) {
                Some(value) => found.push(value),
                None => found.push_none(),
            }
        }
    });
    rows(found)
}

/// Values never expire here; the cases in the sandbox cover that.
pub(super) fn set_values(keys: ColumnWriter, given: ColumnWriter, _ttl: Option<u64>) -> Result<(), String> {
    let (keys, given) = (rows(keys), rows(given));
    VALUES.with_borrow_mut(|values| {
        let present = (0..given.len()).map(|row| given.get(row));
        for (key, value) in pairs(&keys, present) {
            if let Some(value) = value {
                values.insert(key.to_vec(), value.to_vec());
            }
        }
    });
    Ok(())
}

pub(super) fn add_amounts(keys: ColumnWriter, amounts: &[i64]) -> Result<Vec<i64>, String> {
    let keys = rows(keys);
    VALUES.with_borrow_mut(|values| {
        let mut sums = values.clone();
        let mut all = Vec::new();
        for (row, amount) in (0..keys.len()).zip(amounts) {
            let Some(key) = keys.get(row) else {
                all.push(0);
                continue;
            };
            let held = match sums.get(key) {
                Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()),
                None => Some(0),
            };
            let sum = held.and_then(|held| held.checked_add(*amount)).ok_or("a value is no whole number")?;
            sums.insert(key.to_vec(), sum.to_string().into_bytes());
            all.push(sum);
        }
        *values = sums;
        Ok(all)
    })
}

pub(super) fn delete(keys: ColumnWriter) {
    let keys = rows(keys);
    VALUES.with_borrow_mut(|values| {
        for row in (0..keys.len()).filter(|row| keys.kind(*row) != Kind::Missing) {
            values.remove(keys.row(row));
        }
    });
}

/// Every claim is firm at once: there is no delivery that could fail.
pub(super) fn claim(keys: ColumnWriter, ttl: u64) -> Vec<bool> {
    let (keys, now) = (rows(keys), Instant::now());
    SEEN.with_borrow_mut(|seen| {
        let mut is_new = |row| {
            let Some(key) = keys.get(row) else { return true };
            let known = seen.get(key).is_some_and(|end| *end > now);
            if !known {
                seen.insert(key.to_vec(), now + Duration::from_millis(ttl));
            }
            !known
        };
        (0..keys.len()).map(&mut is_new).collect()
    })
}

/// Forgets all claims of this thread, so that tests do not depend on each other.
pub(crate) fn forget_claims() {
    SEEN.with_borrow_mut(HashMap::clear);
}

pub(super) fn send(requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
    let failure = |request: &Request| Failure {
        code: "host-not-allowed".into(),
        message: format!("`{}` is not reached outside of the sandbox", request.url),
    };
    requests.iter().map(|request| Err(failure(request))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::kv;
    use super::*;

    #[test]
    fn values_are_stored_and_increased() {
        kv::set(ColumnWriter::of(b"a"), ColumnWriter::of(b"5"), None).unwrap();
        assert_eq!(kv::add(ColumnWriter::of(b"a"), &[2]), Ok(vec![7]));
        assert_eq!(kv::get(ColumnWriter::of(b"a")).get(0), Some(b"7".as_slice()));
        kv::delete(ColumnWriter::of(b"a"));
        assert_eq!(kv::get(ColumnWriter::of(b"a")).get(0), None);
    }
}
