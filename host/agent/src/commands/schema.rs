//! `wattle schema`: prints the JSON schemas of the configuration and of manifests, for editors.

use wattle_manifest::{OptionSchemas, agent_schema, node_schema, pack_schema};
use wattle_options::Table;
use wattle_runtime::Catalog;

use crate::cli::SchemaFile;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure, print_json};

pub(crate) fn schema(file: SchemaFile) -> Done {
    let options = OptionSchemas {
        sources: schemas(wattle_source::TYPES),
        sinks: schemas(wattle_sink::TYPES),
        nodes: nodes(&plain_catalog()?)?,
    };
    let schema = match file {
        SchemaFile::Pack => pack_schema(&options),
        SchemaFile::Agent => agent_schema(&options),
        SchemaFile::Node => node_schema(),
    };
    print_json(&serde_json::to_string_pretty(&schema)?)
}

fn schemas<P: 'static>(types: &Table<P>) -> Vec<(String, serde_json::Value)> {
    types.rows.iter().map(|row| (row.name.to_owned(), (row.schema)())).collect()
}

/// The option schemas of the built-in nodes, from their artifacts.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A new type needs only one row: the schema and the page of options then contain it.
    #[track_caller]
    fn assert_described<P: 'static>(types: &Table<P>, title: &str) {
        let page = include_str!("../../../../docs/CONFIGURATION.md");
        let options = OptionSchemas {
            sources: schemas(wattle_source::TYPES),
            sinks: schemas(wattle_sink::TYPES),
            nodes: Vec::new(),
        };
        let schema = agent_schema(&options);
        let plural = format!("{}s", types.kind);
        let named = schema["properties"][plural.as_str()]["patternProperties"].as_object().unwrap();
        let branches = named.values().next().unwrap()["allOf"].as_array().unwrap();
        for row in types.rows {
            let is_row = |branch: &&serde_json::Value| branch["if"]["properties"]["type"]["const"] == row.name;
            let branch =
                branches.iter().find(is_row).unwrap_or_else(|| panic!("{} is missing in the schema", row.name));
            let heading = format!("### {title} `{}`\n", row.name);
            let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("{heading} is missing in the page"));
            let section = section.split("\n### ").next().unwrap();
            for option in (row.schema)()["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
                assert!(branch["then"]["properties"][option].is_object(), "{} {option}", row.name);
                assert!(section.contains(&format!("| `{option}")), "{} {option}", row.name);
            }
        }
    }

    #[test]
    fn every_source_type_is_in_the_schema_and_on_the_page_of_options() {
        assert_described(wattle_source::TYPES, "Source");
    }

    #[test]
    fn every_sink_type_is_in_the_schema_and_on_the_page_of_options() {
        assert_described(wattle_sink::TYPES, "Sink");
    }
}
