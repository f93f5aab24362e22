//! Responses of capabilities in a case, and the expected effects of a node on them.
//!
//! `"mocks": {"clock": "2024-05-01T00:00:00Z", "random": 7, "lookup": {"accounts": {"key": "id",
//! "rows": [{"id": "1", "name": "prod"}]}}, "kv": {"seen": "5"}, "http-client": {"GET
//! https://api.example.com/a": {"status": 200, "body": "…"}}}` sets: the time, which does not
//! advance; the seed of random bytes; lookup tables (`"kind": "cidr"` for a table of networks, and
//! `"mmdb"` for one whose columns are paths into its rows);
//! facts about the machine, where `"host": {"host.name": "web-1", "host.id": null}` replaces one of
//! [`FACTS`] and removes another one; existing keys, and with `"seen": ["key"]` keys of delivered events;
//! and responses by method and URL, where `{"failure": "timeout"}` is a request that
//! fails. `http` is an older name of `http-client`. `[mocks]` in `node.toml` has the same form.
//!
//! `"log": ["warn: a part of the line"]` lists all expected lines. `"metrics":
//! {"rows_total{kind=\"any\"}": 3}` has samples as `/metrics` shows them, without the prefix and
//! the labels of the agent; other samples are not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Responses of capabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mocks {
    /// The time, in nanoseconds since 1970.
    pub clock: Option<i64>,
    /// The seed of random bytes.
    pub random: Option<u64>,
    /// Facts about the machine by name, instead of those of [`FACTS`]; `None` for one that it lacks.
    pub host: BTreeMap<String, Option<String>>,
    /// Tables by name.
    pub lookup: BTreeMap<String, MockTable>,
    /// Values by key.
    pub kv: BTreeMap<String, String>,
    /// Keys that were delivered before.
    pub seen: BTreeSet<String>,
    /// Responses by method and URL, separated by a space.
    pub http: BTreeMap<String, MockAnswer>,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct MockTable {
    /// The column of the key.
    pub key: String,
    /// How keys are compared.
    pub kind: MockKind,
    /// Rows; each is an object.
    pub rows: Vec<Value>,
}

/// How keys of a table are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MockKind {
    /// As text.
    Exact,
    /// The keys are networks.
    Cidr,
    /// The keys are networks, and columns are paths into the rows.
    Mmdb,
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MockAnswer {
    /// A response: status, headers, body.
    Response(u16, Vec<(String, String)>, Vec<u8>),
    /// A failed request, with this code.
    Failure(String),
}

/// Effects of a node on its capabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Lines as `level: text`.
    pub log: Vec<String>,
    /// Samples by name and labels.
    pub metrics: BTreeMap<String, f64>,
}

/// The facts about the machine and the agent in cases: each that there is, so that a case gives the same on every machine.
pub const FACTS: &[(&str, &str)] = &[
    ("host.name", "host-1"),
    ("host.id", "0123456789abcdef0123456789abcdef"),
    ("host.arch", "amd64"),
    ("os.type", "linux"),
    ("os.version", "6.1.0"),
    ("agent.version", "0.1.0"),
];

const KEYS: &[&str] = &["clock", "random", "host", "lookup", "kv", "seen", "http-client", "http"];

