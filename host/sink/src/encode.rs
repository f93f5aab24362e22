//! Encodes batches: which part of an event is written, and how events are separated.

mod fields;
mod pretty;
mod template;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_batch::{Batch, MAX_JSON_DEPTH};
use wattle_options::{Flag, OptionErrors};

use self::fields::{Fields, Selection};
pub(crate) use self::template::{Rendering, Template};
use crate::sink::{Encoder, Payload};

/// Options `encoding` of a sink: how it writes an event.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EncodingOptions {
    /// Which part of an event is written. Default: `json`.
    pub(crate) codec: Codec,
    /// What follows each event. Default: `newline`.
    pub(crate) framing: Option<Framing>,
    /// With codec `text`: writes a body that is valid JSON with line breaks on one line, without
    /// white space outside strings, so that every line of the output is one event. Default: `true`
    /// if `framing` is `newline`, and for `http`.
    pub(crate) minify: Option<Flag>,
    /// With codec `json` or `ndjson`: writes only these fields, in this order, such as
    /// `["timestamp", "attributes.user"]`. Paths begin with a key of the event, such as `timestamp`,
    /// `severity`, `body`, `attributes` or `resource`; with `ndjson`, with a key of the body, and a
    /// body that is no JSON object becomes `{}`. For one that is not UTF-8, list `body_base64`.
    /// Default: all fields.
    pub(crate) only_fields: Option<Vec<String>>,
    /// With codec `json` or `ndjson`: writes all fields but these. `*` in a key stands for any
    /// text, such as `attributes.debug_*`. Default: none.
    pub(crate) except_fields: Option<Vec<String>>,
    /// With codec `text`: writes this text instead of the body, with the values of the fields that
    /// it names in braces, such as `{{ timestamp }} {{ attributes.user }}: {{ body }}`. A field that
    /// an event lacks or that is `null` is empty. Default: none.
    pub(crate) template: Option<String>,
    /// With codec `parquet`, which needs it: the columns of the files, such as
    /// `{ preset = "cloudtrail" }` or `{ columns = [{ name = "user", type = "string" }] }`. With both,
    /// the columns of the preset come first.
    #[cfg(feature = "aws")]
    pub(crate) schema: Option<wattle_parquet::SchemaOptions>,
}

/// An event that the codec `json` has encoded, as the codec `pretty` writes it: lines, each with its line break. All
/// control characters of the event are escaped.
pub fn pretty_event(event: &[u8], color: bool) -> String {
    let mut out = Vec::new();
    pretty::write(event, color, &mut out);
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Which part of an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    /// The whole event as JSON on one line, with all of its roots and the reason if it failed.
    #[default]
    Json,
    /// The body only, byte for byte, unless `minify` applies.
    Text,
    /// The body as one JSON value on one line. A body that is valid JSON stays byte for byte; if it
    /// has line breaks, white space outside strings is removed. Other text becomes a JSON string,
    /// and bytes that are not UTF-8 become `{"body_base64":"..."}`.
    Ndjson,
    /// The event as a block of lines for people, for debugging: time, severity and source, the body
    /// with JSON indented, attributes and resource as aligned keys and values. Control characters are
    /// escaped. `only_fields` and `except_fields` apply as with `json`. A terminal shows it in color,
    /// unless the environment variable `NO_COLOR` is set.
    Pretty,
    /// The body, which must be a JSON object, as a row of a Parquet file with the columns of
    /// `schema`.
    Parquet,
}

/// What follows each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// A line feed.
    #[default]
    Newline,
    /// Nothing.
    None,
}

/// How a sink writes events.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    pub(crate) codec: Codec,
    pub(crate) framing: Framing,
    /// Writes bodies that are JSON on one line.
    pub(crate) minify: bool,
    /// Writes every body as the codec `ndjson` does, see [`write_value`].
    pub(crate) values: bool,
    /// Records where each event ends, for sinks that split payloads.
    pub(crate) ends: bool,
    /// Colors for a terminal; only with the codec `pretty`.
    pub(crate) color: bool,
    /// What is written instead of the whole event or body.
    part: Option<Arc<Part>>,
}

/// A part of an event, or a text with its fields.
#[derive(Debug)]
enum Part {
    Fields(Fields),
    Template(Template),
}

impl Encoding {
    /// The encoding of the options, for sinks that do not split payloads and write no Parquet files,
    /// and whose output programs read. Adds what is wrong to the errors.
    pub(crate) fn new(options: &EncodingOptions, errors: &mut OptionErrors) -> Self {
        if options.codec == Codec::Pretty {
            errors.add(
                "encoding.codec",
                "`pretty` is for people, and only the sinks `console` and `file` have it; write `json`, `text` or \
                 `ndjson`",
            );
        }
        Self::for_people(options, errors)
    }

