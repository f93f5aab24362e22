//! The sink `clickhouse`: rows to ClickHouse over HTTP, as `INSERT ... FORMAT JSONEachRow`
//! (<https://clickhouse.com/docs/interfaces/http>).
//!
//! A payload has the id and the row of each event. The key of a payload is the statement with its table, as a parameter
//! of the query, so a request has rows of one table. The token of a request is a hash of the ids of its rows: a table
//! that deduplicates ignores a request that is sent again.

mod codes;
mod options;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use wattle_batch::Batch;
use wattle_http_client::Response;
use wattle_options::OptionError;

use super::destination::{Destination, Meaning, Target};
use super::error::RequestError;
use super::options::Settings;
use super::response::Outcome;
use super::writing::{Groups, percent_encode};
use crate::batcher::RequestBatch;
use crate::encode::{Encoding, Template};
use crate::event_id::{self, EventIds};
use crate::refusal::{refusal, write_refused};
use crate::sink::{Encoder, Payload, Prepared};

/// The header with the code of an error. Its status is not reliable.
const CODE: &str = "x-clickhouse-exception-code";

/// Bytes of an id, before each row.
const ID_BYTES: usize = 22;

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |_| Arc::new(encoder))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    crate::encode::schema_without_parquet::<options::Options>()
}

/// A table, or several.
#[derive(Debug)]
struct Tables {
    /// Whether the table of an event depends on the event.
    are_many: bool,
    /// Whether requests have tokens.
    deduplicate: bool,
}

/// The row of an encoded event.
fn row_of(event: &[u8]) -> &[u8] {
    event.get(ID_BYTES..).unwrap_or_default()
}

impl Destination for Tables {
    fn is_partitioned(&self) -> bool {
        true
    }

    fn has_refusals(&self) -> bool {
        true
    }

    fn target(&self, settings: &Settings, statement: Option<&str>, batch: &RequestBatch) -> Target {
        let mut query = statement.unwrap_or_default().to_owned();
        if self.deduplicate {
            let mut ids = Vec::with_capacity(batch.len() * ID_BYTES);
            batch.events().for_each(|event| ids.extend_from_slice(event.get(..ID_BYTES).unwrap_or_default()));
            query.push_str("&insert_deduplication_token=");
            event_id::of_text(&ids, &mut query);
        }
        Target { uri: settings.with_query(&query), ..Target::of(settings) }
    }

    fn join(&self, batch: &RequestBatch) -> Bytes {
        let mut out = Vec::with_capacity(batch.byte_len());
        batch.events().for_each(|event| out.extend_from_slice(row_of(event)));
        out.into()
    }

    fn read(&self, response: &Response, _: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        let code = response.header(CODE).and_then(|code| code.trim().parse().ok());
        // An error after the beginning of the response has a status of success and no header.
        if let Some(code) = code.or_else(|| codes::in_text(&meaning.reason)) {
            meaning.outcome = codes::outcome(code, self.are_many).unwrap_or(match meaning.outcome {
                Outcome::Delivered => Outcome::Retry,
                outcome => outcome,
            });
        }
        Ok(meaning)
    }

    /// The row; an event that was never sent as it is.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        let row = refusal(event).map_or_else(|| row_of(event), |(_, event)| event);
        row.strip_suffix(b"\n").unwrap_or(row).into()
    }
}

/// Encodes events as rows.
struct RowEncoder {
    encoding: Encoding,
    database: Template,
    table: Template,
}

impl Encoder for RowEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut events = self.encoding.bind(&batch);
        let (databases, tables) = (self.database.bind(&batch), self.table.bind(&batch));
        let mut ids = EventIds::of(&batch);
        let mut groups = Groups::default();
        let (mut database, mut table, mut statement) = (Vec::new(), Vec::new(), String::new());
        let (mut id, mut row_text) = (String::new(), Vec::new());
        for row in 0..batch.rows() {
            database.clear();
            table.clear();
            databases.write(row, &mut database);
            tables.write(row, &mut table);
            write_statement(&database, &table, &mut statement);
            let encoded = groups.of(statement.as_bytes());
            id.clear();
            // Ids count equal events, so every row has one.
            ids.write(row, &mut id);
            if database.is_empty() || table.is_empty() {
                write_refused("the name of the table is empty", &batch, row, &mut encoded.bytes);
            } else {
                encoded.bytes.extend_from_slice(id.as_bytes());
                row_text.clear();
                events.write(row, &mut row_text);
                write_object(&row_text, &mut encoded.bytes);
            }
            encoded.ends.push(encoded.bytes.len());
        }
        drop((events, databases, tables, ids));
        groups.into_payloads(batch)
    }
}

/// Replaces `out` by the parameter of the query with the statement.
fn write_statement(database: &[u8], table: &[u8], out: &mut String) {
    let mut statement = b"INSERT INTO ".to_vec();
    write_identifier(database, &mut statement);
    statement.push(b'.');
    write_identifier(table, &mut statement);
    statement.extend_from_slice(b" FORMAT JSONEachRow");
    out.clear();
    out.push_str("query=");
    percent_encode(&statement, out);
}

/// Writes a name in quotes. Any text is the name of a table and nothing else.
fn write_identifier(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'`');
    for &byte in name {
        if matches!(byte, b'`' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'`');
}

/// Writes a JSON value as a row on one line. A value that is no object becomes the column `message`.
fn write_object(value: &[u8], out: &mut Vec<u8>) {
    let value = value.trim_ascii();
    if value.starts_with(b"{") {
        out.extend_from_slice(value);
    } else {
        out.extend_from_slice(b"{\"message\":");
        out.extend_from_slice(value);
        out.push(b'}');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
