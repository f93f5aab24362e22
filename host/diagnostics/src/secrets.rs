//! Finds the values in the text of a manifest that no diagnostic may show.
//!
//! A diagnostic is printed to terminals, logs and `/status`, together with its line. So this search
//! finds the values of keys that name a secret in the text itself, which may not be valid TOML and
//! can contain several values per line. A value that is shown by mistake cannot be taken back, so
//! in doubt the rules hide it.

use std::ops::Range;

use wattle_options::suggest::closest;

/// A key is secret if its name contains one of these.
const PARTS: &[&str] =
    &["token", "password", "passwd", "passphrase", "secret", "credential", "authorization", "cookie"];

/// A key is secret if its last word is `key` and the word before it is one of these.
const KEYS: &[&str] = &[
    "hmac",
    "mask",
    "private",
    "api",
    "access",
    "signing",
    "encryption",
    "auth",
    "master",
    "session",
    "shared",
    "account",
];

/// Last words of names that describe a secret and do not contain it: `token_file`.
const ABOUT: &[&str] =
    &["file", "files", "path", "paths", "folder", "dir", "name", "names", "header", "ttl", "timeout"];

/// Names of secrets, for the detection of misspelt ones.
const NAMES: &[&str] =
    &["token", "password", "secret", "passphrase", "hmac_key", "private_key", "api_key", "credentials"];

/// Tables whose values are all secret, whatever their keys: a header or the query of a request can
/// contain a credential.
const TABLES: &[&str] = &["headers", "query"];

/// The table of credentials, and its keys that are secret although their names do not say so
/// elsewhere: the `key` of a message in Kafka is not secret.
const AUTH: &str = "auth";
const AUTH_KEYS: &[&str] = &["key", "value"];

/// Maximum length of a text that is searched as a document, in bytes.
const MAX_DOCUMENT: usize = 64 << 10;

/// Whether a key names a secret.
fn is_secret_name(key: &str) -> bool {
    let name: String = key.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    if words.last().is_some_and(|last| ABOUT.contains(last)) {
        return false;
    }
    let letters: String = words.concat();
    PARTS.iter().any(|part| letters.contains(part))
        || letters.strip_suffix("key").is_some_and(|before| KEYS.iter().any(|word| before.ends_with(word)))
        || closest(&name, NAMES.iter().copied()).is_some()
}

/// The spans of all values that are secret by name or form, in ascending order.
pub(crate) fn spans(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan {
        text,
        at: 0,
        open: Vec::new(),
        in_header: false,
        in_auth: false,
        key: Key::None,
        key_in_auth: false,
        found: Vec::new(),
    };
    scan.begin_line();
    while scan.at < text.len() {
        scan.step();
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    scan.found.sort_unstable_by_key(|span| span.start);
    for span in scan.found {
        match found.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => found.push(span),
        }
    }
    found
}

/// The part of a `key = value` that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    None,
    /// A name, and whether its value is secret.
    Name(bool),
    /// The name and an equals sign.
    Assigned(bool),
    /// A secret value was read, and the line can contain more of it.
    Secret,
}

impl Key {
    fn is_secret(self) -> bool {
        matches!(self, Self::Name(true) | Self::Assigned(true) | Self::Secret)
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// For each open bracket, whether its content is secret and whether it is a table of credentials.
    open: Vec<(bool, bool)>,
    /// Whether all values of the table of the last header are secret.
    in_header: bool,
    /// Whether that table is one of credentials.
    in_auth: bool,
    key: Key,
    /// Whether a part of the key is the table of credentials.
    key_in_auth: bool,
    found: Vec<Range<usize>>,
}

impl Scan<'_> {
    fn step(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(first) = rest.bytes().next() else {
            self.at = self.text.len();
            return;
        };
        match first {
            b'\n' => {
                self.at += 1;
                // In an invalid text, the value can follow an equals sign after a line break.
                if !matches!(self.key, Key::Assigned(true)) {
                    self.key = Key::None;
                }
                self.begin_line();
            }
            b'#' => self.comment(rest),
            b'"' | b'\'' => self.string(rest, first),
            b'=' | b':' => {
                self.at += 1;
                if let Key::Name(secret) = self.key {
                    self.key = Key::Assigned(secret);
                }
            }
            b'[' | b'{' => {
                let inherited = self.open.last().is_some_and(|(secret, _)| *secret);
                let is_auth = self.key != Key::None && self.key_in_auth;
                self.open.push((inherited || self.key.is_secret(), is_auth));
                self.key = Key::None;
                self.at += 1;
            }
            b']' | b'}' => {
                self.open.pop();
                self.key = Key::None;
                self.at += 1;
            }
            b',' => {
                self.key = Key::None;
                self.at += 1;
            }
            _ if first.is_ascii_whitespace() || first == b'.' => self.at += 1,
            _ => self.word(rest),
        }
    }

