//! What a user may set.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `join`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Ready-made rules: stack traces of `java`, `javascript`, `python`, `go`, `dotnet` or `ruby`, of which several can be in a
    /// list, or `cri` or `auditd`. Default: none. Example: `["java", "python"]`.
    pub preset: Option<OneOrMany<Preset>>,
    /// An event that matches begins a joined event. Default: none; every event that does not continue another one begins one.
    /// Example: `^\d{4}-\d\d-\d\d`.
    pub start: Option<Test>,
    /// An event that matches belongs to the open joined event. Default: none; every event that does not begin another one, if
    /// `continue_after` is not set either. Example: `^\s`.
    #[serde(rename = "continue")]
    pub continues: Option<Test>,
    /// The event after one that matches belongs to the same joined event. Default: none. Example: `\\$`.
    pub continue_after: Option<Test>,
    /// An event that matches is the last one of the joined event. Default: none. Example: `;$`.
    pub end: Option<Test>,
    /// A state machine instead of the patterns above: the first rule of the current state that matches decides. Default: none.
    pub rules: Vec<Rule>,
    /// Regular expression whose first group, or else its match, is the id of events that belong together; they may be
    /// interleaved with others. An event without a match leaves unchanged. Default: none. Example: `request=(\w+)`.
    pub id: Option<String>,
    /// Field or fields: only events with the same values are joined. An event without any of them leaves unchanged.
    /// Default: `resource`, which has the source and the file. Example: `["attributes.container", "attributes.stream"]`.
    pub key: OneOrMany<String>,
    /// Field whose text is matched and joined: `body`, or a field below `body` or `attributes`. An event without it leaves
    /// unchanged. Default: `body`. Example: `attributes.message`.
    pub field: String,
    /// How the texts are joined. Default: `text`.
    #[serde(rename = "as")]
    pub form: As,
    /// Text between two joined texts, for `as = "text"`. Default: a line feed. Example: `" "`.
    pub separator: Option<String>,
    /// Time after which a joined event without a further event ends. Default: `1s`. Example: `5s`.
    pub timeout: String,
    /// Largest number of events in a joined one, at least 2. Default: 1000. Example: `200`.
    pub max_events: usize,
    /// Largest size of the joined texts. Default: `512KiB`. Example: `64KiB`.
    pub max_bytes: String,
    /// What happens to further events of a joined one that has reached `max_events` or `max_bytes`. Default: `split`.
    pub at_limit: AtLimit,
    /// Largest number of joined events that are open at the end of a batch. Default: 10000. Example: `1000`.
    pub max_open: usize,
    /// Largest size of their texts, attributes and resources. Default: `8MiB`. Example: `4MiB`.
    pub max_memory: String,
    /// Field below `attributes` for the resource of the event, since an event that the node makes has a resource of its own;
    /// empty for none. Default: `attributes.resource`. Example: `attributes.origin`.
    pub resource_field: String,
    /// Field below `attributes` for the number of events in a joined one. Default: none. Example: `attributes.lines`.
    pub count_field: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: None,
            start: None,
            continues: None,
            continue_after: None,
            end: None,
            rules: Vec::new(),
            id: None,
            key: OneOrMany::One("resource".into()),
            field: "body".into(),
            form: As::Text,
            separator: None,
            timeout: "1s".into(),
            max_events: 1000,
            max_bytes: "512KiB".into(),
            at_limit: AtLimit::Split,
            max_open: 10_000,
            max_memory: "8MiB".into(),
            resource_field: "attributes.resource".into(),
            count_field: None,
        }
    }
}

/// Ready-made rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Preset {
    /// Stack traces of Java and other languages of its virtual machine.
    Java,
    /// Stack traces of V8, as in Node.js.
    JavaScript,
    /// Tracebacks of Python, with chained exceptions and groups.
    Python,
    /// Panics of Go, with all goroutines.
    Go,
    /// Stack traces of .NET, with inner exceptions.
    DotNet,
    /// Stack traces of Ruby.
    Ruby,
    /// Lines of a container runtime, `TIME STREAM TAG MESSAGE`, with the tag `P` for parts of longer lines.
    Cri,
    /// Records of the Linux audit daemon with the same id.
    Auditd,
}

impl Preset {
    /// All presets.
    pub(crate) const ALL: [Self; 8] =
        [Self::Java, Self::JavaScript, Self::Python, Self::Go, Self::DotNet, Self::Ruby, Self::Cri, Self::Auditd];

    /// Those that can be in a list.
    pub(crate) const STACK_TRACES: [Self; 6] =
        [Self::Java, Self::JavaScript, Self::Python, Self::Go, Self::DotNet, Self::Ruby];

    /// The name in options.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Go => "go",
            Self::DotNet => "dotnet",
            Self::Ruby => "ruby",
            Self::Cri => "cri",
            Self::Auditd => "auditd",
        }
    }

    /// The names, for messages.
    pub(crate) fn list(presets: &[Self]) -> String {
        presets.iter().map(|preset| format!("`{}`", preset.name())).collect::<Vec<_>>().join(", ")
    }
}

/// A regular expression for the text of `field`, or a condition.
#[derive(Clone, Debug)]
pub enum Test {
    /// A regular expression.
    Pattern(String),
    /// A condition.
    Condition(Box<Condition>),
}

impl<'de> Deserialize<'de> for Test {
    // By hand: errors of an untagged enum do not say what is wrong in a condition.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Test;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a regular expression or a condition")
            }

            fn visit_str<E>(self, text: &str) -> Result<Test, E> {
                Ok(Test::Pattern(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Test, A::Error> {
                let condition = Condition::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Test::Condition(Box::new(condition)))
            }
        }
        from.deserialize_any(Either)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl schemars::JsonSchema for Test {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Test".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A regular expression for the text of `field`, or a condition.",
            "anyOf": [{ "type": "string" }, generator.subschema_for::<Condition>()],
        })
    }
}

/// A rule of a state machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Rule {
    /// States in which the rule applies; `start` while no joined event is open. No default. Example: `["start"]`.
    pub from: OneOrMany<String>,
    /// Regular expression for the text of `field`. No default. Example: `^Traceback`.
    pub pattern: String,
    /// State after a match; a state without rules ends the joined event. No default. Example: `trace`.
    pub to: String,
}

/// How texts are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum As {
    /// One after the other, with `separator` between them.
    Text,
    /// As elements of a JSON array: JSON texts as they are, other texts as strings.
    Array,
}

/// What happens to events beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum AtLimit {
    /// They form the next joined event.
    Split,
    /// They are dropped with the reason `too-long`.
    Cut,
}
