//! Declarations of parameters: type, default and allowed values.

use regex::Regex;

use super::plain;
use wattle_diagnostics::{
    Data, Entry, Finding, Findings, Item, Place, Reader, Table, Text, codes, reader::boolean, reader::check_name,
};
use wattle_options::suggest;
use wattle_pattern::bad_pattern;

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    List,
}

/// Types by their names in manifests.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("string", Kind::String),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("boolean", Kind::Boolean),
    ("list", Kind::List),
];

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::List => "a list of strings",
        }
    }

    /// Name of the type in manifests.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map(|(name, _)| *name).unwrap_or_default()
    }

    /// Converts a value to this type. Accepts strings for numbers and booleans, since environment
    /// variables are strings.
    pub(super) fn take(self, item: &Item) -> Option<Data> {
        match (self, &item.data) {
            (Self::Integer, Data::String(text)) => text.trim().parse().ok().map(Data::Integer),
            (Self::Number, Data::String(text)) => {
                text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Data::Float)
            }
            (Self::Boolean, Data::String(text)) => text.trim().parse().ok().map(Data::Boolean),
            (Self::List, Data::List(items)) => {
                items.iter().all(|item| matches!(item.data, Data::String(_))).then(|| item.data.clone())
            }
            (Self::String, Data::String(_))
            | (Self::Integer | Self::Number, Data::Integer(_))
            | (Self::Number, Data::Float(_))
            | (Self::Boolean, Data::Boolean(_)) => Some(item.data.clone()),
            _ => None,
        }
    }
}

/// A parameter as declared.
pub(crate) struct ParamManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// `None` if an error was already reported.
    pub(crate) kind: Option<Kind>,
    pub(crate) default: Option<Item>,
    pub(crate) rules: Rules,
    pub(crate) secret: bool,
    pub(crate) description: Option<String>,
}

/// Restrictions on the values of a parameter. A value must meet all of them; for a list, each
/// element must.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) allowed: Vec<Item>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl ParamManifest {
    pub(crate) fn read(table: &Table, entry: &Entry, findings: &mut Findings) -> Self {
        check_name("parameter", &entry.key, entry.place, findings);
        let mut reader = Reader::new(table, entry.place, format!("`[params.{}]`", entry.key));
        let kind = reader.required_string("type", findings).and_then(|text| {
            let kind = KINDS.iter().find(|(name, _)| *name == text.text).map(|(_, kind)| *kind);
            if kind.is_none() {
                let message = format!("unknown type of a parameter: `{}`", text.text);
                let hint = suggest::hint(&text.text, KINDS.iter().map(|(name, _)| *name));
                findings.report(codes::BAD_VALUE.at(text.place, message).hint_if(hint));
            }
            kind
        });
        let default = reader.optional("default").map(|entry| entry.item.clone());
        let rules = Rules::read(&mut reader, kind, findings);
        let secret = reader.optional("secret").and_then(|entry| boolean(entry, findings)).unwrap_or(false);
        let description = reader.string("description", findings).map(|text| text.text);
        reader.finish(findings);
        let (name, place) = (entry.key.clone(), entry.place);
        let manifest = Self { name, place, kind, default, rules, secret, description };
        if let Some(default) = &manifest.default {
            manifest.take(default, findings);
        }
        manifest
    }

    /// Converts a value for this parameter, or reports why it is not allowed.
    pub(super) fn take(&self, item: &Item, findings: &mut Findings) -> Option<Data> {
        let kind = self.kind?;
        if matches!(item.data, Data::Unknown) {
            return None;
        }
        let Some(data) = kind.take(item) else {
            let message = format!("parameter `{}` must be {}, not {}", self.name, kind.words(), item.kind());
            findings.report(codes::PARAM_TYPE.at(item.place, message));
            return None;
        };
        let taken = Item::new(item.place, data);
        let broken = match &taken.data {
            Data::List(items) => items.iter().find_map(|item| self.broken_rule(item)),
            _ => self.broken_rule(&taken),
        };
        if let Some(finding) = broken {
            findings.report(finding);
            return None;
        }
        Some(taken.data)
    }

    fn broken_rule(&self, item: &Item) -> Option<Finding> {
        let hint = self.rules.broken_by(item)?;
        let shown = if self.secret { "***".to_owned() } else { plain(item).unwrap_or_default() };
        let message = format!("parameter `{}` may not be `{shown}`", self.name);
        Some(codes::PARAM_NOT_ALLOWED.at(item.place, message).hint(hint))
    }
}

