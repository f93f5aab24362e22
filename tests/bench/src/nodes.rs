//! The nodes of a plan in three forms: sandboxed as in the agent, linked natively, and as plugins
//! that take one event per call as JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use wattle_batch::{Batch, ColumnBuilder, Failure, Outcome};
use wattle_manifest::{EndpointKind, Endpoints};
use wattle_node::Node;
use wattle_node::native::Native;
use wattle_options::OptionError;
use wattle_pack::Library;
use wattle_plan::{Artifact, ArtifactLimits, NodePlan, Origin, Plan};
use wattle_runtime::{
    Catalog, Compiled, Fault, Follower, FusedOutcome, NodeStats, Process, Runner, RunnerSettings, Runtime,
};
use wattle_topology::{InstanceError, NodeFactory, sandboxed};

/// The form of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Endpoints in the sandbox.
    Sandbox,
    /// Linked into this program.
    Native,
    /// One event per call, as a JSON text.
    JsonPerEvent,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Native => "native",
            Self::JsonPerEvent => "json-per-event",
        }
    }
}

const BUILTIN: &[&str] = &["extract", "mask", "parse", "route", "unroll"];

/// Turns a configuration into a plan with nodes, from the artifacts that `cargo xtask nodes` has
/// built.
pub(crate) struct Workbench {
    catalog: Catalog,
    library: Library,
    json_per_event: Artifact,
}

impl Workbench {
    /// `target` contains `nodes/` and `guests/`; `cache` keeps compiled code.
    pub(crate) fn open(target: &Path, cache: &Path) -> anyhow::Result<Self> {
        let artifact = |folder: &str, name: &str| {
            let path = target.join(folder).join(format!("{name}.wasm"));
            let bytes = std::fs::read(&path).with_context(|| format!("{}: run cargo xtask nodes", path.display()))?;
            anyhow::Ok(Artifact::new(name, bytes, Origin::Builtin))
        };
        let builtin = BUILTIN.iter().map(|name| artifact("nodes", name)).collect::<anyhow::Result<_>>()?;
        let packs: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "packs"].iter().collect();
        Ok(Self {
            catalog: Catalog::new(Runtime::new(Some(cache), ArtifactLimits::default())?, builtin),
            library: Library::new(Vec::new()).with_folder(packs),
            json_per_event: artifact("guests", "json-per-event")?,
        })
    }

    pub(crate) fn plan(&self, configuration: &str) -> anyhow::Result<Plan> {
        let environment = |name: &str| std::env::var(name).ok();
        let loaded = wattle_manifest::load(
            wattle_manifest::ConfigOrigin::Text { name: "bench", text: configuration },
            &environment,
            &self.catalog,
            &BuiltinEndpoints,
            &self.library,
        );
        match loaded {
            Ok((plan, _)) => Ok(plan),
            Err(invalid) => {
                let all: Vec<String> = invalid.diagnostics.iter().map(|d| d.render(false)).collect();
                bail!("{}", all.join("\n"))
            }
        }
    }

    pub(crate) fn make(&self, kind: Kind) -> anyhow::Result<Arc<NodeFactory>> {
        Ok(match kind {
            Kind::Sandbox => sandboxed(self.catalog.runtime().clone(), self.catalog.services().clone()),
            Kind::Native => Arc::new(|plan, _, _| native(plan).map_err(InstanceError::Native)),
            Kind::JsonPerEvent => {
                let compiled = self.json_per_event()?;
                Arc::new(move |plan, _, stats| {
                    let step = json_step(plan).map_err(InstanceError::Native)?;
                    let runner = json_runner(&compiled, plan.name.as_str(), &step, stats);
                    let runner = runner.map_err(InstanceError::Fault)?;
                    Ok(Box::new(OneByOne(runner)) as Box<dyn Process>)
                })
            }
        })
    }

    /// The guest that takes one event per call.
    pub(crate) fn json_per_event(&self) -> anyhow::Result<Arc<Compiled>> {
        Ok(self.catalog.runtime().compile(&self.json_per_event)?)
    }
}

struct BuiltinEndpoints;

impl Endpoints for BuiltinEndpoints {
    fn types(&self, kind: EndpointKind) -> Vec<&str> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.types(),
            EndpointKind::Sink => wattle_sink::TYPES.types(),
        }
    }

    fn check(&self, _: EndpointKind, _: &str, _: &Value) -> Result<(), Vec<OptionError>> {
        Ok(())
    }
}

fn native(plan: &NodePlan) -> Result<Box<dyn Process>, String> {
    match plan.artifact.name.as_str() {
        "extract" => linked::<wattle_node_extract::Extract>(plan),
        "mask" => Ok(Box::new(Masks::new(plan)?)),
        "parse" => linked::<wattle_node_parse::Parse>(plan),
        "route" => linked::<wattle_node_route::Route>(plan),
        "unroll" => linked::<wattle_node_unroll::Unroll>(plan),
        other => Err(format!("`{other}` is not linked natively")),
    }
}

