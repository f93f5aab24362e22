//! The plans of valid configurations.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};
use wattle_api::TapPolicy;
use wattle_diagnostics::Invalid;
use wattle_manifest::{ConfigOrigin, load_version};
use wattle_plan::{
    AdminSettings, ArtifactLimits, BatchSettings, BufferKind, BufferPlan, CircuitSettings, NodeLimits, OnFault,
    PipelinePlan, Plan, QuarantineSettings, Target, WhenFull,
};

use crate::fakes::{FakeNodes, env, library, load};

/// Puts one pipeline into a complete configuration.
pub(crate) fn around(pipeline: &str) -> String {
    format!(
        "[sources.trail]\ntype = \"stdin\"\n\n[pipelines.main]\ninputs = [\"trail\"]\n{pipeline}\n\n\
         [sinks.all]\ntype = \"console\"\ninputs = [\"main.*\"]\n"
    )
}

/// The smallest configuration that does something.
const SMALLEST: &str = "[sources.a]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"a\"]\n[pipelines.p.outputs.o]\n\
                        inputs = [\"input\"]\n[sinks.s]\ntype = \"console\"\ninputs = [\"p.o\"]\n";

/// The plan of a configuration without warnings.
#[track_caller]
pub(crate) fn plan(text: &str) -> Plan {
    match load(text) {
        Ok((plan, warnings)) => {
            assert!(warnings.is_empty(), "{warnings:?}");
            plan
        }
        Err(invalid) => panic!("{}", render(&invalid)),
    }
}

pub(crate) fn render(invalid: &Invalid) -> String {
    invalid.diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect()
}

pub(crate) fn options(pipeline: &PipelinePlan, node: usize) -> Json {
    serde_json::from_str(&pipeline.nodes[node].options).unwrap()
}

#[test]
fn settings_have_defaults() {
    let plan = plan(SMALLEST);
    assert_eq!(plan.agent.data_dir, Path::new("/nonexistent/wattle"));
    assert_eq!(plan.agent.packs, Path::new("/nonexistent/wattle/packs"));
    assert!(plan.agent.workers >= 1);
    assert_eq!(plan.agent.io_threads, 2);
    assert_eq!(plan.agent.batch, BatchSettings::default());
    assert_eq!(plan.agent.limits, NodeLimits::default());
    assert_eq!(plan.agent.admin, None);
}

#[test]
fn the_admin_listener_stays_on_loopback_unless_other_addresses_are_allowed() {
    let listen = |text: &str| {
        let admin = plan(&format!("{SMALLEST}[admin]\n{text}")).agent.admin;
        admin.and_then(|admin| admin.listen).map(|listen| listen.to_string())
    };
    assert_eq!(listen("listen = \"127.0.0.1:9598\"").as_deref(), Some("127.0.0.1:9598"));
    assert_eq!(listen("listen = \"[::1]:0\"").as_deref(), Some("[::1]:0"));
    assert_eq!(listen("listen = \"0.0.0.0:80\"\nallow_remote = true").as_deref(), Some("0.0.0.0:80"));
}

#[test]
fn the_admin_listener_shows_masked_events_and_tries_packs_only_on_loopback() {
    let admin = |text: &str| plan(&format!("{SMALLEST}[admin]\n{text}")).agent.admin.unwrap();
    let local = admin("listen = \"127.0.0.1:9598\"");
    assert_eq!((local.tap, local.page, local.can_try), (TapPolicy::Masked, true, true));
    let remote = "listen = \"0.0.0.0:80\"\nallow_remote = true\n";
    assert!(!admin(remote).can_try && admin(&format!("{remote}try = true")).can_try);
    assert!(admin("listen = \"[::ffff:127.0.0.1]:0\"").can_try, "loopback as well");
    let socket_only = admin("tap = \"all\"");
    assert_eq!((socket_only.listen, socket_only.tap, socket_only.can_try), (None, TapPolicy::All, true));
    let all = admin(
        "allowed_hosts = [\"Edge-7.Example.com.\"]\ntap = \"off\"\nrecent = \"8MiB\"\npage = false\ntry = false\nprice_per_gb = 0.5\n\
         currency = \"EUR\"",
    );
    let expected = AdminSettings {
        listen: None,
        allowed_hosts: vec!["edge-7.example.com".into()],
        tap: TapPolicy::Off,
        recent_bytes: 8 << 20,
        page: false,
        can_try: false,
        price_per_gb: Some(0.5),
        currency: Some("EUR".into()),
    };
    assert_eq!(all, expected);
}

