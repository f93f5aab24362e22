//! What a user may set.

use serde::Deserialize;
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `anomaly`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field or fields whose values are the key. No default. Example: `attributes.pattern_id`.
    pub key: OneOrMany<String>,
    /// Field with the number that an event adds to the count of its key. Default: none; each event adds 1. Example:
    /// `body.count`.
    pub count_field: Option<String>,
    /// Length of the intervals that are compared, a duration of at least 1 s that divides `period`. Default: `30m`.
    #[serde(default = "interval")]
    pub interval: String,
    /// Time after which the load repeats. Default: `1d`. Example: `7d`.
    #[serde(default = "period")]
    pub period: String,
    /// How many earlier periods are remembered, 1 to 366. Default: 28.
    #[serde(default = "periods")]
    pub periods: u32,
    /// How many intervals before and after the same time of an earlier period are compared too, 0 to 10. Default: 1.
    #[serde(default = "neighbours")]
    pub neighbours: u32,
    /// Whether Saturdays and Sundays are compared with each other, and other days with each other. Only for a period of one
    /// day. Default: `true`.
    #[serde(default = "yes")]
    pub weekends_apart: bool,
    /// Offset of local time from UTC, for the days of `weekends_apart` and of vanished keys. Default: `+00:00`. Example:
    /// `+02:00`.
    #[serde(default = "utc")]
    pub utc_offset: String,
    /// Kinds of findings. Default: all.
    #[serde(default = "kinds")]
    pub kinds: Vec<Kind>,
    /// Least score of a spike or drop, 1 to 1000. Default: 4.
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// Least ratio of the larger to the smaller of observed and expected, for a spike or drop; at least 1. Default: 1.5.
    #[serde(default = "min_ratio")]
    pub min_ratio: f64,
    /// Least difference of observed and expected, for a spike or drop. Default: 5.
    #[serde(default = "min_difference")]
    pub min_difference: u32,
    /// Least number of earlier periods that are compared, 2 to 366, at most `periods`. Default: 2.
    #[serde(default = "min_periods")]
    pub min_periods: u32,
    /// Time after the first start without findings. Default: `7d`.
    #[serde(default = "warm_up")]
    pub warm_up: String,
    /// Time without an event of a key after which it is new again. Default: `28d`.
    #[serde(default = "new_after")]
    pub new_after: String,
    /// Condition of events that announce a change, such as a deployment. Default: none. Example:
    /// `{ field = "attributes.kind", equals = "deployment" }`.
    pub changes: Option<Condition>,
    /// Time after an announced change without findings. Default: `1h`.
    #[serde(default = "quiet")]
    pub quiet: String,
    /// Time after a finding ended, in which the same kind of finding of the same key is not made again. Default: `3h`.
    #[serde(default = "cooldown")]
    pub cooldown: String,
    /// How long the node waits for events after the end of an interval. Default: `1m`.
    #[serde(default = "delay")]
    pub delay: String,
    /// Maximum number of keys, 1 to 10000; a new key replaces the one without an event for longest. Default: 1000.
    #[serde(default = "max_keys")]
    pub max_keys: u32,
    /// Maximum number of findings of an interval, those with the highest scores. Default: 100.
    #[serde(default = "max_findings")]
    pub max_findings: u32,
    /// Number of samples of a finding, 0 to 10. Default: 3.
    #[serde(default = "samples")]
    pub samples: u32,
    /// Field of the samples; their first 256 bytes are kept. Default: `body`.
    #[serde(default = "sample_field")]
    pub sample_field: String,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Kind {
    /// A key that had no event for `new_after`.
    New,
    /// A key without events where events were certain.
    Vanished,
    /// More events than at the same time of earlier periods.
    Spike,
    /// Fewer events than at the same time of earlier periods.
    Drop,
}

impl Kind {
    /// The name in options and findings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Vanished => "vanished",
            Self::Spike => "spike",
            Self::Drop => "drop",
        }
    }
}

fn interval() -> String {
    "30m".into()
}
fn period() -> String {
    "1d".into()
}
const fn periods() -> u32 {
    28
}
const fn neighbours() -> u32 {
    1
}
const fn yes() -> bool {
    true
}
fn utc() -> String {
    "+00:00".into()
}
fn kinds() -> Vec<Kind> {
    vec![Kind::New, Kind::Vanished, Kind::Spike, Kind::Drop]
}
const fn threshold() -> f64 {
    4.0
}
const fn min_ratio() -> f64 {
    1.5
}
const fn min_difference() -> u32 {
    5
}
const fn min_periods() -> u32 {
    2
}
fn warm_up() -> String {
    "7d".into()
}
fn new_after() -> String {
    "28d".into()
}
fn quiet() -> String {
    "1h".into()
}
fn cooldown() -> String {
    "3h".into()
}
fn delay() -> String {
    "1m".into()
}
const fn max_keys() -> u32 {
    1000
}
const fn max_findings() -> u32 {
    100
}
const fn samples() -> u32 {
    3
}
fn sample_field() -> String {
    "body".into()
}
