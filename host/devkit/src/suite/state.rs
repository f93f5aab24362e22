//! Checks the state of a stateful node: an instance with restored state must behave like the one
//! that saved it, and must refuse foreign state.

use wattle_runtime::{SingleInstance, Snapshot};

use super::batches::{call, written};
use super::{Report, Subject};

/// Number of batches before the state is saved, and after.
pub(super) const BATCHES: usize = 3;

/// Bodies of the batch with this number.
pub(super) fn bodies(number: usize) -> Vec<Vec<u8>> {
    let line = |row: usize| format!(r#"{{"n":{row},"level":"info","message":"line {}"}}"#, row % 5).into_bytes();
    (number * 10..number * 10 + 10).map(line).collect()
}

/// Runs the checks; none for a stateless node.
pub(super) fn checks(report: &mut Report, node: &Subject<'_>) {
    let Some(version) = node.compiled.description.state_version else { return };
    let start = || node.start();
    let used = || -> Result<(SingleInstance, Snapshot), String> {
        let mut instance = node.start_ready()?;
        for number in 0..BATCHES {
            call(&mut instance, &bodies(number))?;
        }
        let snapshot = save(&mut instance)?;
        Ok((instance, snapshot))
    };
    report.check("state-version", || {
        let (_, snapshot) = used()?;
        match snapshot.version == version {
            true => Ok(()),
            false => Err(format!("`version` says {version}, and `save` writes version {}", snapshot.version)),
        }
    });
    report.check("state-goes-on", || {
        let (mut first, snapshot) = used()?;
        let mut second = start()?;
        second.restore(&[snapshot]).map_err(|error| format!("cannot restore its own state: {error}"))?;
        let mut second = node.ready(second)?;
        for number in BATCHES..2 * BATCHES {
            let (before, after) = (call(&mut first, &bodies(number))?, call(&mut second, &bodies(number))?);
            if written(before) != written(after) {
                return Err("an instance with restored state decides differently from the one that saved it".into());
            }
        }
        match save(&mut first)?.bytes == save(&mut second)?.bytes {
            true => Ok(()),
            false => Err("after the same batches the restored instance saves different state".into()),
        }
    });
    report.check("state-saving-changes-nothing", || {
        let (mut instance, once) = used()?;
        match save(&mut instance)? == once {
            true => Ok(()),
            false => Err("two saves in a row return different state".into()),
        }
    });
    report.check("state-of-several", || {
        let (_, snapshot) = used()?;
        let mut instance = start()?;
        instance
            .restore(&[snapshot.clone(), snapshot])
            .map_err(|error| format!("cannot merge two states, as a start with fewer workers requires: {error}"))?;
        let mut instance = node.ready(instance)?;
        call(&mut instance, &bodies(0)).map(drop)
    });
    report.check("state-of-another-version-refused", || {
        let (_, snapshot) = used()?;
        let foreign = Snapshot { version: version.wrapping_add(1000), ..snapshot };
        refused(start()?.restore(&[foreign]), "state of an unknown version")
    });
    report.check("state-garbage-refused", || {
        let garbage = Snapshot { version, bytes: b"\xff\x00no state of anybody\xfe".as_slice().into() };
        refused(start()?.restore(&[garbage]), "bytes that it never wrote")
    });
}

pub(super) fn save(instance: &mut SingleInstance) -> Result<Snapshot, String> {
    let saved = instance.save().map_err(|fault| format!("faults when its state is saved: {fault}"))?;
    saved.ok_or_else(|| "has no state to save".into())
}

/// Checks that state was refused with a reason. A trap refuses as well, but gives operators no
/// reason.
fn refused(restored: Result<(), String>, what: &str) -> Result<(), String> {
    match restored {
        Ok(()) => Err(format!("accepts {what}")),
        Err(reason) if reason.trim().is_empty() => Err(format!("refuses {what} without a reason")),
        Err(reason) if reason.starts_with("trap") => Err(format!("traps on {what}: {reason}")),
        Err(_) => Ok(()),
    }
}
