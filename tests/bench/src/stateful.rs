//! Nodes with memory: what an event costs, in comparison with other tools, and what two workers gain that share the
//! state of a node.

use std::fmt::Write as _;
use std::path::Path;

use crate::bench::{BLACKHOLE, Bench};
use crate::corpus::Input;
use crate::figures::{Report, Samples};
use crate::job::{Job, on_path};
use crate::{peers, whole};

/// A node between standard input and a sink that writes nothing.
struct Case {
    node: &'static str,
    what: &'static str,
    options: &'static str,
    grants: &'static str,
    /// Its ports besides `failed`.
    ports: &'static [&'static str],
    /// The transform of Vector that does the same, and its configuration.
    peer: Option<(&'static str, &'static str)>,
}

const SEEN: &str = "seen = { max_keys = 1_000_000, max_age = \"1h\" }";
const DURABLE: &str = "seen = { max_keys = 1_000_000, max_age = \"1h\", durable = true }";

const CASES: &[Case] = &[
    Case {
        node: "dedup",
        what: "by id, a tenth repeated",
        options: r#"key = "body.id""#,
        grants: SEEN,
        ports: &["node"],
        peer: Some(("dedupe", "vector-dedupe.yaml")),
    },
    Case {
        node: "dedup",
        what: "the same, keys on disk",
        options: r#"key = "body.id""#,
        grants: DURABLE,
        ports: &["node"],
        peer: None,
    },
    Case {
        node: "throttle",
        what: "1,000 users",
        options: r#"key = "body.user", events = 100, window = "1s""#,
        grants: "",
        ports: &["node"],
        peer: None,
    },
    Case {
        node: "suppress",
        what: "1,000 users",
        options: r#"key = "body.user", window = "1s""#,
        grants: SEEN,
        ports: &["node"],
        peer: None,
    },
    Case {
        node: "aggregate",
        what: "count, sum, maximum; 20 keys, 10 s",
        options: r#"window = "10s", by = ["body.service", "body.status"], compute = { count = { count = true },
            bytes = { sum = "body.bytes" }, ms = { max = "body.ms" } }"#,
        grants: "clock = true",
        ports: &["node.out", "node.windows"],
        peer: Some(("reduce", "vector-reduce.yaml")),
    },
    Case {
        node: "to-metric",
        what: "counter of 20 series, histogram of 5",
        options: r#"interval = "10s", metrics = [
            { name = "requests", type = "counter", dimensions = ["body.service", "body.status"] },
            { name = "duration", type = "histogram", field = "body.ms", unit = "ms", dimensions = "body.service" }]"#,
        grants: "",
        ports: &["node.out", "node.metrics"],
        peer: Some(("log_to_metric", "vector-log-to-metric.yaml")),
    },
    Case {
        node: "pattern",
        what: "5 templates, a label for each event",
        options: r#"field = "body.message""#,
        grants: "",
        ports: &["node.out", "node.reports"],
        peer: None,
    },
    Case {
        node: "anomaly",
        what: "1,000 users",
        options: r#"key = "body.user""#,
        grants: "",
        ports: &["node.out", "node.findings"],
        peer: None,
    },
    Case {
        node: "join",
        what: "stack traces of 8 hosts",
        options: r#"field = "body.message", key = "body.host", continue = '^\s'"#,
        grants: "",
        ports: &["node"],
        peer: None,
    },
];

/// A pipeline with a node, or without any.
fn pipeline(case: Option<&Case>) -> String {
    let mut text = "[sources.in]\ntype = \"stdin\"\n[pipelines.main]\ninputs = [\"in\"]\n".to_owned();
    let outputs = match case {
        None => "\"input\"".to_owned(),
        Some(Case { node, options, grants, ports, .. }) => {
            // An inline table stays in one line.
            let options = options.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = write!(
                text,
                "[pipelines.main.grants]\n{grants}\n[pipelines.main.nodes.node]\nartifact = \"builtin:{node}\"\n\
                 inputs = [\"input\"]\noptions = {{ {options} }}\n"
            );
            let ports: Vec<String> = ports.iter().chain(&["node.failed"]).map(|port| format!("\"{port}\"")).collect();
            ports.join(", ")
        }
    };
    let _ = write!(text, "[pipelines.main.outputs.all]\ninputs = [{outputs}]\n{BLACKHOLE}");
    text
}

/// CPU seconds of a pipeline for all events, without start and end of the process.
fn cpu(bench: &Bench, config: &str, input: &Input, single: &Input) -> anyhow::Result<f64> {
    let all = bench.run_configuration(config, Some(input), 1)?.cpu_s;
    Ok(all - bench.run_configuration(config, Some(single), 1)?.cpu_s)
}

/// Each node alone, through the agent.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Nodes with memory: events on standard input -> node -> nothing, 1 worker, 1 core");
    let events = bench.size(200_000_u32, 600_000);
    let (input, single) = (bench.corpus.events(events.into())?, bench.corpus.events(1)?);
    let events = f64::from(events);
    let vector = on_path("vector");
    if vector.is_none() {
        report.remark("Vector is not on the PATH; dedupe, reduce and log_to_metric are not measured (bar 3 times)");
    }
    let without = pipeline(None);
    // Compiles the nodes.
    for case in CASES {
        bench.run_configuration(&pipeline(Some(case)), Some(&single), 1)?;
    }
    let mut base = Samples::default();
    let mut samples: Vec<[Samples; 2]> = CASES.iter().map(|_| Default::default()).collect();
    for _ in 0..bench.rounds() {
        let nothing = cpu(bench, &without, &input, &single)?;
        base.push(nothing / events * 1e9);
        for (case, [all, node]) in CASES.iter().zip(&mut samples) {
            let with = cpu(bench, &pipeline(Some(case)), &input, &single)?;
            all.push(with / events * 1e9);
            node.push((with - nothing) / events * 1e9);
        }
    }
    report.row("no node", &base, "ns/event", "source, worker, sink");
    for (case, [all, node]) in CASES.iter().zip(&samples) {
        let rate = format!("the node alone; {:.2} M events per CPU second with it; {}", 1e3 / all.median(), case.what);
        report.key(&key(case), case.node, node, "ns/event", &rate);
        if let (Some((transform, config)), Some(vector)) = (case.peer, &vector) {
            peer(bench, report, &Peer { vector, transform, config }, &input, &single, all.median() * events / 1e9)?;
        }
    }
    Ok(())
}

