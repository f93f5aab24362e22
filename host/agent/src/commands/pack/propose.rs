//! `wattle pack new --from FILE`: looks at sample lines and creates a pack that parses them.
//!
//! The built-in nodes themselves read the sample, so a proposal never differs from what the pack
//! does: `mask` finds secrets, `parse` tries each format, `timestamp` tries the formats of times.

mod fields;
mod files;
mod formats;
mod names;
mod sample;
mod secrets;
mod trial;

use std::path::Path;

use crate::cli::pack::{LibraryOption, TestOptions};
use crate::exit::{Done, print};

use self::fields::Fields;
use self::formats::{Found, Table};
use self::sample::Sample;
use self::secrets::Secrets;
use self::trial::Trial;

/// A proposal: what the sample is, and what the pack does with it.
struct Proposal {
    /// Path of the array that contains the records, if an event contains several.
    records: Option<String>,
    secrets: Secrets,
    format: Found,
    fields: Fields,
}

/// Creates a pack in `folder` from the lines of a file.
pub(super) fn propose(from: &Path, name: &str, folder: &Path, color: bool) -> Done {
    let mut sample = Sample::read(from)?;
    let mut trial = Trial::new()?;
    let proposal = {
        let _waiting = trial.waiting();
        let header = Table::of(&sample.lines).and_then(|table| Some((table.delimiter, table.header?)));
        let mut secrets = Secrets::find(&mut trial, &sample.lines, header)?;
        sample.hide(&mut trial, &secrets)?;
        let records = sample.take_records(&mut trial)?;
        let format = formats::find(&mut trial, &sample, from)?;
        let fields = Fields::find(&mut trial, &format)?;
        secrets.replace_fields(&mut trial, &format.events, &mut sample.lines)?;
        Proposal { records, secrets, format, fields }
    };
    let left_out = files::write_all(&proposal, &sample, name, folder)?;
    print(&report(&proposal, &sample, left_out, from))?;
    let pack = match folder.is_absolute() {
        true => folder.display().to_string(),
        false => format!("./{}", folder.display()),
    };
    let library = LibraryOption { library: None, config: Vec::new() };
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

/// What the command found, for the terminal.
fn report(proposal: &Proposal, sample: &Sample, left_out: usize, from: &Path) -> String {
    let Found { label, parsed, total, headers, .. } = &proposal.format;
    let more = if sample.is_cut { ", the beginning of the file" } else { "" };
    let mut lines = vec![format!("{}: {} {}{more}", from.display(), sample.read, sample.unit())];
    for (count, why) in [
        (sample.too_long, "too long for the default of the source's option `max_line_bytes`: the agent skips them"),
        (left_out as u64, "longer than 64 KiB: they are not in the test"),
    ] {
        match count {
            0 => {}
            1 => lines.push(format!("         1 line is {why}")),
            _ => lines.push(format!("         {count} lines are {why}")),
        }
    }
    if let Some(path) = &proposal.records {
        lines.push(format!("records  {total} in the array `{path}`"));
    }
    let share = 100.0 * *parsed as f64 / (*total).max(1) as f64;
    let header = match headers {
        0 => String::new(),
        1 => ", and a header line".to_owned(),
        _ => format!(", and {headers} header lines"),
    };
    lines.push(format!("format   {label}: {parsed} of {total} ({share:.1} %){header}"));
    for failure in proposal.format.failures.iter().take(3) {
        lines.push(format!("         fails: {failure}"));
    }
    match &proposal.fields.time {
        Some(time) => lines.push(format!("time     {} as {}", time.path, time.formats.join(" or "))),
        None => lines.push("time     none found: events have the time at which the agent reads them".into()),
    }
    match proposal.fields.errors.as_slice() {
        [] => lines.push("errors   no field with levels found: one output for all events".into()),
        rules => lines.push(format!(
            "errors   {}",
            rules.iter().map(|rule| rule.field().to_owned()).collect::<Vec<_>>().join(", ")
        )),
    }
    lines.extend(proposal.secrets.report());
    lines.join("\n")
}
