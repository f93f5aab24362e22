//! What the bytes of an object are: encoded events one after the other, or a Parquet file.

use std::io;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_json::Kind;
use wattle_options::OptionErrors;
use wattle_parquet::{Compression as PageCompression, Misfits, Preset, PushError, Schema, Writer, WriterOptions};

use crate::batcher::RequestBatch;
use crate::compress::Compression;
use crate::encode::{Codec, Encoding, EncodingOptions};

/// Compression of objects, as options have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CompressionOption {
    /// No compression.
    None,
    /// Gzip, at the default level. Not with codec `parquet`.
    Gzip,
    /// Zstandard, at the default level.
    Zstd,
    /// Snappy: faster than Zstandard and larger. Only with codec `parquet`.
    Snappy,
}

/// How an object is made of its events.
#[derive(Clone, Debug)]
pub(super) enum Format {
    /// The encoded events, one after the other, compressed as a whole.
    Events { codec: Codec, compression: Compression },
    /// A Parquet file with a row for each event.
    Parquet {
        schema: Schema,
        compression: PageCompression,
        /// Whether rows are records of CloudTrail, which can be in the member `Record` of an event.
        is_cloudtrail: bool,
    },
}

/// An object that was made.
#[derive(Debug)]
pub(super) struct Body {
    /// Its bytes; `None` if all events were refused.
    pub(super) bytes: Option<Bytes>,
    /// Events that are not in the object.
    pub(super) refused: RequestBatch,
    /// Why, each for so many of the refused events.
    pub(super) reasons: Vec<(usize, String)>,
    /// Values that are not in their column.
    pub(super) misfits: Vec<Misfits>,
}

impl Format {
    /// The format and the encoding of events for it. Adds what is wrong to the errors.
    pub(super) fn check(
        options: &EncodingOptions,
        compression: Option<CompressionOption>,
        errors: &mut OptionErrors,
    ) -> (Option<Self>, Encoding) {
        if options.codec == Codec::Parquet {
            let encoding = Encoding::of_records(options, errors);
            return (Self::parquet(options, compression, errors), encoding);
        }
        let compression = match compression {
            None | Some(CompressionOption::None) => Compression::None,
            Some(CompressionOption::Gzip) => Compression::Gzip,
            Some(CompressionOption::Zstd) => Compression::Zstd,
            Some(CompressionOption::Snappy) => {
                errors.add("compression", "`snappy` needs the codec `parquet`; write `none`, `gzip` or `zstd`");
                Compression::None
            }
        };
        let mut encoding = Encoding::new(options, errors);
        encoding.ends = true;
        (Some(Self::Events { codec: options.codec, compression }), encoding)
    }

    fn parquet(
        options: &EncodingOptions,
        compression: Option<CompressionOption>,
        errors: &mut OptionErrors,
    ) -> Option<Self> {
        let compression = match compression {
            None | Some(CompressionOption::Zstd) => PageCompression::Zstd,
            Some(CompressionOption::Snappy) => PageCompression::Snappy,
            Some(CompressionOption::None) => PageCompression::None,
            Some(CompressionOption::Gzip) => {
                errors.add("compression", "Parquet files cannot have `gzip` here; write `zstd`, `snappy` or `none`");
                PageCompression::None
            }
        };
        let Some(schema) = &options.schema else {
            errors.add(
                "encoding.schema",
                "the codec `parquet` needs columns; set `encoding.schema = { preset = \"cloudtrail\" }`, or `columns` in it",
            );
            return None;
        };
        let is_cloudtrail = schema.preset == Some(Preset::Cloudtrail);
        let schema = Schema::check(schema, "encoding.schema.", errors)?;
        Some(Self::Parquet { schema, compression, is_cloudtrail })
    }

