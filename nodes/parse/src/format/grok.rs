//! The format `grok`: patterns such as `%{IP:client} %{WORD:method}`.

mod fields;
mod library;

use std::collections::BTreeMap;

use wattle_convert::Type;
use wattle_matcher::{Group, Memory, Program, TooLong, Wrong, translate};
use wattle_node::Setup;

use self::fields::Member;
use self::library::Library;
use super::{Fault, Read};
use crate::object::close;
use crate::options::Options;

/// Patterns, in the order in which they are tried.
pub(crate) struct Grok {
    patterns: Vec<Pattern>,
    memory: Memory,
}

struct Pattern {
    program: Program,
    groups: Vec<Group>,
    members: Vec<Member>,
}

impl Grok {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let library = Library::new(&options.custom_patterns);
        let custom_are_right = check_custom(options, &library, setup);
        let texts: Vec<(String, &str)> = match (&options.pattern, &options.patterns) {
            (Some(pattern), None) => vec![("pattern".to_owned(), pattern)],
            (None, Some(patterns)) if !patterns.is_empty() => {
                let texts = patterns.iter().enumerate();
                texts.map(|(number, text)| (format!("patterns[{number}]"), text.as_str())).collect()
            }
            (Some(_), Some(_)) => {
                setup.error("patterns", "`pattern` gives one already; move it into `patterns`");
                return None;
            }
            _ => {
                setup.error("pattern", "the format `grok` needs one, such as `%{IP:client} %{GREEDYDATA:message}`");
                return None;
            }
        };
        let mut patterns = Vec::new();
        for (at, text) in &texts {
            match Pattern::new(text, &options.types, &library) {
                Ok(pattern) => patterns.push(pattern),
                Err(wrong) if wrong.in_custom => {}
                Err(wrong) => setup.error(at, wrong.message),
            }
        }
        if patterns.len() < texts.len() || !custom_are_right {
            return None;
        }
        for name in options.types.keys() {
            let has = |group: &Group| matches!(group, Group::Field { name: field, .. } if field == name);
            if !patterns.iter().any(|pattern| pattern.groups.iter().any(has)) {
                setup.error(format!("types.{name}"), format!("there is no field `{name}`"));
            }
        }
        Some(Self { patterns, memory: Memory::default() })
    }
}

/// Reports custom patterns that are wrong, whether something refers to them or not.
fn check_custom(options: &Options, library: &Library<'_>, setup: &mut Setup<'_>) -> bool {
    let mut are_right = true;
    for (name, text) in &options.custom_patterns {
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let error = match translate(library, text, Some(name)) {
            _ if !is_name => Some("names of patterns are letters, digits, `_` and `-`".to_owned()),
            Ok(translated) => {
                fields::members(&translated.groups, &options.types).err().or_else(|| Program::new(&translated).err())
            }
            Err(wrong) if wrong.in_custom => None,
            Err(wrong) => Some(wrong.message),
        };
        if let Some(message) = error {
            setup.error(format!("custom_patterns.{name}"), message);
            are_right = false;
        }
    }
    are_right
}

impl Pattern {
    fn new(text: &str, types: &BTreeMap<String, Type>, library: &Library<'_>) -> Result<Self, Wrong> {
        let wrong = |message: String| Wrong { message, in_custom: false };
        let translated = translate(library, text, None)?;
        let members = fields::members(&translated.groups, types).map_err(wrong)?;
        if members.is_empty() {
            return Err(wrong("the pattern has no field, such as `%{IP:client}`".into()));
        }
        let program = Program::new(&translated).map_err(wrong)?;
        Ok(Self { program, groups: translated.groups, members })
    }

    /// Appends the object of the last match, which was in this text.
    fn write(&self, memory: &Memory, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.push(b'{');
        let mut value = |group| memory.get(group).and_then(|(start, end)| text.get(start..end));
        fields::write(&self.members, &mut value, out)?;
        close(b'}', out);
        Ok(())
    }
}

impl Read for Grok {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let no_match = |message: &str| Fault { code: "no-match", message: message.into() };
        for pattern in &self.patterns {
            match self.memory.find(&pattern.program, text) {
                Ok(true) => return pattern.write(&self.memory, text, out),
                Ok(false) => {}
                Err(TooLong) => return Err(no_match("is too long for the pattern")),
            }
        }
        match self.patterns.len() {
            1 => Err(no_match("does not match the pattern")),
            _ => Err(no_match("matches none of the patterns")),
        }
    }
}

#[cfg(test)]
mod tests;
