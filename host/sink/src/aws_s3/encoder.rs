//! The half of the sink on the workers: encodes events, and chooses prefixes and names of objects.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wattle_batch::{Batch, FieldPath, Form, Root};

use super::object::short;
use super::options::ObjectPer;
use super::target::{Target, Which};
use crate::encode::Encoding;
use crate::path_template::Template;
use crate::sink::{Encoder, Payload};
use crate::sorting::{Group, groups};

/// Maximum bytes of the name of the source's object in the name of an object.
const MAX_STEM_BYTES: usize = 80;

/// Extensions that say how the source's object was written.
const EXTENSIONS: [&str; 9] = [".gz", ".zst", ".json", ".ndjson", ".jsonl", ".log", ".txt", ".csv", ".zstd"];

/// Makes a payload of the events of each prefix.
pub(super) struct ObjectEncoder {
    pub(super) encoding: Encoding,
    pub(super) template: Template,
    pub(super) object_per: ObjectPer,
}

/// What `aws_s3` sources say about the object that they read.
#[derive(Deserialize)]
struct Resource {
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    bucket: String,
    key: String,
}

/// The part of an object of a source.
struct Part {
    source: Source,
    position: u64,
}

impl Part {
    /// The part that a batch came from, if the source has objects and cuts them always in the same way.
    fn of(batch: &Batch) -> Option<Self> {
        let position = batch.position()?;
        let resource: Resource = serde_json::from_str(&batch.origin().resource).ok()?;
        Some(Self { source: resource.source, position })
    }

    /// The beginning of the hash in the name of an object.
    fn hash(&self) -> Sha256 {
        let mut hash = Sha256::new();
        for part in [self.source.bucket.as_bytes(), self.source.key.as_bytes(), &self.position.to_be_bytes()] {
            add(&mut hash, part);
        }
        hash
    }

    /// The name of an object.
    fn name(&self, hash: Sha256) -> String {
        let key = self.source.key.as_str();
        let mut stem = key.rsplit('/').next().unwrap_or(key);
        while let Some(shorter) = EXTENSIONS.iter().find_map(|extension| stem.strip_suffix(extension)) {
            stem = shorter;
        }
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.=".contains(char);
        let stem: String = stem.chars().take(MAX_STEM_BYTES).map(|c| if is_plain(c) { c } else { '_' }).collect();
        format!("{stem}-{}-{}", self.position, short(hash))
    }
}

