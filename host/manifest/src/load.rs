//! Loads a configuration: reads its files, validates everything, and returns a plan or all errors
//! at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::agent_links;
use crate::endpoint_conflicts;
use crate::endpoints::{EndpointKind, Endpoints};
use crate::option_path;
use crate::origin::ConfigOrigin;
use crate::own_output::{self, User};
use crate::pipeline::Builder;
use crate::raw::agent::{AgentManifest, EndpointManifest};
use crate::template;
use wattle_diagnostics::{Data, Diagnostic, Entry, Findings, Invalid, Item, Place, Table, codes, value};
use wattle_options::suggest;
use wattle_pack::{Library, LockManifest, clean, find_named};
use wattle_plan::{
    AgentSettings, BufferPlan, CircuitSettings, EndpointPlan, NodeLimits, Nodes, PackUse, PipelinePlan, Plan, SinkPlan,
    TrustPolicy, hex_digest,
};

/// Returns the value of an environment variable, if it is set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads and validates a configuration. Returns the plan and the warnings.
///
/// # Errors
///
/// Every error in the configuration, with the files to watch for a correction.
pub fn load(
    origin: ConfigOrigin<'_>,
    env: Env<'_>,
    nodes: &dyn Nodes,
    endpoints: &dyn Endpoints,
    library: &Library,
) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
    let mut findings = Findings::default();
    let read = origin.read(&mut findings);
    let lock = origin.lock().and_then(|lock| LockManifest::read(&lock, &mut findings));
    let validation = Validation { env, nodes, endpoints, library, lock };
    let plan = read.and_then(|(table, file)| validation.run(table, file, &mut findings));
    finish(plan, findings)
}

/// Reads and validates another version of the pack of a pipeline, with the parameters and grants that a configuration gives
/// to the pipeline.
///
/// # Errors
///
/// See [`load`]. The configuration has no such pipeline, or the pipeline has no pack.
pub fn load_version(
    origin: ConfigOrigin<'_>,
    env: Env<'_>,
    nodes: &dyn Nodes,
    library: &Library,
    (pipeline, reference): (&str, &str),
) -> Result<(PipelinePlan, Vec<Diagnostic>), Invalid> {
    let mut findings = Findings::default();
    let manifest = read_manifest(origin, env, &mut findings);
    let plan = manifest.and_then(|(manifest, file)| {
        let Some(found) = manifest.pipelines.iter().find(|found| found.name == pipeline) else {
            findings.report(codes::PIPELINE_FORM.at(file, format!("there is no pipeline `{pipeline}`")));
            return None;
        };
        let settings = &manifest.settings;
        let library = library.clone().with_folder(clean(&settings.packs));
        let mut builder = Builder::new(nodes, &library, &settings.limits, &settings.circuit, &settings.trust);
        let built = builder.build_version(found, reference, &findings.folder(found.place), &mut findings)?;
        built.into_plan(pipeline.to_owned(), Vec::new(), &[])
    });
    findings.finish(plan).map(|(plan, warnings, _)| (plan, warnings))
}

/// Reads a configuration before anything of it is built.
fn read_manifest(origin: ConfigOrigin<'_>, env: Env<'_>, findings: &mut Findings) -> Option<(AgentManifest, Place)> {
    let (table, file) = origin.read(findings)?;
    let mut root = Item::new(file, Data::Table(table));
    template::fill_environment(&mut root, env, findings);
    let Data::Table(table) = &root.data else { return None };
    Some((AgentManifest::read(table, file, env, findings), file))
}