    /// The header of a table ends everything that was left open above it.
    fn begin_line(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let trimmed = line.trim();
        let Some(inner) = trimmed.strip_prefix('[') else { return };
        let inner = inner.split(']').next().unwrap_or_default().trim_start_matches('[');
        let is_header = !inner.is_empty() && !inner.contains(['"', '\'', ',', '=', '{']);
        if is_header && (self.open.is_empty() || inner.chars().any(|c| c.is_ascii_alphabetic())) {
            self.open.clear();
            self.key = Key::None;
            self.in_header = inner.split('.').any(is_table);
            self.in_auth = inner.split('.').any(is_auth);
            self.at += line.len() - line.trim_start().len() + trimmed.find(']').unwrap_or(trimmed.len());
            self.at += self.text.get(self.at..).unwrap_or_default().bytes().take_while(|b| *b == b']').count();
        }
    }

    fn comment(&mut self, rest: &str) {
        let line = rest.lines().next().unwrap_or_default();
        if let Some(sign) = line.find(['=', ':'])
            && line.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).any(is_secret_name)
        {
            self.hide(self.at + sign + 1..self.at + line.len());
        }
        self.at += line.len();
    }

    /// A word outside of quotes: a key, a number, `true`, or a text without its quotes.
    fn word(&mut self, rest: &str) {
        if let Key::Assigned(_) | Key::Secret = self.key {
            let secret = self.key.is_secret();
            let line = rest.lines().next().unwrap_or_default();
            let word = line.split([',', '}', ']', ' ', '\t', '#']).next().unwrap_or_default();
            let is_literal = matches!(word, "true" | "false") || word.parse::<f64>().is_ok();
            let end = if is_literal || !secret { word.len() } else { line.trim_end().len() };
            if (secret || self.is_within_secret()) && !matches!(word, "true" | "false") {
                self.hide(self.at..self.at + end);
            }
            self.key = Key::None;
            self.at += end.max(1);
            self.align();
            return;
        }
        let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let word: usize = rest.chars().take_while(is_part).map(char::len_utf8).sum();
        let end = if word == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { word };
        self.name(rest.get(..word).unwrap_or_default());
        self.at += end;
    }

    /// Takes a word as a key, or as a further part of a dotted key.
    fn name(&mut self, name: &str) {
        let (before, is_first) = (self.key.is_secret(), self.key == Key::None);
        let within = match self.open.last() {
            Some((_, is_auth)) => *is_auth,
            None => self.in_auth,
        };
        let in_auth = if is_first { within } else { within || self.key_in_auth };
        let is_credential = in_auth && AUTH_KEYS.contains(&name.trim().to_ascii_lowercase().as_str());
        self.key_in_auth = in_auth || is_auth(name);
        self.key = Key::Name(before || is_credential || is_table(name) || is_secret_name(name));
    }

    fn string(&mut self, rest: &str, quote: u8) {
        let (inner, end) = string(rest, quote);
        let (start, after) = (self.at, rest.get(end..).unwrap_or_default().trim_start_matches([' ', '\t']));
        self.at += end;
        let text = rest.get(inner.clone()).unwrap_or_default();
        let inner = start + inner.start..start + inner.end;
        if !matches!(self.key, Key::Assigned(_)) && after.starts_with(['=', ':', '.']) {
            self.name(text);
            return;
        }
        let is_secret = self.key.is_secret() || self.is_within_secret();
        if !is_secret {
            self.hide_login(text, inner.start);
            self.hide_document(text, inner.start);
        } else {
            self.hide_literals(text, inner.start);
        }
        self.key = match text.trim_end().strip_suffix(['=', ':']) {
            // An earlier quote is missing, so the text that seems to be between strings is inside
            // one.
            Some(before)
                if before.rsplit([' ', ',', '{', '.']).find(|word| !word.is_empty()).is_some_and(is_secret_name) =>
            {
                Key::Assigned(true)
            }
            _ if self.key.is_secret() => Key::Secret,
            _ => Key::None,
        };
    }

    fn is_within_secret(&self) -> bool {
        match self.open.last() {
            Some((secret, _)) => *secret,
            None => self.in_header,
        }
    }

    /// Hides a text except for its variables, which help the reader and reveal nothing; hides their
    /// defaults too.
    fn hide_literals(&mut self, text: &str, start: usize) {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let begin = rest.find("${").unwrap_or(rest.len());
            self.hide(start + at..start + at + begin);
            let reference = rest.get(begin..).unwrap_or_default();
            let close = reference.find('}').unwrap_or(reference.len());
            let end = reference.len().min(close + 1);
            let name = reference.get(..end).unwrap_or_default();
            if !is_reference(name) {
                let shown = name.find(":-").map_or(0, |sign| sign + 2);
                self.hide(start + at + begin + shown..start + at + begin + close.max(shown));
            }
            at += begin + end;
        }
    }

    /// Hides the secrets of a document in a text, such as the JSON body of a request.
    fn hide_document(&mut self, text: &str, start: usize) {
        if text.len() <= MAX_DOCUMENT && text.contains('{') && text.contains([':', '=']) {
            let inner = spans(text).into_iter().map(|span| start + span.start..start + span.end);
            self.found.extend(inner);
        }
    }

    /// Hides `user:password` and the values of the query in an address.
    fn hide_login(&mut self, text: &str, start: usize) {
        for (at, sign) in text.match_indices("://") {
            let begin = at + sign.len();
            let rest = text.get(begin..).unwrap_or_default();
            let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
            if let Some((login, _)) = authority.rsplit_once('@')
                && !is_reference(login)
            {
                self.hide(start + begin..start + begin + login.len());
            }
            let address = rest.split([' ', '#']).next().unwrap_or_default();
            let Some(query) = address.find('?') else { continue };
            for (at, _) in address.match_indices('=').filter(|(at, _)| *at > query) {
                let value = address.get(at + 1..).and_then(|rest| rest.split('&').next()).unwrap_or_default();
                if !is_reference(value) {
                    self.hide(start + begin + at + 1..start + begin + at + 1 + value.len());
                }
            }
        }
    }

    fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.found.push(span);
        }
    }

    /// Moves to the beginning of a character.
    fn align(&mut self) {
        while self.at < self.text.len() && !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }
}

