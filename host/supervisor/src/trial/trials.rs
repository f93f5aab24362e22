//! Trials of a running agent: a few at once are prepared, and one runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use parking_lot::Mutex;
use wattle_api::trial::{self as document, RecentEntry, RecentPoint, Tried};
use wattle_diagnostics::Invalid;
use wattle_pack::{Library, reference};
use wattle_plan::{PipelinePlan, Plan};
use wattle_runtime::Catalog;
use wattle_source::InputSettings;
use wattle_topology::{BuildError, Recent, RecentEvents};

use super::version::{Version, VersionError};
use super::{TrialSettings, run, run_recent};
use crate::configuration::{Configuration, stored};
use crate::time::rfc3339;

/// Maximum size of an input in bytes.
pub(crate) const MAX_INPUT_BYTES: usize = 4 << 20;
/// Maximum number of decompressed bytes of an input.
const MAX_DECOMPRESSED_BYTES: u64 = 32 << 20;
/// Maximum length of an event of an input.
const MAX_EVENT_BYTES: u64 = 16 << 20;
/// Time for one trial, without the time to compile its packs.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Maximum number of trials that are prepared, wait or run. Each holds its input and compiles one artifact at a time.
const MAX_TRIALS: usize = 3;
/// How long a trial waits for the ones before it.
const MAX_WAIT: Duration = Duration::from_secs(60);
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

/// What the packs process.
#[derive(Debug)]
pub(crate) enum Input {
    /// A file of at most [`MAX_INPUT_BYTES`].
    File(Bytes),
    /// Recent events of a pipeline, and where they enter.
    Recent { pipeline: String, recent: Recent, entered: RecentEntry },
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{MAX_TRIALS} trials are under way; try again when one has ended")]
    Busy,
    #[error("other trials took longer than {MAX_WAIT:?}; try again")]
    Late,
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
    #[error(
        "`{version}` has no point `{entry}`, where the recent events were taken; let them enter at the input with \
         `recent=input`, or try a version with this point"
    )]
    NoEntry { version: String, entry: String },
    #[error("no event of `{0}` is kept yet; try again when some have passed")]
    NoEvents(String),
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
    /// Places of trials that are under way.
    places: Arc<tokio::sync::Semaphore>,
    /// The place of the trial that runs.
    running: Arc<tokio::sync::Semaphore>,
}

impl Trials {
    pub(crate) fn new(configuration: Configuration, catalog: &Catalog, library: Library) -> Self {
        let catalog = catalog.with_services(catalog.services().clone());
        let [places, running] = [MAX_TRIALS, 1].map(|places| Arc::new(tokio::sync::Semaphore::new(places)));
        Self { configuration, catalog, library, plan: Mutex::default(), places, running }
    }

    /// Sets the plan that runs.
    pub(crate) fn follow(&self, plan: &Plan) {
        *self.plan.lock() = Some(Arc::new(plan.clone()));
    }

    /// Whether another trial may begin now, for a request whose body has not been read.
    ///
    /// # Errors
    ///
    /// Too many trials are under way.
    pub(crate) fn check_room(&self) -> Result<(), RequestError> {
        if self.places.available_permits() == 0 { Err(RequestError::Busy) } else { Ok(()) }
    }

    /// Tries packs on an input.
    ///
    /// The packs are compiled before the trial waits for its turn, so a pack that takes long delays no other trial. The
    /// trial runs on a thread of its own that leaves the processors to everything else. What a thread has begun it ends,
    /// also if the caller stops to wait; a trial that only waits is dropped.
    ///
    /// # Errors
    ///
    /// The input is too long, other trials run, or there is nothing to try.
    pub(crate) async fn run(self: &Arc<Self>, request: Request, input: Input) -> Result<Tried, RequestError> {
        if matches!(&input, Input::File(bytes) if bytes.len() > MAX_INPUT_BYTES) {
            return Err(RequestError::TooLong);
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| RequestError::Busy)?;
        let trials = self.clone();
        let (place, versions) = on_thread(move || (place, trials.versions(&request))).await?;
        let (result, against) = versions?;
        let turn = tokio::time::timeout(MAX_WAIT, self.running.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| RequestError::Late)?.map_err(|_| RequestError::Lost)?;
        let run = move || {
            // Not before: threads and processes that compile inherit the priority, and a compiler that is too slow is
            // ended. The niceness ends with the thread, so it does not come from a pool.
            if let Err(error) = rustix::process::nice(NICENESS) {
                tracing::debug!(%error, "cannot lower the priority of a trial");
            }
            let done = run_input(input, &result, against.as_ref());
            // Before the response, so that a client can send the next one at once.
            drop((place, turn));
            done
        };
        on_thread(run).await?
    }

    /// The versions of a request, compiled.
    fn versions(&self, request: &Request) -> Result<(Version, Option<Version>), RequestError> {
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
        Ok((result, against))
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

/// Runs a function on a thread of its own.
async fn on_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, RequestError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let run = move || _ = sender.send(run());
    std::thread::Builder::new().name("wattle-trial".into()).spawn(run).map_err(|_| RequestError::Lost)?;
    receiver.await.map_err(|_| RequestError::Lost)
}

fn run_input(input: Input, result: &Version, against: Option<&Version>) -> Result<Tried, RequestError> {
    let (pipeline, recent, entered) = match input {
        Input::File(bytes) => return Ok(run(&*bytes, result, against, &settings())?),
        Input::Recent { pipeline, recent, entered } => (pipeline, recent, entered),
    };
    // Not before it is the turn of this trial, so that only one holds events that the agent has dropped since.
    let events = recent.list();
    if events.is_empty() {
        return Err(RequestError::NoEvents(pipeline));
    }
    if entered == RecentEntry::Taken {
        for version in [Some(result), against].into_iter().flatten() {
            if let Some(missing) = events.iter().find(|events| events.entry.find(version.plan()).is_err()) {
                let (version, entry) = (version.name().to_owned(), missing.entry.to_string());
                return Err(RequestError::NoEntry { version, entry });
            }
        }
    }
    let tried = run_recent(&events, entered == RecentEntry::Input, result, against, &settings())?;
    Ok(Tried { recent: Some(describe(pipeline, &events, entered)), ..tried })
}

/// Where the events of a trial come from.
fn describe(pipeline: String, events: &[RecentEvents], entered: RecentEntry) -> document::Recent {
    let mut taken: Vec<RecentPoint> = Vec::new();
    for events in events {
        let point = format!("{pipeline}/{}", events.entry);
        let (rows, bytes) = (events.batch.rows() as u64, events.batch.byte_len() as u64);
        match taken.iter_mut().find(|known| known.point == point) {
            Some(known) => (known.events, known.bytes) = (known.events + rows, known.bytes + bytes),
            None => taken.push(RecentPoint { point, events: rows, bytes }),
        }
    }
    let at = |events: Option<&RecentEvents>| events.map(|events| rfc3339(events.at)).unwrap_or_default();
    document::Recent { pipeline, taken, entered, oldest: at(events.first()), newest: at(events.last()) }
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