/// Adds a text to a hash, so that it cannot run into the next one.
fn add(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

impl Encoder for ObjectEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let part = if self.object_per == ObjectPer::SourceObject { Part::of(&batch) } else { None };
        // The time of the oldest event of each group, and the hash of its events.
        let mut facts: Vec<(i64, Sha256)> = Vec::new();
        // Times of reading, which encoded events can have, are others when an object is read again.
        let attributes = part.is_some().then(|| batch.read(&FieldPath::whole(Root::Attributes), Form::Json));
        let found = groups(&self.encoding, &self.template, &batch, |group, row| {
            if group == facts.len() {
                facts.push((i64::MAX, part.as_ref().map_or_else(Sha256::new, Part::hash)));
            }
            let Some((oldest, hash)) = facts.get_mut(group) else { return };
            *oldest = batch.timestamp(row).unwrap_or(batch.origin().observed).min(*oldest);
            if let Some((bytes, offsets, _)) = &attributes {
                add(hash, batch.body().row(row));
                let (start, end) = (offsets.get(row).copied(), offsets.get(row + 1).copied());
                let range = start.unwrap_or_default() as usize..end.unwrap_or_default() as usize;
                add(hash, bytes.get(range).unwrap_or_default());
            }
        });
        let ack = batch.into_ack();
        let payload = |(group, (oldest, hash)): (Group, (i64, Sha256))| {
            let Group { path, bytes, events, ends } = group;
            let object = match &part {
                Some(part) => Which::Own { name: part.name(hash), events },
                None => Which::Shared { oldest },
            };
            let key = Target { prefix: path, object }.to_string();
            Payload { key: Some(key.into()), bytes, events, ends, ack: ack.share() }
        };
        let payloads = found.into_iter().zip(facts).map(payload).collect();
        // Each payload has its own share, so this one ends.
        ack.deliver();
        payloads
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattle_batch::{Ack, Column, Disposition, Origin};

    use super::*;
    use crate::testing::Rig;

    fn encoder(prefix: &str, object_per: ObjectPer) -> ObjectEncoder {
        let mut encoding = crate::encode::tests::read(r#"{"codec":"json"}"#).unwrap();
        encoding.ends = true;
        ObjectEncoder { encoding, template: Template::parse_prefix(prefix).unwrap(), object_per }
    }

    fn batch(key: &str, bodies: &[&str], observed: i64) -> Batch {
        let resource = format!(r#"{{"source":{{"name":"in","type":"aws_s3","bucket":"logs","key":"{key}"}}}}"#);
        let origin = Arc::new(Origin { source: "in".into(), resource: resource.into(), observed });
        Batch::new(Column::from_rows(bodies).unwrap(), origin, Ack::none())
    }

    fn targets(encoder: &ObjectEncoder, batch: Batch) -> Vec<(String, Which)> {
        let target = |payload: Payload| {
            let target = Target::parse(&payload.key.unwrap());
            (target.prefix.to_string(), target.object)
        };
        encoder.encode(batch).into_iter().map(target).collect()
    }

    #[test]
    fn payloads_have_a_prefix_the_oldest_time_and_the_end_of_every_event() {
        let rig = Rig::new();
        let mut batch = rig.batch(&[r#"{"r":"a"}"#, r#"{"r":"b"}"#, r#"{"r":"a","n":2}"#]);
        batch.set_timestamps(&[9_000_000_000, 86_400_000_000_000, 7_000_000_000]);
        let payloads = encoder("r={{ body.r }}/%F/", ObjectPer::SourceObject).encode(batch);
        let keys: Vec<_> = payloads.iter().map(|payload| payload.key.as_deref().unwrap()).collect();
        // The source of the rig has no objects.
        assert_eq!(keys, ["r=a/1970-01-01/\x007000000000", "r=b/1970-01-02/\x0086400000000000"]);
        assert_eq!(payloads[0].ends.len(), 2);
        assert_eq!(payloads[0].ends.last(), Some(&payloads[0].bytes.len()));
        payloads.into_iter().for_each(|payload| payload.ack.deliver());
        assert_eq!(rig.acks(), [Disposition::Delivered]);
    }

    #[test]
    fn names_derive_from_the_part_of_the_source_object_and_its_events() {
        let encoder = encoder("a/", ObjectPer::SourceObject);
        let name = |batch: Batch| match targets(&encoder, batch).remove(0) {
            (_, Which::Own { name, events: 2 }) => name,
            other => panic!("{other:?}"),
        };
        let rows = ["{}", "{\"a\":1}"];
        let one = name(batch("x/y z+1.json.gz", &rows, 1).at(700));
        assert!(one.starts_with("y_z_1-700-") && one.len() == "y_z_1-700-".len() + 32, "{one}");
        assert_eq!(name(batch("x/y z+1.json.gz", &rows, 2).at(700)), one, "the time of reading is not a part of it");
        let mut more = batch("x/y z+1.json.gz", &rows, 1).at(700);
        let value = Column::from_rows(["1", "1"]).unwrap();
        more.set(&FieldPath::parse("attributes.a").unwrap(), Form::Json, &value, &[]).unwrap();
        for other in [
            batch("w/y z+1.json.gz", &rows, 1).at(700),
            batch("x/y z+1.json.gz", &rows, 1).at(701),
            batch("x/y z+1.json.gz", &["{}", "{\"a\":2}"], 1).at(700),
            batch("x/y z+1.json.gz", &["{}{\"a\":1}", ""], 1).at(700),
            more,
        ] {
            assert_ne!(name(other), one);
        }
        let long = name(batch(&"ä".repeat(300), &rows, 1).at(0));
        assert!(long.len() < 130, "{long}");
    }

    #[test]
    fn without_a_position_or_with_the_other_option_objects_are_shared() {
        for (object_per, batch) in
            [(ObjectPer::SourceObject, batch("k", &["{}"], 5)), (ObjectPer::Batch, batch("k", &["{}"], 5).at(1))]
        {
            let found = targets(&encoder("", object_per), batch);
            assert_eq!(found, [(String::new(), Which::Shared { oldest: 5 })]);
        }
    }
}
