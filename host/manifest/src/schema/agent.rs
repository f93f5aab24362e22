//! The schema of `agent.toml`.

use serde_json::{Map, Value as Json, json};

use super::embed::{embed, with_keys};
use super::{
    Key, MAY, MUST, NAMES, OptionSchemas, boolean, described, duration, fraction, graph, named, number, one_of, root,
    set, size, string, strings, table,
};

/// The JSON schema of `agent.toml`.
pub fn agent_schema(options: &OptionSchemas) -> Json {
    let mut definitions = Map::new();
    let inputs = json!({ "inputs": inputs(), "buffer": buffer() });
    let sources = endpoint("source", &options.sources, &json!({}), &mut definitions);
    let sinks = endpoint("sink", &options.sinks, &inputs, &mut definitions);
    let keys = vec![
        ("agent", MAY, "Settings of the agent itself.", agent()),
        ("packs", MAY, "Where packs are, and which ones are trusted.", packs()),
        ("admin", MAY, "The listener for health, metrics and status.", admin()),
        ("sources", MAY, "Where events begin, by name.", named(NAMES, sources)),
        ("pipelines", MAY, "What happens to events, by name.", named(NAMES, pipeline(options, &mut definitions))),
        ("sinks", MAY, "Where events end, by name.", named(NAMES, sinks)),
    ];
    root("agent.toml", "The configuration of a Wattle agent.", table(keys), definitions)
}

fn inputs() -> Json {
    described(
        strings(),
        "Outputs of pipelines whose events the sink receives: `pipeline.output`, or `pipeline.*` for all; also sources, \
         whose events then pass unchanged.",
    )
}

/// Pattern for names that are not identifiers, such as hosts.
pub(super) const ANY: &str = "";

fn agent() -> Json {
    let batch = table(vec![
        ("max_bytes", MAY, "Bytes of bodies that close a batch. Default: `256KiB`.", size()),
        ("max_events", MAY, "Number of events that close a batch. Default: 10000.", number(1, 10_000_000)),
        ("max_age", MAY, "Age of the first event that closes a batch. Default: `100ms`.", duration()),
    ]);
    let artifacts = table(vec![
        ("max_size", MAY, "Bytes of an artifact's file. Default: `64MiB`.", size()),
        ("max_functions", MAY, "Functions of all modules of an artifact. Default: 200000.", number(1, 1_000_000)),
        ("max_compile_time", MAY, "Time that compiling an artifact may take. Default: `2m`.", duration()),
        ("max_compile_memory", MAY, "Memory of the process that compiles an artifact. Default: `2GiB`.", size()),
        (
            "baseline",
            MAY,
            "Whether a node may start on code of the baseline compiler while the optimized code is compiled. Default: true.",
            boolean(),
        ),
    ]);
    let quarantine =
        table(vec![("max_size", MAY, "Bytes of the quarantine of one pipeline. Default: `1GiB`.", size())]);
    let rollback = table(vec![
        (
            "enabled",
            MAY,
            "Whether the agent rolls back a version that faults soon after a reload applied it. Default: true.",
            boolean(),
        ),
        ("probation", MAY, "How long after a reload a version can be rolled back. Default: `1m`.", duration()),
        (
            "max_fault_rate",
            MAY,
            "By how much the share of batches at which a node faults may grow, from 0 to 1. Default: 0.05.",
            fraction(0.0, 1.0),
        ),
        (
            "min_batches",
            MAY,
            "Batches that the new version must have processed first. Default: 20.",
            number(1, u64::MAX / 2),
        ),
    ]);
    table(vec![
        (
            "data_dir",
            MAY,
            "Folder for checkpoints, buffers, caches and packs. Default: the environment variable `WATTLE_DATA_DIR`, else `/var/lib/wattle` for root and `~/.local/share/wattle` for others.",
            string(),
        ),
        ("workers", MAY, "Number of worker threads. Default: one for each core.", number(1, 1024)),
        (
            "io_threads",
            MAY,
            "Number of threads that serve sources, sinks and timers; nodes never run on them. Read when the agent starts. Default: `2`.",
            number(1, 64),
        ),
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
        ("batch", MAY, "When a batch is closed: by whichever limit is reached first.", batch),
        ("limits", MAY, "Limits of nodes that set none of their own.", graph::limits()),
        ("circuit", MAY, "Circuits of nodes that set none of their own.", graph::circuit()),
        ("artifacts", MAY, "Limits for artifacts. Read when the agent starts.", artifacts),
        ("quarantine", MAY, "Limits of the quarantine.", quarantine),
        ("rollback", MAY, "When the agent rolls back a version by itself.", rollback),
        ("pack_tests", MAY, "Whether a changed pack must pass its own tests before it runs. Default: true.", boolean()),
    ])
}