impl Mocks {
    /// Parses the mocks of a case or of a project.
    ///
    /// # Errors
    ///
    /// A key is unknown or has an invalid value.
    pub fn read(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("`mocks` must be an object")?;
        known(object, "mocks", KEYS)?;
        let mut mocks = Self::default();
        if let Some(clock) = object.get("clock") {
            let time = clock.as_i64().or_else(|| wattle_batch::parse_rfc3339(clock.as_str()?));
            mocks.clock = Some(time.ok_or("`mocks.clock` must be a time such as \"2024-05-01T00:00:00Z\"")?);
        }
        if let Some(seed) = object.get("random") {
            mocks.random = Some(seed.as_u64().ok_or("`mocks.random` must be a number, the seed")?);
        }
        for (name, value) in entries(object, "host")? {
            if !FACTS.iter().any(|(known, _)| known == name) {
                let known: Vec<&str> = FACTS.iter().map(|(known, _)| *known).collect();
                return Err(format!("unknown fact `{name}` in `mocks.host`; available: {}", known.join(", ")));
            }
            let value = match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                _ => return Err(format!("`mocks.host.{name}` must be a string, or null if the machine lacks it")),
            };
            mocks.host.insert(name.clone(), value);
        }
        for (name, table) in entries(object, "lookup")? {
            mocks
                .lookup
                .insert(name.clone(), MockTable::read(table).map_err(|e| format!("`mocks.lookup.{name}`: {e}"))?);
        }
        for (key, value) in entries(object, "kv")? {
            let text = value.as_str().map(str::to_owned).or_else(|| Some(value.as_i64()?.to_string()));
            mocks.kv.insert(key.clone(), text.ok_or(format!("`mocks.kv.{key}` must be a string or a whole number"))?);
        }
        if let Some(keys) = object.get("seen") {
            let keys = keys.as_array().ok_or("`mocks.seen` must be a list of keys")?;
            let key = |key: &Value| key.as_str().map(str::to_owned).ok_or("keys of `mocks.seen` must be strings");
            mocks.seen = keys.iter().map(key).collect::<Result<_, _>>()?;
        }
        for name in ["http", "http-client"] {
            for (request, answer) in entries(object, name)? {
                let key = format!("`mocks.{name}.{request}`");
                if !request.contains(' ') {
                    return Err(format!("{key} is not `METHOD URL`, such as `GET https://example.com/`"));
                }
                let answer = MockAnswer::read(answer).map_err(|e| format!("{key}: {e}"))?;
                mocks.http.insert(request.clone(), answer);
            }
        }
        Ok(mocks)
    }

    /// Merges these mocks with those of a case; a mock of the case replaces one with the same name.
    #[must_use]
    pub fn with(&self, case: &Self) -> Self {
        fn merge<T: Clone>(own: &BTreeMap<String, T>, case: &BTreeMap<String, T>) -> BTreeMap<String, T> {
            own.iter().chain(case).map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        Self {
            clock: case.clock.or(self.clock),
            random: case.random.or(self.random),
            host: merge(&self.host, &case.host),
            lookup: merge(&self.lookup, &case.lookup),
            kv: merge(&self.kv, &case.kv),
            seen: self.seen.union(&case.seen).cloned().collect(),
            http: merge(&self.http, &case.http),
        }
    }

    /// The facts about the machine by name: those of [`FACTS`] that the mocks do not change, and those of the mocks.
    pub fn facts(&self) -> BTreeMap<&str, &str> {
        let mut facts: BTreeMap<&str, &str> = FACTS.iter().copied().collect();
        for (name, value) in &self.host {
            match value {
                Some(value) => facts.insert(name, value),
                None => facts.remove(name.as_str()),
            };
        }
        facts
    }
}

impl MockTable {
    fn read(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("a table must be an object with `key` and `rows`")?;
        known(object, "table", &["key", "kind", "rows"])?;
        let key = object.get("key").and_then(Value::as_str).ok_or("`key`, the column of the key, is missing")?;
        let rows = object.get("rows").and_then(Value::as_array).ok_or("`rows`, a list of objects, is missing")?;
        let kind = match object.get("kind").map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("exact") => MockKind::Exact,
            Some("cidr") => MockKind::Cidr,
            Some("mmdb") => MockKind::Mmdb,
            Some(other) => return Err(format!("unknown kind `{other}`; available: `exact`, `cidr`, `mmdb`")),
        };
        Ok(Self { key: key.into(), kind, rows: rows.clone() })
    }
}

impl MockAnswer {
    fn read(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("a response must be an object with `status` or `failure`")?;
        known(object, "answer", &["status", "headers", "body", "failure"])?;
        if let Some(failure) = object.get("failure") {
            return Ok(Self::Failure(failure.as_str().ok_or("`failure` must be a code such as `timeout`")?.into()));
        }
        let status = object.get("status").map_or(Some(200), |s| u16::try_from(s.as_u64()?).ok());
        let mut headers = Vec::new();
        for (name, value) in entries(object, "headers")? {
            headers.push((name.clone(), value.as_str().ok_or("values of headers must be strings")?.to_owned()));
        }
        let body = match object.get("body") {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.to_string(),
        };
        Ok(Self::Response(status.ok_or("`status` must be a number such as 200")?, headers, body.into_bytes()))
    }
}

fn entries<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Vec<(&'a String, &'a Value)>, String> {
    match object.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Object(entries)) => Ok(entries.iter().collect()),
        Some(_) => Err(format!("`{key}` must be an object")),
    }
}

fn known(object: &Map<String, Value>, what: &str, keys: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown key `{key}` of {what}; available: {}", keys.join(", "))),
        None => Ok(()),
    }
}

/// Expectations for [`Observed`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    log: Option<Vec<String>>,
    metrics: BTreeMap<String, f64>,
}

impl Effects {
    pub(crate) fn read(case: &Map<String, Value>) -> Result<Self, String> {
        let log = match case.get("log") {
            None => None,
            Some(lines) => {
                let lines = lines.as_array().ok_or("`log` must be a list of `level: part of the line`")?;
                let text = |line: &Value| line.as_str().map(str::to_owned).ok_or("lines of `log` must be strings");
                Some(lines.iter().map(text).collect::<Result<_, _>>()?)
            }
        };
        let mut metrics = BTreeMap::new();
        for (sample, value) in entries(case, "metrics")? {
            metrics.insert(sample.clone(), value.as_f64().ok_or(format!("`metrics.{sample}` must be a number"))?);
        }
        Ok(Self { log, metrics })
    }

