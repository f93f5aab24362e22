//! Recognises documents by the members of one object, and says what to do with them.

use wattle_node::Setup;
use wattle_node::json::{self, Kind, Path, Segment, Value, members_with_escapes};

use crate::options::{Decode, Rule, Scalar, Unsupported};

/// Maximum number of members to look for, of all rules together.
const MAX_MEMBERS: usize = 64;

/// What to do with a document.
#[derive(Debug)]
pub(crate) enum Action {
    /// Fail it with this message.
    Fail(Box<str>),
    /// Drop it for this reason.
    Drop(Box<str>),
    /// Send it to this port unchanged.
    Port(u8),
    /// Go on with the documents in it.
    Unwrap(Unwrap),
}

/// Where the documents inside a document are.
#[derive(Debug)]
pub(crate) struct Unwrap {
    /// The path as written, for messages.
    pub(crate) text: Box<str>,
    /// The path to the value, or to the array of values.
    pub(crate) path: Path,
    /// The path from each element of the array to its value.
    pub(crate) each: Option<Path>,
    pub(crate) decode: Option<Decode>,
    /// The port that the values leave on, instead of being split.
    pub(crate) port: Option<u8>,
}

/// A key that rules look for. Each way to look for it has a bit.
#[derive(Debug)]
struct Member {
    key: Box<[u8]>,
    /// The bit for a member with any value; 0 if no rule asks for it.
    any: u64,
    /// Values that the member may have, and their bits.
    values: Vec<(Scalar, u64)>,
}

/// The rules, ready for use.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    members: Vec<Member>,
    /// How many bits are in use.
    bits: usize,
    /// Which members a rule needs, one bit each, and its action.
    entries: Vec<(u64, Action)>,
}

impl Rules {
    /// Prepares the rules; entries of `unsupported` come after them. `ports` gets the names of further ports.
    pub(crate) fn new(
        rules: &[Rule],
        unsupported: &[Unsupported],
        ports: &mut Vec<String>,
        setup: &mut Setup<'_>,
    ) -> Self {
        let mut all = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            let at = format!("rules[{number}]");
            if rule.keys.is_empty() && rule.equals.is_empty() {
                setup.error(format!("{at}.keys"), "at least one key is needed, here or in `equals`");
            }
            let mut bits = rule.keys.iter().fold(0, |bits, key| bits | all.bit(key, None));
            for (key, value) in &rule.equals {
                bits |= all.bit(key, Some(value));
            }
            if let Some(action) = action(&at, rule, ports, setup) {
                all.entries.push((bits, action));
            }
        }
        for (number, entry) in unsupported.iter().enumerate() {
            if entry.keys.is_empty() {
                setup.error(format!("unsupported[{number}].keys"), "at least one key is needed");
            }
            let bits = entry.keys.iter().fold(0, |bits, key| bits | all.bit(key, None));
            all.entries.push((bits, Action::Fail(entry.message.as_str().into())));
        }
        if all.bits > MAX_MEMBERS {
            let option = if rules.is_empty() { "unsupported" } else { "rules" };
            setup.error(option, format!("{} keys are too many; the limit is {MAX_MEMBERS}", all.bits));
        }
        all
    }

    /// The bit of a key, or of a key with a value.
    fn bit(&mut self, key: &str, value: Option<&Scalar>) -> u64 {
        let index = self.members.iter().position(|member| *member.key == *key.as_bytes()).unwrap_or(self.members.len());
        if index == self.members.len() {
            self.members.push(Member { key: key.as_bytes().into(), any: 0, values: Vec::new() });
        }
        let Some(member) = self.members.get_mut(index) else { return 0 };
        let known = match value {
            None => member.any,
            Some(value) => member.values.iter().find(|(known, _)| known == value).map_or(0, |(_, bit)| *bit),
        };
        if known != 0 {
            return known;
        }
        // Too many bits are an error, so it does not matter that they have none.
        let bit = u32::try_from(self.bits).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or_default();
        self.bits += 1;
        match value {
            None => member.any = bit,
            Some(value) => member.values.push((value.clone(), bit)),
        }
        bit
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the only thing that rules do is to fail documents.
    pub(crate) fn only_fail(&self) -> bool {
        self.entries.iter().all(|(_, action)| matches!(action, Action::Fail(_)))
    }

    /// The encoding that rules decode, if any of them does.
    pub(crate) fn decode(&self) -> Option<Decode> {
        self.entries.iter().find_map(|(_, action)| match action {
            Action::Unwrap(unwrap) => unwrap.decode,
            _ => None,
        })
    }

    /// The index of the rule that the object at `start` matches.
    pub(crate) fn find(&self, text: &[u8], start: usize) -> Option<usize> {
        if self.is_empty() || text.get(start) != Some(&b'{') {
            return None;
        }
        // What the object has, and which keys were there.
        let (mut bits, mut seen) = (0_u64, 0_u64);
        let object = Value { start, end: text.len(), kind: Kind::Object };
        // In a truncated object, the keys before the end decide. An error after them does not
        // matter here.
        let _ = members_with_escapes(text, object, |key, is_escaped, value| {
            let name = text.get(key.start + 1..key.end.saturating_sub(1)).unwrap_or_default();
            if is_escaped {
                let mut plain = Vec::new();
                json::unescape_lossy(name, &mut plain);
                self.mark(&plain, text, value, &mut bits, &mut seen);
            } else {
                self.mark(name, text, value, &mut bits, &mut seen);
            }
        });
        self.entries.iter().position(|(wanted, _)| bits & wanted == *wanted)
    }

    /// Marks what this key and value are.
    #[inline]
    fn mark(&self, name: &[u8], text: &[u8], value: Value, bits: &mut u64, seen: &mut u64) {
        let Some(index) = self.members.iter().position(|member| *member.key == *name) else { return };
        let place = 1_u64 << index.min(MAX_MEMBERS - 1);
        // Of members with the same key, the first counts.
        if *seen & place != 0 {
            return;
        }
        *seen |= place;
        if let Some(member) = self.members.get(index) {
            let values = member.values.iter().filter(|(wanted, _)| wanted.is(text, value));
            *bits |= values.fold(member.any, |bits, (_, bit)| bits | bit);
        }
    }

    /// What the rule with this index does.
    pub(crate) fn action(&self, rule: usize) -> Option<&Action> {
        self.entries.get(rule).map(|(_, action)| action)
    }

    /// The message of a rule that fails documents.
    pub(crate) fn message(&self, rule: usize) -> &str {
        match self.action(rule) {
            Some(Action::Fail(message)) => message,
            _ => "",
        }
    }

    /// The path of a rule that unwraps documents.
    pub(crate) fn path(&self, rule: usize) -> &str {
        match self.action(rule) {
            Some(Action::Unwrap(unwrap)) => &unwrap.text,
            _ => "$",
        }
    }

    /// The reason of a rule that drops documents.
    pub(crate) fn reason(&self, rule: usize) -> &str {
        match self.action(rule) {
            Some(Action::Drop(reason)) => reason,
            _ => "",
        }
    }
}

