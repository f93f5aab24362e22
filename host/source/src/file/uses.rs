//! Which files a source reads, for the comparison with those that sinks write.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wattle_options::{Selects, Use, Used};

use super::discover::Patterns;

/// The files that a source with these options reads.
pub(crate) fn uses(options: &Value) -> Vec<Use> {
    let globs = |option: &str| -> Vec<String> {
        let list = options.get(option).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let moved_to = options.get("when_finished").and_then(|when| when.get("move_to")?.as_str());
    let mut errors = Vec::new();
    let patterns = Patterns::new(&globs("include"), &globs("exclude"), moved_to.map(Path::new), &mut errors);
    // Bad globs are reported when the options are read.
    if errors.is_empty() { vec![Use { option: "include", what: Used::Reads(Arc::new(patterns)) }] } else { Vec::new() }
}

impl Patterns {
    /// The names by which a search of the source finds the file of this path: folders of globs can be links.
    fn names_of(&self, path: &Path) -> Vec<PathBuf> {
        let name = |folder: &Path| Some(folder.join(path.strip_prefix(folder.canonicalize().ok()?).ok()?));
        std::iter::once(path.to_owned()).chain(self.folders().filter_map(name)).collect()
    }
}

impl Selects for Patterns {
    fn name_of(&self, path: &Path) -> Option<PathBuf> {
        self.names_of(path).into_iter().find(|path| self.is_meant(path))
    }

    fn excludes(&self, path: &Path) -> bool {
        self.names_of(path).iter().any(|path| self.is_included(path) && self.is_excluded(path))
    }

    fn globs(&self) -> Vec<String> {
        self.absolute()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wattle_options::{Overlap, PathPattern};

    use super::*;

    fn overlap(options: &Value, path: &str) -> Overlap {
        let uses = uses(options);
        let [Use { option: "include", what: Used::Reads(files) }] = &uses[..] else { panic!("{uses:?}") };
        PathPattern::new(path).overlap(files.as_ref())
    }

    #[test]
    fn globs_and_excluded_globs_are_those_of_the_search() {
        let here = std::env::current_dir().unwrap().display().to_string();
        let all = json!({ "include": ["out/*.log", "/var/log/**/*.ndjson"] });
        for (path, expected) in [
            ("out/a.log", Overlap::Certain),
            (&*format!("{here}/out/a.log"), Overlap::Certain),
            ("./out/../out/a.log", Overlap::Certain),
            ("out/b/a.log", Overlap::Never),
            ("/var/log/{{ resource.host }}/%Y.ndjson", Overlap::Certain),
            ("/var/log/{{ resource.host }}", Overlap::Possible),
        ] {
            assert_eq!(overlap(&all, path), expected, "{path}");
        }
        for exclude in ["out/a.log", "a.log", "./out", "out/*.log"] {
            let options = json!({ "include": ["out/*.log"], "exclude": [exclude] });
            assert_eq!(overlap(&options, "out/a.log"), Overlap::Never, "{exclude}");
        }
        let moved = json!({ "include": ["out/**"], "when_finished": { "move_to": "out/done" } });
        assert_eq!(overlap(&moved, "out/done/{{ body.x }}"), Overlap::Never);
    }

    #[test]
    fn links_of_folders_hide_no_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for [source, sink] in [[&link, &real], [&real, &link], [&link, &link]] {
            let options = json!({ "include": [format!("{}/*.log", source.display())] });
            assert_eq!(overlap(&options, &format!("{}/a.log", sink.display())), Overlap::Certain, "{options}");
        }
    }

    #[test]
    fn the_advice_to_exclude_a_file_excludes_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (real, link) = (real.display().to_string(), link.display().to_string());
        for (include, path) in [
            ("out/*.log".to_owned(), "out/a.log".to_owned()),
            ("*.log".to_owned(), "a.log".to_owned()),
            ("out/*.log".to_owned(), "./out/../out/a.log".to_owned()),
            ("out/*.log".to_owned(), "new/../out/a.log".to_owned()),
            ("out/*.log".to_owned(), "out/{{ body.x }}.log".to_owned()),
            (format!("{real}/*.log"), format!("{link}/a.log")),
            (format!("{link}/*.log"), format!("{real}/a.log")),
            (format!("{link}/*.log"), format!("{real}/../link/a.log")),
        ] {
            let options = json!({ "include": [include] });
            assert_eq!(overlap(&options, &path), Overlap::Certain, "{include} {path}");
            let [Use { what: Used::Reads(files), .. }] = &uses(&options)[..] else { panic!("{options}") };
            let exclude = PathPattern::new(&path).excluding(files.as_ref());
            let options = json!({ "include": [include], "exclude": [exclude] });
            assert_eq!(overlap(&options, &path), Overlap::Never, "{options} {path}");
        }
    }
}
