//! A pack with all parts that commands show or compare.

use std::collections::BTreeMap;

use wattle_diagnostics::Invalid;
use wattle_manifest::{Expectations, PackView};
use wattle_pack::Library;
use wattle_plan::PipelinePlan;
use wattle_runtime::Catalog;
use wattle_supervisor::pack_tests::catalog_of_tests;

/// Reads a pack. Parameters without a default get their values from the first test that sets any, and
/// tables for lookups from the first one that has mocks.
/// If the graph still cannot be built, the view has no graph.
pub(super) fn view(reference: &str, library: &Library, catalog: &Catalog) -> Result<PackView, Invalid> {
    let outline = wattle_manifest::outline(reference, library)?;
    let tests = wattle_manifest::load_tests(reference, library, Expectations::Required).unwrap_or_default();
    let mocked = catalog_of_tests(catalog, &tests).ok();
    let params = tests.into_iter().map(|test| test.params).find(|params| !params.is_empty()).unwrap_or_default();
    let plan = mocked.and_then(|catalog| wattle_manifest::load_pack(reference, &params, &catalog, library).ok());
    let plan = plan.map(|(plan, _)| plan);
    let imports = plan.as_ref().map(imports).unwrap_or_default();
    Ok(PackView { outline, plan, imports })
}

/// The interfaces that the artifact of each node imports.
fn imports(plan: &PipelinePlan) -> BTreeMap<String, Vec<String>> {
    plan.nodes.iter().map(|node| (node.name.clone(), wattle_runtime::imported_interfaces(&node.artifact))).collect()
}
