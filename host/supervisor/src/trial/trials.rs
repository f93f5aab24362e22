//! Trials of a running agent, one at a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use parking_lot::Mutex;
use wattle_api::trial::Tried;
use wattle_diagnostics::Invalid;
use wattle_pack::{Library, reference};
use wattle_plan::{PipelinePlan, Plan};
use wattle_runtime::Catalog;
use wattle_source::InputSettings;
use wattle_topology::BuildError;

use super::version::{Version, VersionError};
use super::{TrialSettings, run};
use crate::configuration::{Configuration, stored};

/// Maximum size of an input in bytes.
pub(crate) const MAX_INPUT_BYTES: usize = 4 << 20;
/// Maximum number of decompressed bytes of an input.
const MAX_DECOMPRESSED_BYTES: u64 = 32 << 20;
/// Maximum length of an event of an input.
const MAX_EVENT_BYTES: u64 = 16 << 20;
/// Time for one trial, without the time to compile its packs.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much nicer the thread of a trial is than workers, sources and sinks: as nice as possible.
const NICENESS: i32 = 19;

/// What to try. At least one of `pack` and `pipeline` is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// A pack of the library, or a reference of the configuration; without it, the version that the pipeline runs.
    pub(crate) pack: Option<String>,
    /// The version before, in the same form.
    pub(crate) against: Option<String>,
    /// The pipeline whose parameters and grants both versions get.
    pub(crate) pipeline: Option<String>,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("another trial runs; try again when it has ended")]
    Busy,
    #[error("the input is longer than {MAX_INPUT_BYTES} bytes")]
    TooLong,
    #[error("the agent has not started yet")]
    Starting,
    #[error("name a `pack`, a `pipeline` or both")]
    Nothing,
    #[error("no pipeline `{0}` runs")]
    NoPipeline(String),
    #[error(
        "`{0}` is not a pack that can be tried here; name a pack of the library as `name` or `name@version`, or a pack \
         as the configuration does"
    )]
    Reference(String),
    #[error("the pack is invalid, or its parameters are")]
    Invalid(Vec<String>),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the trial ended without a result; please report this")]
    Lost,
}

/// Tries packs in a running agent.
pub(crate) struct Trials {
    configuration: Configuration,
    catalog: Catalog,
    library: Library,
    plan: Mutex<Option<Arc<Plan>>>,
    place: Arc<tokio::sync::Semaphore>,
}

impl Trials {
    pub(crate) fn new(configuration: Configuration, catalog: &Catalog, library: Library) -> Self {
        let catalog = catalog.with_services(catalog.services().clone());
        let place = Arc::new(tokio::sync::Semaphore::new(1));
        Self { configuration, catalog, library, plan: Mutex::default(), place }
    }

    /// Sets the plan that runs.
    pub(crate) fn follow(&self, plan: &Plan) {
        *self.plan.lock() = Some(Arc::new(plan.clone()));
    }

    /// Tries packs on an input of at most [`MAX_INPUT_BYTES`].
    ///
    /// The trial has a thread of its own that leaves the processors to everything else. It goes on if the caller stops to
    /// wait, and no other trial starts before it ends.
    ///
    /// # Errors
    ///
    /// The input is too long, another trial runs, or there is nothing to try.
    pub(crate) async fn run(self: &Arc<Self>, request: Request, input: Bytes) -> Result<Tried, RequestError> {
        if input.len() > MAX_INPUT_BYTES {
            return Err(RequestError::TooLong);
        }
        let place = self.place.clone().try_acquire_owned().map_err(|_| RequestError::Busy)?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let trials = self.clone();
        let run = move || {
            let done = trials.run_here(&request, &input);
            // Before the response, so that a client can send the next one at once.
            drop(place);
            let _ = sender.send(done);
        };
        // The niceness ends with the thread, so it does not come from a pool.
        let spawned = std::thread::Builder::new().name("wattle-trial".into()).spawn(run);
        spawned.map_err(|_| RequestError::Lost)?;
        receiver.await.unwrap_or(Err(RequestError::Lost))
    }

