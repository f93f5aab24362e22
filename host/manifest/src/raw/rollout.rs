//! `shadow` and `canary` of a pipeline, and `[agent.rollback]`, as written.

use std::time::Duration;

use wattle_diagnostics::{Data, Entry, Findings, Place, Reader, Table, Text};
use wattle_plan::{CanarySettings, RollbackSettings, ShadowSettings};

/// Maximum duration of a canary or a probation.
const MAX_TIME: Duration = Duration::from_hours(24 * 30);

/// A candidate as written.
pub(crate) struct CandidateManifest<S> {
    /// A version of the pipeline's own pack, or a reference to another one.
    pub(crate) pack: Text,
    /// Parameters; the default is those of the pipeline.
    pub(crate) params: Option<Entry>,
    pub(crate) settings: S,
}

/// Reads the key `shadow` of a pipeline.
pub(crate) fn read_shadow(
    reader: &mut Reader<'_>,
    owner: &str,
    findings: &mut Findings,
) -> Option<CandidateManifest<ShadowSettings>> {
    let default = ShadowSettings::default();
    read(reader, "shadow", owner, findings, |reader, findings| ShadowSettings {
        share: reader.share("share", findings).unwrap_or(default.share),
        max_cpu_share: reader.share("max_cpu_share", findings).unwrap_or(default.max_cpu_share),
    })
}

/// Reads the key `canary` of a pipeline.
pub(crate) fn read_canary(
    reader: &mut Reader<'_>,
    owner: &str,
    findings: &mut Findings,
) -> Option<CandidateManifest<CanarySettings>> {
    let default = CanarySettings::default();
    read(reader, "canary", owner, findings, |reader, findings| CanarySettings {
        share: reader.share("share", findings).unwrap_or(default.share),
        time: reader.duration("for", Duration::from_secs(1)..=MAX_TIME, findings).unwrap_or(default.time),
        min_events: reader.number("min_events", 0..=u64::MAX / 2, findings).unwrap_or(default.min_events),
        max_fault_rate: reader.fraction("max_fault_rate", 0.0..=1.0, findings).unwrap_or(default.max_fault_rate),
        max_drop_rate: reader.fraction("max_drop_rate", 0.0..=1.0, findings).unwrap_or(default.max_drop_rate),
        max_fail_rate: reader.fraction("max_fail_rate", 0.0..=1.0, findings).unwrap_or(default.max_fail_rate),
        max_latency_ratio: reader
            .fraction("max_latency_ratio", 1.0..=1000.0, findings)
            .unwrap_or(default.max_latency_ratio),
    })
}

fn read<S>(
    reader: &mut Reader<'_>,
    key: &'static str,
    owner: &str,
    findings: &mut Findings,
    settings: impl FnOnce(&mut Reader<'_>, &mut Findings) -> S,
) -> Option<CandidateManifest<S>> {
    let entry = reader.optional(key)?;
    if let Data::String(text) = &entry.item.data {
        let pack = Text { text: text.clone(), place: entry.item.place };
        let empty = Table::default();
        let mut own = Reader::new(&empty, entry.place, key);
        return Some(CandidateManifest { pack, params: None, settings: settings(&mut own, findings) });
    }
    let (table, entry) = reader.table(key, findings)?;
    let mut own = Reader::new(table, entry.place, format!("`{key}` of {owner}"));
    let pack = own.required_string("pack", findings);
    let params = own.table("params", findings).map(|(_, entry)| entry.clone());
    let settings = settings(&mut own, findings);
    own.finish(findings);
    Some(CandidateManifest { pack: pack?, params, settings })
}

/// Reads the table `[agent.rollback]`.
pub(crate) fn read_rollback(table: &Table, place: Place, findings: &mut Findings) -> RollbackSettings {
    let default = RollbackSettings::default();
    let mut reader = Reader::new(table, place, "`[agent.rollback]`");
    let settings = RollbackSettings {
        enabled: reader.boolean("enabled", findings).unwrap_or(default.enabled),
        probation: reader
            .duration("probation", Duration::from_secs(1)..=MAX_TIME, findings)
            .unwrap_or(default.probation),
        max_fault_rate: reader.fraction("max_fault_rate", 0.0..=1.0, findings).unwrap_or(default.max_fault_rate),
        min_batches: reader.number("min_batches", 1..=u64::MAX / 2, findings).unwrap_or(default.min_batches),
    };
    reader.finish(findings);
    settings
}
