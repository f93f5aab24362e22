//! Ready-made rules for secrets and personal data that have a recognisable format.
//!
//! A SIMD search finds a literal that the values of a preset contain; a check of its surroundings
//! decides. Values begin and end at word boundaries, and an escape (`\n`, `\u003c`) or a percent
//! escape counts as a boundary.

mod aws;
mod card;
mod network;
mod token;

#[cfg(test)]
mod tests;

use std::ops::Range;

use memchr::memmem::Finder;

use crate::column::{Rows, Walk};
use crate::scan::{Places, Window};

/// Checks a place: given a row and the position of a literal in it, returns the range of the value,
/// if there is one.
type Check = fn(&[u8], usize) -> Option<Range<usize>>;

/// Shorter literals are common, and a search of their own is faster.
const MIN_SCANNED: usize = 3;

/// A ready-made rule.
pub(crate) struct Preset {
    /// Its name in the options.
    pub(crate) name: &'static str,
    /// Literals that its values contain, or that precede them.
    literals: &'static [&'static str],
    check: Check,
    /// JSON keys whose values it masks, whatever their format.
    pub(crate) keys: &'static [&'static str],
}

/// All presets, in the order of the README.
pub(crate) const PRESETS: &[Preset] = &[
    Preset { name: "aws-access-key-id", literals: &["AKIA", "ASIA"], check: aws::id, keys: &[] },
    Preset { name: "aws-role-id", literals: &["AROA"], check: aws::id, keys: &[] },
    Preset { name: "aws-role-session", literals: &["AROA"], check: aws::role_session, keys: &[] },
    Preset { name: "aws-unique-id", literals: &["A"], check: aws::any_id, keys: &[] },
    Preset {
        name: "aws-secret-access-key",
        literals: &["ecretAccessKey", "ecret_access_key", "ECRET_ACCESS_KEY"],
        check: aws::secret_access_key,
        keys: &["secretAccessKey", "SecretAccessKey", "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"],
    },
    Preset {
        name: "aws-session-token",
        literals: &["essionToken", "ession_token", "ESSION_TOKEN", "ecurity-token", "ecurity-Token"],
        check: aws::session_token,
        keys: &["sessionToken", "SessionToken", "aws_session_token", "AWS_SESSION_TOKEN", "X-Amz-Security-Token"],
    },
    Preset { name: "jwt", literals: &["eyJ"], check: token::jwt, keys: &[] },
    Preset { name: "bearer-token", literals: &["earer ", "EARER "], check: token::bearer, keys: &[] },
    Preset { name: "basic-auth", literals: &["asic ", "ASIC "], check: token::basic, keys: &[] },
    Preset { name: "private-key", literals: &["PRIVATE KEY-----"], check: token::private_key, keys: &[] },
    Preset { name: "ssh-public-key", literals: token::SSH, check: token::ssh_public_key, keys: &[] },
    Preset { name: "github-token", literals: &["_"], check: token::github, keys: &[] },
    Preset { name: "slack-token", literals: &["xox", "xapp-"], check: token::slack, keys: &[] },
    Preset { name: "basic-auth-url", literals: &["://"], check: token::basic_auth_url, keys: &[] },
    Preset { name: "email", literals: &["@", "%40"], check: network::email, keys: &[] },
    Preset { name: "ipv4", literals: &["."], check: network::ipv4, keys: &[] },
    Preset { name: "ipv6", literals: &[":"], check: network::ipv6, keys: &[] },
    Preset { name: "card-number", literals: &[], check: card::number, keys: &[] },
];

/// The preset of one rule.
pub(crate) struct PresetRule {
    /// Index of the rule.
    pub(crate) rule: usize,
    check: Check,
    /// Literals that the scan for all rules finds.
    scanned: Vec<&'static [u8]>,
    /// Literals that occur too often for this.
    finders: Vec<Finder<'static>>,
}

impl PresetRule {
    /// Prepares a rule.
    pub(crate) fn new(rule: usize, preset: &'static Preset) -> Self {
        let (scanned, short): (Vec<&[u8]>, Vec<&[u8]>) =
            preset.literals.iter().map(|literal| literal.as_bytes()).partition(|literal| literal.len() >= MIN_SCANNED);
        Self { rule, check: preset.check, scanned, finders: short.into_iter().map(Finder::new).collect() }
    }

