//! `GET /api/v1/schema`: one JSON schema for all documents of the API.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use wattle_api::{Index, Problem, failures, graph, packs, rollout, status, tap, trial};

/// A document of a request, or the data of an event of a stream.
struct Document {
    /// Name of the schema in `properties`.
    name: &'static str,
    schema: fn(&mut SchemaGenerator) -> schemars::Schema,
}

const fn of<T: JsonSchema>(name: &'static str) -> Document {
    Document { name, schema: SchemaGenerator::subschema_for::<T> }
}

/// All documents, by the last part of the path or by the name of the event.
const DOCUMENTS: &[Document] = &[
    of::<Index>("index"),
    of::<Problem>("problem"),
    of::<status::Status>("status"),
    of::<graph::Graph>("graph"),
    of::<tap::Tapped>("event"),
    of::<tap::TapReport>("report"),
    of::<tap::Trace>("trace"),
    of::<failures::Failures>("failures"),
    of::<packs::Packs>("packs"),
    of::<rollout::Shadows>("shadows"),
    of::<rollout::History>("history"),
    of::<trial::Tried>("try"),
];

/// The schema: `properties` has one schema for each document.
pub(crate) fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let properties: Map<String, Value> = DOCUMENTS
        .iter()
        .map(|document| (document.name.to_owned(), (document.schema)(&mut generator).to_value()))
        .collect();
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Documents of the API /api/v1 of a Wattle agent, by request or event",
        "type": "object",
        "properties": properties,
        "$defs": definitions,
    })
}