/// Reads and validates one pack on its own, with parameters as JSON. `reference` is a folder, or a
/// name with an optional version as in a configuration.
///
/// # Errors
///
/// See [`load`].
pub fn load_pack(
    reference: &str,
    params: &serde_json::Map<String, Json>,
    nodes: &dyn Nodes,
    library: &Library,
) -> Result<(PipelinePlan, Vec<Diagnostic>), Invalid> {
    let mut findings = Findings::default();
    let (found, place) = find_named(reference, library, &mut findings);
    for (name, _) in params.iter().filter(|(_, value)| Item::from_json(place, value).is_unknown()) {
        let message = format!("parameter `{name}` must have a value, not null");
        findings.report(codes::PARAM_TYPE.at(place, message));
    }
    let given = match Item::from_json(place, &Json::Object(params.clone())).data {
        Data::Table(table) => table,
        _ => Table::default(),
    };
    let (limits, circuit) = (NodeLimits::default(), CircuitSettings::default());
    // A command line has no trust policy; `wattle pack verify` takes one explicitly.
    let trust = TrustPolicy::default();
    let mut builder = Builder::new(nodes, library, &limits, &circuit, &trust);
    let pipeline = found.and_then(|found| builder.build_pack(&found, Some(&given), place, &mut findings));
    let plan = pipeline.and_then(|built| {
        let name = built.pack.as_ref().map(|pack| pack.name.clone())?;
        built.into_plan(name, Vec::new(), &[])
    });
    let (plan, warnings, _) = findings.finish(plan)?;
    Ok((plan, warnings))
}

/// Reads only the settings of the agent itself, which are needed before nodes can be configured.
/// Ignores errors, since [`load`] reports them.
pub fn peek_settings(origin: ConfigOrigin<'_>, env: Env<'_>) -> AgentSettings {
    let mut findings = Findings::default();
    let (table, file) = origin.read(&mut findings).unwrap_or_else(|| (Table::default(), Place::file(0)));
    settings_of(table, file, env, &mut findings)
}

/// Reads the agent's own settings, for commands that do not load the rest of it.
///
/// # Errors
///
/// A file cannot be read or is not TOML, or `data_dir` is not a folder name: the agent has other
/// settings than the defaults, and the command must not act on its folders.
pub fn read_settings(origin: ConfigOrigin<'_>, env: Env<'_>) -> Result<AgentSettings, Invalid> {
    let mut findings = Findings::default();
    let Some((table, file)) = origin.read(&mut findings) else { return refuse(findings) };
    if findings.has_errors() {
        // A key that two files set has no value.
        return refuse(findings);
    }
    let agent = table.entry("agent").map(|entry| entry.item.data.clone());
    let settings = settings_of(table, file, env, &mut findings);
    // Other problems are for the agent to report.
    let is_known = match agent {
        None => true,
        Some(Data::Table(agent)) => agent.entry("data_dir").is_none_or(|entry| {
            let mut filled = entry.item.clone();
            template::fill_environment(&mut filled, env, &mut Findings::default());
            matches!(filled.data, Data::String(_))
        }),
        Some(_) => false,
    };
    if is_known { Ok(settings) } else { refuse(findings) }
}

/// Reads a text of TOML that has options of a node, as a configuration has them: with environment variables, and only
/// with numbers that JSON has. Returns the value of a key as JSON, an empty object if it is missing; without a key the
/// whole text.
///
/// # Errors
///
/// Every error in the text.
pub fn read_options(path: &Path, text: &str, key: Option<&str>, env: Env<'_>) -> Result<Json, Invalid> {
    let mut findings = Findings::default();
    let number = findings.add_manifest(path, text);
    let options = value::parse(number, text, &mut findings).map(|table| {
        let mut options = match key {
            Some(key) => table.entry(key).map(|entry| entry.item.clone()),
            None => Some(Item::new(Place::file(number), Data::Table(table))),
        }
        .unwrap_or_else(|| Item::new(Place::file(number), Data::Table(Table::default())));
        template::fill_environment(&mut options, env, &mut findings);
        options.to_json()
    });
    findings.finish(options).map(|(options, ..)| options)
}

fn refuse<T>(findings: Findings) -> Result<T, Invalid> {
    findings.finish(None).map(|(value, _, _)| value)
}

fn settings_of(table: Table, file: Place, env: Env<'_>, findings: &mut Findings) -> AgentSettings {
    let mut root = Item::new(file, Data::Table(table));
    template::fill_environment(&mut root, env, findings);
    let empty = Table::default();
    let table = match &root.data {
        Data::Table(table) => table,
        _ => &empty,
    };
    AgentManifest::read(table, file, env, findings).settings
}

