//! Which shard gets a row.
//!
//! Nodes group rows by their own keys: `throttle` by the texts of fields, whatever their kind,
//! `aggregate` by their JSON without white space. A node must find all rows of a group on one shard,
//! so the text that decides here is never finer than any of those: a missing value and `null` are the
//! same, a string is its unescaped text, and what looks like an object or an array has no white space.
//! Different keys may share a shard.

use std::borrow::Cow;

use bytes::Bytes;
use twox_hash::XxHash64;
use wattle_batch::{Batch, FieldPath, Form};
use wattle_json::Kind;

/// The shard of each row of a batch, of this number of shards.
pub(super) fn places(batch: &Batch, key: &[FieldPath], shards: usize) -> Vec<usize> {
    let columns: Vec<(Bytes, Vec<u32>, Vec<u8>)> = key.iter().map(|path| batch.read(path, Form::Text)).collect();
    let shards = shards.max(1) as u64;
    let mut key = Vec::new();
    let mut place = |row: usize| {
        key.clear();
        for (bytes, offsets, kinds) in &columns {
            let at = |index: usize| offsets.get(index).map_or(0, |&offset| offset as usize);
            let text = bytes.get(at(row)..at(row + 1)).unwrap_or_default();
            let text = canonical(text, kinds.get(row).copied().and_then(Kind::from_u8).unwrap_or_default());
            key.extend_from_slice(&(text.len() as u64).to_le_bytes());
            key.extend_from_slice(&text);
        }
        // The same on every machine and in every run, because state on disk depends on it.
        usize::try_from(XxHash64::oneshot(0, &key) % shards).unwrap_or(0)
    };
    (0..batch.rows()).map(&mut place).collect()
}

/// The part of a value that decides about its shard.
fn canonical(text: &[u8], kind: Kind) -> Cow<'_, [u8]> {
    match (kind, text.first()) {
        (Kind::Missing | Kind::Null, _) => Cow::Borrowed(&[]),
        // Also in a string: for nodes that go by the text alone, it is the same key as the object.
        (_, Some(b'{' | b'[')) => {
            let mut out = Vec::new();
            wattle_json::minify(text, &mut out);
            Cow::Owned(out)
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use wattle_batch::{Ack, Column, Origin};

    use super::*;

    const SHARDS: usize = 1 << 20;

    fn batch(bodies: &[String]) -> Batch {
        let origin = Origin { source: "test".into(), resource: "{}".into(), observed: 0 };
        Batch::new(Column::from_rows(bodies).unwrap(), Arc::new(origin), Ack::none())
    }

    /// The keys of a value for the nodes that group by it, as `nodes/keyed`, `nodes/aggregate` and
    /// `nodes/pattern` compute them.
    fn groups(text: &[u8], kind: Kind) -> [Vec<u8>; 3] {
        let is_there = kind > Kind::Null;
        let keyed = if is_there { [b"+", text].concat() } else { Vec::new() };
        let mut aggregate = Vec::new();
        match kind {
            Kind::String => wattle_json::escape(&[b"\"", text].concat(), &mut aggregate),
            Kind::Array | Kind::Object => wattle_json::minify(text, &mut aggregate),
            Kind::Missing | Kind::Null => aggregate.extend_from_slice(b"null"),
            Kind::Bool | Kind::Number => aggregate.extend_from_slice(text),
        }
        [keyed, aggregate, if is_there { text.to_vec() } else { Vec::new() }]
    }

    /// The JSON value of a field; `None` for a row without it.
    fn value() -> impl Strategy<Value = Option<String>> {
        let space = || "[ \n]{0,2}";
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1".to_owned()),
            Just("1.0".to_owned()),
            Just(r#""""#.to_owned()),
            Just(r#""a""#.to_owned()),
            Just(r#""\u0061""#.to_owned()),
            Just(r#""a b""#.to_owned()),
            Just(r#""null""#.to_owned()),
            Just(r#""1""#.to_owned()),
        ];
        let tree = leaf.prop_recursive(2, 6, 2, move |inner| {
            prop_oneof![
                (inner.clone(), space(), space()).prop_map(|(v, a, b)| format!("[{a}{v}{b}]")),
                (inner, space(), space()).prop_map(|(v, a, b)| format!("{{\"x\"{a}:{b}{v}}}")),
            ]
        });
        let quoted = |value: String| {
            let mut out = vec![b'"'];
            wattle_json::escape(value.as_bytes(), &mut out);
            out.push(b'"');
            String::from_utf8(out).unwrap()
        };
        prop_oneof![Just(None), tree.clone().prop_map(Some), tree.prop_map(move |value| Some(quoted(value)))]
    }

    proptest! {
        #[test]
        fn rows_of_one_group_are_on_one_shard(values in prop::collection::vec([value(), value()], 2..40)) {
            let bodies: Vec<String> = values
                .iter()
                .map(|both| {
                    let members: Vec<String> = ["k", "l"]
                        .iter()
                        .zip(both)
                        .filter_map(|(name, value)| Some(format!("\"{name}\":{}", value.as_ref()?)))
                        .collect();
                    format!("{{{}}}", members.join(","))
                })
                .collect();
            let batch = batch(&bodies);
            let paths = ["body.k", "body.l"].map(|path| FieldPath::parse(path).unwrap());
            for key in [&paths[..1], &paths[..]] {
                let columns: Vec<_> = key.iter().map(|path| batch.read(path, Form::Text)).collect();
                let mut seen = BTreeMap::new();
                for (row, place) in places(&batch, key, SHARDS).into_iter().enumerate() {
                    let parts: Vec<_> = columns
                        .iter()
                        .map(|(bytes, offsets, kinds)| {
                            let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                            groups(text, Kind::from_u8(kinds[row]).unwrap())
                        })
                        .collect();
                    for node in 0..3 {
                        let group: Vec<_> = parts.iter().map(|part| part[node].clone()).collect();
                        let first = *seen.entry((node, group)).or_insert((row, place));
                        prop_assert_eq!(first.1, place, "{} and {}", &bodies[first.0], &bodies[row]);
                    }
                }
            }
        }
    }

    #[test]
    fn shards_never_change() {
        let bodies = [r#"{"k":"a"}"#, r#"{"k":"a b"}"#, r#"{"k":12}"#, r#"{"k":[1, 2]}"#, "{}"].map(str::to_owned);
        let places = places(&batch(&bodies), &[FieldPath::parse("body.k").unwrap()], 256);
        assert_eq!(places, [195, 9, 235, 225, 187]);
    }
}
