//! Ready-made rules.
//!
//! Those of stack traces follow the state machines of Google's fluent-plugin-detect-exceptions and of Fluent Bit's
//! multiline parsers (both Apache-2.0), with the forms that newer versions of the languages write.

use wattle_condition::OneOrMany;

use crate::options::{Preset, Rule};

/// The id of a record of the audit daemon: `msg=audit(1364481363.243:24287):`.
pub(crate) const AUDIT_ID: &str = r"\bmsg=audit\(([^)]+)\)";

/// Records that end an event: `PROCTITLE`, the last one that the kernel sends, `EOE`, and those of programs (types below
/// 1300 of `libaudit.h`), which are events by themselves.
pub(crate) const AUDIT_END: &str = concat!(
    r"^(?:node=\S+ )?type=(?:EOE|PROCTITLE|USER(?:_[A-Z]\w*)?|CRED_\w+|SERVICE_\w+|SYSTEM_\w+|DAEMON_\w+|GRP_\w+",
    r"|ADD_\w+|DEL_\w+|ACCT_\w+|CRYPTO_\w+|VIRT_\w+|ROLE_\w+|LABEL_\w+|CHGRP_ID|CHUSER_ID|DAC_CHECK|MAC_CHECK",
    r"|SOFTWARE_UPDATE|TEST|TRUSTED_APP|USYS_CONFIG) "
);

/// A record that says nothing but that the event has ended.
pub(crate) const AUDIT_MARKER: &str = r"^(?:node=\S+ )?type=EOE ";

/// A rule: the states it applies in, its pattern, the next state.
type Row = (&'static [&'static str], &'static str, &'static str);

/// Languages whose frames are lines with `at`: those of the virtual machines of Java, .NET and V8.
const AT: &[Row] = &[
    (&["start"], r"(?:Exception|Error|Throwable|V8 errors stack trace)(?::|\s|$)|^Unhandled exception", "at"),
    (&["at"], r"^\s*nested exception is:\s*|^$", "at"),
    (&["at", "at_frame"], r"^\s+(?:eval )?at ", "at_frame"),
    (&["at", "at_frame"], r"^\s*(?:Caused by|Suppressed):|^\s*(?:--->|<---)", "at"),
    (&["at", "at_frame"], r"^\s*--- End of (?:inner exception )?stack trace", "at_frame"),
    (&["at", "at_frame"], r"^\s*\.\.\. \d+ (?:more|common frames omitted)", "at_frame"),
];

const PYTHON: &[Row] = &[
    // Exception groups have a margin.
    (&["start"], r"Exception Group Traceback \(most recent call last\):\s*$", "python_group"),
    (&["python_group"], r"^\s+[|+]", "python_group"),
    (&["start"], r"Traceback \(most recent call last\):\s*$", "python"),
    // Frames, source lines, carets.
    (&["python", "python_end"], r"^\s+\S", "python"),
    (&["python"], r"^[A-Za-z_][\w.]*(?::|\s*$)", "python_end"),
    (&["python_end", "python_group"], r"^\s*$", "python_gap"),
    (
        &["python_gap"],
        r"^(?:During handling of the above exception|The above exception was the direct cause)",
        "python_chain",
    ),
    (&["python_chain"], r"^\s*$", "python_chain"),
    (&["python_chain"], r"Exception Group Traceback \(most recent call last\):\s*$", "python_group"),
    (&["python_chain"], r"^Traceback \(most recent call last\):\s*$", "python"),
];

const GO: &[Row] = &[
    (&["start"], r"\bpanic: |^fatal error: |http: panic serving ", "go"),
    (&["start", "go"], r"^goroutine \d+ .*\[[^\]]+\]:$", "go_frame"),
    (&["go"], r"^$|^\[signal |^\tpanic: |^runtime: |^runtime stack:$", "go"),
    (&["go_frame"], r"^(?:\S.*\)|created by .*)$", "go_place"),
    (&["go_frame"], r"^\.\.\.(?:additional|\d+ ).*frames elided", "go_frame"),
    (&["go_frame"], r"^$", "go"),
    (&["go", "go_frame"], r"^exit status \d+$", "go_end"),
    (&["go_place"], r"^\s", "go_frame"),
];

const RUBY: &[Row] = &[
    (&["start"], r"^\S.*:\d+:in [`'].*: .*\(\w+(?:::\w+)*\)$", "ruby"),
    (&["ruby"], r"^[\t ]+(?:\d+: )?from ", "ruby"),
    (&["ruby"], r"^[\t ]+\S+:\d+:in ", "ruby"),
];

/// The rules of a stack trace; none for `cri` and `auditd`, which are no state machines.
fn rows(preset: Preset) -> &'static [Row] {
    match preset {
        Preset::Java | Preset::JavaScript | Preset::DotNet => AT,
        Preset::Python => PYTHON,
        Preset::Go => GO,
        Preset::Ruby => RUBY,
        Preset::Cri | Preset::Auditd => &[],
    }
}

/// The rules of all these presets, which begin in the same state.
pub(crate) fn rules(presets: &[Preset]) -> Vec<Rule> {
    let mut all: Vec<&[Row]> = Vec::new();
    for rows in presets.iter().map(|preset| rows(*preset)) {
        if !all.contains(&rows) {
            all.push(rows);
        }
    }
    let rule = |(from, pattern, to): &Row| Rule {
        from: OneOrMany::Many(from.iter().map(|from| (*from).to_owned()).collect()),
        pattern: (*pattern).to_owned(),
        to: (*to).to_owned(),
    };
    all.into_iter().flatten().map(rule).collect()
}
