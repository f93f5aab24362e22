//! Which objects the source reads, by the names of their buckets and keys.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use wattle_options::OptionErrors;

/// The globs of `buckets`, `include` and `exclude`.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// `None` for all.
    buckets: Option<GlobSet>,
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Filter {
    /// Compiles the globs; an empty list of buckets or of included keys means all.
    pub(crate) fn new(buckets: &[String], include: &[String], exclude: &[String], errors: &mut OptionErrors) -> Self {
        let mut some = |option, globs: &[String]| (!globs.is_empty()).then(|| compile(option, globs, errors));
        let (buckets, include) = (some("buckets", buckets), some("include", include));
        Self { buckets, include, exclude: compile("exclude", exclude, errors) }
    }

    /// Whether to read an object.
    pub(crate) fn accepts(&self, bucket: &str, key: &str) -> bool {
        self.buckets.as_ref().is_none_or(|globs| globs.is_match(bucket))
            && self.include.as_ref().is_none_or(|globs| globs.is_match(key))
            && !self.exclude.is_match(key)
    }
}

fn compile(option: &str, globs: &[String], errors: &mut OptionErrors) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for (index, glob) in globs.iter().enumerate() {
        let path = format!("{option}[{index}]");
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        if let Some(glob) =
            errors.check(&path, built.map_err(|e| format!("`{glob}` is not a valid glob: {}", e.kind())))
        {
            set.add(glob);
        }
    }
    let built = set.build().map_err(|error| format!("the globs are too large together: {error}"));
    errors.check(option, built).unwrap_or_else(GlobSet::empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_keys_are_filtered() {
        let mut errors = OptionErrors::default();
        let globs = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let all = Filter::new(&[], &[], &[], &mut errors);
        assert!(all.accepts("any", "a/b"));
        let some = Filter::new(
            &globs(&["logs-*"]),
            &globs(&["AWSLogs/*/CloudTrail/**"]),
            &globs(&["**/us-east-1/**"]),
            &mut errors,
        );
        assert!(some.accepts("logs-1", "AWSLogs/1/CloudTrail/eu-west-1/2026/x.json.gz"));
        assert!(!some.accepts("other", "AWSLogs/1/CloudTrail/eu-west-1/2026/x.json.gz"), "another bucket");
        assert!(!some.accepts("logs-1", "AWSLogs/1/2/CloudTrail/x"), "`*` does not match `/`");
        assert!(!some.accepts("logs-1", "AWSLogs/1/CloudTrail/us-east-1/x"), "excluded");
        assert_eq!(errors.accept::<()>(Ok(())), Some(()));
    }
}
