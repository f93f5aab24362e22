//! The rules of uap-core.
//!
//! Not the crate `ua-parser`: it compiles all 1,270 expressions at the start, which takes 29 MB, and 48 MB after 2,000
//! agents. Here one search finds the rules whose texts an agent holds, and a rule is compiled when it is first tried,
//! which takes 4 MB with everything else, in about the same time.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use wattle_convert::write_string;
use wattle_matcher::{Memory, Program, translate_numbered};

/// The committed form, see `data/README.md`.
const RULES: &str = include_str!("../data/rules.tsv");

/// Columns of replacements.
const REPLACEMENTS: usize = 5;

/// Bytes of an agent that are looked at. Longer ones are attacks or broken.
const MAX_LENGTH: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Agent,
    System,
    Device,
}

#[derive(Debug)]
struct Rule {
    kind: Kind,
    regex: &'static str,
    replacements: [&'static str; REPLACEMENTS],
    /// Compiled when the rule is first tried.
    program: Option<Program>,
}

/// All rules, in order.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Finds the texts that rules need.
    texts: AhoCorasick,
    /// Of each text, the numbers of the rules that need it.
    needed_by: Vec<Vec<u16>>,
    /// Rules that need no text.
    always: Vec<u16>,
    memory: Memory,
    candidates: Vec<bool>,
}

impl Rules {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let mut rules = Vec::new();
        let mut needs: Vec<(&str, u16)> = Vec::new();
        let mut always = Vec::new();
        for line in RULES.lines() {
            let mut columns = line.split('\t');
            let kind = match columns.next() {
                Some("u") => Kind::Agent,
                Some("o") => Kind::System,
                _ => Kind::Device,
            };
            let number = u16::try_from(rules.len()).unwrap_or(u16::MAX);
            match columns.next().unwrap_or_default() {
                "" => always.push(number),
                texts => needs.extend(texts.split('|').map(|text| (text, number))),
            }
            let regex = columns.next().unwrap_or_default();
            let mut replacements = [""; REPLACEMENTS];
            replacements.iter_mut().zip(columns).for_each(|(to, from)| *to = from);
            rules.push(Rule { kind, regex, replacements, program: None });
        }
        needs.sort_unstable();
        let mut texts: Vec<&str> = Vec::new();
        let mut needed_by: Vec<Vec<u16>> = Vec::new();
        for (text, number) in needs {
            if texts.last() != Some(&text) {
                texts.push(text);
                needed_by.push(Vec::new());
            }
            needed_by.last_mut().into_iter().for_each(|numbers| numbers.push(number));
        }
        let mut builder = AhoCorasick::builder();
        builder.kind(Some(AhoCorasickKind::ContiguousNFA)).ascii_case_insensitive(true).prefilter(false);
        let texts = builder.build(texts)?;
        let candidates = vec![false; rules.len()];
        Ok(Self { rules, texts, needed_by, always, memory: Memory::default(), candidates })
    }

    /// Appends the object of an agent, or nothing if nothing is known about it.
    pub(crate) fn write(&mut self, agent: &[u8], out: &mut Vec<u8>) {
        let agent = agent.get(..MAX_LENGTH).unwrap_or(agent).trim_ascii();
        let text = String::from_utf8_lossy(agent);
        self.candidates.fill(false);
        let Self { candidates, needed_by, .. } = self;
        let found =
            self.texts.find_overlapping_iter(&*text).filter_map(|found| needed_by.get(found.pattern().as_usize()));
        for number in found.flatten().chain(&self.always) {
            if let Some(is) = candidates.get_mut(usize::from(*number)) {
                *is = true;
            }
        }
        let start = out.len();
        for (kind, name, version) in [
            (Kind::Agent, "name", Some("version")),
            (Kind::System, "os", Some("os_version")),
            (Kind::Device, "device", None),
        ] {
            let Some(rule) = self.first(kind, text.as_bytes()) else { continue };
            let found = self.replaced(rule, 0, &text);
            // uap-core writes `Other` for what is not known.
            if found.is_empty() || found == "Other" {
                continue;
            }
            member(name, &found, start, out);
            let Some(version) = version else { continue };
            let mut parts =
                (1..REPLACEMENTS).map(|part| self.replaced(rule, part, &text)).take_while(|p| !p.is_empty());
            if let Some(first) = parts.next() {
                member(version, &parts.fold(first, |made, part| made + "." + &part), start, out);
            }
        }
        if out.len() > start {
            out.push(b'}');
        }
    }

    /// The first rule of a kind that matches. Its groups are in `memory`.
    fn first(&mut self, kind: Kind, text: &[u8]) -> Option<usize> {
        let Self { rules, memory, candidates, .. } = self;
        let is_candidate = |number: &usize| candidates.get(*number).is_some_and(|is| *is);
        (0..rules.len()).filter(is_candidate).find(|number| {
            let Some(rule) = rules.get_mut(*number).filter(|rule| rule.kind == kind) else { return false };
            if rule.program.is_none() {
                // A test compiles them all, so there is no error.
                rule.program = translate_numbered(rule.regex).ok().and_then(|regex| Program::new(&regex).ok());
            }
            rule.program.as_ref().is_some_and(|program| memory.find(program, text).unwrap_or(false))
        })
    }

    /// A replacement with its groups filled in, or where there is none the group in its place.
    fn replaced(&self, rule: usize, part: usize, text: &str) -> String {
        let group =
            |group: usize| self.memory.get(group).and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
        let template = self.rules.get(rule).and_then(|rule| rule.replacements.get(part)).copied().unwrap_or_default();
        if template.trim().is_empty() {
            return group(part + 1).trim().to_owned();
        }
        let mut parts = template.split('$');
        let mut made = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digit = part.chars().next().and_then(|c| c.to_digit(10));
            match digit {
                Some(digit) => {
                    made.push_str(group(digit as usize));
                    made.push_str(part.get(1..).unwrap_or_default());
                }
                None => {
                    made.push('$');
                    made.push_str(part);
                }
            }
        }
        made.trim().to_owned()
    }
}

/// Appends a member of the object that begins at `start`.
fn member(key: &str, value: &str, start: usize, out: &mut Vec<u8>) {
    out.push(if out.len() > start { b',' } else { b'{' });
    write_string(key.as_bytes(), out);
    out.push(b':');
    write_string(value.as_bytes(), out);
}

#[cfg(test)]
mod tests;
