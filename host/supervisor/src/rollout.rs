//! Decides which version of a pipeline runs, if the configuration alone does not determine it:
//! canaries and the decisions about them, rolled-back versions, and their predecessors.
//!
//! The file `rollout.json` of the data folder has the decisions about canaries with the
//! fingerprints of both versions, so a decision holds until one of the versions changes. A version
//! that was rolled back does not run again until the configuration asks for another version or the
//! agent restarts; its fingerprint identifies it.

mod judge;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wattle_api::status::CanaryRule;
use wattle_plan::{CanarySettings, CandidatePlan, PipelinePlan, Plan};
use wattle_topology::{Observer, Snapshot, canary_name};

use crate::time::Moment;

use self::judge::{Verdict, judge_canary, judge_probation, rules};

/// Name of the file in the data folder.
const FILE: &str = "rollout.json";
/// Largest file: a few hundred bytes for each pipeline.
const MAX_BYTES: u64 = 16 << 20;

/// A canary and the decision about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Fingerprints of the running version and of the candidate.
    primary: String,
    candidate: String,
    /// Start, in seconds since 1970.
    began: u64,
    /// Whether it was promoted; `None` before the decision.
    promoted: Option<bool>,
}

/// Why a canary does not start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SkipReason {
    /// It was promoted earlier, and is the running version.
    Promoted,
    /// It was rolled back earlier.
    RolledBack,
    /// It is the running version.
    Same,
}

/// A version that was rolled back, and the version that replaced it.
struct Refused {
    fingerprint: String,
    good: PipelinePlan,
}

/// A version that was applied recently.
struct Probation {
    since: Instant,
    /// Counts when it was applied.
    baseline: Snapshot,
    /// Counts of the version before it, over its whole time.
    before: Snapshot,
}

/// Counts of both versions when a canary started in this process.
struct Watched {
    primary: Snapshot,
    candidate: Snapshot,
}

/// A promotion or a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) pipeline: String,
    pub(crate) is_promotion: bool,
    /// The reason, as text.
    pub(crate) why: String,
}

/// How far a canary is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) elapsed: Duration,
    pub(crate) rules: Vec<CanaryRule>,
}

/// Why a pipeline cannot be rolled back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RollbackError {
    /// The configuration does not have the pipeline.
    #[error("no pipeline `{0}`")]
    NoPipeline(String),
    /// No other version ran since the agent started or since the last rollback.
    #[error("no other version of pipeline `{0}` ran before this one")]
    NoVersion(String),
}

#[derive(Default)]
pub(crate) struct Rollout {
    path: Option<PathBuf>,
    canaries: BTreeMap<String, Record>,
    watched: BTreeMap<String, Watched>,
    refused: BTreeMap<String, Refused>,
    previous: BTreeMap<String, PipelinePlan>,
    probation: BTreeMap<String, Probation>,
    /// Counts when the running version started.
    baselines: BTreeMap<String, Snapshot>,
}

