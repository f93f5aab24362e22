//! The format `regex`: named groups become keys.

use regex::bytes::{CaptureLocations, Regex};
use wattle_node::{Setup, bad_pattern};

use super::{Fault, Key, check_types};
use crate::options::Options;

/// A pattern and its named groups.
pub(crate) struct Pattern {
    regex: Regex,
    found: CaptureLocations,
    groups: Vec<(usize, Key)>,
}

impl Pattern {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let Some(pattern) = &options.pattern else {
            setup.error("pattern", "the format `regex` needs a pattern with named groups, such as `(?<name>\\w+)`");
            return None;
        };
        let regex = match Regex::new(pattern) {
            Ok(regex) => regex,
            Err(error) => {
                setup.error("pattern", bad_pattern(&error));
                return None;
            }
        };
        let names = regex.capture_names().enumerate();
        let groups: Vec<_> = names.filter_map(|(index, name)| Some((index, Key::new(name?, options)))).collect();
        if groups.is_empty() {
            setup.error("pattern", "the pattern has no named group, such as `(?<name>\\w+)`");
            return None;
        }
        let keys: Vec<Key> = groups.iter().map(|(_, key)| Key::new(&key.name, options)).collect();
        check_types(options, &keys, "group", setup);
        Some(Self { found: regex.capture_locations(), regex, groups })
    }

    pub(super) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.regex.captures_read(&mut self.found, text).is_none() {
            return Err(Fault { code: "no-match", message: "does not match the pattern".into() });
        }
        out.push(b'{');
        let mut first = true;
        for (index, key) in &self.groups {
            // A group that is not part of the match gives no key.
            let Some(value) = self.found.get(*index).and_then(|(start, end)| text.get(start..end)) else { continue };
            key.write(value, std::mem::take(&mut first), out)?;
        }
        out.push(b'}');
        Ok(())
    }
}