fn packs() -> Json {
    let registry = table(vec![
        ("insecure", MAY, "Allows plain HTTP to another machine. Default: false.", boolean()),
        (
            "username",
            MAY,
            "User name for the registry. Default: the credentials in the environment or in the configuration of docker.",
            string(),
        ),
        ("password", MAY, "Password or token, as in `${REGISTRY_PASSWORD}`. Default: none.", string()),
    ]);
    let pack = table(vec![
        ("require", MAY, "Whether this pack must be signed. Default: `trust.require`.", boolean()),
        ("publishers", MAY, "Names of the keys whose signature this pack accepts. Default: all keys.", strings()),
    ]);
    let key = json!({ "anyOf": [string(), strings()] });
    let trust = table(vec![
        ("require", MAY, "Whether packs must be signed. Default: false.", boolean()),
        (
            "keys",
            MAY,
            "Public keys of publishers, by name: lines that begin with `RW`. Default: none.",
            named(ANY, key),
        ),
        ("packs", MAY, "Rules for single packs, by name, folder or repository. Default: none.", named(ANY, pack)),
    ]);
    table(vec![
        ("path", MAY, "The library folder. Default: `packs` in the data folder.", string()),
        ("poll", MAY, "Time between two polls of a tag in a registry. Default: `1m`.", duration()),
        ("timeout", MAY, "How long a registry may take to answer. Default: `30s`.", duration()),
        ("registries", MAY, "Settings of registries, by host. Default: none.", named(ANY, registry)),
        ("trust", MAY, "Which packs are trusted.", trust),
    ])
}

fn admin() -> Json {
    table(vec![
        (
            "listen",
            MAY,
            "Address and port, such as `127.0.0.1:9598`. Default: none; then only the control socket serves requests.",
            string(),
        ),
        (
            "allow_remote",
            MAY,
            "Allows an address that other machines can reach; the listener has neither passwords nor TLS. Default: false.",
            boolean(),
        ),
        (
            "allowed_hosts",
            MAY,
            "Host names by which clients may reach the listener, beside IP addresses and `localhost`. Default: none.",
            strings(),
        ),
        (
            "tap",
            MAY,
            "Which events may be shown: those that have passed every masking node, `all`, or none. Default: `masked`.",
            one_of(["masked", "all", "off"]),
        ),
        (
            "recent",
            MAY,
            "Memory for the newest events of all pipelines, as far as `tap` may show them, for trials on recent traffic. At most `256MiB`; 0 keeps none. Default: 0.",
            size(),
        ),
        ("page", MAY, "Whether the listener serves the page. Default: true.", boolean()),
        (
            "try",
            MAY,
            "Whether clients may run an input through a pack. Default: `true` if the address is loopback, else `false`.",
            boolean(),
        ),
        (
            "price_per_gb",
            MAY,
            "Price of a GB that leaves on an output, for the figures of the page. Default: none.",
            fraction(0.0, 1e9),
        ),
        ("currency", MAY, "Currency of `price_per_gb`, such as `USD`. Default: none.", string()),
    ])
}