fn is_table(name: &str) -> bool {
    TABLES.contains(&name.trim().to_ascii_lowercase().as_str())
}

fn is_auth(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(AUTH)
}

/// Whether a text consists of one variable, which helps the reader and reveals nothing.
fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
}

/// Where the text inside a string is, and where the string ends. An unclosed string ends with its
/// line, and an unclosed string of several lines with the manifest.
fn string(rest: &str, quote: u8) -> (Range<usize>, usize) {
    let bytes = rest.as_bytes();
    let long = [quote; 3];
    let is_long = bytes.starts_with(&long);
    let start = if is_long { 3 } else { 1 };
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !is_long => break,
            byte if byte == quote && !is_long => return (start..at, at + 1),
            byte if byte == quote && bytes.get(at..).is_some_and(|rest| rest.starts_with(&long)) => {
                let quotes = bytes.get(at..).unwrap_or_default().iter().take_while(|b| **b == quote).count();
                return (start..at, at + quotes);
            }
            _ => {}
        }
        at += 1;
    }
    let at = rest.floor_char_boundary(at.min(rest.len()));
    (start.min(at)..at, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with stars instead of hidden parts.
    fn hidden(text: &str) -> String {
        let spans = spans(text);
        let is_hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
        text.char_indices().map(|(at, c)| if is_hidden(at) && c != '\n' { '*' } else { c }).collect()
    }

    #[test]
    fn values_of_keys_that_name_a_secret_are_hidden() {
        for (text, expected) in [
            ("token = \"abc\"", "token = \"***\""),
            ("token='abc' # x", "token='***' # x"),
            ("auth = { strtegy = \"bearer\", token = \"abc\" }", "auth = { strtegy = \"bearer\", token = \"***\" }"),
            ("auth.token = \"abc\"", "auth.token = \"***\""),
            ("\"token\" = \"abc\"", "\"token\" = \"***\""),
            ("hmac_key = \"abc\"\nb = \"x\"", "hmac_key = \"***\"\nb = \"x\""),
            ("Private-Key = \"\"\"\nab\ncd\n\"\"\"\nb = 'x'", "Private-Key = \"\"\"\n**\n**\n\"\"\"\nb = 'x'"),
            ("tokens = [\"ab\", 'cd']\nx = 'y'", "tokens = [\"**\", '**']\nx = 'y'"),
            ("[sinks.a.headers]\nX = \"ab\"\n[b]\nX = \"ab\"", "[sinks.a.headers]\nX = \"**\"\n[b]\nX = \"ab\""),
            ("headers = { X = \"ab\" }\nx = 'y'", "headers = { X = \"**\" }\nx = 'y'"),
            ("headers.X = \"ab\"", "headers.X = \"**\""),
            ("tokne = \"abc\"", "tokne = \"***\""),
            ("auth = { strategy = \"apikey\", key = \"abc\" }", "auth = { strategy = \"apikey\", key = \"***\" }"),
            ("auth={ name = \"x\", value = 'abc' }\nvalue = 'x'", "auth={ name = \"x\", value = '***' }\nvalue = 'x'"),
            ("auth.key = \"abc\"\nkey = 'x'", "auth.key = \"***\"\nkey = 'x'"),
            ("[sinks.a.auth]\nkey = \"ab\"\n[b]\nkey = \"ab\"", "[sinks.a.auth]\nkey = \"**\"\n[b]\nkey = \"ab\""),
            ("query = { a = \"ab\", b = [\"cd\"] }", "query = { a = \"**\", b = [\"**\"] }"),
            ("uri = \"http://h/x?sig=ab&v=${V}&w=c#d\"", "uri = \"http://h/x?sig=**&v=${V}&w=*#d\""),
            ("body = '{\"token\": \"abc\", \"n\": \"x\"}'", "body = '{\"token\": \"***\", \"n\": \"x\"}'"),
            ("password = 1234", "password = ****"),
            ("proxy = \"http://me:abc@host:1/x\"", "proxy = \"http://******@host:1/x\""),
            ("{\"token\":\"abc\",\"x\":\"y\"}", "{\"token\":\"***\",\"x\":\"y\"}"),
            ("a = 1 # token = \"abc\"", "a = 1 # token =******"),
            ("token = \"a\\\"b\" ", "token = \"****\" "),
            ("token = \"${ab\"", "token = \"****\""),
            ("token = \"ab${T}c${U:-de}\"", "token = \"**${T}*${U:-**}\""),
        ] {
            assert_eq!(hidden(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_not_toml_hides_as_much() {
        for text in [
            "token = \"SECRET\nb = 1",
            "token = SECRET",
            "token = SECRET # SECRET",
            "token \"SECRET\"",
            "token: 'SECRET'",
            "token: SECRET",
            "token =\n\"SECRET\"",
            "token = \"SEC\"RET\"",
            "token == \"SECRET\"",
            "a = { b = \"x\" token = \"SECRET\" }",
            "a = { b = \"x, token = \"SECRET\" }",
            "token = [\"SECRET\"\nb = 1",
            "token = [\"SECRET\", \"SECRET",
            "token = \"\"\"\nSECRET\n",
            "headers = { a = \"SECRET\"",
            "[x\ntoken = \"SECRET\"",
        ] {
            assert!(!hidden(text).contains("SECRET"), "{text}: {}", hidden(text));
        }
    }

    #[test]
    fn everything_else_stays_readable() {
        for text in [
            "token_file = \"/run/token\"\nkey_file = \"x\"\njson_key = \"accessKeyId\"\nkey = \"x\"\ntype = \"file\"",
            "token = \"${TOKEN}\"",
            "mask_client_tokens = true",
            "rules = [{ json_key = [\"secretKey\", \"token\"] }, { pattern = \"password=(.*)\" }]",
            "[sinks.out]\nuri = \"https://example.com/a@b\"\ninclude = [\"a\"]",
            "a = [\n  \"x\", # a comment: with signs\n]\n[b]\nc = \"d\"",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn any_text_gives_spans_inside_it() {
        let parts = [
            "token", "=", "\"", "'", "[", "]", "{", "}", "\n", "#", "\"\"\"", "ä", "\\", ":", ".", ",", "://", "@", "x",
        ];
        let mut state = 1_usize;
        for _ in 0..5_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(state >> 33) % parts.len()]);
            }
            let found = spans(&text);
            assert!(found.iter().all(|span| text.get(span.clone()).is_some()), "{text:?}: {found:?}");
        }
    }
}