    /// What [`each`](Self::each) needs the places of.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Window> {
        self.scanned.iter().filter_map(|literal| Window::of_literal(literal))
    }

    /// Calls back with every value in the column: its row, and where it is in the row. Takes the
    /// places of its windows from the iterator.
    pub(crate) fn each<'p>(
        &self,
        column: Rows<'_>,
        places: &mut impl Iterator<Item = Places<'p>>,
        mut found: impl FnMut(Range<usize>, Range<usize>),
    ) {
        if self.scanned.is_empty() && self.finders.is_empty() {
            for (row, text) in column.iter() {
                card::each_candidate(text, |at| {
                    (self.check)(text, at).map(|value| {
                        let end = value.end;
                        found(row.clone(), value);
                        end
                    })
                });
            }
        }
        for &literal in &self.scanned {
            let is_literal = |at: usize| column.bytes.get(at..).is_some_and(|text| text.starts_with(literal));
            let mut end = 0;
            // Of occurrences that overlap, the first one counts.
            let first = [byte(literal, 0); 2];
            let occurrences = places.next().unwrap_or_default().iter(column.bytes, first).filter(|&at| {
                let counts = at >= end && is_literal(at);
                end = if counts { at + literal.len() } else { end };
                counts
            });
            self.check_all(column, literal.len(), occurrences, &mut found);
        }
        for finder in &self.finders {
            self.check_all(column, finder.needle().len(), finder.find_iter(column.bytes), &mut found);
        }
    }

    /// Calls back with every value whose literal, of this length, is at one of the places.
    fn check_all(
        &self,
        column: Rows<'_>,
        length: usize,
        places: impl Iterator<Item = usize>,
        found: &mut impl FnMut(Range<usize>, Range<usize>),
    ) {
        let mut walk = Walk::default();
        let mut done = 0;
        for at in places {
            let (_, row) = walk.row_of(column, at);
            if at < done || at + length > row.end {
                continue;
            }
            let text = column.bytes.get(row.clone()).unwrap_or_default();
            if let Some(value) = (self.check)(text, at - row.start) {
                done = row.start + value.end;
                found(row, value);
            }
        }
    }
}

/// Whether a value can begin here, that is, not inside a word.
fn begins(text: &[u8], at: usize) -> bool {
    match at.checked_sub(1).and_then(|before| text.get(before)) {
        Some(before) if is_word(*before) => after_escape(text, at),
        _ => true,
    }
}

/// Whether a value can end here.
fn ends(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|b| !is_word(*b))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an escape ends here.
fn after_escape(text: &[u8], at: usize) -> bool {
    let (before, _) = text.split_at_checked(at).unwrap_or((text, &[]));
    match before {
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|d| d.is_ascii_hexdigit()) => true,
        _ => ends_with_percent_escape(before),
    }
}

/// Whether a text ends with a percent escape, which may itself be escaped any number of times:
/// `%22`, `%2522`.
pub(crate) fn ends_with_percent_escape(text: &[u8]) -> bool {
    let Some((mut before, [a, b])) = text.split_last_chunk::<2>() else { return false };
    while let Some(rest) = before.strip_suffix(b"25") {
        before = rest;
    }
    a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && before.ends_with(b"%")
}

/// The byte of the percent escape at a place, and where the escape ends. It can be escaped any
/// number of times.
fn percent_escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut digits = text.get(at..)?.strip_prefix(b"%")?;
    while let Some(rest) = digits.strip_prefix(b"25") {
        digits = rest;
    }
    let code = str::from_utf8(digits.get(..2)?).ok()?;
    let byte = u8::from_str_radix(code, 16).ok().filter(|_| !code.starts_with('+'))?;
    Some((byte, text.len() - digits.len() + 2))
}

/// Where the run of such bytes that continues at `at` ends.
fn run(text: &[u8], at: usize, is_part: impl Fn(u8) -> bool) -> usize {
    at + text.get(at..).unwrap_or_default().iter().take_while(|b| is_part(**b)).count()
}

/// Where the run of such bytes that ends at `at` begins; goes back at most this many bytes.
fn run_before(text: &[u8], at: usize, most: usize, is_part: impl Fn(u8) -> bool) -> usize {
    at - text.get(at.saturating_sub(most)..at).unwrap_or_default().iter().rev().take_while(|b| is_part(**b)).count()
}

/// The byte at a place; 0 after the end.
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or_default()
}