fn linked<N: Node + Send + 'static>(plan: &NodePlan) -> Result<Box<dyn Process>, String> {
    Ok(Box::new(Linked::<N>::new(plan)?))
}

struct Linked<N>(Native<N>);

impl<N: Node> Linked<N> {
    fn new(plan: &NodePlan) -> Result<Self, String> {
        let node = Native::configure(&plan.name, &plan.options).map_err(|errors| format!("{errors:?}"))?;
        Ok(Self(node))
    }
}

/// A mask, which can be fused as in the sandbox.
struct Masks {
    own: Linked<wattle_node_mask::Mask>,
    options: String,
    fused: Option<Native<wattle_node_mask::Mask>>,
}

impl Masks {
    fn new(plan: &NodePlan) -> Result<Self, String> {
        Ok(Self { own: Linked::new(plan)?, options: plan.options.clone(), fused: None })
    }
}

impl Process for Masks {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        self.own.process(batch)
    }

    fn fuse(&mut self, followers: &[Follower<'_>]) -> bool {
        let options = followers.iter().map(|follower| follower.plan.options.as_str());
        let options: Vec<&str> = std::iter::once(self.options.as_str()).chain(options).collect();
        self.fused = Native::fuse("masks", &options);
        self.fused.is_some()
    }

    fn process_fused(&mut self, batch: Batch) -> Result<FusedOutcome, Box<Batch>> {
        let Some(fused) = &mut self.fused else { return Err(Box::new(batch)) };
        let mut outcome = fused.process(batch).map_err(|back| Box::new(back.0))?;
        // The counts by name are not compared here.
        Ok(FusedOutcome { batch: outcome.emitted.pop().map(|(_, batch)| batch), counts: Vec::new() })
    }
}

impl<N: Node + Send> Process for Linked<N> {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        match self.0.process(batch) {
            Ok(outcome) => vec![outcome],
            Err(back) => {
                let (batch, error) = *back;
                let info = self.0.info();
                let failure = Failure {
                    node: info.name.clone(),
                    version: info.version.clone(),
                    code: "node-error".into(),
                    message: format!("{error:?}").into(),
                };
                let failures = vec![failure; batch.rows()];
                vec![Outcome { failed: Some(batch.with_failures(failures)), ..Outcome::default() }]
            }
        }
    }
}

/// The step of the guest that replaces a node of the pack.
fn json_step(plan: &NodePlan) -> Result<Value, String> {
    Ok(match plan.artifact.name.as_str() {
        "mask" => {
            let options: Value = serde_json::from_str(&plan.options).map_err(|e| e.to_string())?;
            json!({ "mask": options.pointer("/rules/0/json_key") })
        }
        "route" => json!({ "route": ["Get", "List", "Describe"] }),
        name => json!(name),
    })
}

/// The guest with one of its steps.
pub(crate) fn json_runner(
    compiled: &Arc<Compiled>,
    name: &str,
    step: &Value,
    stats: Arc<NodeStats>,
) -> Result<Runner, Fault> {
    let options = json!({ "step": step }).to_string();
    let settings = RunnerSettings {
        name: name.into(),
        options: options.as_str().into(),
        limits: Default::default(),
        services: None,
    };
    Runner::new(compiled.clone(), settings, stats)
}

/// Calls a node for each event separately. The results are batched again, so the rest of the agent
/// works on batches as usual and only the nodes differ.
struct OneByOne(Runner);

impl Process for OneByOne {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        // The counts of the pipeline do not see that rows were split; this benchmark does not use them.
        let mut gathered = Outcome::default();
        let mut ports: Vec<ColumnBuilder> = Vec::new();
        for row in 0..u32::try_from(batch.rows()).unwrap_or(u32::MAX) {
            for mut outcome in self.0.process(batch.select(&[row])) {
                let mut pieces = std::mem::take(&mut outcome.emitted);
                for (port, mut children) in std::mem::take(&mut outcome.children) {
                    pieces.extend(std::iter::from_fn(|| Some((port, children.next_batch(usize::MAX)?))));
                }
                for (port, piece) in pieces {
                    if ports.len() <= port {
                        ports.resize_with(port + 1, ColumnBuilder::default);
                    }
                    if let Some(column) = ports.get_mut(port) {
                        piece.body().iter().for_each(|body| column.push(body).unwrap_or_default());
                    }
                    piece.into_ack().deliver();
                }
                if let Some(failed) = outcome.failed {
                    return vec![Outcome { failed: Some(failed), ..Outcome::default() }];
                }
            }
        }
        for (port, column) in ports.into_iter().enumerate().filter(|(_, column)| column.rows() > 0) {
            let bodies = column.finish();
            gathered.emitted.push((port, Batch::new(bodies, batch.origin().clone(), batch.ack().share())));
        }
        batch.into_ack().deliver();
        vec![gathered]
    }
}
