//! `wattle cloudtrail verify`: checks log files by the digests beside them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wattle_printable::Line;
use wattle_trail::{DigestReport, Problem, PublicKeys, Report, Verdict};

use crate::cli::cloudtrail::{CloudtrailCommand, VerifyOptions};
use crate::exit::{Done, FAILED, Failure, print, print_json};

pub(crate) fn cloudtrail(command: &CloudtrailCommand) -> Done {
    match command {
        CloudtrailCommand::Verify(options) => verify(options),
    }
}

fn verify(options: &VerifyOptions) -> Done {
    let mut keys = PublicKeys::default();
    for path in &options.keys {
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
        let text = std::fs::read(path).map_err(|error| wrong(&error))?;
        keys.extend(PublicKeys::parse(&text).map_err(|error| wrong(&error))?);
    }
    let folder = options.folder.display();
    let report =
        wattle_trail::verify(&options.folder, &keys).map_err(|error| Failure::new(format!("`{folder}`: {error}")))?;
    if report.digests.is_empty() {
        let hint = "it must hold objects of the bucket under their keys, such as `AWSLogs/ACCOUNT/CloudTrail-Digest/…`";
        return Err(Failure::new(format!("`{folder}` has no digest; {hint}")));
    }
    if options.json {
        print_report(&report)?
    } else {
        print(&text(&report))?
    }
    let has = |verdict| report.digests.iter().any(|digest| digest.verdict() == verdict);
    match has(Verdict::Failed) || !has(Verdict::Verified) {
        true => Err(Failure::silent(FAILED)),
        false => Ok(()),
    }
}

fn print_report(report: &Report) -> Done {
    for digest in &report.digests {
        let mut shown = serde_json::to_value(digest)?;
        if let Value::Object(shown) = &mut shown {
            shown.insert("verdict".into(), serde_json::to_value(digest.verdict())?);
        }
        print_json(&shown.to_string())?;
    }
    print_json(&json!({ "unlisted": report.unlisted }).to_string())
}

/// The digests with problems, then the counts.
fn text(report: &Report) -> String {
    let mut out = String::new();
    for DigestReport { key, problems, .. } in report.digests.iter().filter(|digest| !digest.problems.is_empty()) {
        out.push_str(&format!("{}\n", Line(key)));
        problems.iter().for_each(|problem| out.push_str(&format!("  {}\n", Line(&problem.to_string()))));
    }
    let of = |verdict| report.digests.iter().filter(|digest| digest.verdict() == verdict).count();
    out.push_str(&format!(
        "{} digests: {} verified, {} unverifiable, {} failed\n",
        report.digests.len(),
        of(Verdict::Verified),
        of(Verdict::Unverifiable),
        of(Verdict::Failed)
    ));
    let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in report.digests.iter().flat_map(|digest| &digest.problems) {
        let kind = match problem {
            Problem::MissingFile { .. } => "missing",
            Problem::AlteredFile { .. } => "altered",
            Problem::UnreadableFile { .. } => "unreadable",
            _ => continue,
        };
        *wrong.entry(kind).or_default() += 1;
    }
    let files: usize = report.digests.iter().map(|digest| digest.files).sum();
    let good = files - wrong.values().sum::<usize>();
    out.push_str(&format!("{files} log files: {good} as their digests say"));
    wrong.iter().for_each(|(kind, count)| out.push_str(&format!(", {count} {kind}")));
    if let Some(first) = report.unlisted.first() {
        let count = report.unlisted.len();
        out.push_str(&format!("\n{count} log files that no digest lists, such as `{}`", Line(first)));
    }
    out
}
