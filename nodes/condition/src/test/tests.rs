//! The test `older_than`, with the clock of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use wattle_node::json::Kind;
use wattle_node::{Column, Resolve, Setup};

use crate::{Compiler, Condition, ResolveField, Spare};

struct One;

impl Resolve for One {
    fn resolve(&mut self, _: &str, _: bool, _: bool) -> Result<u32, String> {
        Ok(0)
    }
}

impl ResolveField for One {
    fn resolve(&mut self, _: &str, _: &str, _: &mut Setup<'_>) -> Option<usize> {
        Some(0)
    }
}

/// Which of the values match `older_than`; `None` if the node refuses it.
fn older(than: &str, values: &[(Kind, &str)]) -> Option<Vec<bool>> {
    let condition: Condition = serde_json::from_value(json!({"field": "body", "older_than": than})).unwrap();
    let check = Compiler::new(One).condition("when", &condition, &mut Setup::new(&mut One))?;
    let mut column = Column { offsets: vec![0], ..Column::default() };
    let mut bytes = Vec::new();
    for (kind, text) in values {
        bytes.extend_from_slice(text.as_bytes());
        column.offsets.push(u32::try_from(bytes.len()).unwrap());
        column.kinds.push(*kind as u8);
    }
    column.bytes = bytes.into();
    let mut rows = vec![true; values.len()];
    check.narrow(&[column], &mut rows, &mut Spare::default());
    Some(rows)
}

#[test]
fn times_are_compared_with_the_clock() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (before, after) = ((now - 3700).to_string(), (now - 3500).to_string());
    let values = [
        (Kind::Number, before.as_str()),
        (Kind::Number, after.as_str()),
        (Kind::String, before.as_str()),
        (Kind::String, "2001-02-03T04:05:06Z"),
        (Kind::String, "2199-02-03T04:05:06Z"),
        (Kind::String, "2001-02-03"),
        (Kind::String, "2001-02-03T00:00"),
        (Kind::String, "20010203T000000Z"),
        (Kind::String, "2199-02-03"),
        (Kind::String, "21990203T000000Z"),
        (Kind::String, "yesterday"),
        (Kind::Bool, "true"),
        (Kind::Object, "{}"),
        (Kind::Null, "null"),
        (Kind::Missing, ""),
    ];
    let expected = [true, false, true, true, false, true, true, true, false, false, false, false, false, false, false];
    assert_eq!(older("1h", &values).unwrap(), expected);
}

#[test]
fn only_durations_are_ages() {
    for wrong in ["", "soon", "5", "-1h", "1mo"] {
        assert_eq!(older(wrong, &[]), None, "{wrong}");
    }
    assert_eq!(older("0s", &[]), Some(Vec::new()));
}