    fn run_here(&self, request: &Request, input: &[u8]) -> Result<Tried, RequestError> {
        let plan = self.plan.lock().clone().ok_or(RequestError::Starting)?;
        let now = SystemTime::now();
        let pipeline = match &request.pipeline {
            Some(name) => {
                let found = plan.pipelines.iter().find(|pipeline| pipeline.name == *name);
                Some(found.ok_or_else(|| RequestError::NoPipeline(name.clone()))?)
            }
            None => None,
        };
        let result = match (&request.pack, pipeline) {
            (Some(pack), pipeline) => self.version(&plan, pipeline, pack, now)?,
            (None, Some(pipeline)) => Version::of_pipeline(pipeline.clone(), &self.catalog, now),
            (None, None) => return Err(RequestError::Nothing),
        };
        let against = request.against.as_deref().map(|pack| self.version(&plan, pipeline, pack, now)).transpose()?;
        // Not before: threads and processes that compile inherit the priority, and a compiler that is too slow is ended.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "cannot lower the priority of a trial");
        }
        Ok(run(input, &result, against.as_ref(), &settings())?)
    }

    /// A version that a request names, with the parameters of a pipeline, or its own.
    fn version(
        &self,
        plan: &Plan,
        pipeline: Option<&PipelinePlan>,
        named: &str,
        now: SystemTime,
    ) -> Result<Version, RequestError> {
        let all = || plan.pipelines.iter().flat_map(PipelinePlan::versions);
        let written = || plan.packs.iter().find(|used| used.reference == named);
        let is_it = |version: &&PipelinePlan| {
            let is_named = version.reference.as_deref() == Some(named);
            let pack = version.pack.as_ref();
            is_named
                || pack.is_some_and(|pack| pack.to_string() == named)
                || pack.zip(written()).is_some_and(|(pack, used)| pack.name == used.name && pack.digest == used.digest)
        };
        if let Some(own) = pipeline.and_then(|pipeline| pipeline.versions().find(|version| is_it(version))) {
            return Ok(Version::of_pipeline(own.clone(), &self.catalog, now));
        }
        let base = self.library.clone().with_remote(stored(&plan.agent.data_dir));
        // The files that run; those on disk may have changed since.
        let (library, reference) = match all().find(|version| is_it(version)) {
            Some(PipelinePlan { reference: Some(reference), pack: Some(pack), .. }) => {
                let used = plan.packs.iter().find(|used| used.name == pack.name && used.digest == pack.digest);
                // A folder is relative to the configuration there, and to the agent's working directory otherwise.
                let written = used.filter(|_| pipeline.is_some()).map_or(reference, |used| &used.reference);
                (base.with_found(&plan.packs, reference, pack), written.as_str())
            }
            // Everything else could read files or ask a registry.
            _ if reference::is_folder(named) || named.contains(':') => {
                return Err(RequestError::Reference(named.to_owned()));
            }
            _ => (base, named),
        };
        match pipeline {
            Some(pipeline) => self
                .configuration
                .load_version(&self.catalog, &library, &pipeline.name, reference)
                .map(|plan| Version::of_pipeline(plan, &self.catalog, now))
                .map_err(|invalid| RequestError::Invalid(lines(&invalid))),
            None => {
                let library = library.with_folder(&plan.agent.packs);
                let none = serde_json::Map::new();
                Version::of_pack(reference, &none, &none, &self.catalog, &library, now).map_err(|error| match error {
                    VersionError::Invalid(invalid) => RequestError::Invalid(lines(&invalid)),
                    VersionError::Mocks(problem) => RequestError::Invalid(vec![problem]),
                })
            }
        }
    }
}

fn lines(invalid: &Invalid) -> Vec<String> {
    invalid.diagnostics.iter().map(|diagnostic| diagnostic.render_line()).collect()
}

fn settings() -> TrialSettings {
    let input = InputSettings {
        max_event_bytes: MAX_EVENT_BYTES,
        max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
        ..InputSettings::default()
    };
    TrialSettings { input, time_limit: Some(TIME_LIMIT), ..TrialSettings::default() }
}

#[cfg(test)]
mod tests;