    /// Does as [`new`](Self::new), for sinks whose output people read as well.
    pub(crate) fn for_people(options: &EncodingOptions, errors: &mut OptionErrors) -> Self {
        if options.codec == Codec::Parquet {
            errors.add(
                "encoding.codec",
                "only the sink `aws_s3` has the codec `parquet`; write `json`, `text` or `ndjson`",
            );
        }
        #[cfg(feature = "aws")]
        if options.schema.is_some() {
            errors.add("encoding.schema", "needs the codec `parquet` of the sink `aws_s3`; remove it");
        }
        if options.codec == Codec::Pretty && options.minify.is_some() {
            errors.add("encoding.minify", "has no effect with the codec `pretty`, which indents JSON; remove it");
        }
        let framing = options.framing.unwrap_or_default();
        Self {
            codec: options.codec,
            framing,
            minify: options.minify.map_or(framing == Framing::Newline, |minify| minify.0),
            values: false,
            ends: false,
            color: false,
            part: part(options, errors).map(Arc::new),
        }
    }

    /// The encoding for Parquet files: bodies as they are, and where each of them ends. Adds an error
    /// for each option that has no effect then.
    #[cfg(feature = "aws")]
    pub(crate) fn of_records(options: &EncodingOptions, errors: &mut OptionErrors) -> Self {
        for (name, is_set) in [
            ("framing", options.framing.is_some()),
            ("minify", options.minify.is_some()),
            ("only_fields", options.only_fields.is_some()),
            ("except_fields", options.except_fields.is_some()),
            ("template", options.template.is_some()),
        ] {
            if is_set {
                errors.add(&format!("encoding.{name}"), "has no effect with the codec `parquet`; remove it");
            }
        }
        let (codec, framing) = (Codec::Parquet, Framing::None);
        Self { codec, framing, minify: false, values: false, ends: true, color: false, part: None }
    }

    /// The encoding of events as JSON values on one line, between which the sink writes what it needs.
    pub(crate) fn of_values(options: &EncodingOptions, errors: &mut OptionErrors) -> Self {
        if options.framing.is_some() {
            errors.add("encoding.framing", "is not an option of this sink; remove it");
        }
        Self { framing: Framing::None, values: true, ends: true, ..Self::new(options, errors) }
    }

    /// Prepares writing the events of a batch.
    pub(crate) fn bind<'a>(&'a self, batch: &'a Batch) -> Events<'a> {
        let part = self.part.as_deref().map(|part| match part {
            Part::Fields(fields) => Bound::Fields(Box::new(fields.bind())),
            Part::Template(template) => Bound::Template(template.bind(batch)),
        });
        Events { encoding: self, batch, part, memory: Vec::new(), selected: Vec::new() }
    }

    #[inline]
    fn write_frame(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Newline {
            out.push(b'\n');
        }
    }

    #[inline]
    fn write_body(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        let body = batch.body().row(row);
        if self.values || self.codec == Codec::Ndjson {
            // The batch has this result already if a node checked the bodies, as `parse` does.
            let is_json = batch.body_kinds().get(row).is_some_and(|&kind| kind != 0);
            write_value(body, is_json, out);
        } else if self.minify {
            write_line(body, out);
        } else {
            out.extend_from_slice(body);
        }
    }

    /// Encodes every event of a batch. Returns the bytes and, if `ends` is set, the ends of the
    /// events.
    fn write_all(&self, batch: &Batch) -> (Vec<u8>, Vec<usize>) {
        let rows = batch.rows();
        // An estimate of escapes and other fields around the body; rarely too small.
        let spare =
            if matches!(self.codec, Codec::Json | Codec::Pretty) { batch.byte_len() / 4 + 256 * rows } else { rows };
        let mut out = Vec::with_capacity(batch.byte_len() + spare);
        let mut ends = Vec::with_capacity(if self.ends { rows } else { 0 });
        let mut events = self.bind(batch);
        for row in 0..rows {
            events.write(row, &mut out);
            if self.ends {
                ends.push(out.len());
            }
        }
        (out, ends)
    }
}

/// The JSON schema of options of a sink whose output people read as well.
pub(crate) fn schema_for_people<T: JsonSchema>() -> Value {
    let mut schema = wattle_options::schema_of::<T>();
    remove_parquet(&mut schema);
    schema
}

/// The JSON schema of options of a sink that writes no Parquet files and has no codec for people.
pub(crate) fn schema_without_parquet<T: JsonSchema>() -> Value {
    let mut schema = schema_for_people::<T>();
    remove_codec(&mut schema, "pretty");
    schema
}

/// The JSON schema of options of a sink that has all codecs but the one for people.
#[cfg(feature = "aws")]
pub(crate) fn schema_with_parquet<T: JsonSchema>() -> Value {
    let mut schema = wattle_options::schema_of::<T>();
    remove_codec(&mut schema, "pretty");
    schema
}

fn remove_codec(schema: &mut Value, name: &str) {
    if let Some(codecs) =
        schema.pointer_mut("/properties/encoding/properties/codec/oneOf").and_then(Value::as_array_mut)
    {
        codecs.retain(|codec| codec.get("const").is_none_or(|codec| codec != name));
    }
}

/// Removes the codec `parquet`, its option, and the types of that.
fn remove_parquet(schema: &mut Value) {
    if let Some(types) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        types.retain(|name, _| !["ColumnOptions", "ElementOptions"].contains(&name.as_str()));
        if types.is_empty() {
            schema.as_object_mut().map(|schema| schema.shift_remove("$defs"));
        }
    }
    if let Some(encoding) = schema.pointer_mut("/properties/encoding/properties") {
        encoding.as_object_mut().map(|options| options.shift_remove("schema"));
    }
    remove_codec(schema, "parquet");
}

