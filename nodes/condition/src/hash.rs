//! The hash of keys, and shares of events that are kept by it.
//!
//! XXH64, because its values are specified: an agent of another version, platform or vendor takes the same decision for
//! the same key, and so does the same agent after a restart. The hashes of hash maps (foldhash, ahash) may change with a
//! release or a process. XXH3 needs 128-bit products, which WebAssembly does not have. The crate twox-hash is tested
//! against the reference implementation and has no dependencies.

use std::hash::Hasher as _;

use serde::Deserialize;
use serde_json::Number;
use twox_hash::XxHash64;
use wattle_node::{Column, Setup};

use crate::compile::ResolveField;
use crate::options::OneOrMany;

/// The numbers of hashes, `2^64`.
const HASHES: u128 = 1 << 64;

/// Between two fields of a key; not a byte of UTF-8.
const SEPARATOR: &[u8] = &[0xff];

/// Which share of events is meant: `rate` or `ratio`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Sample {
    /// One event in this many. Default: none; either `rate` or `ratio` is needed. Example: `10`.
    pub rate: Option<u64>,
    /// This share of the events, more than 0 and at most 1. Default: none; either `rate` or `ratio` is needed. Example:
    /// `0.1`.
    pub ratio: Option<Number>,
    /// Field or fields whose values decide: the same values have the same result on every agent. Default: `field` of the
    /// condition. Example: `["attributes.host", "attributes.trace_id"]`.
    pub key: Option<OneOrMany<String>>,
    /// Selects another, independent share of the keys. Default: 0. Example: `7`.
    pub seed: u64,
}

/// A share of events: `kept` of `of`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    kept: u128,
    of: u128,
    /// The hashes below this one belong to the share.
    below: u128,
    rate: f64,
}

impl Share {
    /// Reads the options `rate` and `ratio`, of which exactly one is needed; `at` is the path of the table that contains
    /// them. Returns `None` after it reported an error to `setup`.
    pub fn new(at: &str, rate: Option<u64>, ratio: Option<&Number>, setup: &mut Setup<'_>) -> Option<Self> {
        let option = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        match (rate, ratio.map(|ratio| ratio.as_f64().unwrap_or(f64::NAN))) {
            (Some(0), None) => {
                setup.error(option("rate"), "must be at least 1; use the node `filter` to drop all events");
                None
            }
            #[expect(clippy::cast_precision_loss, reason = "a rate that is written to events; 53 bits are enough")]
            (Some(rate), None) => Some(Self::of(1, u128::from(rate), rate as f64)),
            (None, Some(1.0)) => Some(Self::of(1, 1, 1.0)),
            (None, Some(ratio)) if ratio > 0.0 && ratio < 1.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "between 0 and 2^64, and a product with a power of two is exact"
                )]
                let kept = (ratio * HASHES as f64) as u128;
                // A ratio below 2^-64 still keeps the lowest hash, so that it is not a silent `drop`.
                Some(Self::of(kept.max(1), HASHES, 1.0 / ratio))
            }
            (None, Some(_)) => {
                setup.error(option("ratio"), "must be more than 0 and at most 1, such as `0.1`");
                None
            }
            (None, None) => {
                setup.error(at, "needs `rate` (one event in so many) or `ratio` (a share of the events)");
                None
            }
            (Some(_), Some(_)) => {
                setup.error(at, "has both `rate` and `ratio`; remove one of them");
                None
            }
        }
    }

    const fn of(kept: u128, of: u128, rate: f64) -> Self {
        Self { kept, of, below: (kept * HASHES).div_ceil(of), rate }
    }

    /// How many events each kept event stands for.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the share contains the keys with this hash: the lowest hashes. A smaller share is a part of a larger one.
    pub fn has(&self, hash: u64) -> bool {
        u128::from(hash) < self.below
    }

    /// Counts one event, and whether it belongs to the share. With a `rate` of N, it is exactly every Nth event.
    pub const fn count(&self, counter: &mut Counter) -> bool {
        let sum = match counter.0 {
            Some(sum) => sum,
            // The first event that is kept is the one in the middle of the first N. If instances start often, their
            // counts are then right on average; each would keep one event too many if it kept its first.
            None => self.of / 2,
        } + self.kept;
        let keep = sum >= self.of;
        counter.0 = Some(if keep { sum - self.of } else { sum });
        keep
    }
}

/// The state of [`Share::count`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(Option<u128>);

/// The columns of a key.
#[derive(Clone, Debug)]
pub struct Key {
    columns: Vec<usize>,
    seed: u64,
}

impl Key {
    /// Resolves the fields of a key; `at` is the path of its option. Returns `None` after it reported errors to `setup`.
    pub fn new(
        at: &str,
        fields: &OneOrMany<String>,
        seed: u64,
        resolver: &mut impl ResolveField,
        setup: &mut Setup<'_>,
    ) -> Option<Self> {
        let fields = fields.named(at);
        if fields.is_empty() {
            setup.error(at, "at least one field is needed");
        }
        // Resolve all fields before the first `None` ends the collection, to report every error at once.
        let columns: Vec<_> = fields.iter().map(|(at, field)| resolver.resolve(at, field, setup)).collect();
        Some(Self { columns: columns.into_iter().collect::<Option<_>>()?, seed })
    }

    pub(crate) fn of_column(column: usize, seed: u64) -> Self {
        Self { columns: vec![column], seed }
    }

    /// The hash of the key of a row: of the texts of its fields, with the byte `0xff` between them. Returns `None` if all
    /// fields are missing or null.
    pub fn hash(&self, columns: &[Column], row: usize) -> Option<u64> {
        use wattle_node::json::Kind;
        let mut found = false;
        let mut texts = self.columns.iter().filter_map(|column| columns.get(*column)).map(|column| {
            let there = column.kind(row) > Kind::Null;
            found |= there;
            if there { column.row(row) } else { &[] }
        });
        let first = texts.next().unwrap_or_default();
        let hash = match texts.next() {
            None => XxHash64::oneshot(self.seed, first),
            Some(second) => {
                let mut hasher = XxHash64::with_seed(self.seed);
                hasher.write(first);
                for text in std::iter::once(second).chain(texts) {
                    hasher.write(SEPARATOR);
                    hasher.write(text);
                }
                hasher.finish()
            }
        };
        found.then_some(hash)
    }
}

#[cfg(test)]
mod tests;