fn finish(plan: Option<Plan>, findings: Findings) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
    let (mut plan, warnings, files) = findings.finish(plan)?;
    plan.files = files;
    Ok((plan, warnings))
}

/// Inputs of a validation other than the text.
struct Validation<'a> {
    env: Env<'a>,
    nodes: &'a dyn Nodes,
    endpoints: &'a dyn Endpoints,
    library: &'a Library,
    lock: Option<LockManifest>,
}

impl Validation<'_> {
    fn run(&self, table: Table, file: Place, findings: &mut Findings) -> Option<Plan> {
        let mut root = Item::new(file, Data::Table(table));
        template::fill_environment(&mut root, self.env, findings);
        let Data::Table(table) = &root.data else { return None };
        let manifest = AgentManifest::read(table, file, self.env, findings);
        // What is there and cannot be read, or is misspelt, is reported by itself.
        let is_empty = |entry: &Entry| matches!(&entry.item.data, Data::Table(table) if table.0.is_empty());
        let is_of_agent = |entry: &Entry| matches!(entry.key.as_str(), "agent" | "admin" | "packs");
        if table.0.iter().all(|entry| is_of_agent(entry) || is_empty(entry)) {
            let finding = codes::NOTHING_TO_RUN.at(file, "the configuration has no sources, pipelines and sinks");
            findings.report(finding.hint(
                "write `[sources.NAME]`, `[pipelines.NAME]` and `[sinks.NAME]`; docs/CONFIGURATION.md has an example",
            ));
        }

        let sources = self.check_endpoints(EndpointKind::Source, &manifest.sources, findings);
        let sinks = self.check_endpoints(EndpointKind::Sink, &manifest.sinks, findings);
        endpoint_conflicts::report_two_writers(&manifest.sinks, findings);
        let users = |kind, manifests| self.users(kind, manifests);
        let (senders, receivers) =
            (users(EndpointKind::Source, &manifest.sources), users(EndpointKind::Sink, &manifest.sinks));
        endpoint_conflicts::report_two_listeners(&senders, &receivers, manifest.settings.admin.as_ref(), findings);
        own_output::report_data_folder(&senders, &manifest.settings.data_dir, findings);
        let (mut pipelines, packs) = self.build_pipelines(&manifest, findings);
        let inputs = agent_links::link(&manifest, &mut pipelines, findings);
        own_output::report(&senders, &receivers, &pipelines, &inputs, findings);

        let buffers: Vec<BufferPlan> = manifest.sinks.iter().map(|sink| sink.buffer).collect();
        let agent: AgentSettings = manifest.settings;
        let sources = sources.into_iter().collect::<Option<Vec<_>>>()?;
        let sinks = sinks
            .into_iter()
            .zip(inputs)
            .zip(buffers)
            .map(|((endpoint, inputs), buffer)| endpoint.map(|endpoint| SinkPlan { endpoint, inputs, buffer }))
            .collect::<Option<Vec<_>>>()?;
        let pipelines = pipelines.into_iter().map(Pipeline::into_plan).collect::<Option<Vec<_>>>()?;
        Some(Plan { agent, sources, sinks, pipelines, packs, files: Default::default() })
    }

    /// Endpoints with what they use.
    fn users<'m>(&self, kind: EndpointKind, manifests: &'m [EndpointManifest]) -> Vec<User<'m>> {
        let uses = |manifest: &EndpointManifest| match &manifest.type_name {
            Some(type_name) if !manifest.options.0.iter().any(|entry| entry.item.is_unknown()) => {
                self.endpoints.uses(kind, &type_name.text, &value::table_to_json(&manifest.options))
            }
            _ => Vec::new(),
        };
        manifests.iter().map(|manifest| User { manifest, uses: uses(manifest) }).collect()
    }

    fn check_endpoints(
        &self,
        kind: EndpointKind,
        manifests: &[EndpointManifest],
        findings: &mut Findings,
    ) -> Vec<Option<EndpointPlan>> {
        manifests.iter().map(|manifest| self.check_endpoint(kind, manifest, findings)).collect()
    }

    fn check_endpoint(
        &self,
        kind: EndpointKind,
        manifest: &EndpointManifest,
        findings: &mut Findings,
    ) -> Option<EndpointPlan> {
        let type_name = manifest.type_name.as_ref()?;
        let types = self.endpoints.types(kind);
        if !types.contains(&type_name.text.as_str()) {
            let code = match kind {
                EndpointKind::Source => codes::UNKNOWN_SOURCE_TYPE,
                EndpointKind::Sink => codes::UNKNOWN_SINK_TYPE,
            };
            let hint = suggest::hint(&type_name.text, types);
            findings
                .report(code.at(type_name.place, format!("unknown {kind} type `{}`", type_name.text)).hint_if(hint));
            return None;
        }
        if manifest.options.0.iter().any(|entry| entry.item.is_unknown()) {
            return None;
        }
        let options = value::table_to_json(&manifest.options);
        if let Err(errors) = self.endpoints.check(kind, &type_name.text, &options) {
            let (code, others): (_, &[&str]) = match kind {
                EndpointKind::Source => (codes::SOURCE_OPTION, &["type"]),
                EndpointKind::Sink => (codes::SINK_OPTION, &["type", "inputs", "buffer"]),
            };
            let owner = format!("{kind} `{}`", manifest.name);
            option_path::report(code, errors, &owner, others, &manifest.options, manifest.place, findings);
        }
        let mut files = BTreeMap::new();
        for file in self.endpoints.files(kind, &type_name.text, &options) {
            findings.watch(&file);
            // If the file cannot be read, the endpoint that uses it reports the error.
            let digest = std::fs::read(&file).map_or_else(|_| String::new(), |content| hex_digest(&content));
            files.insert(file, digest);
        }
        Some(EndpointPlan { name: manifest.name.clone(), type_name: type_name.text.clone(), options, files })
    }

    fn build_pipelines(&self, manifest: &AgentManifest, findings: &mut Findings) -> (Vec<Pipeline>, Vec<PackUse>) {
        let library = self.library.clone().with_folder(clean(&manifest.settings.packs)).with_lock(self.lock.clone());
        let settings = &manifest.settings;
        let mut builder = Builder::new(self.nodes, &library, &settings.limits, &settings.circuit, &settings.trust);
        let mut pipelines = Vec::new();
        for pipeline in &manifest.pipelines {
            let built = builder.build(pipeline, &findings.folder(pipeline.place), findings);
            let discard = agent_links::discarded(pipeline, built.as_ref(), findings);
            let (sources, inputs) = (Vec::new(), Vec::new());
            pipelines.push(Pipeline { name: pipeline.name.clone(), sources, inputs, built, discard });
        }
        (pipelines, builder.uses)
    }
}

/// A pipeline between its manifest and its plan.
pub(crate) struct Pipeline {
    pub(crate) name: String,
    /// Indices of sources.
    pub(crate) sources: Vec<usize>,
    /// Outputs of other pipelines.
    pub(crate) inputs: Vec<(usize, usize)>,
    /// `None` if not even the outputs are known.
    pub(crate) built: Option<crate::pipeline::Built>,
    /// For each output, whether the operator discards it.
    pub(crate) discard: Vec<bool>,
}

impl Pipeline {
    /// The pipeline without nodes that links a source to sinks.
    pub(crate) fn direct(name: String, source: usize) -> Self {
        let built = Some(crate::pipeline::Built::direct());
        Self { name, sources: vec![source], inputs: Vec::new(), built, discard: vec![false] }
    }

    fn into_plan(self) -> Option<PipelinePlan> {
        let plan = self.built?.into_plan(self.name, self.sources, &self.discard)?;
        Some(PipelinePlan { inputs: self.inputs, ..plan })
    }
}
