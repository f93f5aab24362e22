//! The messages for rows that fail.

use wattle_node::json::{Kind, Path};

use crate::joined::Joined;
use crate::options::Options;
use crate::records::Fault;
use crate::rules::Rules;

fn with_article(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "a boolean",
        Kind::Null => "null",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        _ => "an object",
    }
}

/// The messages for rows that fail.
pub(crate) struct Messages {
    from: String,
    paths: Vec<String>,
    missing: String,
}

impl Messages {
    pub(crate) fn new(options: &Options, paths: &[Path]) -> Self {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let mut missing = format!("no array at `{}`", paths.join("` or `"));
        if let Some(single) = &options.single {
            missing += &format!(" and no key `{single}` at the root");
        }
        Self { from: options.from.clone(), paths, missing }
    }

    pub(crate) fn missing_field(&self) -> (&'static str, String) {
        ("missing-field", format!("the event has no field `{}`", self.from))
    }

    /// Code and message for a fault.
    pub(crate) fn of(&self, fault: &Fault, rules: &Rules, joined: Option<&Joined>) -> (&'static str, String) {
        self.within(&self.from, fault, rules, joined)
    }

    /// Code and message for a fault in the text that is called `from`.
    fn within(&self, from: &str, fault: &Fault, rules: &Rules, joined: Option<&Joined>) -> (&'static str, String) {
        let zip = |number: usize| joined.map(|joined| joined.zip_path(number)).unwrap_or_default();
        match fault {
            Fault::NotJson(error) => ("not-json", format!("`{from}` is not JSON: {error}")),
            Fault::Unsupported(rule) => ("unsupported", rules.message(*rule).to_owned()),
            Fault::MissingPath(0) => ("missing-path", format!("`{from}` has {}", self.missing)),
            Fault::MissingPath(at) => {
                ("missing-path", format!("the value at byte {at} of `{from}` has {}", self.missing))
            }
            Fault::NoValue(rule) => {
                let path = rules.path(*rule);
                ("missing-path", format!("`{from}` matches the rule that unwraps `{path}`, but has no value there"))
            }
            Fault::NotAnArray(number, kind) => {
                let path = self.paths.get(*number).map_or("$", String::as_str);
                ("not-an-array", format!("`{path}` in `{from}` is {}, not an array", with_article(*kind)))
            }
            Fault::NotAnArrayToZip(number, kind) => {
                let (path, kind) = (zip(*number), with_article(*kind));
                ("not-an-array", format!("`{path}` in `{from}` is {kind}, not an array"))
            }
            Fault::Lengths(number, records, length) => {
                let path = zip(*number);
                ("different-lengths", format!("`{from}` has {records} records, but {length} elements in `{path}`"))
            }
            Fault::NotAnObject(kind) => {
                let kind = with_article(*kind);
                ("not-an-object", format!("`{from}` has a record that is {kind} and takes no fields; set `into`"))
            }
            Fault::NotADocument(kind) => {
                let kind = with_article(*kind);
                (
                    "not-a-document",
                    format!("`{from}` is {kind}, but a document is text, or an object or array that is not encoded"),
                )
            }
            Fault::Encoding(problem) => ("not-decodable", format!("`{from}` is {problem}")),
            Fault::TooLarge(bytes) => (
                "too-large",
                format!("`{from}` has children of more than {bytes} bytes; remove large fields from `keep`"),
            ),
            Fault::DecodesTooLarge(bytes) => ("too-large", format!("`{from}` decodes to more than {bytes} bytes")),
            Fault::TooDeep(depth) => {
                ("too-deep", format!("`{from}` has documents in each other, more than {depth} deep"))
            }
            Fault::Inside(rule, fault) => {
                let from = format!("{}` in `{from}", rules.path(*rule));
                self.within(&from, fault, rules, joined)
            }
        }
    }
}
