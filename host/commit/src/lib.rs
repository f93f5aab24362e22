//! What was built: the commit, its time, the target and the version of wasmtime. `build.rs` finds it.

/// The commit as a hexadecimal number; `None` for a build without a repository and without `WATTLE_COMMIT`.
pub const COMMIT: Option<&str> = known(env!("WATTLE_COMMIT"));
/// Unix time of the commit in seconds, or `SOURCE_DATE_EPOCH` of the build.
pub const TIME: Option<&str> = known(env!("WATTLE_COMMIT_TIME"));
/// The target triple.
pub const TARGET: &str = env!("WATTLE_TARGET");
/// The version of wasmtime in `Cargo.lock`.
pub const WASMTIME: Option<&str> = known(env!("WATTLE_WASMTIME"));

const fn known(text: &'static str) -> Option<&'static str> {
    if text.is_empty() { None } else { Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_knows_its_target_and_its_sandbox() {
        assert!(TARGET.contains('-'), "{TARGET}");
        assert!(WASMTIME.is_some_and(|version| version.split('.').count() == 3), "{WASMTIME:?}");
        assert!(TIME.is_none_or(|time| time.parse::<i64>().is_ok()), "{TIME:?}");
        assert!(COMMIT.is_none_or(|commit| !commit.contains(char::is_whitespace)), "{COMMIT:?}");
    }
}
