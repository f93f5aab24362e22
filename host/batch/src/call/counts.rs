//! The counts that a node reports in one call, with a limit on the number of names.

/// Maximum number of distinct names in one call.
const MAX_NAMES: usize = 64;
/// Maximum length of a name in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Name under which all counts beyond these limits are added up.
const OTHER: &str = "other";

/// The counts of a call so far. Bounded, because a guest may use any number of names.
#[derive(Debug, Default)]
pub(super) struct CallCounts(Vec<(String, u64)>);

impl CallCounts {
    /// Adds to the count of a name.
    pub(super) fn add(&mut self, name: &str, value: u64) {
        if value == 0 {
            return;
        }
        let name = if name.is_empty() || name.len() > MAX_NAME_BYTES { OTHER } else { name };
        let is_new = |counts: &Self, name: &str| counts.0.iter().all(|(known, _)| known != name);
        let name = if self.0.len() >= MAX_NAMES && is_new(self, name) { OTHER } else { name };
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count = count.saturating_add(value),
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Returns the counts by name, in the order of their first use.
    pub(super) fn take(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_name_and_names_beyond_the_limits_become_other() {
        let mut counts = CallCounts::default();
        for name in 0..200 {
            counts.add(&format!("rule-{name}"), 2);
        }
        counts.add("rule-3", 5);
        counts.add("zero", 0);
        counts.add("", 1);
        counts.add(&"x".repeat(65), 1);
        counts.add("rule-4", u64::MAX);
        let counts = counts.take();
        assert_eq!(counts.len(), MAX_NAMES + 1);
        let of = |name: &str| counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
        assert_eq!(of("rule-3"), Some(7));
        assert_eq!(of("rule-4"), Some(u64::MAX));
        assert_eq!(of("other"), Some(2 * 136 + 2));
        assert_eq!(of("zero"), None);
    }
}
