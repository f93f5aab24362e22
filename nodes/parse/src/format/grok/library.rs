//! The patterns that can be named: those of the options, and the public set of Logstash.

use std::collections::BTreeMap;

use wattle_matcher::{Definition, Names};

/// The files of the set, see `patterns/README.md`.
const FILES: [&str; 15] = [
    include_str!("../../../patterns/grok.pattern"),
    include_str!("../../../patterns/httpd.pattern"),
    include_str!("../../../patterns/linux-syslog.pattern"),
    include_str!("../../../patterns/aws.pattern"),
    include_str!("../../../patterns/haproxy.pattern"),
    include_str!("../../../patterns/java.pattern"),
    include_str!("../../../patterns/redis.pattern"),
    include_str!("../../../patterns/postgresql.pattern"),
    include_str!("../../../patterns/mongodb.pattern"),
    include_str!("../../../patterns/firewalls.pattern"),
    include_str!("../../../patterns/squid.pattern"),
    include_str!("../../../patterns/bind.pattern"),
    include_str!("../../../patterns/exim.pattern"),
    include_str!("../../../patterns/junos.pattern"),
    include_str!("../../../patterns/ruby.pattern"),
];

/// Names and definitions of the public set.
fn public() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = FILES.iter().flat_map(|file| file.lines());
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// All patterns that can be named.
pub(super) struct Library<'o> {
    custom: &'o BTreeMap<String, String>,
    public: BTreeMap<&'static str, &'static str>,
}

impl<'o> Library<'o> {
    pub(super) fn new(custom: &'o BTreeMap<String, String>) -> Self {
        Self { custom, public: public().collect() }
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.public.keys().copied()
    }
}

impl Names for Library<'_> {
    /// Custom patterns replace public ones, also where public ones refer to them.
    fn get(&self, name: &str) -> Option<Definition<'_>> {
        if let Some(text) = self.custom.get(name) {
            return Some(Definition { text, is_custom: true });
        }
        self.public.get(name).map(|text| Definition { text, is_custom: false })
    }

    fn closest(&self, name: &str) -> Option<&str> {
        wattle_suggest::closest(name, self.custom.keys().map(String::as_str).chain(self.public.keys().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_defined_once_and_every_reference_is_known() {
        let none = BTreeMap::new();
        let library = Library::new(&none);
        assert_eq!(public().count(), library.names().count());
        assert!(library.names().count() > 190, "{}", library.names().count());
        for (name, text) in public() {
            for reference in text.split("%{").skip(1) {
                let reference = reference.split([':', '}']).next().unwrap();
                assert!(library.get(reference).is_some(), "{name} refers to {reference}");
            }
        }
    }

    #[test]
    fn a_misspelt_name_has_a_suggestion_and_a_strange_one_has_none() {
        let none = BTreeMap::new();
        let library = Library::new(&none);
        assert_eq!(library.closest("IPORHOSTS"), Some("IPORHOST"));
        assert_eq!(library.closest("greedydata"), Some("GREEDYDATA"));
        assert_eq!(library.closest("XQZWVUTS"), None);
    }
}
