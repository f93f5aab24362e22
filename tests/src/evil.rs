//! Every way in which the guest `faulty` misbehaves, and the expected result: one table for tests
//! and chaos.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Config, Folder, built};

/// Which rows a fault costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The poisonous rows and no others.
    Poison,
    /// Every row of a batch with a poisonous one.
    Batch,
    /// Every row.
    All,
    /// None: the configuration is refused.
    Refused,
}

/// A way to misbehave.
#[derive(Clone, Copy, Debug)]
pub struct Evil {
    /// Value of the option `fault` of the guest.
    pub fault: &'static str,
    /// Code of the rows that fail, or of the fault in the diagnostic.
    pub code: &'static str,
    /// A part of the message.
    pub message: &'static str,
    /// Its cost.
    pub cost: Cost,
}

const fn evil(fault: &'static str, code: &'static str, message: &'static str, cost: Cost) -> Evil {
    Evil { fault, code, message, cost }
}

/// All of them, each with its [`Evil::limits`].
pub const EVIL: &[Evil] = &[
    evil("panic-on-configure", "trap", "configured to panic", Cost::Refused),
    evil("spin-on-configure", "time-limit", "ran longer than", Cost::Refused),
    evil("leak-handles", "field-limit", "more than 4096 fields", Cost::Refused),
    evil("panic", "trap", "poison in row", Cost::Poison),
    evil("panic-on-every-row", "trap", "poison in row", Cost::All),
    evil("spin", "time-limit", "ran longer than", Cost::Poison),
    evil("grow-memory", "memory-limit", "more than 32 MiB", Cost::Poison),
    evil("recurse", "stack-overflow", "", Cost::Poison),
    evil("flood", "output-limit", "more than 1048576 bytes", Cost::Poison),
    evil("flood-at-once", "output-limit", "more than 1048576 bytes", Cost::Poison),
    evil("flood-split", "output-limit", "more than 1048576 bytes", Cost::Poison),
    evil("flood-replace", "output-limit", "more than 1048576 bytes", Cost::Poison),
    evil("flood-copies", "output-limit", "more than 1048576 bytes", Cost::Poison),
    evil("flood-log", "log-limit", "more than 100 messages", Cost::Poison),
    evil("call-host", "host-call-limit", "more than 10000 host calls", Cost::Poison),
    evil("bad-span", "invalid-decision", "", Cost::Poison),
    evil("bad-offsets", "invalid-decision", "", Cost::Poison),
    evil("bad-port", "invalid-decision", "port 9 does not exist", Cost::Poison),
    evil("bad-json", "invalid-decision", "is not JSON", Cost::Poison),
    evil("bad-row", "invalid-decision", "does not exist", Cost::Poison),
    evil("bad-field", "invalid-decision", "not resolved for reading", Cost::Poison),
    evil("bad-text", "invalid-decision", "utf-8", Cost::Poison),
    evil("corrupt-memory", "trap", "", Cost::Poison),
    evil("error", "node-error", "row 0 holds poison", Cost::Batch),
];

/// A pipeline from the source `lines` through the guest, with its outputs `ok` and `fails` to files
/// of its name. `more` are further keys of the node.
pub fn pipeline(fault: &str, limits: &str, more: &str) -> String {
    let (ok, fails) = (format!("{fault}-ok"), format!("{fault}-fails"));
    Config::new()
        .pipeline(fault, &["lines"])
        .node("faulty", "faulty.wasm", &["input"])
        .set("options.fault", fault)
        .with(format_args!("limits = {{ {limits} }}\n{more}"))
        .ok_and_fails("faulty")
        .file_sink(&ok, &[&format!("{fault}.ok")], &format!("{ok}.ndjson"))
        .set("encoding.codec", "text")
        .set("fsync", "never")
        .file_sink(&fails, &[&format!("{fault}.fails")], &format!("{fails}.ndjson"))
        .set("fsync", "never")
        .text()
}

/// The source `lines`: the file `in.log`, read once.
pub const LINES: &str = "[sources.lines]\ntype = \"file\"\ninclude = [\"in.log\"]\nfollow = false\n";

/// A row of `in.log`.
pub fn row(index: usize, is_poison: bool) -> String {
    let kind = if is_poison { "poison" } else { "healthy" };
    format!("{{\"row\":{index},\"kind\":\"{kind}\"}}")
}

/// A folder with the guest and this many rows in `in.log`; those with these indices are poisonous.
pub fn folder(rows: usize, poison: &[usize]) -> Folder {
    let folder = Folder::new();
    folder.write("faulty.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
    let text: String = (0..rows).map(|index| row(index, poison.contains(&index)) + "\n").collect();
    folder.write("in.log", text);
    folder
}

impl Evil {
    /// Limits for the table; all others are the defaults. Only a guest that never returns gets
    /// little time, such as `200ms`, so a busy machine makes no other one exceed its time.
    pub fn limits(&self, spin: &str) -> String {
        let time = if self.fault.starts_with("spin") { spin } else { "10s" };
        format!(r#"memory = "32MiB", time = "{time}""#)
    }

    /// Whether the rows of the table run; a refused guest never runs.
    pub fn runs(&self) -> bool {
        self.cost != Cost::Refused
    }

    /// Number of rows of [`folder`] that neither passed nor failed.
    pub fn lost(&self, folder: &Folder, rows: usize, poison: &[usize]) -> usize {
        let passed = String::from_utf8(folder.read(&format!("{}-ok.ndjson", self.fault))).unwrap();
        let failed = folder.events(&format!("{}-fails.ndjson", self.fault));
        let failed = failed.iter().map(|event| event["body"].as_str().unwrap());
        let found: BTreeSet<&str> = passed.lines().chain(failed).collect();
        (0..rows).filter(|index| !found.contains(row(*index, poison.contains(index)).as_str())).count()
    }

    /// Checks the output of a pipeline of [`pipeline`] after it processed everything of [`folder`]:
    /// every row is where it belongs, once, in order, and with the reason.
    ///
    /// # Panics
    ///
    /// A row is not.
    #[track_caller]
    pub fn assert_contained(&self, folder: &Folder, rows: usize, poison: &[usize]) {
        let fault = self.fault;
        let fails = |index: &usize| match self.cost {
            Cost::Poison => poison.contains(index),
            Cost::Batch | Cost::All => true,
            Cost::Refused => panic!("{fault} never runs"),
        };
        let passed = String::from_utf8(folder.read(&format!("{fault}-ok.ndjson"))).unwrap();
        let healthy: Vec<String> = (0..rows).filter(|i| !fails(i)).map(|i| row(i, false)).collect();
        assert!(passed.lines().eq(&healthy), "{fault}: healthy rows, in their order, and no others: {passed}");
        let failed = folder.events(&format!("{fault}-fails.ndjson"));
        let bodies: Vec<&str> = failed.iter().map(|event| event["body"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..rows).filter(fails).map(|i| row(i, poison.contains(&i))).collect();
        assert_eq!(bodies, expected, "{fault}: rows that failed, unchanged");
        let codes: BTreeSet<&str> = failed.iter().map(|event| event["failure"]["code"].as_str().unwrap()).collect();
        assert_eq!(codes, BTreeSet::from([self.code]), "{fault}");
        for event in failed {
            let Value::Object(failure) = &event["failure"] else { panic!("{fault}: {event}") };
            assert_eq!((&failure["node"], &failure["version"]), (&"faulty".into(), &"faulty@0.1.0".into()));
            let message = failure["message"].as_str().unwrap();
            assert!(message.contains(self.message), "{fault}: {event}");
        }
    }
}
