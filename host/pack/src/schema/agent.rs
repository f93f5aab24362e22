//! The schema of `agent.toml`.

use serde_json::{Map, Value as Json, json};

use super::embed::{embed, with_keys};
use super::{
    Key, MAY, MUST, NAMES, OptionSchemas, boolean, duration, fraction, graph, named, number, one_of, root, set, size,
    string, strings, table,
};

/// The JSON schema of `agent.toml`.
pub fn agent_schema(options: &OptionSchemas) -> Json {
    let mut definitions = Map::new();
    let inputs = json!({ "inputs": strings(), "buffer": buffer() });
    let sources = component("source", &options.sources, &json!({}), &mut definitions);
    let sinks = component("sink", &options.sinks, &inputs, &mut definitions);
    let keys = vec![
        ("agent", MAY, "Settings of the agent itself.", agent()),
        ("packs", MAY, "Where packs are, and whose are trusted.", packs()),
        ("admin", MAY, "Where health, metrics and status are served.", admin()),
        ("sources", MAY, "Where events begin, by name.", named(NAMES, sources)),
        ("pipelines", MAY, "What happens to events, by name.", named(NAMES, pipeline(options, &mut definitions))),
        ("sinks", MAY, "Where events end, by name.", named(NAMES, sinks)),
    ];
    root("agent.toml", "The configuration of a Wattle agent.", table(keys), definitions)
}

/// Names that are no identifiers, such as hosts.
const ANY: &str = "";

fn agent() -> Json {
    let batch = table(vec![
        ("max_bytes", MAY, "Bytes of bodies.", size()),
        ("max_events", MAY, "Number of events.", number(1, 10_000_000)),
        ("max_age", MAY, "Age of the first event.", duration()),
    ]);
    let artifacts = table(vec![
        ("max_size", MAY, "Bytes of the file.", size()),
        ("max_functions", MAY, "Functions of all its modules.", number(1, 1_000_000)),
        ("max_compile_time", MAY, "Time that compiling it may take.", duration()),
        ("max_compile_memory", MAY, "Memory of the process that compiles it. Default: `2GiB`.", size()),
        ("baseline", MAY, "Whether it may start on code that is compiled fast, before it is optimized.", boolean()),
    ]);
    let quarantine = table(vec![("max_size", MAY, "Bytes of the quarantine of one pipeline.", size())]);
    let rollback = table(vec![
        ("enabled", MAY, "Whether that happens at all.", boolean()),
        ("probation", MAY, "For how long after the change.", duration()),
        ("max_fault_rate", MAY, "By how much the share of batches that fault may grow.", fraction(0.0, 1.0)),
        ("min_batches", MAY, "Batches that must have been seen first.", number(1, u64::MAX / 2)),
    ]);
    table(vec![
        ("data_dir", MAY, "Folder for checkpoints, buffers, caches and packs.", string()),
        ("workers", MAY, "Number of worker threads; without it one for each core.", number(1, 1024)),
        (
            "drain_timeout",
            MAY,
            "How long a stop may take before the rest is left for the next start. Default: 25 s, which fits the 30 s that Kubernetes gives.",
            duration(),
        ),
        (
            "sink_handover_timeout",
            MAY,
            "How long a sink that a reload replaces or removes may take to deliver what it holds; then its events return to their sources and go to the new sinks. Default: 5 s.",
            duration(),
        ),
        ("batch", MAY, "When a batch is closed: by whichever comes first.", batch),
        ("limits", MAY, "Limits of nodes that name none of their own.", graph::limits()),
        ("circuit", MAY, "Circuits of nodes that name none of their own.", graph::circuit()),
        ("artifacts", MAY, "What an artifact may be.", artifacts),
        ("quarantine", MAY, "How much may be kept of what must not leave.", quarantine),
        ("rollback", MAY, "When a version that was just taken up is given up again.", rollback),
        ("pack_tests", MAY, "Whether a changed pack must pass its own tests before it runs.", boolean()),
    ])
}

