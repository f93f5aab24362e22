//! References to packs in configurations and packs: `name`, `name@requirement`, or a folder.

use semver::{Version, VersionReq};

use wattle_diagnostics::{Findings, Place, codes};

/// Acceptable versions of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Every version that is not a pre-release.
    Any,
    Exact(Version),
    Range(VersionReq),
}

impl Requirement {
    /// Three numbers mean exactly this version; fewer, or an operator, mean a range.
    fn parse(text: &str) -> Option<Self> {
        let exact = Version::parse(text).ok().map(Self::Exact);
        exact.or_else(|| VersionReq::parse(text).ok().map(Self::Range))
    }

    pub(crate) fn matches(&self, version: &Version) -> bool {
        match self {
            // As with Cargo, a pre-release runs only where a requirement names one.
            Self::Any => version.pre.is_empty(),
            Self::Exact(exact) => exact == version,
            Self::Range(range) => range.matches(version),
        }
    }
}

/// Whether a reference names a folder.
pub fn is_folder(reference: &str) -> bool {
    reference.starts_with('.') || reference.contains(['/', '\\'])
}

/// The name in a reference that is not a folder, valid or not.
pub fn name_of(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(name, _)| name)
}

/// Splits a reference that is not a folder, or reports its errors.
pub(crate) fn parse<'a>(reference: &'a str, place: Place, findings: &mut Findings) -> Option<(&'a str, Requirement)> {
    let (name, requirement) = match reference.split_once('@') {
        Some((name, requirement)) => match Requirement::parse(requirement) {
            Some(parsed) => (name, parsed),
            None => {
                let message =
                    format!("bad pack version `{requirement}`; it is neither a version nor a range of versions");
                let finding = codes::BAD_VALUE.at(place, message);
                findings.report(finding.hint("write `name@1.0.0` for that version, `name@1` for any compatible one"));
                return None;
            }
        },
        None => (reference, Requirement::Any),
    };
    if !is_pack_name(name) {
        let finding = codes::BAD_NAME.at(place, format!("bad pack name `{}`", name.escape_debug()));
        findings.report(finding.hint("write `name@version`, or a folder as in `./folder`"));
        return None;
    }
    Some((name, requirement))
}

/// Whether a text can be the name of a pack.
pub fn is_pack_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