#[test]
fn bad_settings_of_the_admin_listener_are_all_reported() {
    let invalid = load(&format!(
        "{SMALLEST}[admin]\nlisten = \"localhost\"\ntap = \"some\"\nallowed_hosts = [\"a:80\", \"*.b\", \"\"]\n\
         recent = \"1GiB\"\nprice_per_gb = -1\ncurrency = \"\"\n"
    ));
    let text = render(&invalid.unwrap_err());
    for part in ["bad `listen`", "`tap`", "`a:80`", "`*.b`", "``", "price_per_gb", "bad `recent`", "bad `currency`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_parameters_of_a_plan_hide_secrets_and_values_of_the_environment() {
    let shown = |params: &str| {
        plan(&around(&format!("pack = \"sample@1\"\nparams = {{ {params} }}"))).pipelines.remove(0).parameters
    };
    assert_eq!(shown("key = \"plainsecret\"")["key"], "***");
    assert_eq!(shown("key = \"\"")["key"], "", "no value is no secret");
    assert_eq!(shown("pattern = \"x-${SECRET}\"")["pattern"], "***");
    assert_eq!(shown("pattern = \"plain\"")["pattern"], "plain");
}

#[test]
fn settings_take_sizes_durations_and_variables() {
    let plan = plan(&format!(
        "{SMALLEST}{}",
        r#"
        [agent]
        data_dir = "data"
        workers = "${FOUR}"
        io_threads = 3
        [agent.batch]
        max_bytes = "1MB"
        max_events = 5
        max_age = "2s"
        [agent.limits]
        memory = 1048576
        time = "${NONE:-250ms}"
        time_per_kib = "10us"
        output_ratio = "8"
        host_calls = 7
        log_lines = 0
        fields = 9
        table_elements = 10
        instances = 11
        state = "23KiB"
        retry_calls = 12
        retry_time = "13s"
        [agent.circuit]
        fault_percent = 14
        window = 15
        min_batches = 16
        cool_down = "17s"
        max_cool_down = "18s"
        [agent.artifacts]
        max_size = "19KiB"
        max_functions = 20
        max_compile_time = "21s"
        max_compile_memory = "96MiB"
        baseline = false
        [agent.quarantine]
        max_size = "22KiB"
        [packs]
        path = "library"
        "#
    ));
    assert_eq!(plan.agent.data_dir, Path::new("data"));
    assert_eq!(plan.agent.packs, Path::new("library"));
    assert_eq!(plan.agent.workers, 4);
    assert_eq!(plan.agent.io_threads, 3);
    let batch = BatchSettings { max_bytes: 1_000_000, max_events: 5, max_age: Duration::from_secs(2) };
    assert_eq!(plan.agent.batch, batch);
    let limits = NodeLimits {
        memory_bytes: 1 << 20,
        time: Duration::from_millis(250),
        time_per_kib: Duration::from_micros(10),
        output_ratio: 8,
        host_calls: 7,
        log_lines: 0,
        fields: 9,
        table_elements: 10,
        instances: 11,
        state_bytes: 23 << 10,
        retry_calls: 12,
        retry_time: Duration::from_secs(13),
    };
    assert_eq!(plan.agent.limits, limits);
    let circuit = CircuitSettings {
        fault_percent: 14,
        window: 15,
        min_batches: 16,
        cool_down: Duration::from_secs(17),
        max_cool_down: Duration::from_secs(18),
    };
    assert_eq!(plan.agent.circuit, circuit);
    let artifacts = ArtifactLimits {
        max_bytes: 19 << 10,
        max_functions: 20,
        max_compile_time: Duration::from_secs(21),
        max_compile_bytes: 96 << 20,
        baseline: false,
    };
    assert_eq!(plan.agent.artifacts, artifacts);
    assert_eq!(plan.agent.quarantine, QuarantineSettings { max_bytes: 22 << 10 });
}

#[test]
fn nodes_are_in_topological_order_for_any_order_in_the_file() {
    let plan = plan(&around(
        r#"
        [pipelines.main.nodes.last]
        artifact = "builtin:route"
        inputs = ["middle", "first.failed"]
        options = { paths = [{ name = "a", when = { field = "body", regex = "x" } }] }
        [pipelines.main.nodes.middle]
        artifact = "builtin:parse"
        inputs = ["first"]
        limits = { memory = "2GiB" }
        circuit = { window = 7 }
        on_fault = "pass"
        [pipelines.main.nodes.first]
        artifact = "builtin:mask"
        inputs = ["input"]
        [pipelines.main.outputs.raw]
        title = "Raw copy"
        inputs = ["input", "last.a"]
        [pipelines.main.outputs.rest]
        inputs = ["middle", "last.unmatched", "m*.failed", "last.failed"]
        "#,
    ));
    let pipeline = &plan.pipelines[0];
    assert_eq!(pipeline.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["first", "middle", "last"]);
    assert_eq!(pipeline.entry, [Target::Node(0), Target::Output(0)]);
    let ports = |node: usize| {
        pipeline.nodes[node].ports.iter().map(|port| (port.name.as_str(), port.targets.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ports(0), [("out", vec![Target::Node(1)]), ("failed", vec![Target::Node(2)])]);
    assert_eq!(ports(1), [("out", vec![Target::Node(2), Target::Output(1)]), ("failed", vec![Target::Output(1)])]);
    assert_eq!(
        ports(2),
        [("a", vec![Target::Output(0)]), ("unmatched", vec![Target::Output(1)]), ("failed", vec![Target::Output(1)])]
    );
    assert_eq!(pipeline.nodes[1].limits, NodeLimits { memory_bytes: 2 << 30, ..NodeLimits::default() });
    assert_eq!(pipeline.nodes[0].limits, NodeLimits::default());
    assert_eq!(pipeline.nodes[1].circuit, CircuitSettings { window: 7, ..CircuitSettings::default() });
    let policies: Vec<OnFault> = pipeline.nodes.iter().map(|node| node.on_fault).collect();
    assert_eq!(policies, [OnFault::Fail, OnFault::Pass, OnFault::Fail]);
    assert!(pipeline.nodes[0].shape.masks && !pipeline.nodes[1].shape.masks);
    let outputs: Vec<_> = pipeline.outputs.iter().map(|output| (output.name.as_str(), output.title.as_str())).collect();
    assert_eq!(outputs, [("raw", "Raw copy"), ("rest", "rest")]);
    assert_eq!(plan.sinks[0].inputs, [(0, 0), (0, 1)]);
}

#[test]
fn parameters_keep_their_types() {
    let plan = plan(&around(
        r#"
        pack = "sample@1"
        params = { keep = ["a", "$$b"], width = "${FOUR}", mode = "strict", pattern = "^x$" }
        "#,
    ));
    assert_eq!(
        options(&plan.pipelines[0], 0),
        json!({
            "fields": ["body"],
            "skip_values": ["a", "$b"],
            "rules": [{ "pattern": "^x$", "mode": "strict", "width": 4 }],
            "replacement": { "fixed": "***", "note": "strict:4", "hmac_key": "" },
        })
    );
}

#[test]
fn an_exact_version_is_used_as_is_and_a_range_takes_the_highest() {
    for (reference, expected) in
        [("sample@1.0.0", "1.0.0"), ("sample@1", "1.1.0"), ("sample@~1.0", "1.0.0"), ("sample", "1.1.0")]
    {
        let plan = plan(&around(&format!("pack = \"{reference}\"")));
        assert_eq!(plan.pipelines[0].pack.as_ref().unwrap().to_string(), format!("sample@{expected}"));
    }
}

#[test]
fn sinks_take_by_name_by_pattern_and_leave_what_is_discarded() {
    let text = r#"
        [sources.a]
        type = "stdin"
        [sources.b]
        type = "demo"
        [pipelines.one]
        inputs = ["a", "b"]
        pack = "sample@1"
        [pipelines.two]
        inputs = ["*"]
        pack = "sample@1"
        discard = ["fails"]
        [sinks.all]
        type = "console"
        inputs = ["*.*"]
        [sinks.fails]
        type = "blackhole"
        inputs = ["one.fails"]
    "#;
    let plan = plan(text);
    assert_eq!(plan.pipelines[0].sources, [0, 1]);
    assert_eq!(plan.pipelines[1].sources, [0, 1]);
    assert_eq!(plan.sinks[0].inputs, [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(plan.sinks[1].inputs, [(0, 1)]);
    assert!(plan.pipelines[1].outputs[1].discard && !plan.pipelines[0].outputs[1].discard);
}

#[test]
fn an_endpoint_has_its_options_and_a_digest_of_them() {
    let source = |options: &str| {
        let text = around("pack = \"sample@1\"").replace("type = \"stdin\"", options);
        plan(&text).sources.remove(0)
    };
    let one = source("type = \"file\"\npath = \"a\"\nframing = \"lines\"");
    assert_eq!(one.options, json!({ "path": "a", "framing": "lines" }));
    assert_eq!(one.digest(), source("framing = \"lines\"\npath = \"${NONE:-a}\"\ntype = \"file\"").digest());
    assert_ne!(one.digest(), source("type = \"file\"\npath = \"b\"\nframing = \"lines\"").digest());
}

#[test]
fn debug_shows_no_values_of_options() {
    let text = around("pack = \"sample@1\"\nparams = { key = \"${SECRET}\" }")
        .replace("\"console\"", "\"console\"\ntoken = \"token-${SECRET}\"");
    let plan = plan(&text);
    assert_eq!(plan.sinks[0].endpoint.options["token"], "token-swordfish");
    assert_eq!(options(&plan.pipelines[0], 0)["replacement"]["hmac_key"], "swordfish");
    let shown = format!("{plan:?}");
    assert!(!shown.contains("swordfish"), "{shown}");
    assert!(shown.contains("token"), "{shown}");
}

#[test]
fn no_form_of_a_diagnostic_shows_a_secret() {
    let text = around("pack = \"sample@1\"\nparams = { key = \"plainsecret\", widht = 3 }")
        .replace("\"console\"", "\"console\"\ntoken = \"${SECRET}\"");
    let invalid = load(&text).unwrap_err();
    assert_eq!(invalid.to_string(), "2 errors in the configuration");
    for diagnostic in &invalid.diagnostics {
        for form in
            [diagnostic.render(true), diagnostic.render_line(), diagnostic.render_json(), format!("{invalid:?}")]
        {
            assert!(!form.contains("swordfish") && !form.contains("plainsecret"), "{form}");
        }
    }
}

#[test]
fn a_buffer_is_in_memory_by_default() {
    let buffer = |text: &str| {
        let config = around("pack = \"sample@1.0.0\"");
        plan(&format!("{config}{text}")).sinks[0].buffer
    };
    assert_eq!(buffer(""), BufferPlan::default());
    assert_eq!(buffer("buffer = {}"), BufferPlan::default());
    let memory = BufferPlan { max_size: 1 << 20, when_full: WhenFull::DropNewest, ..BufferPlan::default() };
    assert_eq!(buffer("buffer = { max_size = \"1MiB\", when_full = \"drop_newest\" }"), memory);
    let disk = |millis, max_size| BufferPlan {
        kind: BufferKind::Disk { gather: Duration::from_millis(millis) },
        max_size,
        when_full: WhenFull::Block,
    };
    assert_eq!(buffer("buffer.type = \"disk\""), disk(0, 1 << 30));
    let interval = "buffer = { type = \"disk\", max_size = \"2GiB\", fsync = \"interval\"";
    assert_eq!(buffer(&format!("{interval} }}")), disk(500, 2 << 30));
    assert_eq!(buffer(&format!("{interval}, fsync_interval = \"2s\" }}")), disk(2000, 2 << 30));
}

#[test]
fn another_version_of_a_pipeline_has_its_parameters_and_grants_as_far_as_it_asks_for_them() {
    let text = around("pack = \"sample@1.0.0\"\nparams = { key = \"${SECRET}\" }\ngrants = { clock = true }");
    let other = |pipeline: &str, reference: &str| {
        load_version(
            ConfigOrigin::Text { name: "agent.toml", text: &text },
            &env,
            &FakeNodes,
            &library(),
            (pipeline, reference),
        )
    };
    let running = &plan(&text).pipelines[0];
    let (version, _) = other("main", "sample@1.1.0").unwrap_or_else(|invalid| panic!("{}", render(&invalid)));
    assert_eq!(version.pack.as_ref().unwrap().to_string(), "sample@1.1.0");
    assert_eq!((version.name.as_str(), options(&version, 0)), ("main", options(running, 0)));
    assert_eq!(version.nodes[0].grants, running.nodes[0].grants);
    let unknown = other("other", "sample@1.1.0").unwrap_err();
    assert!(render(&unknown).contains("there is no pipeline `other`"), "{}", render(&unknown));
    assert!(other("main", "missing").is_err());
    let inline = load_version(
        ConfigOrigin::Text { name: "agent.toml", text: SMALLEST },
        &env,
        &FakeNodes,
        &library(),
        ("p", "sample"),
    );
    assert!(render(&inline.unwrap_err()).contains("has a graph written inline"));
}
