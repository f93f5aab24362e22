//! Patterns of backtracking engines to regular expressions of the crate `regex`.
//!
//! They have the syntax of Ruby. Differences are translated: `\h`, `{` as a character, possessive repetitions and
//! atomic groups (which become plain ones), named groups, and look-around over one character, which becomes an empty group
//! whose place is checked after the match. Classes such as `\w` and `\d` mean ASCII, as in Ruby.

use std::str::Chars;

use crate::look::LookAround;

/// Bytes that the expression may have once all names are replaced.
const MAX_LENGTH: usize = 128 << 10;

/// How deep definitions may refer to others.
const MAX_DEPTH: usize = 32;

/// A group of the expression; the first one is number 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// The text of a field.
    Field {
        /// As it is written: `status`, `source.ip`, `[source][ip]`.
        name: String,
        /// The text after the second colon.
        type_name: Option<String>,
    },
    /// A group without a name, of an expression that has no fields.
    Number,
    /// An empty group, at whose place a condition must hold.
    Look(LookAround),
}

/// Why a pattern is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong and how to fix it.
    pub message: String,
    /// Whether it is inside of a custom pattern, where it is reported already.
    pub in_custom: bool,
}

/// A translated pattern.
#[derive(Debug, Default)]
pub struct Translated {
    /// The expression in the syntax of the crate `regex`.
    pub regex: String,
    /// Its groups, in order.
    pub groups: Vec<Group>,
}

/// The patterns that a pattern can refer to.
pub trait Names {
    /// The pattern with a name.
    fn get(&self, name: &str) -> Option<Definition<'_>>;

    /// A known name that may be meant by an unknown one.
    fn closest(&self, name: &str) -> Option<&str>;
}

/// A pattern that has a name.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'l> {
    /// The pattern.
    pub text: &'l str,
    /// Whether the options define it.
    pub is_custom: bool,
}

/// No patterns.
#[derive(Clone, Copy, Debug)]
struct NoNames;

impl Names for NoNames {
    fn get(&self, _: &str) -> Option<Definition<'_>> {
        None
    }

    fn closest(&self, _: &str) -> Option<&str> {
        None
    }
}

/// Translates an expression with numbered groups, which refers to no others.
///
/// # Errors
/// The expression has something that cannot be translated.
pub fn translate_numbered(text: &str) -> Result<Translated, Wrong> {
    run(&NoNames, text, None, true)
}

/// Translates a pattern with all that it refers to. `name` is that of the pattern itself, if it has one.
///
/// # Errors
/// The pattern, or one that it refers to, has something that cannot be translated.
pub fn translate(names: &dyn Names, text: &str, name: Option<&str>) -> Result<Translated, Wrong> {
    run(names, text, name, false)
}

fn run(library: &dyn Names, text: &str, name: Option<&str>, has_numbers: bool) -> Result<Translated, Wrong> {
    let mut translator = Translator {
        library,
        done: Translated::default(),
        own_name: name,
        has_numbers,
        names: name.map(str::to_owned).into_iter().collect(),
        custom_depth: 0,
        ignores_case: false,
    };
    match translator.pattern(text) {
        Ok(()) => {}
        Err(message) => return Err(Wrong { message, in_custom: translator.custom_depth > 0 }),
    }
    let Translator { done, ignores_case, .. } = translator;
    let has_case = |group: &Group| matches!(group, Group::Look(look) if !look.ignores_case());
    if ignores_case && done.groups.iter().any(has_case) {
        let message = "`(?i)` does not apply to look-around; write both cases there, such as `(?<![A-Za-z])`";
        return Err(Wrong { message: message.into(), in_custom: false });
    }
    Ok(done)
}

struct Translator<'l> {
    library: &'l dyn Names,
    done: Translated,
    own_name: Option<&'l str>,
    /// Whether groups without a name count.
    has_numbers: bool,
    /// The definitions that are being replaced, from the outside in.
    names: Vec<String>,
    /// How many of them are custom. Stays as it is after an error.
    custom_depth: usize,
    ignores_case: bool,
}