/// Reads the options for a part of an event, of which one at most can be set.
fn part(options: &EncodingOptions, errors: &mut OptionErrors) -> Option<Part> {
    let with_fields = matches!(options.codec, Codec::Json | Codec::Ndjson | Codec::Pretty);
    for (path, is_set) in [
        ("encoding.only_fields", options.only_fields.is_some()),
        ("encoding.except_fields", options.except_fields.is_some()),
    ] {
        if is_set && !with_fields {
            errors.add(path, "needs the codec `json` or `ndjson`; the codec `text` writes the body as it is");
        }
    }
    if options.template.is_some() && options.codec != Codec::Text {
        errors.add("encoding.template", "needs the codec `text`; set `encoding.codec = \"text\"`");
    }
    if options.only_fields.is_some() && options.except_fields.is_some() {
        errors.add("encoding.except_fields", "cannot be combined with `only_fields`; remove one of the two");
    }
    let is_event = matches!(options.codec, Codec::Json | Codec::Pretty);
    let only = options.only_fields.as_ref().map(|fields| Fields::new(Selection::Only, fields, is_event, errors));
    let except = options.except_fields.as_ref().map(|fields| Fields::new(Selection::Except, fields, is_event, errors));
    let template = options.template.as_ref().and_then(|text| errors.check("encoding.template", Template::parse(text)));
    only.or(except).map(Part::Fields).or(template.map(Part::Template))
}

/// Writes the events of one batch.
pub(crate) struct Events<'a> {
    encoding: &'a Encoding,
    batch: &'a Batch,
    part: Option<Bound<'a>>,
    memory: Vec<u8>,
    /// What `memory` has of the selected fields.
    selected: Vec<u8>,
}

/// A part of an event, prepared for one batch.
enum Bound<'a> {
    Fields(Box<fields::Bound<'a>>),
    Template(Rendering<'a>),
}

impl Events<'_> {
    /// Writes one event with its framing.
    pub(crate) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        let Self { encoding, batch, part, memory, selected } = self;
        match part {
            None if encoding.codec == Codec::Pretty => {
                memory.clear();
                batch.write_json(row, memory);
                pretty::write(memory, encoding.color, out);
            }
            None => write_whole(encoding, batch, row, out),
            Some(Bound::Fields(fields)) => {
                memory.clear();
                write_whole(encoding, batch, row, memory);
                if encoding.codec == Codec::Pretty {
                    selected.clear();
                    fields.write(memory, selected);
                    pretty::write(selected, encoding.color, out);
                } else {
                    fields.write(memory, out);
                }
            }
            Some(Bound::Template(template)) => {
                memory.clear();
                template.write(row, memory);
                if encoding.values {
                    write_value(memory, wattle_json::check(memory, MAX_JSON_DEPTH).is_ok(), out);
                } else if encoding.minify {
                    write_line(memory, out);
                } else {
                    out.extend_from_slice(memory);
                }
            }
        }
        encoding.write_frame(out);
    }
}

#[inline]
fn write_whole(encoding: &Encoding, batch: &Batch, row: usize, out: &mut Vec<u8>) {
    match encoding.codec {
        Codec::Json | Codec::Pretty => batch.write_json(row, out),
        Codec::Text | Codec::Ndjson | Codec::Parquet => encoding.write_body(batch, row, out),
    }
}

/// Writes a body that is JSON on one line, and any other body unchanged.
fn write_line(body: &[u8], out: &mut Vec<u8>) {
    // The check reads the whole body, so do it only for bodies with line breaks.
    if memchr::memchr2(b'\n', b'\r', body).is_some() && wattle_json::check(body, MAX_JSON_DEPTH).is_ok() {
        wattle_json::minify(body, out);
    } else {
        out.extend_from_slice(body);
    }
}

/// Writes a body as a JSON value on one line: JSON unchanged, text as a string, and bytes that are
/// not UTF-8 as an object with the key that the codec `json` uses for them.
pub(crate) fn write_value(body: &[u8], is_json: bool, out: &mut Vec<u8>) {
    if is_json && memchr::memchr2(b'\n', b'\r', body).is_some() {
        wattle_json::minify(body, out);
    } else if is_json {
        out.extend_from_slice(body);
    } else if std::str::from_utf8(body).is_ok() {
        out.push(b'"');
        wattle_json::escape(body, out);
        out.push(b'"');
    } else {
        out.extend_from_slice(b"{\"body_base64\":\"");
        out.extend_from_slice(STANDARD.encode(body).as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// Makes one payload of each batch.
impl Encoder for Encoding {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let events = batch.rows();
        let (bytes, ends) = self.write_all(&batch);
        let ack = batch.into_ack();
        if events == 0 {
            ack.deliver();
            return Vec::new();
        }
        vec![Payload { key: None, bytes, events, ends, ack }]
    }
}

#[cfg(test)]
pub(crate) mod tests;
