//! Suggestions for misspelt names, in messages of the agent and of nodes.

/// Finds the candidate that is closest to a name, if it is close enough to be a likely intention.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| !candidate.is_empty())
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Formats the hint for an unknown name: the closest candidate, or else all candidates.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match closest(name, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("available: {}", list(candidates))),
    }
}

/// Formats names in backticks, separated by commas.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Number of insertions, removals, changes and swaps of neighbours that turn one name into the other. The case of letters
/// does not count, nor does `_` instead of `-`.
fn distance(left: &str, right: &str) -> usize {
    let folded = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    strsim::osa_distance(&folded(left), &folded(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        let cases = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("unrol", "unroll", 1),
            ("mas_text", "mask-text", 1),
            ("ruote", "route", 1),
            ("abc", "xyz", 3),
        ];
        for (left, right, expected) in cases {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn suggests_only_what_is_close() {
        let names = ["processed", "get_describe_list", "fails"];
        assert_eq!(closest("procesed", names), Some("processed"));
        assert_eq!(closest("fail", names), Some("fails"));
        assert_eq!(closest("other", names), None);
        assert_eq!(hint("other", ["a", "b"]), Some("available: `a`, `b`".to_owned()));
        assert_eq!(hint("other", []), None);
    }
}
