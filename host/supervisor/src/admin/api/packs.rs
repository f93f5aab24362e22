//! `GET /api/v1/packs`: the packs that run, with their provenance, capabilities and parameters.

use std::collections::BTreeSet;

use wattle_api::packs::{NodeCapabilities, Pack, Packs};
use wattle_plan::{NodePlan, PackUse, PipelinePlan, Plan};

/// The packs of a plan. `tested` has the digests of packs that passed their tests.
pub(crate) fn packs(plan: &Plan, tested: &BTreeSet<String>) -> Packs {
    Packs { packs: plan.packs.iter().map(|used| pack(plan, used, tested)).collect() }
}

fn pack(plan: &Plan, used: &PackUse, tested: &BTreeSet<String>) -> Pack {
    // A pipeline uses the pack that it runs, or tries as a canary or a shadow.
    let uses = |version: &&PipelinePlan| version.pack.as_ref().is_some_and(|pack| pack.digest == used.digest);
    let pipelines = || plan.pipelines.iter().filter(|pipeline| pipeline.versions().any(|version| uses(&version)));
    let versions =
        || pipelines().flat_map(|pipeline| pipeline.versions().find(uses).map(|version| (&pipeline.name, version)));
    Pack {
        reference: used.reference.clone(),
        name: used.name.clone(),
        version: used.version.to_string(),
        origin: used.source.clone(),
        digest: used.digest.clone(),
        signature: used.signature.clone(),
        pipelines: pipelines().map(|pipeline| pipeline.name.clone()).collect(),
        nodes: versions()
            .flat_map(|(name, version)| version.nodes.iter().filter_map(|node| capabilities(name, node)))
            .collect(),
        artifacts: used.artifacts.clone(),
        parameters: versions()
            .map(|(name, version)| (name.clone(), serde_json::Value::Object(version.parameters.clone())))
            .collect(),
        // A pack that fails its tests does not run. A start runs no tests.
        tests: if tested.contains(&used.digest) { "passed" } else { "not run" }.into(),
    }
}

/// What a node asks for and what is granted; none for a node that asks for nothing.
fn capabilities(pipeline: &str, node: &NodePlan) -> Option<NodeCapabilities> {
    let asked: BTreeSet<&str> = node.shape.capabilities.iter().copied().collect();
    let named = |names: &mut dyn Iterator<Item = &&str>| names.map(|name| (*name).to_owned()).collect();
    (!asked.is_empty()).then(|| NodeCapabilities {
        pipeline: pipeline.to_owned(),
        node: node.name.clone(),
        granted: named(&mut asked.iter().filter(|name| node.grants.has(name))),
        asked: named(&mut asked.iter()),
    })
}