impl Scalar {
    fn is(&self, text: &[u8], value: Value) -> bool {
        match (self, value.string(text)) {
            (Self::Text(wanted), Some(inner)) => {
                if !inner.contains(&b'\\') {
                    return *inner == *wanted.as_bytes();
                }
                let mut plain = Vec::new();
                json::unescape(inner, &mut plain).is_ok() && plain == wanted.as_bytes()
            }
            (Self::Bool(wanted), None) => value.text(text) == wanted.to_string().as_bytes(),
            (Self::Number(wanted), None) => value.text(text) == wanted.to_string().as_bytes(),
            _ => false,
        }
    }
}

/// The action of a rule. Reports what is wrong with it.
fn action(at: &str, rule: &Rule, ports: &mut Vec<String>, setup: &mut Setup<'_>) -> Option<Action> {
    let of = [rule.unwrap.is_some(), rule.drop.is_some(), rule.port.is_some(), rule.fail.is_some()];
    let is_one = match of {
        // The values of `unwrap` may leave on a port.
        [true, false, _, false] => true,
        of => of.into_iter().filter(|given| *given).count() == 1,
    };
    if !is_one {
        setup.error(at, "a rule has one of `unwrap` (also with `port`), `drop`, `port` and `fail`");
    }
    if rule.decode.is_some() && rule.unwrap.is_none() {
        setup.error(format!("{at}.decode"), "`decode` belongs to `unwrap`");
    }
    let port = rule.port.as_ref().and_then(|name| port(&format!("{at}.port"), name, ports, setup));
    if let Some(text) = &rule.unwrap {
        let (path, each) = unwrap_path(&format!("{at}.unwrap"), text, setup)?;
        return Some(Action::Unwrap(Unwrap { text: text.as_str().into(), path, each, decode: rule.decode, port }));
    }
    if let Some(reason) = &rule.drop {
        let fits = reason.starts_with(|c: char| c.is_ascii_lowercase())
            && reason.len() <= 64
            && reason.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !fits {
            let message =
                format!("bad reason `{reason}`; a reason has small letters, digits and `-`, such as `heartbeat`");
            setup.error(format!("{at}.drop"), message);
        }
        return Some(Action::Drop(reason.as_str().into()));
    }
    match (&rule.fail, port) {
        (Some(message), _) => Some(Action::Fail(message.as_str().into())),
        (None, port) => port.map(Action::Port),
    }
}

/// The path to a value or an array, and from each element to a value.
fn unwrap_path(option: &str, text: &str, setup: &mut Setup<'_>) -> Option<(Path, Option<Path>)> {
    let path = match Path::parse(text) {
        Ok(path) => path,
        Err(error) => {
            setup.error(option, error.to_string());
            return None;
        }
    };
    let owned = |segments: &[Segment]| Path::from(segments.to_vec());
    let (before, each) = match path.around_each() {
        Some((before, after)) => (owned(before), Some(owned(after))),
        None => (path, None),
    };
    if before.is_root() {
        setup.error(option, format!("path `{text}` must name a member of the document, such as `detail`"));
        return None;
    }
    Some((before, each))
}

/// The index of a port, which is added if it is new.
fn port(option: &str, name: &str, ports: &mut Vec<String>, setup: &mut Setup<'_>) -> Option<u8> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !fits {
        setup.error(option, format!("bad name `{name}`; a name is a letter and then letters, digits, `_` and `-`"));
        return None;
    }
    if matches!(name, "out" | "broken" | "failed") {
        setup.error(option, format!("the port `{name}` has another meaning; choose another name"));
        return None;
    }
    let index = ports.iter().position(|known| known == name).unwrap_or(ports.len());
    if index == ports.len() {
        ports.push(name.to_owned());
    }
    let index = u8::try_from(index).ok();
    if index.is_none() {
        setup.error(option, "more than 255 ports are too many");
    }
    index
}
