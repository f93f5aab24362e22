//! The globs of excluded files.
//!
//! A glob without `/` is compared with the file name in any folder, so that `*.gz` has the same
//! meaning as in Vector and Fluent Bit. Every other glob is compared with the whole path; if it
//! names a folder, it excludes everything below it.

use std::path::{Component, Path};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use wattle_options::OptionError;

use super::glob::absolute_glob;

/// The compiled globs.
#[derive(Clone, Debug)]
pub(super) struct Exclude {
    globs: GlobSet,
    /// Warnings about globs that cannot match any file of `include`.
    idle: Vec<String>,
}

impl Exclude {
    /// Compiles the globs of `exclude`. Compares them with `include` to find those without effect.
    pub(super) fn new(include: &[String], exclude: &[String], errors: &mut Vec<OptionError>) -> Self {
        let mut set = GlobSetBuilder::new();
        for (index, written) in exclude.iter().enumerate() {
            for glob in expand(written) {
                match compile(&glob) {
                    Ok(glob) => {
                        set.add(glob);
                    }
                    Err(error) => {
                        let message = format!("`{written}` is not a valid glob: {}", error.kind());
                        errors.push(OptionError::new(format!("exclude[{index}]"), message));
                        break;
                    }
                }
            }
        }
        let globs = set.build().unwrap_or_else(|error| {
            errors.push(OptionError::new("exclude", format!("the globs are too large together: {error}")));
            GlobSet::empty()
        });
        let include: Vec<String> = include.iter().map(|glob| absolute_glob(glob)).collect();
        let idle = exclude.iter().filter_map(|glob| idle(glob, &include)).collect();
        Self { globs, idle }
    }

    /// Returns whether a file is excluded.
    pub(super) fn is_match(&self, path: &Path) -> bool {
        self.globs.is_match(path)
    }

    /// Returns warnings about globs that cannot match any file of `include`.
    pub(super) fn idle(&self) -> &[String] {
        &self.idle
    }
}

fn compile(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build()
}

/// Expands a glob of `exclude` to globs that match whole paths.
fn expand(written: &str) -> Vec<String> {
    if !written.contains('/') {
        return vec![format!("/**/{written}")];
    }
    let glob = absolute_glob(written);
    let folder = glob.trim_end_matches('/');
    let last = folder.rsplit('/').next().unwrap_or_default();
    if is_wild(last) || last.is_empty() { vec![glob] } else { vec![format!("{folder}/**"), folder.to_owned()] }
}

fn is_wild(component: &str) -> bool {
    component.contains(['*', '?', '[', '{', '\\'])
}

/// Returns a warning if the glob cannot match any file of `include`.
fn idle(written: &str, include: &[String]) -> Option<String> {
    if !written.contains('/') || include.iter().any(|glob| expand(written).iter().any(|other| may_meet(glob, other))) {
        return None;
    }
    let absolute = absolute_glob(written);
    let hint = if written.starts_with('~') || written.starts_with('$') {
        "`~` and `$` are not expanded; write the whole path".to_owned()
    } else if written.starts_with('/') {
        "it names another folder; begin it like a glob of `include`".to_owned()
    } else {
        format!("it stands for `{absolute}`; write the whole path, or only a file name such as `*.gz`")
    };
    Some(format!("`{written}` of `exclude` matches no file that `include` can find: {hint}"))
}

/// Returns whether a path may match both globs, judged by the folders. File names are not compared,
/// because rotation creates names that `include` does not match.
fn may_meet(one: &str, other: &str) -> bool {
    let mut ones = Path::new(one).components();
    let mut others = Path::new(other).components();
    loop {
        let (one, other) = (ones.next(), others.next());
        let (Some(one), Some(other)) = (one, other) else { return one.is_none() == other.is_none() };
        let is_last = ones.as_path().as_os_str().is_empty() || others.as_path().as_os_str().is_empty();
        let (one, other) = (text(one), text(other));
        // A glob over several folders may match any number of components.
        let spans = |glob: &str| glob.contains("**") || glob.contains(['{', '}']);
        if spans(&one) || spans(&other) {
            return true;
        }
        if is_last {
            return ones.next().is_none() == others.next().is_none();
        }
        let meets = match (is_wild(&one), is_wild(&other)) {
            (false, false) => one == other,
            (true, false) => compile(&one).is_ok_and(|glob| glob.compile_matcher().is_match(&other)),
            (false, true) => compile(&other).is_ok_and(|glob| glob.compile_matcher().is_match(&one)),
            (true, true) => true,
        };
        if !meets {
            return false;
        }
    }
}