impl Rollout {
    /// Reads the decisions in a data folder; `None` for a run that keeps nothing.
    pub(crate) fn open(data_dir: Option<&Path>) -> Self {
        let path = data_dir.map(|dir| dir.join(FILE));
        let canaries = path.as_ref().and_then(|path| {
            let read = wattle_files::read(path, MAX_BYTES).and_then(|text| Ok(serde_json::from_slice(&text)?));
            read.inspect_err(|error| {
                // Without a canary there is no file.
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read earlier decisions about canaries; all canaries start again");
                }
            })
            .ok()
        });
        Self { path, canaries: canaries.unwrap_or_default(), ..Self::default() }
    }

    /// The plan with all decisions applied; this is the plan to run.
    pub(crate) fn apply(&mut self, mut plan: Plan) -> Plan {
        for index in 0..plan.pipelines.len() {
            let Some(pipeline) = plan.pipelines.get_mut(index) else { continue };
            let name = pipeline.name.clone();
            if let Some(reason) = pipeline.canary.as_ref().and_then(|canary| self.skip_reason(pipeline, canary)) {
                let canary = pipeline.canary.take().filter(|_| reason == SkipReason::Promoted);
                if let Some(changed) = canary.and_then(|canary| plan.with_pipeline(&name, &canary.candidate).ok()) {
                    plan = changed;
                }
            }
            let fingerprint = plan.pipelines.get(index).map(PipelinePlan::fingerprint);
            let Some(refused) = self.refused.get(&name) else { continue };
            if Some(&refused.fingerprint) != fingerprint.as_ref() {
                // The configuration has another version.
                self.refused.remove(&name);
            } else if let Ok(changed) = plan.with_pipeline(&name, &refused.good) {
                plan = changed;
            }
        }
        plan
    }

    /// The record of a canary of these two versions.
    fn record(&self, pipeline: &PipelinePlan, canary: &CandidatePlan<CanarySettings>) -> Option<&Record> {
        let record = self.canaries.get(&pipeline.name)?;
        let is_it = record.primary == pipeline.fingerprint() && record.candidate == canary.candidate.fingerprint();
        is_it.then_some(record)
    }

    /// Why a canary does not start; `None` if it starts or runs.
    fn skip_reason(&self, pipeline: &PipelinePlan, canary: &CandidatePlan<CanarySettings>) -> Option<SkipReason> {
        match self.record(pipeline, canary).and_then(|record| record.promoted) {
            Some(true) => Some(SkipReason::Promoted),
            Some(false) => Some(SkipReason::RolledBack),
            None => (canary.candidate.fingerprint() == pipeline.fingerprint()).then_some(SkipReason::Same),
        }
    }

    /// Logs the notes of a configuration, see [`Self::notes`].
    pub(crate) fn log_notes(notes: &[String]) {
        for note in notes {
            tracing::warn!(note, "an earlier rollout decision overrides the configuration");
        }
    }

    /// Sentences about parts of a configuration that do not take effect because of earlier
    /// decisions. Call it after [`Self::apply`].
    pub(crate) fn notes(&self, loaded: &Plan) -> Vec<String> {
        let mut notes = Vec::new();
        for pipeline in &loaded.pipelines {
            let name = &pipeline.name;
            if let Some(canary) = &pipeline.canary
                && let Some(reason) = self.skip_reason(pipeline, canary)
            {
                let candidate = version_name(&canary.candidate);
                notes.push(match reason {
                    SkipReason::Promoted => {
                        format!("pipeline `{name}`: canary {candidate} was promoted earlier; it takes all batches")
                    }
                    SkipReason::RolledBack => format!(
                        "pipeline `{name}`: canary {candidate} was rolled back earlier and gets no batches; \
                         remove `canary`, or change its version, parameters or options"
                    ),
                    SkipReason::Same => {
                        format!(
                            "pipeline `{name}`: canary {candidate} is the same as the running version; nothing to try"
                        )
                    }
                });
            }
            if let Some(refused) = self.refused.get(name) {
                notes.push(format!(
                    "pipeline `{name}`: {} was rolled back and does not run; {} runs until the configuration \
                     asks for another version or other options, or the agent restarts",
                    version_name(pipeline),
                    version_name(&refused.good)
                ));
            }
        }
        notes
    }

    /// Records that a plan runs from `at` on, and that `before` ran until then.
    pub(crate) fn began(&mut self, before: Option<&Plan>, plan: &Plan, observer: &Observer, at: Moment) {
        // The counts of an agent start at zero, and the topology may have counted events before
        // this call.
        let counts = |name: &str| match before {
            Some(_) => observer.counts().pipeline(name).snapshot(),
            None => Snapshot::default(),
        };
        let find = |plan: Option<&Plan>, name: &str| plan?.pipelines.iter().find(|p| p.name == name).cloned();
        let mut watched = BTreeMap::new();
        for pipeline in &plan.pipelines {
            let (name, now) = (&pipeline.name, counts(&pipeline.name));
            let fingerprint = pipeline.fingerprint();
            if let Some(old) = find(before, name).filter(|old| old.fingerprint() != fingerprint) {
                let was = self.baselines.get(name).map_or(now, |baseline| now.since(baseline));
                let probation = Probation { since: at.instant, baseline: now, before: was };
                // A version that was rolled back must not become the target of the next rollback.
                match self.refused.get(name).is_some_and(|refused| refused.good.fingerprint() == fingerprint) {
                    true => {
                        self.previous.remove(name);
                        self.probation.remove(name);
                    }
                    false => {
                        self.previous.insert(name.clone(), old);
                        self.probation.insert(name.clone(), probation);
                    }
                }
                self.baselines.insert(name.clone(), now);
            }
            self.baselines.entry(name.clone()).or_insert(now);
            let Some(canary) = &pipeline.canary else { continue };
            if self.record(pipeline, canary).is_none() {
                let candidate = canary.candidate.fingerprint();
                let record = Record { primary: fingerprint, candidate, began: at.unix_seconds, promoted: None };
                self.canaries.insert(name.clone(), record);
                self.watched.remove(name);
                self.save();
            }
            let known = self.watched.remove(name);
            let fresh = || Watched { primary: now, candidate: counts(&canary_name(name)) };
            watched.insert(name.clone(), known.unwrap_or_else(fresh));
        }
        self.watched = watched;
        let is_there = |name: &String| plan.pipelines.iter().any(|p| p.name == *name);
        self.probation.retain(|name, _| is_there(name));
        self.previous.retain(|name, _| is_there(name));
        self.baselines.retain(|name, _| is_there(name));
    }

    /// Whether a canary or a version on probation needs decisions.
    pub(crate) fn is_busy(&self) -> bool {
        !self.watched.is_empty() || !self.probation.is_empty()
    }

    /// How far each canary is, by pipeline.
    pub(crate) fn progress(&self, plan: &Plan, observer: &Observer, now: Moment) -> BTreeMap<String, Progress> {
        let mut all = BTreeMap::new();
        for pipeline in &plan.pipelines {
            let name = &pipeline.name;
            let (Some(canary), Some(watched), Some(record)) =
                (&pipeline.canary, self.watched.get(name), self.canaries.get(name))
            else {
                continue;
            };
            let counts = |name: &str| observer.counts().pipeline(name).snapshot();
            let primary = counts(name).since(&watched.primary);
            let candidate = counts(&canary_name(name)).since(&watched.candidate);
            let elapsed = Duration::from_secs(now.unix_seconds.saturating_sub(record.began));
            all.insert(name.clone(), Progress { elapsed, rules: rules(&canary.settings, &primary, &candidate) });
        }
        all
    }

    /// The promotion or rollback that is due now.
    pub(crate) fn decide(&mut self, plan: &Plan, observer: &Observer, now: Moment) -> Option<Decision> {
        let counts = |name: &str| observer.counts().pipeline(name).snapshot();
        for pipeline in &plan.pipelines {
            let name = &pipeline.name;
            if let (Some(canary), Some(watched), Some(record)) =
                (&pipeline.canary, self.watched.get(name), self.canaries.get(name))
                && record.promoted.is_none()
            {
                let primary = counts(name).since(&watched.primary);
                let candidate = counts(&canary_name(name)).since(&watched.candidate);
                let elapsed = Duration::from_secs(now.unix_seconds.saturating_sub(record.began));
                let verdict = judge_canary(&canary.settings, &primary, &candidate, elapsed);
                let (is_promotion, why) = match verdict {
                    Verdict::Wait => continue,
                    Verdict::Promote(why) => (true, why),
                    Verdict::RollBack(why) => (false, why),
                };
                return Some(Decision { pipeline: name.clone(), is_promotion, why });
            }
            let settings = &plan.agent.rollback;
            let Some(probation) = self.probation.get(name) else { continue };
            let counted = counts(name).since(&probation.baseline);
            match judge_probation(settings, &probation.before, &counted) {
                Some(why) if self.previous.contains_key(name) => {
                    return Some(Decision { pipeline: name.clone(), is_promotion: false, why });
                }
                _ if now.instant.saturating_duration_since(probation.since) >= settings.probation => {
                    _ = self.probation.remove(name)
                }
                _ => {}
            }
        }
        None
    }

    /// Records a decision, so that [`Self::apply`] follows it.
    ///
    /// # Errors
    ///
    /// No other version ran before.
    pub(crate) fn record_decision(&mut self, decision: &Decision, plan: &Plan) -> Result<(), RollbackError> {
        let name = &decision.pipeline;
        let pipeline = plan.pipelines.iter().find(|pipeline| pipeline.name == *name);
        let pipeline = pipeline.ok_or_else(|| RollbackError::NoPipeline(name.clone()))?;
        if let (Some(_), Some(record)) = (&pipeline.canary, self.canaries.get_mut(name)) {
            record.promoted = Some(decision.is_promotion);
            self.save();
            return Ok(());
        }
        let good = self.previous.remove(name);
        let good = good.ok_or_else(|| RollbackError::NoVersion(name.clone()))?;
        self.probation.remove(name);
        self.refused.insert(name.clone(), Refused { fingerprint: pipeline.fingerprint(), good });
        Ok(())
    }

    /// Names of the pipelines that can be rolled back.
    pub(crate) fn reversible(&self, plan: &Plan) -> Vec<String> {
        let can = |p: &&PipelinePlan| p.canary.is_some() || self.previous.contains_key(&p.name);
        plan.pipelines.iter().filter(can).map(|p| p.name.clone()).collect()
    }

    fn save(&self) {
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &self.canaries) {
            tracing::warn!(path = %path.display(), %error, "cannot save decisions about canaries; they start again after a restart");
        }
    }
}

/// The display name of a version: its pack, and the first digits of the fingerprint, because
/// parameters and options can differ within a version of a pack.
pub(crate) fn version_name(pipeline: &PipelinePlan) -> String {
    let fingerprint: String = pipeline.fingerprint().chars().take(8).collect();
    match &pipeline.pack {
        Some(pack) => format!("{pack} ({fingerprint})"),
        None => format!("graph {fingerprint}"),
    }
}

fn write(path: &Path, canaries: &BTreeMap<String, Record>) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(canaries)?)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests;
