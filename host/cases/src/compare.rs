//! Compares the output of a node with the expectations of a case.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::CaseFault;
use crate::event::compare;
use crate::events::Ran;

pub(crate) fn events(expected: &Map<String, Value>, ran: &Ran) -> Result<(), String> {
    let (empty, mut problems) = (Vec::new(), Vec::new());
    let names: std::collections::BTreeSet<&str> = expected
        .keys()
        .map(String::as_str)
        .chain(ran.ports.iter().filter(|(_, e)| !e.is_empty()).map(|(p, _)| p.as_str()))
        .chain((!ran.failed.is_empty()).then_some("failed"))
        .filter(|n| !["dropped", "held"].contains(n))
        .collect();
    for name in names {
        let actual = if name == "failed" { &ran.failed } else { ran.ports.get(name).unwrap_or(&empty) };
        let wanted = expected.get(name).and_then(Value::as_array).unwrap_or(&empty);
        problems.extend(compare(wanted, actual).into_iter().map(|mismatch| format!("port `{name}`, {mismatch}")));
    }
    let dropped = serde_json::to_value(&ran.dropped).map_err(|e| e.to_string())?;
    let wanted = expected.get("dropped").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if dropped != wanted {
        problems.push(format!("dropped: expected {wanted}, got {dropped}"));
    }
    let wanted = expected.get("held").and_then(Value::as_u64).unwrap_or(0);
    if ran.held as u64 != wanted {
        problems.push(format!("held: expected {wanted}, got {}", ran.held));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Parses the key `counts` of a case.
pub(crate) fn read_counts(value: &Value) -> Result<BTreeMap<String, u64>, String> {
    let object = value.as_object().ok_or("`counts` must be an object of names and numbers")?;
    let number = |(name, count): (&String, &Value)| match count.as_u64() {
        Some(count) => Ok((name.clone(), count)),
        None => Err(format!("`counts.{name}` must be a whole number")),
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