fn key(case: &Case) -> String {
    let on_disk = if case.grants == DURABLE { "_durable" } else { "" };
    format!("{}{on_disk}_ns_per_event", case.node.replace('-', "_"))
}

struct Peer<'a> {
    vector: &'a Path,
    transform: &'a str,
    config: &'a str,
}

/// The same job by Vector.
fn peer(
    bench: &Bench,
    report: &mut Report,
    peer: &Peer<'_>,
    input: &Input,
    single: &Input,
    ours: f64,
) -> anyhow::Result<()> {
    let run = |input: &Input| {
        let config = peers::prepare(bench, input, peer.config)?;
        let job = Job::new(peer.vector).args(["--quiet", "--threads", "1", "--config"]).args([config]);
        anyhow::Ok(job.stdin(&input.path).on_cores("0").run()?.cpu_s)
    };
    let mut times = Samples::default();
    for _ in 0..bench.rounds() {
        times.push((run(input)? - run(single)?) / ours);
    }
    let what = format!("Vector's {}: CPU time over that of the agent", peer.transform);
    report.key(&format!("{}_over_wattle", peer.transform), &what, &times, "times", "bar 3");
    Ok(())
}

/// CloudTrail through its pack, and a node that counts what leaves it.
fn trail(sharing: Option<&str>) -> String {
    let mut text =
        "[sources.in]\ntype = \"stdin\"\n[pipelines.trail]\ninputs = [\"in\"]\npack = \"cloudtrail@1.0.0\"\n\
                    [sinks.fails]\ntype = \"blackhole\"\ninputs = [\"trail.fails\"]\n"
            .to_owned();
    let outputs = "\"trail.processed\", \"trail.get_describe_list\"";
    let _ = match sharing {
        None => write!(text, "[sinks.none]\ntype = \"blackhole\"\ninputs = [{outputs}]\n"),
        Some(state) => write!(
            text,
            "[pipelines.main]\ninputs = [{outputs}]\n[pipelines.main.grants]\nclock = true\n\
             [pipelines.main.nodes.node]\nartifact = \"builtin:aggregate\"\ninputs = [\"input\"]\n\
             options = {{ window = \"10s\", by = \"body.eventName\", mode = \"pass\" }}\nstate = {{ {state} }}\n\
             [pipelines.main.outputs.all]\ninputs = [\"node.out\", \"node.windows\", \"node.failed\"]\n\
             [sinks.none]\ntype = \"blackhole\"\ninputs = [\"main.all\"]\n"
        ),
    };
    text
}

/// One worker and two, with a node whose state they share.
pub(crate) fn shared(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Shared state: pack cloudtrail 1.0.0 -> aggregate -> nothing");
    let (input, single) = (bench.documents()?, bench.corpus.single()?);
    let states = [("single", "sharing = \"single\""), ("key", "key = [\"body.eventName\"], shards = 8")];
    let without = trail(None);
    for (_, state) in states {
        bench.run_configuration(&trail(Some(state)), Some(&single), 2)?;
    }
    let (mut ceiling, mut none) = (Samples::default(), Samples::default());
    let mut samples: Vec<[Samples; 2]> = states.iter().map(|_| Default::default()).collect();
    for _ in 0..bench.rounds() {
        let cpu_without = cpu(bench, &without, &input, &single)?;
        let (one, two) = walls(bench, &without, &input, &single)?;
        none.push(one / two);
        let idle = bench.run_configuration(&without, Some(&single), 1)?.wall_s;
        let both = whole::side_by_side(bench, &input, |data, _| {
            format!("[agent]\ndata_dir = \"{}\"\n{without}", data.display())
        })?;
        ceiling.push(2.0 * one / (both - idle));
        for ((_, state), [share, ratio]) in states.iter().zip(&mut samples) {
            let config = trail(Some(state));
            let cpu_with = cpu(bench, &config, &input, &single)?;
            share.push(100.0 * (cpu_with - cpu_without) / cpu_with);
            let (one, two) = walls(bench, &config, &input, &single)?;
            ratio.push(one / two);
        }
    }
    report.row(
        "2 processes side by side / 1",
        &ceiling,
        "times",
        "what this machine gives to work that shares nothing",
    );
    report.row("2 workers / 1, without the node", &none, "times", "");
    for ((name, _), [share, ratio]) in states.iter().zip(&samples) {
        report.row(&format!("`{name}`: share of the node in the time"), share, "%", "");
        report.key(&format!("{name}_2_over_1"), &format!("`{name}`: 2 workers / 1"), ratio, "times", "bar 1.7");
    }
    Ok(())
}

/// Wall time of a configuration with one worker on one core and with two on two, without start and end.
fn walls(bench: &Bench, config: &str, input: &Input, single: &Input) -> anyhow::Result<(f64, f64)> {
    let wall = |workers| {
        let idle = bench.run_configuration(config, Some(single), workers)?.wall_s;
        anyhow::Ok(bench.run_configuration(config, Some(input), workers)?.wall_s - idle)
    };
    Ok((wall(1)?, wall(2)?))
}