fn buffer() -> Json {
    table(vec![
        ("type", MAY, "Where events wait for the sink. Default: `memory`.", one_of(["memory", "disk"])),
        ("max_size", MAY, "Bytes that may wait. Default: `8MiB` in memory, `1GiB` on disk.", size()),
        (
            "when_full",
            MAY,
            "What happens to further events when the buffer is full. Default: `block`.",
            one_of(["block", "drop_newest"]),
        ),
        (
            "fsync",
            MAY,
            "With `type = \"disk\"`: when events are synced. Default: `always`.",
            one_of(["always", "interval"]),
        ),
        (
            "fsync_interval",
            MAY,
            "With `fsync = \"interval\"`: how long events are collected before they are synced. Default: `500ms`.",
            duration(),
        ),
    ])
}

/// A source or a sink: its type determines which other keys are allowed. `own` holds the keys that
/// the agent itself reads.
fn endpoint(kind: &str, types: &[(String, Json)], own: &Json, definitions: &mut Map<String, Json>) -> Json {
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

/// A candidate: a version or reference alone, or a table of settings.
fn candidate(settings: Vec<Key>) -> Json {
    let mut keys = vec![
        ("pack", MUST, "A version of the pipeline's pack, or a reference to a pack.", string()),
        ("params", MAY, "Parameters of the candidate. Default: those of the pipeline.", json!({ "type": "object" })),
    ];
    keys.extend(settings);
    json!({ "anyOf": [string(), table(keys)] })
}

/// `true`, or a table of settings.
fn or_true(keys: Vec<Key>) -> Json {
    json!({ "anyOf": [boolean(), table(keys)] })
}

pub(super) fn grants() -> Json {
    let log = vec![
        ("level", MAY, "Lowest severity that is logged. Default: `info`.", one_of(["debug", "info", "warn", "error"])),
        (
            "lines_per_second",
            MAY,
            "Log lines of one node per second; the agent counts and drops more. Default: 100.",
            number(1, 1_000_000),
        ),
    ];
    let metrics = vec![("max_series", MAY, "Metric series of one node. Default: 100.", number(1, 100_000))];
    let lookup_table = table(vec![
        ("path", MUST, "CSV with a header, JSON (an array of objects), NDJSON, or a MaxMind DB.", string()),
        (
            "kind",
            MAY,
            "How keys are compared. Default: `mmdb` if the file's name ends with `.mmdb`, else `exact`.",
            one_of(["exact", "cidr", "mmdb"]),
        ),
        ("key", MAY, "Name of the column that holds the keys. Default: `key`, or the first column.", string()),
    ]);
    let lookup_table = json!({ "anyOf": [string(), lookup_table] });
    let lookup = table(vec![(
        "tables",
        MAY,
        "Tables by name, each a path or a table of settings. Default: none.",
        named(ANY, lookup_table),
    )]);
    let kv = vec![
        ("max_size", MAY, "Bytes of keys and values of one node. Default: `1MiB`.", size()),
        ("max_keys", MAY, "Keys of one node. Default: 10000.", number(1, 10_000_000)),
        ("durable", MAY, "Whether keys and values survive a restart of the agent. Default: false.", boolean()),
    ];
    let seen = vec![
        (
            "max_keys",
            MAY,
            "Claims of one node; the oldest ones beyond it are forgotten. Default: 1000000.",
            number(1, 100_000_000),
        ),
        ("max_age", MAY, "Maximum age of a claim. Default: `1h`.", duration()),
        (
            "durable",
            MAY,
            "Whether claims of delivered events survive a restart of the agent. Default: false.",
            boolean(),
        ),
    ];
    let http = table(vec![
        ("hosts", MUST, "Hosts that requests may go to, as in `api.example.com` or `*.example.com`.", strings()),
        ("timeout", MAY, "Time of one request. Default: `2s`.", duration()),
        ("max_response", MAY, "Bytes of a response. Default: `1MiB`.", size()),
        ("time_per_batch", MAY, "Time of all requests for one batch. Default: `2s`.", duration()),
        ("requests_per_batch", MAY, "Requests for one batch. Default: 100.", number(1, 100_000)),
        (
            "allow_private",
            MAY,
            "Whether hosts may have addresses of this machine and of private networks. Default: false.",
            boolean(),
        ),
    ]);
    table(vec![
        ("log", MAY, "Whether nodes may write to the agent's log. Default: false.", or_true(log)),
        ("metrics", MAY, "Whether nodes may have metrics of their own. Default: false.", or_true(metrics)),
        ("clock", MAY, "Whether nodes may read the time. Default: false.", boolean()),
        ("random", MAY, "Whether nodes may get random bytes. Default: false.", boolean()),
        ("host", MAY, "Whether nodes may read facts about the machine, such as its name. Default: false.", boolean()),
        ("lookup", MAY, "Lookup tables from files.", lookup),
        ("kv", MAY, "Whether nodes have a key-value store that survives swaps. Default: false.", or_true(kv)),
        ("http-client", MAY, "HTTP requests of nodes.", http),
        ("seen", MAY, "Whether nodes can remember the keys of delivered events. Default: false.", or_true(seen)),
    ])
}

fn shadow() -> Vec<Key> {
    vec![
        (
            "share",
            MAY,
            "Share of the batches that the shadow receives, from 0 to 1. Default: 1.",
            fraction(0.0001, 1.0),
        ),
        ("max_cpu_share", MAY, "Share of one core that the shadow may use. Default: 0.2.", fraction(0.0001, 1.0)),
    ]
}

fn canary() -> Vec<Key> {
    let rate = fraction(0.0, 1.0);
    let faults = "By how much the share of batches at which a node faults may exceed that of the running version, from 0 to 1. Default: 0.001.";
    vec![
        (
            "share",
            MAY,
            "Share of the batches that the canary receives, from 0 to 1. Default: 0.05.",
            fraction(0.0001, 1.0),
        ),
        ("for", MAY, "How long the canary must keep to all rules before it is promoted. Default: `10m`.", duration()),
        (
            "min_events",
            MAY,
            "Events that the canary must have processed before it is promoted. Default: 1000.",
            number(0, u64::MAX / 2),
        ),
        ("max_fault_rate", MAY, faults, rate.clone()),
        (
            "max_drop_rate",
            MAY,
            "By how much the share of dropped events may exceed that of the running version, from 0 to 1. Default: 0.01.",
            rate.clone(),
        ),
        (
            "max_fail_rate",
            MAY,
            "By how much the share of failed events may exceed that of the running version, from 0 to 1. Default: 0.001.",
            rate,
        ),
        (
            "max_latency_ratio",
            MAY,
            "How many times as long as the running version the canary may take for a byte. Default: 2.",
            fraction(1.0, 1000.0),
        ),
    ]
}

fn pipeline(options: &OptionSchemas, definitions: &mut Map<String, Json>) -> Json {
    let pack = "The pack: `name`, `name@^1`, `name@1.0.0`, a folder as in `./folder`, or `oci://host/repository:tag`. Default: none; then `nodes` and `outputs` have the graph.";
    let mut keys = vec![
        (
            "inputs",
            MUST,
            "Sources whose events the pipeline receives, and outputs of other pipelines as in `pipeline.output`.",
            strings(),
        ),
        ("pack", MAY, pack, string()),
        ("params", MAY, "Parameters of the pack. Default: those of the pack.", json!({ "type": "object" })),
        ("discard", MAY, "Outputs whose events are dropped on purpose. Default: none.", strings()),
        ("grants", MAY, "Capabilities that the nodes of the pipeline may use.", grants()),
        (
            "shadow",
            MAY,
            "A candidate that processes copies of the batches: a version, a reference, or a table. Default: none.",
            candidate(shadow()),
        ),
        (
            "canary",
            MAY,
            "A candidate that processes a share of the batches until it is promoted or rolled back: a version, a reference, or a table. Default: none.",
            candidate(canary()),
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