fn packs() -> Json {
    let registry = table(vec![
        ("insecure", MAY, "Allows plain http although it is another machine.", boolean()),
        ("username", MAY, "Name, where it wants one.", string()),
        ("password", MAY, "Password or token, as in `${REGISTRY_PASSWORD}`.", string()),
    ]);
    let pack = table(vec![
        ("require", MAY, "Whether it must be signed.", boolean()),
        ("publishers", MAY, "Publishers whose signature counts for it.", strings()),
    ]);
    let key = json!({ "anyOf": [string(), strings()] });
    let trust = table(vec![
        ("require", MAY, "Whether packs must be signed.", boolean()),
        ("keys", MAY, "Public keys of publishers, by name: lines that begin with `RW`.", named(ANY, key)),
        ("packs", MAY, "What holds for some packs instead: by name, folder, or repository.", named(ANY, pack)),
    ]);
    table(vec![
        ("path", MAY, "The library folder; without it `packs` in the data folder.", string()),
        ("poll", MAY, "Time between two polls of a tag in a registry.", duration()),
        ("timeout", MAY, "How long a registry may take for a small answer.", duration()),
        ("registries", MAY, "Registries that need settings, by host.", named(ANY, registry)),
        ("trust", MAY, "Whose packs are trusted.", trust),
    ])
}

fn admin() -> Json {
    table(vec![
        ("listen", MUST, "Address and port, such as `127.0.0.1:9598`.", string()),
        ("allow_remote", MAY, "Allows an address that other machines can reach.", boolean()),
    ])
}

fn buffer() -> Json {
    table(vec![
        ("type", MAY, "Where events wait for the sink.", one_of(["memory", "disk"])),
        ("max_size", MAY, "Bytes that may wait.", size()),
        ("when_full", MAY, "What becomes of further events.", one_of(["block", "drop_newest"])),
        ("fsync", MAY, "On disk: when events are safe.", one_of(["always", "interval"])),
        ("fsync_interval", MAY, "With `fsync = \"interval\"`: how long events are gathered.", duration()),
    ])
}

/// A source or a sink: its type says which other keys it takes. `own` are the keys that the agent itself reads.
fn component(kind: &str, types: &[(String, Json)], own: &Json, definitions: &mut Map<String, Json>) -> Json {
    let names: Vec<&str> = types.iter().map(|(name, _)| name.as_str()).collect();
    let mut keys = json!({ "type": { "enum": names, "description": format!("Type of the {kind}.") } });
    if let (Json::Object(keys), Json::Object(own)) = (&mut keys, own) {
        keys.extend(own.clone());
    }
    let rules = types.iter().map(|(name, options)| {
        let options = with_keys(embed(&format!("{kind}.{name}"), options.clone(), definitions), &keys);
        let is_type = json!({ "properties": { "type": { "const": name } }, "required": ["type"] });
        json!({ "if": is_type, "then": options })
    });
    let rules: Vec<Json> = rules.collect();
    let mut required = vec!["type"];
    if own.get("inputs").is_some() {
        required.push("inputs");
    }
    json!({ "type": "object", "properties": keys, "required": required, "allOf": rules })
}

/// A candidate: named by its version or reference alone, or with settings of its own.
fn trial(settings: Vec<Key>) -> Json {
    let mut keys = vec![
        ("pack", MUST, "A version of the pipeline's pack, or a reference to a pack.", string()),
        ("params", MAY, "Parameters; without them those of the pipeline.", json!({ "type": "object" })),
    ];
    keys.extend(settings);
    json!({ "anyOf": [string(), table(keys)] })
}

/// `true`, or a table of settings.
fn or_true(keys: Vec<Key>) -> Json {
    json!({ "anyOf": [boolean(), table(keys)] })
}