    pub(crate) fn compare(&self, observed: &Observed) -> Result<(), String> {
        if let Some(wanted) = &self.log {
            let fits = |(wanted, line): (&String, &String)| match (wanted.split_once(": "), line.split_once(": ")) {
                (Some((level, part)), Some((got, text))) => level == got && text.contains(part),
                _ => false,
            };
            if wanted.len() != observed.log.len() || !wanted.iter().zip(&observed.log).all(fits) {
                return Err(format!("log: expected {wanted:?}, got {:?}", observed.log));
            }
        }
        for (sample, wanted) in &self.metrics {
            match observed.metrics.get(sample) {
                Some(got) if got == wanted => {}
                Some(got) => return Err(format!("metric `{sample}`: expected {wanted}, got {got}")),
                None => {
                    let all: Vec<&str> = observed.metrics.keys().map(String::as_str).collect();
                    return Err(format!("metric `{sample}` is missing; available: {}", all.join(", ")));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn invalid_mocks_are_refused_with_their_place() {
        let mocks = Mocks::read(&json!({
            "clock": "1970-01-01T00:00:01Z", "random": 3, "kv": {"a": 5}, "seen": ["k"],
            "lookup": {"nets": {"kind": "cidr", "key": "net", "rows": [{"net": "10.0.0.0/8"}]}},
            "http-client": {"GET https://a/b": {"status": 404, "body": {"x": 1}}, "GET https://c": {"failure": "timeout"}},
        }));
        let mocks = mocks.unwrap();
        assert_eq!((mocks.clock, mocks.random, mocks.kv["a"].as_str()), (Some(1_000_000_000), Some(3), "5"));
        assert_eq!(mocks.lookup["nets"].kind, MockKind::Cidr);
        assert!(mocks.seen.contains("k"));
        let answer = MockAnswer::Response(404, Vec::new(), br#"{"x":1}"#.to_vec());
        assert_eq!(mocks.http["GET https://a/b"], answer);
        for (wrong, part) in [
            (json!({"clok": 1}), "unknown key `clok`"),
            (json!({"clock": "noon"}), "mocks.clock"),
            (json!({"host": {"host.nmae": "a"}}), "unknown fact `host.nmae`"),
            (json!({"host": {"host.name": 1}}), "`mocks.host.host.name` must be a string"),
            (json!({"seen": {"k": 1}}), "`mocks.seen` must be a list"),
            (json!({"seen": [1]}), "keys of `mocks.seen` must be strings"),
            (json!({"lookup": {"t": {"rows": []}}}), "`mocks.lookup.t`: `key`"),
            (json!({"http": {"https://a": {}}}), "METHOD URL"),
        ] {
            let error = Mocks::read(&wrong).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mocks_of_a_case_replace_single_mocks_of_the_project() {
        let project = json!({ "clock": 5, "random": 1, "kv": {"a": 1, "b": 2}, "seen": ["x"] });
        let project = Mocks::read(&project).unwrap();
        let case = json!({ "random": 2, "kv": {"b": 3, "c": 4}, "seen": ["y"], "http": {"GET https://a": {}} });
        let case = Mocks::read(&case).unwrap();
        let both = project.with(&case);
        assert_eq!((both.clock, both.random), (Some(5), Some(2)));
        assert_eq!(both.kv.values().collect::<Vec<_>>(), ["1", "3", "4"]);
        assert_eq!(both.seen.iter().collect::<Vec<_>>(), ["x", "y"]);
        assert!(both.http.contains_key("GET https://a"), "the older name is read");
        assert_eq!(project.with(&Mocks::default()), project);
    }

    #[test]
    fn mocks_replace_and_remove_facts() {
        let mocks = Mocks::read(&json!({"host": {"host.name": "web-1", "host.id": null}})).unwrap();
        let facts = mocks.facts();
        assert_eq!((facts["host.name"], facts.get("host.id"), facts["os.type"]), ("web-1", None, "linux"));
        assert_eq!(Mocks::default().facts().len(), FACTS.len());
    }

    #[test]
    fn all_log_lines_and_only_named_metrics_are_compared() {
        let case = json!({"log": ["warn: late"], "metrics": {"rows_total": 2}});
        let effects = Effects::read(case.as_object().unwrap()).unwrap();
        let metrics = BTreeMap::from([("rows_total".to_owned(), 2.0), ("other".to_owned(), 9.0)]);
        let mut observed = Observed { log: vec!["warn: 3 came late".into()], metrics };
        assert_eq!(effects.compare(&observed), Ok(()));
        observed.log.push("info: more".into());
        assert!(effects.compare(&observed).unwrap_err().starts_with("log:"));
        observed.log.pop();
        observed.metrics.clear();
        assert!(effects.compare(&observed).unwrap_err().contains("`rows_total` is missing"));
    }
}
