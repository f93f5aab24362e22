//! The templates of the user: they are found before all others, and never change.

use crate::options::Template;
use crate::tree::FastMap;
use crate::words::{self, Splitter, WILD, WILDCARD, Words};

/// A template of the user.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    /// The template in the form of the node's own ones.
    pub(crate) text: Box<str>,
    pub(crate) id: u64,
    pub(crate) name: Option<Box<str>>,
    words: Box<[u64]>,
}

/// The templates of the user by number of words, those with the fewest wildcards first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeds(FastMap<u64, Vec<Seed>>);

impl Seeds {
    /// Reads the templates. Errors go to `error`, with the path of the option.
    pub(crate) fn new(templates: &[Template], splitter: &Splitter, mut error: impl FnMut(String, String)) -> Self {
        let mut seeds = Self::default();
        let mut words = Words::default();
        for (number, template) in templates.iter().enumerate() {
            let at = format!("templates[{number}].template");
            let parts = template.template.split_ascii_whitespace();
            if let Some(part) = parts.into_iter().find(|part| part.contains(WILDCARD) && *part != WILDCARD) {
                let fix = "write the word as the reports of the node have it, such as `blk_<num>`, or separate its parts with \
                           `delimiters`";
                error(at, format!("`{WILDCARD}` stands for a whole word, but `{part}` has more; {fix}"));
                continue;
            }
            splitter.split(template.template.as_bytes(), &mut words);
            if words.text().is_empty() || words.is_cut() {
                error(at, "needs at least one word, and at most `max_bytes` bytes".into());
                continue;
            }
            let text: Box<str> = String::from_utf8_lossy(words.text()).into();
            let list = seeds.0.entry(words.hashes().len() as u64).or_default();
            let id = words::id(&text);
            if list.iter().any(|seed| seed.id == id) {
                error(at, format!("`{text}` is in the list twice; remove one"));
                continue;
            }
            let name = template.name.as_deref().map(Into::into);
            list.push(Seed { text, id, name, words: words.hashes().into() });
            list.sort_by_key(|seed| seed.words.iter().filter(|word| **word == WILD).count());
        }
        seeds
    }

    /// Whether there are no templates.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The template that fits a text, with the fewest wildcards; of these, the first one of the list.
    pub(crate) fn find(&self, words: &mut Words) -> Option<&Seed> {
        if self.is_empty() {
            return None;
        }
        let hashes = words.hashes();
        let fits = |seed: &&Seed| seed.words.iter().zip(hashes).all(|(seed, word)| *seed == WILD || seed == word);
        self.0.get(&(hashes.len() as u64))?.iter().find(fits)
    }

    /// The name of a template.
    pub(crate) fn name(&self, template: &str, id: u64) -> Option<&str> {
        let words = template.split(' ').count() as u64;
        self.0.get(&words)?.iter().find(|seed| seed.id == id)?.name.as_deref()
    }
}
