//! `wattle pack test --update`: writes the actual events of a test as its expectations.

use std::path::Path;

use serde_json::Value;
use wattle_cases::{compare, expectation};
use wattle_manifest::PackTest;

use crate::exit::Failure;
use wattle_supervisor::pack_tests::Observed;

/// Writes the expectations of a test that are missing or do not match, and returns the names of
/// their files.
pub(super) fn update(folder: &Path, test: &PackTest, observed: &Observed) -> Result<Vec<String>, Failure> {
    let mut written = Vec::new();
    for output in test.expected.keys() {
        let name = format!("expected.{output}.ndjson");
        let path = folder.join("tests").join(&test.name).join(&name);
        let old = if path.exists() { Some(fs_err::read_to_string(&path)?) } else { None };
        let events = observed.outputs.get(output).map(Vec::as_slice).unwrap_or_default();
        if let Some(new) = rewritten(old.as_deref(), events)? {
            fs_err::write(&path, new)?;
            written.push(name);
        }
    }
    Ok(written)
}

/// The text of an expectation that matches these events; `None` if the old one matches. Matching
/// lines stay unchanged. A rewritten line has the keys of the line that it replaces, or of the last
/// line before it.
fn rewritten(old: Option<&str>, events: &[Value]) -> Result<Option<String>, Failure> {
    let lines: Vec<&str> = old.unwrap_or_default().lines().filter(|line| !line.trim().is_empty()).collect();
    let expected: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    if old.is_some() && compare(&expected, events).is_empty() {
        return Ok(None);
    }
    let mut new = String::new();
    for (index, event) in events.iter().enumerate() {
        let like = expected.get(index);
        let is_met =
            like.is_some_and(|like| compare(std::slice::from_ref(like), std::slice::from_ref(event)).is_empty());
        match lines.get(index).filter(|_| is_met) {
            Some(line) => new.push_str(line),
            None => new.push_str(&expectation(event, like.or(expected.last())).to_string()),
        }
        new.push('\n');
    }
    Ok(Some(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn matching_lines_stay_byte_for_byte_and_others_keep_their_keys() {
        let old = "{ \"body_json\" : {\"a\" : 1} }\n\n{\"body\":\"old\"}\n{\"body\":\"gone\"}\n";
        let events = [json!({"body": "{\"a\":1.0}"}), json!({"body": "new"})];
        let new = rewritten(Some(old), &events).ok().flatten().unwrap();
        assert_eq!(new, "{ \"body_json\" : {\"a\" : 1} }\n{\"body\":\"new\"}\n");
        assert!(rewritten(Some(&new), &events).ok().unwrap().is_none(), "what is met is not written");
        assert_eq!(rewritten(None, &[]).ok().flatten().unwrap(), "", "a missing file is written");
        let more = rewritten(Some("{\"body\":\"a\"}"), &[json!({"body": "a"}), json!({"body": "1"})]);
        assert_eq!(more.ok().flatten().unwrap(), "{\"body\":\"a\"}\n{\"body\":\"1\"}\n");
    }
}
