//! Events and their changes on a terminal, with colors or without.

use serde_json::value::RawValue;
use wattle_json::Kind;
use wattle_printable::{Line, line};

use super::changes::{Change, member, string};

/// Maximum number of characters of a value.
pub(crate) const MAX_VALUE: usize = 200;

pub(crate) const RED: &str = "31";
pub(crate) const GREEN: &str = "32";
pub(crate) const YELLOW: &str = "33";
pub(crate) const DIM: &str = "2";
pub(crate) const BOLD: &str = "1";

/// Whether text has colors.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    color: bool,
}

impl Paint {
    pub(crate) const fn new(color: bool) -> Self {
        Self { color }
    }

    /// The text in a color. Foreign text in it must be escaped.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line for each value that is different, before and after, with at most `limit` characters of the value.
    pub(crate) fn changes<'a>(
        self,
        changes: &'a [Change],
        indent: &'a str,
        limit: usize,
    ) -> impl Iterator<Item = String> + 'a {
        changes.iter().flat_map(move |change| {
            let side = |sign: &str, code: &str, value: &Option<Box<RawValue>>| {
                let value = cut(value.as_ref()?.get(), limit);
                Some(self.paint(code, &format!("{indent}{sign} {} {value}", Line(&change.path))))
            };
            [side("-", RED, &change.before), side("+", GREEN, &change.after)].into_iter().flatten()
        })
    }
}

/// The body of an event, which is given as the codec `json` writes it.
pub(crate) fn body(event: &str) -> String {
    let text =
        member(event, "body").map(|(body, kind)| if kind == Kind::String { string(body) } else { body.to_owned() });
    let bytes = || member(event, "body_base64").map(|(bytes, _)| bytes.to_owned());
    cut(&text.or_else(bytes).unwrap_or_default(), MAX_VALUE)
}

/// The beginning of a text, escaped, on one line.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let cut: String = text.chars().take(limit).collect();
    if cut.len() < text.len() { format!("{}...", line(&cut)) } else { line(&cut).into_owned() }
}
