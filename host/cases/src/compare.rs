//! Comparing what came out with what was expected.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::CaseFault;
use crate::events::Ran;

/// Compares the keys that `wanted` has.
///
/// # Errors
///
/// The first key that differs.
pub fn compare_event(wanted: &Value, actual: &Value) -> Result<(), String> {
    for (key, value) in wanted.as_object().into_iter().flatten() {
        let mut got = actual.get(key).cloned().unwrap_or(Value::Null);
        if key == "body" && !value.is_string() {
            got = got.as_str().and_then(|s| serde_json::from_str(s).ok()).unwrap_or(got);
        }
        if key == "failure" && value.is_object() {
            compare_event(value, &got)?;
        } else if got != *value {
            return Err(format!("`{key}`: expected {value}, got {got}"));
        }
    }
    Ok(())
}

pub(crate) fn events(expected: &Map<String, Value>, ran: &Ran) -> Result<(), String> {
    let empty = Vec::new();
    let names: std::collections::BTreeSet<&str> = expected
        .keys()
        .map(String::as_str)
        .chain(ran.ports.iter().filter(|(_, e)| !e.is_empty()).map(|(p, _)| p.as_str()))
        .chain((!ran.failed.is_empty()).then_some("failed"))
        .filter(|n| *n != "dropped")
        .collect();
    for name in names {
        let actual = if name == "failed" { &ran.failed } else { ran.ports.get(name).unwrap_or(&empty) };
        let wanted = expected.get(name).and_then(Value::as_array).unwrap_or(&empty);
        if wanted.len() != actual.len() {
            return Err(format!("port `{name}`: expected {} events, got {}: {actual:?}", wanted.len(), actual.len()));
        }
        for (index, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
            compare_event(wanted, actual).map_err(|e| format!("port `{name}`, event {index}: {e}"))?;
        }
    }
    let dropped = serde_json::to_value(&ran.dropped).map_err(|e| e.to_string())?;
    let wanted = expected.get("dropped").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if dropped == wanted { Ok(()) } else { Err(format!("dropped: expected {wanted}, got {dropped}")) }
}

/// Reads the key `counts` of a case.
pub(crate) fn read_counts(value: &Value) -> Result<BTreeMap<String, u64>, String> {
    let object = value.as_object().ok_or("`counts` is an object of names and numbers")?;
    let number = |(name, count): (&String, &Value)| match count.as_u64() {
        Some(count) => Ok((name.clone(), count)),
        None => Err(format!("`counts.{name}` is a whole number")),
    };
    object.iter().map(number).collect()
}

pub(crate) fn counts(wanted: Option<&BTreeMap<String, u64>>, actual: &BTreeMap<String, u64>) -> Result<(), String> {
    match wanted {
        Some(wanted) if wanted != actual => Err(format!("counts: expected {wanted:?}, got {actual:?}")),
        _ => Ok(()),
    }
}

pub(crate) fn option_errors(wanted: &[String], errors: &[(String, String)]) -> Result<(), String> {
    let all_found = wanted.iter().all(|w| {
        let (path, part) = w.split_once(": ").unwrap_or((w, ""));
        errors.iter().any(|(p, message)| p == path && message.contains(part))
    });
    if all_found && errors.len() == wanted.len() { Ok(()) } else { Err(format!("option errors: {errors:?}")) }
}

pub(crate) fn fault(kind: &str, part: &str, fault: &CaseFault) -> Result<(), String> {
    if fault.kind == kind && fault.message.contains(part) {
        Ok(())
    } else {
        Err(format!("expected the fault `{kind}: {part}`, got `{fault}`"))
    }
}
