//! `[pipelines.NAME.grants]` as written, and `[grants]` of a node project, which has the same form.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use wattle_diagnostics::{Data, Entry, Findings, Invalid, Place, Reader, Table, codes, in_words, reader, value};
use wattle_pack::clean;
use wattle_plan::{
    Grants, HttpGrant, KvGrant, LogGrant, LogLevel, LookupGrant, MetricsGrant, SeenGrant, TableGrant, TableKind,
};

const MAX_TIME: Duration = Duration::from_mins(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Reads the table `grants` from the text of a project's `node.toml`; `None` if it has none. Paths
/// in it are relative to the file. Leaves all other keys to the reader of the project.
///
/// # Errors
///
/// Every error in the table.
pub fn read_grants(path: &Path, text: &str) -> Result<Option<Grants>, Invalid> {
    let mut findings = Findings::default();
    let number = findings.add_manifest(path, text);
    let grants = value::parse(number, text, &mut findings).map(|table| {
        let mut project = Reader::new(&table, Place::file(number), "the file");
        project.optional("grants").is_some().then(|| read(&mut project, "the project", &mut findings))
    });
    findings.finish(grants).map(|(grants, ..)| grants)
}

/// Reads the key `grants` of a pipeline; a path is relative to the file that holds it.
pub(crate) fn read(pipeline: &mut Reader<'_>, owner: &str, findings: &mut Findings) -> Grants {
    let Some((table, entry)) = pipeline.table("grants", findings) else { return Grants::default() };
    let mut grants = Reader::new(table, entry.place, format!("`grants` of {owner}"));
    let grants_read = Grants {
        log: with_settings(&mut grants, "log", findings, read_log),
        metrics: with_settings(&mut grants, "metrics", findings, |reader, findings| MetricsGrant {
            max_series: reader
                .number("max_series", 1..=100_000, findings)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(MetricsGrant::default().max_series),
        }),
        clock: grants.boolean("clock", findings).unwrap_or(false),
        random: grants.boolean("random", findings).unwrap_or(false),
        host: grants.boolean("host", findings).unwrap_or(false),
        lookup: grants
            .table("lookup", findings)
            .map(|(table, entry)| read_lookup(Reader::new(table, entry.place, "`lookup`"), findings)),
        kv: with_settings(&mut grants, "kv", findings, |reader, findings| {
            let default = KvGrant::default();
            KvGrant {
                max_bytes: reader.size("max_size", 1..=1 << 30, findings).unwrap_or(default.max_bytes),
                max_keys: reader.number("max_keys", 1..=10_000_000, findings).unwrap_or(default.max_keys),
                durable: reader.boolean("durable", findings).unwrap_or(default.durable),
            }
        }),
        http_client: grants.table("http-client", findings).map(|(table, entry)| {
            let mut reader = Reader::new(table, entry.place, "`http-client`");
            let grant = read_http(&mut reader, findings);
            reader.finish(findings);
            grant
        }),
        seen: with_settings(&mut grants, "seen", findings, |reader, findings| {
            let default = SeenGrant::default();
            SeenGrant {
                max_keys: reader.number("max_keys", 1..=SeenGrant::MOST_KEYS, findings).unwrap_or(default.max_keys),
                max_age: reader
                    .duration("max_age", MILLISECOND..=SeenGrant::MAX_AGE, findings)
                    .unwrap_or(default.max_age),
                durable: reader.boolean("durable", findings).unwrap_or(default.durable),
            }
        }),
    };
    grants.finish(findings);
    grants_read
}

/// Reads a grant that is `true` or a table of settings; `false` grants nothing.
fn with_settings<T>(
    grants: &mut Reader<'_>,
    key: &'static str,
    findings: &mut Findings,
    read: impl FnOnce(&mut Reader<'_>, &mut Findings) -> T,
) -> Option<T> {
    let entry = grants.optional(key)?;
    let empty = Table::default();
    let table = match &entry.item.data {
        Data::Table(table) => table,
        Data::Unknown => return None,
        _ => match reader::boolean(entry, findings)? {
            true => &empty,
            false => return None,
        },
    };
    let mut reader = Reader::new(table, entry.place, format!("`{key}`"));
    let grant = read(&mut reader, findings);
    reader.finish(findings);
    Some(grant)
}

fn read_log(reader: &mut Reader<'_>, findings: &mut Findings) -> LogGrant {
    const LEVELS: &[(&str, LogLevel)] =
        &[("debug", LogLevel::Debug), ("info", LogLevel::Info), ("warn", LogLevel::Warn), ("error", LogLevel::Error)];
    let default = LogGrant::default();
    LogGrant {
        level: reader.choice("level", LEVELS, findings).unwrap_or(default.level),
        lines_per_second: reader
            .number("lines_per_second", 1..=1_000_000, findings)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(default.lines_per_second),
    }
}

fn read_lookup(mut reader: Reader<'_>, findings: &mut Findings) -> LookupGrant {
    let mut grant = LookupGrant::default();
    let tables = reader.table("tables", findings);
    for entry in tables.map(|(table, _)| table.0.as_slice()).unwrap_or_default() {
        if let Some(table) = read_table(entry, findings) {
            grant.tables.insert(entry.key.clone(), table);
        }
    }
    reader.finish(findings);
    grant
}

/// Reads a table for lookups: a path, or settings with a path.
fn read_table(entry: &Entry, findings: &mut Findings) -> Option<TableGrant> {
    const KINDS: &[(&str, TableKind)] =
        &[("exact", TableKind::Exact), ("cidr", TableKind::Cidr), ("mmdb", TableKind::Mmdb)];
    let (path, kind, key) = match &entry.item.data {
        Data::String(text) => (reader::Text { text: text.clone(), place: entry.item.place }, None, None),
        _ => {
            let table = reader::table(entry, findings)?;
            let mut reader = Reader::new(table, entry.place, format!("the table `{}`", entry.key));
            let path = reader.required_string("path", findings);
            let kind = reader.choice("kind", KINDS, findings);
            let key = reader.string("key", findings);
            reader.finish(findings);
            (path?, kind, key)
        }
    };
    let kind = kind.unwrap_or_else(|| kind_of(&path.text));
    if let Some(key) = key.as_ref().filter(|_| kind == TableKind::Mmdb) {
        let message = format!("the table `{}` is a MaxMind DB, which has no key column", entry.key);
        findings.report(codes::BAD_VALUE.at(key.place, message).hint("remove `key`; lookups are by address"));
    }
    let file = clean(&findings.folder(path.place).join(&path.text));
    // Watch a missing file too, since it can appear later.
    findings.watch(&file);
    let found = std::fs::metadata(&file);
    let wrong = match &found {
        Err(error) => Some(in_words(error)),
        Ok(found) if !found.is_file() => Some("it is not a file".into()),
        Ok(found) if found.len() > TableGrant::MAX_BYTES => {
            Some(format!("it has {} bytes; at most {} are allowed", found.len(), TableGrant::MAX_BYTES))
        }
        Ok(_) => None,
    };
    if let Some(wrong) = wrong {
        let message = format!("the table `{}` cannot be read from `{}`: {wrong}", entry.key, file.display());
        findings.report(
            codes::LOOKUP_TABLE.at(path.place, message).hint("give the path of a CSV, JSON, NDJSON or MaxMind DB file"),
        );
        return None;
    }
    let changed = found.as_ref().ok().and_then(|found| found.modified().ok());
    let nanoseconds = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_nanos());
    let key = key.map(|key| key.text);
    Some(TableGrant { path: file, kind, key, stamp: (found.map_or(0, |found| found.len()), nanoseconds) })
}

/// The kind of a table whose settings do not name it.
fn kind_of(path: &str) -> TableKind {
    let is_mmdb = Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mmdb"));
    if is_mmdb { TableKind::Mmdb } else { TableKind::Exact }
}

fn read_http(reader: &mut Reader<'_>, findings: &mut Findings) -> HttpGrant {
    let default = HttpGrant::default();
    let hosts = reader.required_strings("hosts", findings).unwrap_or_default();
    for host in &hosts {
        let name = host.text.strip_prefix("http://").unwrap_or(&host.text);
        if name.is_empty() || name.contains(['/', '@', ' ']) || name.trim_start_matches("*.").contains('*') {
            let message = format!("bad host `{}`; it must be a host name such as `api.example.com`", host.text);
            let hint =
                "`*.example.com` matches all subdomains, `host:8443` sets a port, `http://host` allows plain HTTP";
            findings.report(codes::BAD_VALUE.at(host.place, message).hint(hint));
        }
    }
    HttpGrant {
        hosts: hosts.into_iter().map(|host| host.text).collect(),
        timeout: reader.duration("timeout", MILLISECOND..=MAX_TIME, findings).unwrap_or(default.timeout),
        max_response_bytes: reader.size("max_response", 0..=1 << 30, findings).unwrap_or(default.max_response_bytes),
        time_per_batch: reader
            .duration("time_per_batch", MILLISECOND..=MAX_TIME, findings)
            .unwrap_or(default.time_per_batch),
        requests_per_batch: reader
            .number("requests_per_batch", 1..=100_000, findings)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(default.requests_per_batch),
        allow_private: reader.boolean("allow_private", findings).unwrap_or(default.allow_private),
    }
}