    /// The extension of keys, with its dot.
    pub(super) fn extension(&self) -> String {
        let (codec, compression) = match self {
            Self::Parquet { .. } => return ".parquet".to_owned(),
            Self::Events { codec, compression } => (codec, compression),
        };
        let format = if *codec == Codec::Text { "log" } else { "ndjson" };
        match compression {
            Compression::None => format!(".{format}"),
            Compression::Gzip => format!(".{format}.gz"),
            Compression::Zstd => format!(".{format}.zst"),
        }
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => "application/vnd.apache.parquet",
            Self::Events { codec: Codec::Text, .. } => "text/x-log",
            Self::Events { .. } => "application/x-ndjson",
        }
    }

    pub(super) fn content_encoding(&self) -> Option<&'static str> {
        match self {
            // The pages in the file are compressed, not the file.
            Self::Parquet { .. } | Self::Events { compression: Compression::None, .. } => None,
            Self::Events { compression: Compression::Gzip, .. } => Some("gzip"),
            Self::Events { compression: Compression::Zstd, .. } => Some("zstd"),
        }
    }

    /// Whether values that fit no column are lost.
    pub(super) fn loses_values(&self) -> bool {
        matches!(self, Self::Parquet { schema, .. } if !schema.keeps_record())
    }

    /// Makes an object. Takes the events that cannot be in it out of the batch. This takes milliseconds up to a second.
    ///
    /// # Errors
    ///
    /// The object cannot be encoded or compressed.
    pub(super) fn body(&self, events: &mut RequestBatch) -> io::Result<Body> {
        let bytes = match self {
            Self::Parquet { schema, compression, is_cloudtrail } => {
                return parquet(schema, *compression, *is_cloudtrail, events);
            }
            // Copies nothing if all events came together.
            Self::Events { compression: Compression::None, .. } => events.concatenated(),
            Self::Events { compression, .. } => compression.compress(events.events()).map(Bytes::from)?,
        };
        Ok(Body { bytes: Some(bytes), refused: RequestBatch::default(), reasons: Vec::new(), misfits: Vec::new() })
    }
}

/// The record of CloudTrail in an event: the event itself, or its only member `Record`, as the pack `cloudtrail` makes it.
fn record_of(event: &[u8]) -> &[u8] {
    let inner = event.trim_ascii().strip_prefix(b"{\"Record\":").and_then(|rest| rest.strip_suffix(b"}"));
    let Some(inner) = inner.map(<[u8]>::trim_ascii) else { return event };
    match wattle_json::skip(inner, 0) {
        Ok(value) if value.kind == Kind::Object && value.end == inner.len() => inner,
        // Another member follows, or it is no record.
        _ => event,
    }
}

fn parquet(
    schema: &Schema,
    compression: PageCompression,
    is_cloudtrail: bool,
    events: &mut RequestBatch,
) -> io::Result<Body> {
    let options = WriterOptions { compression, ..WriterOptions::default() };
    let mut writer = Writer::new(schema, options).map_err(io::Error::other)?;
    let mut reasons: Vec<(usize, String)> = Vec::new();
    let refused = events.take_out(|event| match writer.push(if is_cloudtrail { record_of(event) } else { event }) {
        Ok(_) => Ok(false),
        Err(error @ PushError::Encode(_)) => Err(io::Error::other(error)),
        Err(error) => {
            let reason = error.to_string();
            match reasons.last_mut() {
                Some((count, last)) if *last == reason => *count += 1,
                _ => reasons.push((1, reason)),
            }
            Ok(true)
        }
    })?;
    let file = writer.finish().map_err(io::Error::other)?;
    let bytes = (file.rows > 0).then(|| file.bytes.into());
    Ok(Body { bytes, refused, reasons, misfits: file.misfits })
}

#[cfg(test)]
mod tests {
    use wattle_batch::Disposition::{Delivered, Rejected};

    use super::*;
    use crate::compress::decompress;
    use crate::testing::Rig;

    fn batch(rig: &Rig, payloads: &[&[&str]]) -> RequestBatch {
        let mut events = RequestBatch::default();
        for texts in payloads {
            let mut payload = rig.payload(None, &texts.concat(), texts.len());
            let mut end = 0;
            payload.ends.extend(texts.iter().map(|text| {
                end += text.len();
                end
            }));
            events.append(RequestBatch::of(payload));
        }
        events
    }