impl Translator<'_> {
    fn pattern(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => self.escape(&mut rest, false)?,
                '[' => self.class(&mut rest)?,
                '(' => self.group(&mut rest)?,
                '{' => self.brace(&mut rest),
                '}' => self.push("\\}"),
                '%' if rest.as_str().starts_with('{') => self.reference(&mut rest)?,
                '*' | '+' | '?' => {
                    self.done.regex.push(c);
                    match rest.as_str().chars().next() {
                        Some('?') => {
                            rest.next();
                            self.push("?");
                        }
                        // Possessive.
                        Some('+') => {
                            rest.next();
                        }
                        _ => {}
                    }
                }
                _ => self.done.regex.push(c),
            }
            if self.done.regex.len() > MAX_LENGTH {
                return Err("the pattern is longer than 128 KiB once all names are replaced; use fewer".into());
            }
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.done.regex.push_str(text);
    }

    /// An escape; the backslash is read.
    fn escape(&mut self, rest: &mut Chars<'_>, in_class: bool) -> Result<(), String> {
        let Some(c) = rest.next() else {
            return Err("a backslash ends the pattern; write `\\\\` for the character".into());
        };
        let text = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[ \t\n\v\f\r]",
            'S' => r"[^ \t\n\v\f\r]",
            'h' => "[0-9A-Fa-f]",
            'H' => "[^0-9A-Fa-f]",
            'e' => r"\x1b",
            'b' if in_class => r"\x08",
            'b' => r"(?-u:\b)",
            'B' if !in_class => r"(?-u:\B)",
            'Z' if !in_class => r"(?:\n?\z)",
            'R' if !in_class => r"(?:\r\n|[\n-\r])",
            '1'..='9' | 'k' => {
                return Err(format!("`\\{c}` refers to a group, which is not supported; list what may be repeated"));
            }
            'g' | 'G' | 'K' | 'X' => return Err(format!("`\\{c}` is not supported")),
            _ if c.is_ascii_alphanumeric() || regex_syntax::is_meta_character(c) => {
                self.push("\\");
                self.done.regex.push(c);
                return Ok(());
            }
            _ => {
                self.done.regex.push(c);
                return Ok(());
            }
        };
        self.push(text);
        Ok(())
    }

    /// A class; the bracket is read.
    fn class(&mut self, rest: &mut Chars<'_>) -> Result<(), String> {
        self.push("[");
        let mut depth = 1;
        let mut at_begin = true;
        let mut last = '[';
        while let Some(c) = rest.next() {
            let begins = std::mem::take(&mut at_begin);
            match c {
                '\\' => self.escape(rest, true)?,
                '[' if rest.as_str().starts_with(':') => {
                    let Some((name, after)) = rest.as_str().split_once(":]") else {
                        return Err("`[:` in a class has no `:]`; write `\\[` for the character".into());
                    };
                    self.push("[");
                    self.push(name);
                    self.push(":]");
                    *rest = after.chars();
                }
                '[' => {
                    self.push("[");
                    depth += 1;
                    at_begin = true;
                }
                '^' if begins => {
                    self.push("^");
                    at_begin = true;
                }
                ']' if begins => self.push("\\]"),
                ']' => {
                    self.push("]");
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                // Two of these would be an operation between classes.
                '-' | '~' if last == c => {
                    self.push("\\");
                    self.done.regex.push(c);
                }
                _ => self.done.regex.push(c),
            }
            last = c;
        }
        Err("a class has no `]`; close it, or write `\\[` for the character".into())
    }

    /// A brace: part of a repetition such as `{1,3}`, or the character.
    fn brace(&mut self, rest: &mut Chars<'_>) {
        let repetition = rest.as_str().split_once('}').filter(|(inside, _)| {
            let (min, max) = inside.split_once(',').unwrap_or((inside, "0"));
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            inside.bytes().any(|byte| byte.is_ascii_digit()) && is_number(min) && is_number(max)
        });
        let Some((inside, after)) = repetition else {
            return self.push("\\{");
        };
        self.push(if inside.starts_with(',') { "{0" } else { "{" });
        self.push(inside);
        self.push("}");
        *rest = after.chars();
    }

    /// A group or a look-around; the parenthesis is read.
    fn group(&mut self, rest: &mut Chars<'_>) -> Result<(), String> {
        let Some(after) = rest.as_str().strip_prefix('?') else {
            if self.has_numbers {
                self.done.groups.push(Group::Number);
                self.push("(");
            } else {
                self.push("(?:");
            }
            return Ok(());
        };
        for (kind, is_ahead, is_negative) in
            [("=", true, false), ("!", true, true), ("<=", false, false), ("<!", false, true)]
        {
            if let Some(inside) = after.strip_prefix(kind) {
                *rest = inside.chars();
                return self.look_around(rest, is_ahead, is_negative);
            }
        }
        if let Some(after) = after.strip_prefix('>') {
            *rest = after.chars();
            self.push("(?:");
            return Ok(());
        }
        if let Some(after) = after.strip_prefix('#') {
            let (_, after) = after.split_once(')').ok_or("a comment `(?#` has no `)`")?;
            *rest = after.chars();
            return Ok(());
        }
        for (open, close) in [("P<", '>'), ("<", '>'), ("'", '\'')] {
            if let Some((name, after)) = after.strip_prefix(open).and_then(|after| after.split_once(close)) {
                *rest = after.chars();
                self.push("(");
                self.done.groups.push(Group::Field { name: name.to_owned(), type_name: None });
                return Ok(());
            }
        }
        let end = after.find(|c: char| !matches!(c, 'i' | 'm' | 's' | 'x' | '-')).unwrap_or(after.len());
        let (flags, after) = after.split_at_checked(end).unwrap_or_default();
        if !after.starts_with([':', ')']) {
            return Err(format!("`(?{flags}{}` is not supported", after.chars().next().unwrap_or_default()));
        }
        *rest = after.chars();
        self.ignores_case |= flags.split('-').next().unwrap_or_default().contains('i');
        self.push("(?");
        // The dot matches line feeds: `m` in Ruby, `s` in most others.
        self.push(&flags.replace('m', "s"));
        if after.starts_with(':') {
            rest.next();
            self.push(":");
        }
        Ok(())
    }

    fn look_around(&mut self, rest: &mut Chars<'_>, is_ahead: bool, is_negative: bool) -> Result<(), String> {
        const WRONG: &str = "look-around is supported over one character, such as `(?<![0-9])` or `(?=\\s|$)`; match the \
                             text around it too, and put what you need in a named group";
        let end = end_of_group(rest.as_str()).ok_or("a look-around has no `)`")?;
        let (inside, after) = rest.as_str().split_at_checked(end).ok_or(WRONG)?;
        let (outside, groups) = (std::mem::take(&mut self.done.regex), self.done.groups.len());
        self.pattern(inside)?;
        let inside = std::mem::replace(&mut self.done.regex, outside);
        let look = LookAround::new(&inside, is_ahead, is_negative).filter(|_| self.done.groups.len() == groups);
        self.done.groups.push(Group::Look(look.ok_or(WRONG)?));
        self.push("()");
        *rest = after.chars();
        rest.next();
        Ok(())
    }

    /// A reference such as `%{INT:size:int}`; the percent sign is read.
    fn reference(&mut self, rest: &mut Chars<'_>) -> Result<(), String> {
        let after = rest.as_str().get(1..).unwrap_or_default();
        let Some((inside, after)) = after.split_once('}') else {
            return Err("`%{` has no `}`; write `%\\{` for the characters".into());
        };
        *rest = after.chars();
        let mut parts = inside.splitn(3, ':');
        let (name, field, type_name) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let library = self.library;
        let Some(definition) = library.get(name) else {
            let hint = match library.closest(name) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "define it in `custom_patterns`".to_owned(),
            };
            return Err(format!("there is no pattern `{name}`; {hint}"));
        };
        if self.names.iter().any(|outer| outer == name) {
            if self.own_name == Some(name) {
                // Each pattern of the circle reports it, and those that only lead to it do not.
                self.custom_depth = 0;
            }
            return Err(format!("the pattern `{name}` refers to itself: {} -> {name}", self.names.join(" -> ")));
        }
        if self.names.len() >= MAX_DEPTH {
            return Err(format!("patterns refer to patterns more than {MAX_DEPTH} levels deep at `{name}`"));
        }
        match field {
            Some("") => return Err(format!("`%{{{inside}}}` has no field after the colon; remove the colon")),
            Some(field) => {
                self.push("(");
                let (name, type_name) = (field.to_owned(), type_name.map(str::to_owned));
                self.done.groups.push(Group::Field { name, type_name });
            }
            None => self.push("(?:"),
        }
        self.names.push(name.to_owned());
        self.custom_depth += usize::from(definition.is_custom);
        self.pattern(definition.text)?;
        self.custom_depth -= usize::from(definition.is_custom);
        self.names.pop();
        self.push(")");
        Ok(())
    }
}

/// Where the parenthesis is that closes a group whose inside begins the text.
fn end_of_group(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_class = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Some(at),
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