fn grants() -> Json {
    let log = vec![
        ("level", MAY, "The least severe line that is written.", one_of(["debug", "info", "warn", "error"])),
        ("lines_per_second", MAY, "Lines of one node; more are counted and left out.", number(1, 1_000_000)),
    ];
    let metrics = vec![("max_series", MAY, "Series of one node.", number(1, 100_000))];
    let lookup_table = table(vec![
        ("path", MUST, "CSV with a header, or JSON: an array of objects.", string()),
        ("kind", MAY, "How keys are compared.", one_of(["exact", "cidr"])),
        ("key", MAY, "The column of the keys.", string()),
    ]);
    let lookup_table = json!({ "anyOf": [string(), lookup_table] });
    let lookup = table(vec![("tables", MAY, "Tables, by the name that nodes know.", named(ANY, lookup_table))]);
    let kv = vec![
        ("max_size", MAY, "Bytes of keys and values of one node.", size()),
        ("max_keys", MAY, "Keys of one node.", number(1, 10_000_000)),
    ];
    let http = table(vec![
        ("hosts", MUST, "Hosts that may be asked, as in `api.example.com` or `*.example.com`.", strings()),
        ("timeout", MAY, "Time of one request.", duration()),
        ("max_response", MAY, "Bytes of a response.", size()),
        ("time_per_batch", MAY, "Time of all requests for one batch.", duration()),
        ("requests_per_batch", MAY, "Requests for one batch.", number(1, 100_000)),
        ("allow_private", MAY, "Whether hosts may have addresses of private networks.", boolean()),
    ]);
    table(vec![
        ("log", MAY, "Lines in the agent's log.", or_true(log)),
        ("metrics", MAY, "Metrics of their own.", or_true(metrics)),
        ("clock", MAY, "The time.", boolean()),
        ("random", MAY, "Random bytes.", boolean()),
        ("lookup", MAY, "Tables from files.", lookup),
        ("kv", MAY, "A store of keys and values that outlives swaps.", or_true(kv)),
        ("http-client", MAY, "Requests over HTTP.", http),
    ])
}

fn shadow() -> Vec<Key> {
    vec![
        ("share", MAY, "Share of the batches that it is given.", fraction(0.0001, 1.0)),
        ("max_cpu_share", MAY, "Share of one core that it may take.", fraction(0.0001, 1.0)),
    ]
}

fn canary() -> Vec<Key> {
    let rate = fraction(0.0, 1.0);
    let faults = "By how much its share of batches that fault may exceed that of the running version.";
    vec![
        ("share", MAY, "Share of the batches that go to it.", fraction(0.0001, 1.0)),
        ("for", MAY, "How long it must do well.", duration()),
        ("min_events", MAY, "Events that it must have seen besides.", number(0, u64::MAX / 2)),
        ("max_fault_rate", MAY, faults, rate.clone()),
        ("max_drop_rate", MAY, "The same for the share of its events that are dropped.", rate.clone()),
        ("max_fail_rate", MAY, "The same for the share of its events that fail.", rate),
        ("max_latency_ratio", MAY, "How many times as long it may take for a byte.", fraction(1.0, 1000.0)),
    ]
}

fn pipeline(options: &OptionSchemas, definitions: &mut Map<String, Json>) -> Json {
    let pack = "The pack: `name`, `name@^1`, `name@1.0.0`, a folder as in `./folder`, or `oci://host/repository:tag`.";
    let mut keys = vec![
        ("inputs", MUST, "Sources whose events it takes.", strings()),
        ("pack", MAY, pack, string()),
        ("params", MAY, "Parameters of the pack.", json!({ "type": "object" })),
        ("discard", MAY, "Outputs that are thrown away on purpose.", strings()),
        ("grants", MAY, "What its nodes may use beyond their batch.", grants()),
        ("shadow", MAY, "A version that is tried on copies of the same batches.", trial(shadow())),
        (
            "canary",
            MAY,
            "A version that takes a share of the batches until it is promoted or rolled back.",
            trial(canary()),
        ),
    ];
    keys.extend(graph::keys(&options.nodes, definitions));
    let mut pipeline = table(keys);
    let rule = json!([{
        "if": { "required": ["pack"] },
        "then": { "properties": { "nodes": false, "outputs": false } },
        "else": { "required": ["outputs"], "properties": { "params": false } },
    }]);
    set(&mut pipeline, "allOf", rule);
    pipeline
}