    #[test]
    fn a_record_is_the_event_or_its_only_member_record() {
        for (event, expected) in [
            ("{\"Record\":{\"a\":1}}", "{\"a\":1}"),
            (" {\"Record\": {\"a\":{\"b\":[1]}} }\n", "{\"a\":{\"b\":[1]}}"),
            ("{\"eventName\":\"X\"}", "{\"eventName\":\"X\"}"),
            ("{\"Record\":{\"a\":1},\"b\":2}", "{\"Record\":{\"a\":1},\"b\":2}"),
            ("{\"Record\":{\"a\":1},\"b\":{}}", "{\"Record\":{\"a\":1},\"b\":{}}"),
            ("{\"Record\":\"text\"}", "{\"Record\":\"text\"}"),
            ("{\"Record\":{\"a\":1}", "{\"Record\":{\"a\":1}"),
            ("{\"Record\":}", "{\"Record\":}"),
            ("", ""),
        ] {
            assert_eq!(record_of(event.as_bytes()), expected.as_bytes(), "{event}");
        }
    }

    fn texts(events: &RequestBatch) -> Vec<&str> {
        events.events().map(|event| std::str::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn bodies_are_the_events_one_after_the_other() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut events = batch(&Rig::new(), &[&["a\n"], &["b\n", ""]]);
            let body = Format::Events { codec: Codec::Text, compression }.body(&mut events).unwrap();
            assert_eq!(decompress(compression, &body.bytes.unwrap()).unwrap(), b"a\nb\n");
            assert_eq!((events.len(), body.refused.len()), (3, 0));
        }
    }

    #[test]
    fn events_that_are_no_rows_are_taken_out_and_the_others_keep_their_order() {
        let schema = r#"{"columns":[{"name":"n","type":"int","required":true},{"name":"m","type":"int"}]}"#;
        let schema = Schema::new(&serde_json::from_str(schema).unwrap()).unwrap();
        let format = Format::Parquet { schema, compression: PageCompression::None, is_cloudtrail: false };
        assert!(format.loses_values());
        let rig = Rig::new();
        let (bad, good): (&[_], &[_]) = (&["[]", "x"], &[r#"{"n":5}"#]);
        let mixed: &[_] = &[r#"{"n":1,"m":"no"}"#, "{}", "{}", r#"{"n":2}"#, "", r#"{"n":3}"#];
        let mut events = batch(&rig, &[bad, mixed, good]);
        let body = format.body(&mut events).unwrap();
        assert_eq!(texts(&events), [r#"{"n":1,"m":"no"}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":5}"#]);
        assert_eq!(texts(&body.refused), ["[]", "x", "{}", "{}", ""]);
        let reasons: Vec<_> = body.reasons.iter().map(|(count, reason)| (*count, reason.as_str())).collect();
        assert_eq!(reasons.iter().map(|(count, _)| count).sum::<usize>(), 5);
        assert!(reasons[0].1.contains("must be an object") && reasons[1].1.contains("not JSON"), "{reasons:?}");
        assert!(reasons[2].0 == 2 && reasons[2].1.contains("`n`"), "{reasons:?}");
        assert_eq!(body.misfits, [Misfits { column: "m".to_owned(), values: 1 }]);
        assert!(body.bytes.unwrap().starts_with(b"PAR1"));
        // The payload with both kinds ends when both did.
        body.refused.into_acks().for_each(|(ack, events)| ack.reject(events));
        assert_eq!(rig.acks(), [Rejected]);
        events.into_acks().for_each(|(ack, _)| ack.deliver());
        assert_eq!(rig.acks(), [Rejected, Rejected, Delivered]);
    }

    #[test]
    fn without_rows_there_is_no_object() {
        let schema = r#"{"preset":"cloudtrail"}"#;
        let schema = Schema::new(&serde_json::from_str(schema).unwrap()).unwrap();
        let format = Format::Parquet { schema, compression: PageCompression::Zstd, is_cloudtrail: false };
        assert!(!format.loses_values());
        let mut events = batch(&Rig::new(), &[&["a", "b"], &["c"]]);
        let body = format.body(&mut events).unwrap();
        assert!(body.bytes.is_none() && events.len() == 0);
        assert_eq!((body.refused.len(), body.reasons.len()), (3, 1), "equal reasons are one");
    }
}
