//! Checks a reference and a resolved pack against the lock.

use semver::Version;

use super::{LockManifest, PinManifest, Pinning};
use crate::digest::FileList;
use crate::reference::{Requirement, name_of};
use wattle_diagnostics::{Findings, Place, codes};

/// Fix for a lock that does not match.
const UPGRADE: &str = "run `wattle pack upgrade --config FILE`, which shows and pins all changes";

/// What a lock requires for a reference.
pub(crate) enum Choice<'a> {
    /// Nothing: any version that meets the requirement is allowed.
    Free,
    /// This version.
    Pinned(&'a PinManifest),
    /// The lock refuses the reference; the error was reported.
    Refused,
}

/// Looks up what the lock requires for a reference; `requirement` is `None` for a folder.
pub(crate) fn choose<'a>(
    lock: Option<&'a LockManifest>,
    pinning: &Pinning,
    reference: &str,
    requirement: Option<&Requirement>,
    place: Place,
    findings: &mut Findings,
) -> Choice<'a> {
    let name = name_of(reference);
    if let Pinning::Ignored(names) = pinning
        && (names.is_empty() || names.iter().any(|free| free == name))
    {
        return Choice::Free;
    }
    let pins = lock.map(|lock| lock.pins.as_slice()).unwrap_or_default();
    let meets = |version: &Version| requirement.is_none_or(|requirement| requirement.matches(version));
    if let Some(own) = pins.iter().find(|pin| pin.pin.reference == reference) {
        if meets(&own.pin.version) {
            return Choice::Pinned(own);
        }
        report_misfit(own, reference, place, findings);
        return Choice::Refused;
    }
    let mut same: Vec<&PinManifest> = pins.iter().filter(|pin| requirement.is_some() && pin.pin.name == name).collect();
    same.sort_by(|a, b| b.pin.version.cmp(&a.pin.version));
    if let Some(pin) = same.iter().find(|pin| meets(&pin.pin.version)) {
        return Choice::Pinned(pin);
    }
    match (requirement, same.first()) {
        // An exact version is a deliberate choice, for example for a candidate beside the pinned
        // version.
        (Some(Requirement::Exact(_)), _) | (_, None) if *pinning != Pinning::Required => Choice::Free,
        (_, Some(pin)) => {
            report_misfit(pin, reference, place, findings);
            Choice::Refused
        }
        (_, None) => {
            let message = format!("`{reference}` is not pinned, and only pinned packs may run");
            findings.report(codes::NOT_PINNED.at(place, message).hint(UPGRADE));
            Choice::Refused
        }
    }
}

fn report_misfit(pin: &PinManifest, reference: &str, place: Place, findings: &mut Findings) {
    let version = &pin.pin.version;
    let message = format!("`{}` is pinned at {version}, which does not meet `{reference}`", pin.pin.name);
    let note = format!("pinned at {}", findings.describe(pin.version));
    findings.report(codes::PIN_MISFIT.at(place, message).hint(UPGRADE).note(note));
}

/// Compares a pack with its pin; messages refer to it by `name`. Returns whether the pack may be
/// used.
pub(crate) fn check_digest(pin: &PinManifest, list: &FileList, name: &str, findings: &mut Findings) -> bool {
    let found = list.digest();
    if found == pin.pin.digest {
        return true;
    }
    let message = format!("the pack {name} has the digest `{found}`, but is pinned with `{}`", pin.pin.digest);
    let mut finding = codes::PIN_DIGEST.at(pin.digest, message);
    let mut any = false;
    for (path, pinned) in &pin.pin.artifacts {
        let now = list.get(path).map(|digest| format!("sha256:{digest}"));
        let note = match now {
            None => format!("its artifact `{path}` is missing"),
            Some(now) if now != *pinned => format!("its artifact `{path}` is `{now}`, but is pinned with `{pinned}`"),
            Some(_) => continue,
        };
        any = true;
        finding = finding.note(note);
    }
    if !any {
        finding = finding.note("its artifacts match the pin; another of its files changed");
    }
    findings.report(finding.hint(
        "restore the pinned files, for example with `wattle pack install`; if the change is intended, run `wattle pack upgrade`",
    ));
    false
}