fn text(component: Component<'_>) -> String {
    component.as_os_str().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: &[&str]) -> Vec<String> {
        globs.iter().map(|glob| (*glob).to_owned()).collect()
    }

    fn here(glob: &str) -> String {
        absolute_glob(glob)
    }

    #[test]
    fn a_glob_without_a_slash_is_compared_with_the_file_name() {
        for (glob, path, expected) in [
            ("*.gz", "/var/log/a.gz", true),
            ("*.gz", "/a.gz", true),
            ("*.gz", "/var/log/x.gz/a.log", false),
            ("debug.log", "/var/log/app/debug.log", true),
            ("log", "/var/log/a", false),
            ("/var/log/*.gz", "/var/log/a.gz", true),
            ("/var/log/*.gz", "/var/log/x/a.gz", false),
            ("/var/log/old", "/var/log/old/x/a.log", true),
            ("/var/log/old/", "/var/log/old/a.log", true),
            ("/var/log/old", "/var/log/older/a.log", false),
            ("/var/log/o*", "/var/log/old/a.log", false),
            ("logs/sub", &here("logs/sub/a.log"), true),
            ("./a.log", &here("a.log"), true),
            ("./a.log", &here("sub/a.log"), false),
        ] {
            let mut errors = Vec::new();
            let exclude = Exclude::new(&globs(&["/**"]), &globs(&[glob]), &mut errors);
            assert_eq!(errors, []);
            assert_eq!(exclude.is_match(Path::new(path)), expected, "{glob} {path}");
        }
    }

    #[test]
    fn an_invalid_glob_is_one_error() {
        let mut errors = Vec::new();
        Exclude::new(&globs(&["/**"]), &globs(&["*.log", "a[", "/x/{a/"]), &mut errors);
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["exclude[1]", "exclude[2]"]);
    }

    #[test]
    fn only_a_glob_that_cannot_match_is_reported() {
        for (include, exclude, is_idle) in [
            ("/var/log/*.log", "*.gz", false),
            ("/var/log/*.log", "/var/log/*.gz", false),
            ("/var/log/*.log", "/var/log/debug.log.1", false),
            ("/var/log/**", "/var/log/a/b/c", false),
            ("/var/log/*/*.log", "/var/log/old", false),
            ("/var/*/app/*.log", "/var/log/*/*.log", false),
            ("/var/{a,b/c}/*.log", "/var/b/c/x.log", false),
            ("/var/log/*.log", "log/*.gz", true),
            ("/var/log/*.log", "/var/logs/*.gz", true),
            ("/var/log/*.log", "/var/log/old/*", true),
            ("/var/log/*.log", "~/x/*", true),
            ("/var/log/a*/*.log", "/var/log/b/*", true),
            ("logs/**", "logs/sub", false),
            ("logs/**", "sub/", true),
        ] {
            let exclude_globs = Exclude::new(&globs(&[include]), &globs(&[exclude]), &mut Vec::new());
            assert_eq!(!exclude_globs.idle().is_empty(), is_idle, "{include} {exclude}: {:?}", exclude_globs.idle());
        }
    }

    #[test]
    fn the_warning_shows_the_absolute_form_of_a_relative_glob() {
        let exclude = Exclude::new(&globs(&["/var/log/*.log"]), &globs(&["old/*.log"]), &mut Vec::new());
        let expected = format!(
            "`old/*.log` of `exclude` matches no file that `include` can find: it stands for `{}`; write the whole path, \
             or only a file name such as `*.gz`",
            here("old/*.log")
        );
        assert_eq!(exclude.idle(), [expected]);
    }
}
