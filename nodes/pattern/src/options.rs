//! What a user may set.

use serde::Deserialize;

/// Options of the node `pattern`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field with the text. Default: `body`. Example: `attributes.message`.
    pub field: String,
    /// Field for the id of the template. Empty writes none. Default: `attributes.pattern_id`.
    pub id_field: String,
    /// Field for the template. Empty writes none. Default: empty. Example: `attributes.pattern`.
    pub template_field: String,
    /// Field whose values have a tree each: events of different groups never share a pattern. Default: none; all events
    /// are one group. Example: `attributes.severity`.
    pub group: Option<String>,
    /// Maximum number of groups; a new one replaces the one unused for longest, with its patterns. Default: 256.
    pub max_groups: u32,
    /// Depth of the trees with root and leaves: the first `depth - 3` words of a text lead to its leaf. 3 to 16.
    /// Default: 5.
    pub depth: u32,
    /// Share of the words that an event and a template must have in common, from 0 to 1. Default: 0.5.
    pub similarity: f64,
    /// Maximum number of children of a node of a tree; words beyond it share one branch. At least 2. Default: 100.
    pub max_children: u32,
    /// Maximum number of patterns; a new one replaces the one unused for longest. Default: 2000.
    pub max_patterns: u32,
    /// Bytes of the masked text that count, 16 to 65536; the rest of a longer text has no effect. Default: 1024.
    pub max_bytes: u32,
    /// Built-in masks. Default: all.
    pub masks: Vec<Mask>,
    /// Custom masks, applied before the built-in ones. Default: none. Example:
    /// `[{ name = "block", regex = "blk_-?[0-9]+" }]`.
    pub custom_masks: Vec<CustomMask>,
    /// ASCII characters that separate words, in addition to white space; templates have a space there. Default: none. Example:
    /// `=,`.
    pub delimiters: String,
    /// Templates that are known from the start and never change. Default: none. Example:
    /// `[{ name = "login", template = "Accepted password for <*> from <ip> port <num> ssh<num>" }]`.
    pub templates: Vec<Template>,
    /// Whether the node finds new templates; `false` uses `templates` only. Default: `true`.
    pub learn: bool,
    /// Number of events of each group from which the node only learns: they leave without a label and are in no report of
    /// a pattern. Default: 0. Example: `10000`.
    pub warm_up: u64,
    /// Length of the intervals that reports are about, a duration of at least 1 s. `0s` makes no reports. Default: `1m`.
    pub interval: String,
    /// Whether reports have a sample: a masked text of the interval. Default: `true`.
    pub sample: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            field: "body".into(),
            id_field: "attributes.pattern_id".into(),
            template_field: String::new(),
            group: None,
            max_groups: 256,
            depth: 5,
            similarity: 0.5,
            max_children: 100,
            max_patterns: 2000,
            max_bytes: 1024,
            masks: Mask::ALL.to_vec(),
            custom_masks: Vec::new(),
            delimiters: String::new(),
            templates: Vec::new(),
            learn: true,
            warm_up: 0,
            interval: "1m".into(),
            sample: true,
        }
    }
}

/// A kind of values that become a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Mask {
    /// A UUID: `<uuid>`.
    Uuid,
    /// A date, a time of day, or both, as in ISO 8601: `<time>`.
    Time,
    /// An IPv4 or IPv6 address: `<ip>`.
    Ip,
    /// A MAC address: `<mac>`.
    Mac,
    /// Hexadecimal digits after `0x`, or at least 8 of them with a letter and a digit: `<hex>`.
    Hex,
    /// At least 16 letters and digits: `<id>`.
    Id,
    /// A number, also inside a word, with sign, groups of digits and fraction: `<num>`.
    Num,
}

impl Mask {
    /// All masks.
    pub const ALL: [Self; 7] = [Self::Uuid, Self::Time, Self::Ip, Self::Mac, Self::Hex, Self::Id, Self::Num];
}

/// A custom mask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct CustomMask {
    /// Name of lower-case letters and `-`; the placeholder is `<NAME>`. No default. Example: `block`.
    pub name: String,
    /// What becomes the placeholder. No default. Example: `blk_-?[0-9]+`.
    pub regex: String,
}

/// A template that is known from the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Template {
    /// The template, as in reports: words, placeholders of masks, and `<*>` for any one word. No default. Example:
    /// `Accepted password for <*> from <ip> port <num> ssh<num>`.
    pub template: String,
    /// Name that reports show. Default: none. Example: `login`.
    pub name: Option<String>,
}
