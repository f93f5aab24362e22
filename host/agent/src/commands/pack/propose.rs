//! `wattle pack new --from FILE`: looks at sample lines and creates a pack that parses them.
//!
//! The built-in nodes themselves read the sample, so a proposal never differs from what the pack
//! does: `mask` finds secrets, `parse` tries each format, `timestamp` tries the formats of times.

mod fields;
mod files;
mod formats;
mod sample;
mod trial;

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::pack::{LibraryOption, TestOptions};
use crate::exit::{Done, Failure, print};

use self::fields::Fields;
use self::formats::Found;
use self::sample::Sample;
use self::trial::Trial;

/// A proposal: what the sample is, and what the pack does with it.
struct Proposal {
    /// Path of the array that contains the records, if an event contains several.
    records: Option<String>,
    /// Presets of `mask` that found a value, with the number of values.
    masks: Vec<(String, u64)>,
    format: Found,
    fields: Fields,
}

/// Creates a pack in `folder` from the lines of a file.
pub(super) fn propose(from: &Path, name: &str, folder: &Path, color: bool) -> Done {
    let mut sample = Sample::read(from)?;
    let mut trial = Trial::new()?;
    let proposal = {
        let _waiting = trial.waiting();
        let masks = secrets(&mut trial, &sample)?;
        let records = sample.take_records(&mut trial)?;
        let format = formats::find(&mut trial, &sample, from)?;
        let fields = Fields::find(&mut trial, &format)?;
        Proposal { records, masks, format, fields }
    };
    files::write_all(&mut trial, &proposal, &sample, name, folder)?;
    print(&report(&proposal, &sample, from))?;
    let pack = match folder.is_absolute() {
        true => folder.display().to_string(),
        false => format!("./{}", folder.display()),
    };
    let library = LibraryOption { library: None, config: None };
    super::test::test(&TestOptions { pack: pack.clone(), filter: None, update: true, library }, color)?;
    let input = if from.as_os_str() == "-" { "FILE".into() } else { from.display().to_string() };
    let mut next = format!(
        "\n{pack}: a pack with a graph of built-in nodes, a test, a README and a licence\n\n\
         read: {pack}/pack.toml, and what the test expects in {pack}/tests/sample\n\
         try:  wattle pack test {pack}\n      wattle run --pack {pack} < {input}"
    );
    if let Some(pack) = proposal.format.pack {
        next.push_str(&format!("\n\nThe built-in pack `{pack}` reads such lines too: wattle pack show {pack}"));
    }
    print(&next)
}

/// The presets that find values in the sample.
fn secrets(trial: &mut Trial, sample: &Sample) -> Result<Vec<(String, u64)>, Failure> {
    let rules: Vec<Value> = PRESETS.iter().map(|preset| json!({ "preset": preset, "name": preset })).collect();
    let options = json!({ "rules": rules, "on_undecidable": "pass" });
    // A pack without masks would show the secrets of the sample in its test.
    let ran = trial.run("mask", &options, &sample.events())?;
    let ran = ran.ok_or_else(|| Failure::new("the node `mask` could not process the sample"))?;
    Ok(ran.counts.into_iter().filter(|(_, count)| *count > 0).collect())
}

/// The presets of `mask` that a proposal contains if they find a value. Addresses are missing: logs
/// without them are of little use, so hiding them is a decision of the author. So are card numbers:
/// every tenth long number has a correct check digit, so a finding in any log proves nothing.
const PRESETS: &[&str] = &[
    "aws-access-key-id",
    "aws-secret-access-key",
    "aws-session-token",
    "jwt",
    "bearer-token",
    "basic-auth",
    "private-key",
    "github-token",
    "slack-token",
    "basic-auth-url",
    "email",
];

/// What the command found, for the terminal.
fn report(proposal: &Proposal, sample: &Sample, from: &Path) -> String {
    let Found { label, parsed, total, .. } = &proposal.format;
    let more = if sample.is_cut { ", the beginning of the file" } else { "" };
    let mut lines = vec![format!("{}: {} {}{more}", from.display(), sample.read, sample.unit())];
    if let Some(path) = &proposal.records {
        lines.push(format!("records  {total} in the array `{path}`"));
    }
    let share = 100.0 * *parsed as f64 / (*total).max(1) as f64;
    lines.push(format!("format   {label}: {parsed} of {total} ({share:.1} %)"));
    for failure in proposal.format.failures.iter().take(3) {
        lines.push(format!("         fails: {failure}"));
    }
    match &proposal.fields.time {
        Some(time) => lines.push(format!("time     {} as {}", time.path, time.format)),
        None => lines.push("time     none found: events have the time at which the agent reads them".into()),
    }
    match proposal.fields.errors.as_slice() {
        [] => lines.push("errors   no field with levels found: one output for all events".into()),
        rules => lines.push(format!(
            "errors   {}",
            rules.iter().map(|rule| rule.field().to_owned()).collect::<Vec<_>>().join(", ")
        )),
    }
    for (preset, count) in &proposal.masks {
        let values = if *count == 1 { "value" } else { "values" };
        lines.push(format!("mask     {preset}: {count} {values}; the test contains them masked"));
    }
    lines.join("\n")
}
