//! `wattle schema`: prints the JSON schemas of the configuration and of manifests, for editors.

use wattle_manifest::{OptionSchemas, agent_schema, node_schema, pack_schema};
use wattle_runtime::Catalog;

use crate::cli::SchemaFile;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure, print_json};

pub(crate) fn schema(file: SchemaFile) -> Done {
    let options = OptionSchemas {
        sources: schemas(wattle_source::TYPES, wattle_source::schema),
        sinks: schemas(wattle_sink::TYPES, wattle_sink::schema),
        nodes: nodes(&plain_catalog()?)?,
    };
    let schema = match file {
        SchemaFile::Pack => pack_schema(&options),
        SchemaFile::Agent => agent_schema(&options),
        SchemaFile::Node => node_schema(),
    };
    print_json(&serde_json::to_string_pretty(&schema)?)
}

fn schemas(types: &[&str], of: fn(&str) -> Option<serde_json::Value>) -> Vec<(String, serde_json::Value)> {
    types.iter().filter_map(|name| Some(((*name).to_owned(), of(name)?))).collect()
}

/// The options of the built-in nodes, as their artifacts describe them.
fn nodes(catalog: &Catalog) -> Result<Vec<(String, serde_json::Value)>, Failure> {
    use wattle_plan::Nodes as _;
    let mut nodes = Vec::new();
    for name in catalog.builtin_names() {
        let Some(artifact) = catalog.builtin(&name) else { continue };
        let compiled = catalog.runtime().compile(&artifact)?;
        nodes.push((name, serde_json::from_str(&compiled.description.options_schema)?));
    }
    Ok(nodes)
}