impl Rules {
    fn read(reader: &mut Reader<'_>, kind: Option<Kind>, findings: &mut Findings) -> Self {
        let allowed = match reader.optional("allowed").map(|entry| (&entry.item.data, entry)) {
            Some((Data::List(items), _)) => items.clone(),
            Some((_, entry)) => {
                let message = format!("`allowed` must be a list, not {}", entry.item.kind());
                findings.report(codes::WRONG_TYPE.at(entry.item.place, message));
                Vec::new()
            }
            None => Vec::new(),
        };
        let pattern = reader.string("pattern", findings).and_then(|text| read_pattern(&text, kind, findings));
        let min = read_bound(reader, "min", kind, findings);
        let max = read_bound(reader, "max", kind, findings);
        if let (Some((low, _)), Some((high, place))) = (min, max)
            && low > high
        {
            let message = format!("bad `max`: `{high}`; it is less than `min`, which is {low}");
            findings.report(codes::BAD_VALUE.at(place, message));
        }
        Self { allowed, pattern, min: min.map(|(number, _)| number), max: max.map(|(number, _)| number) }
    }

    /// Describes the restrictions; empty if there are none.
    pub(crate) fn in_words(&self) -> String {
        let mut words = Vec::new();
        if !self.allowed.is_empty() {
            let texts: Vec<String> = self.allowed.iter().filter_map(plain).collect();
            words.push(format!("one of {}", suggest::list(texts.iter().map(String::as_str))));
        }
        words.extend(self.pattern.as_ref().map(|pattern| format!("matches `{pattern}`")));
        words.extend(self.min.map(|min| format!("at least {min}")));
        words.extend(self.max.map(|max| format!("at most {max}")));
        words.join(", ")
    }

    /// Describes the restriction that a value violates.
    fn broken_by(&self, item: &Item) -> Option<String> {
        let allowed: Vec<_> = self.allowed.iter().map(Item::to_json).collect();
        if !allowed.is_empty() && !allowed.contains(&item.to_json()) {
            let texts: Vec<String> = self.allowed.iter().filter_map(plain).collect();
            return Some(format!("it allows {}", suggest::list(texts.iter().map(String::as_str))));
        }
        match &item.data {
            Data::String(text) => {
                let pattern = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text))?;
                Some(format!("it must match `{pattern}`"))
            }
            Data::Integer(_) | Data::Float(_) => {
                let number = number(item)?;
                let low = self.min.filter(|min| number < *min).map(|min| format!("it must be at least {min}"));
                low.or_else(|| self.max.filter(|max| number > *max).map(|max| format!("it must be at most {max}")))
            }
            _ => None,
        }
    }
}

fn read_pattern(text: &Text, kind: Option<Kind>, findings: &mut Findings) -> Option<Regex> {
    if !matches!(kind, None | Some(Kind::String | Kind::List)) {
        let finding = codes::BAD_VALUE.at(text.place, "`pattern` is for strings and lists of strings");
        findings.report(finding.hint("numbers are bounded by `min` and `max`"));
        return None;
    }
    match Regex::new(&text.text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("bad `pattern`: {}", bad_pattern(&error));
            findings.report(codes::BAD_VALUE.at(text.place, message));
            None
        }
    }
}

fn read_bound(
    reader: &mut Reader<'_>,
    key: &'static str,
    kind: Option<Kind>,
    findings: &mut Findings,
) -> Option<(f64, Place)> {
    let entry = reader.optional(key)?;
    let place = entry.item.place;
    if !matches!(kind, None | Some(Kind::Integer | Kind::Number)) {
        let finding = codes::BAD_VALUE.at(place, format!("`{key}` is for integers and numbers"));
        findings.report(finding.hint("strings are bounded by `pattern` or `allowed`"));
        return None;
    }
    let bound = number(&entry.item);
    if bound.is_none() {
        findings.report(codes::WRONG_TYPE.at(place, format!("`{key}` must be a number, not {}", entry.item.kind())));
    }
    bound.map(|bound| (bound, place))
}

#[expect(clippy::cast_precision_loss, reason = "bounds of parameters are small, and compared, not counted with")]
fn number(item: &Item) -> Option<f64> {
    match item.data {
        Data::Integer(number) => Some(number as f64),
        Data::Float(number) => Some(number),
        _ => None,
    }
}
