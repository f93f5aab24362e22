//! The canonical form of a pipeline, as JSON.
//!
//! Fingerprints are kept on disk, and an upgrade of the agent must not change them. So this form is
//! written by hand and not derived. Each struct is destructured with all its fields, so that the
//! compiler reports a new one. Include a new field only if its value differs from the behaviour
//! before the field existed; any other change needs a new [`VERSION`], after which an agent forgets
//! earlier decisions about canaries.

use std::time::Duration;

use serde_json::{Value, json};

use crate::artifact::NodeShape;
use crate::grants::{
    Grants, HttpGrant, KvGrant, LogGrant, LogLevel, LookupGrant, MetricsGrant, SeenGrant, TableGrant, TableKind,
};
use crate::limits::{CircuitSettings, NodeLimits, OnFault, OnStateMismatch};
use crate::plan::{NodePlan, OutputPlan, PipelinePlan, PortPlan, Target};
use crate::state::{Durability, Sharing, StateSettings};

/// Version of the form.
const VERSION: u32 = 1;

/// Describes what a pipeline does with events, without its name, pack, sources, inputs, shadow and
/// canary.
pub(super) fn pipeline(plan: &PipelinePlan) -> Value {
    // Where events come from does not change what happens to them.
    let PipelinePlan {
        name: _,
        pack: _,
        sources: _,
        inputs: _,
        entry,
        nodes,
        outputs,
        reference: _,
        parameters: _,
        shadow: _,
        canary: _,
    } = plan;
    let mut canonical = json!({
        "version": VERSION,
        "entry": targets(entry),
        "nodes": nodes.iter().map(node).collect::<Value>(),
        "outputs": outputs.iter().map(output).collect::<Value>(),
    });
    canonical.sort_all_objects();
    canonical
}

fn node(plan: &NodePlan) -> Value {
    let NodePlan { name, artifact, options, limits, grants, circuit, on_fault, on_state_mismatch, state, shape, ports } =
        plan;
    let mut canonical = json!({
        "name": name,
        "artifact": artifact.digest,
        "options": options,
        "limits": node_limits(limits),
        "grants": node_grants(grants),
        "circuit": circuit_settings(circuit),
        "on_fault": match on_fault {
            OnFault::Fail => "fail",
            OnFault::Pass => "pass",
            OnFault::Stop => "stop",
        },
        "on_state_mismatch": match on_state_mismatch {
            OnStateMismatch::Refuse => "refuse",
            OnStateMismatch::Empty => "empty",
        },
        "shape": node_shape(shape),
        "ports": ports.iter().map(port).collect::<Value>(),
    });
    // Only if it is not the default, so that fingerprints of nodes without state stay the same.
    if *state != StateSettings::default()
        && let Some(node) = canonical.as_object_mut()
    {
        node.insert("state".into(), state_settings(state));
    }
    canonical
}

fn state_settings(state: &StateSettings) -> Value {
    let StateSettings { sharing, shards, durability, snapshot_interval } = state;
    json!({
        "sharing": match sharing {
            Sharing::Worker => json!("worker"),
            Sharing::Single => json!("single"),
            Sharing::Key(fields) => json!({ "key": fields }),
        },
        "shards": shards,
        "durability": match durability {
            Durability::Memory => "memory",
            Durability::Disk => "disk",
        },
        "snapshot_interval": nanoseconds(*snapshot_interval),
    })
}

fn output(plan: &OutputPlan) -> Value {
    let OutputPlan { name, title, description, discard } = plan;
    json!({ "name": name, "title": title, "description": description, "discard": discard })
}

fn port(plan: &PortPlan) -> Value {
    let PortPlan { name, targets: to } = plan;
    json!({ "name": name, "targets": targets(to) })
}

fn targets(targets: &[Target]) -> Value {
    let target = |target: &Target| match target {
        Target::Node(index) => json!({ "node": index }),
        Target::Output(index) => json!({ "output": index }),
    };
    targets.iter().map(target).collect()
}

fn node_shape(shape: &NodeShape) -> Value {
    // The rest follows from the artifact and its options, and the settings of the node contain those for its state.
    let NodeShape { ports, name, version, masks, summary: _, is_stateful: _, capabilities: _, state: _ } = shape;
    json!({ "ports": ports, "name": name, "version": version, "masks": masks })
}

fn node_limits(limits: &NodeLimits) -> Value {
    let NodeLimits {
        memory_bytes,
        time,
        time_per_kib,
        output_ratio,
        host_calls,
        log_lines,
        fields,
        table_elements,
        instances,
        state_bytes,
        retry_calls,
        retry_time,
    } = limits;
    json!({
        "memory_bytes": memory_bytes,
        "time": nanoseconds(*time),
        "time_per_kib": nanoseconds(*time_per_kib),
        "output_ratio": output_ratio,
        "host_calls": host_calls,
        "log_lines": log_lines,
        "fields": fields,
        "table_elements": table_elements,
        "instances": instances,
        "state_bytes": state_bytes,
        "retry_calls": retry_calls,
        "retry_time": nanoseconds(*retry_time),
    })
}

fn circuit_settings(circuit: &CircuitSettings) -> Value {
    let CircuitSettings { fault_percent, window, min_batches, cool_down, max_cool_down } = circuit;
    json!({
        "fault_percent": fault_percent,
        "window": window,
        "min_batches": min_batches,
        "cool_down": nanoseconds(*cool_down),
        "max_cool_down": nanoseconds(*max_cool_down),
    })
}

fn node_grants(grants: &Grants) -> Value {
    let Grants { log, metrics, clock, random, host, lookup, kv, http_client, seen } = grants;
    let mut canonical = json!({
        "log": log.as_ref().map(|LogGrant { level, lines_per_second }| json!({
            "level": match level {
                LogLevel::Debug => "debug",
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
                LogLevel::Error => "error",
            },
            "lines_per_second": lines_per_second,
        })),
        "metrics": metrics.as_ref().map(|MetricsGrant { max_series }| json!({ "max_series": max_series })),
        "clock": clock,
        "random": random,
        "lookup": lookup.as_ref().map(|LookupGrant { tables }| {
            tables.iter().map(|(name, grant)| json!([name, table(grant)])).collect::<Value>()
        }),
        "kv": kv.as_ref().map(kv_grant),
        "http_client": http_client.as_ref().map(http),
    });
    // Added later, and only if granted, so that fingerprints of pipelines without them stay the same.
    if let (true, Some(object)) = (*host, canonical.as_object_mut()) {
        object.insert("host".to_owned(), true.into());
    }
    if let Some((SeenGrant { max_keys, max_age, durable }, grants)) = seen.as_ref().zip(canonical.as_object_mut()) {
        let seen = json!({ "max_keys": max_keys, "max_age": nanoseconds(*max_age), "durable": durable });
        grants.insert("seen".into(), seen);
    }
    canonical
}

fn kv_grant(grant: &KvGrant) -> Value {
    let KvGrant { max_bytes, max_keys, durable } = grant;
    let mut canonical = json!({ "max_bytes": max_bytes, "max_keys": max_keys });
    // Added later, and only if set, like `host`.
    if let (true, Some(object)) = (*durable, canonical.as_object_mut()) {
        object.insert("durable".to_owned(), true.into());
    }
    canonical
}

fn table(grant: &TableGrant) -> Value {
    let TableGrant { path, kind, key, stamp: (length, modified) } = grant;
    json!({
        "path": path.to_string_lossy(),
        "kind": match kind {
            TableKind::Exact => "exact",
            TableKind::Cidr => "cidr",
            TableKind::Mmdb => "mmdb",
        },
        "key": key,
        "length": length,
        "modified": modified.to_string(),
    })
}

fn http(grant: &HttpGrant) -> Value {
    let HttpGrant { hosts, timeout, max_response_bytes, time_per_batch, requests_per_batch, allow_private } = grant;
    json!({
        "hosts": hosts,
        "timeout": nanoseconds(*timeout),
        "max_response_bytes": max_response_bytes,
        "time_per_batch": nanoseconds(*time_per_batch),
        "requests_per_batch": requests_per_batch,
        "allow_private": allow_private,
    })
}

/// As text, since JSON readers may round numbers of this size.
fn nanoseconds(time: Duration) -> String {
    time.as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::artifact::{Artifact, Origin};

    fn sample() -> PipelinePlan {
        let grants = Grants {
            log: Some(LogGrant { level: LogLevel::Warn, lines_per_second: 7 }),
            metrics: Some(MetricsGrant { max_series: 3 }),
            clock: true,
            random: false,
            host: false,
            lookup: Some(LookupGrant {
                tables: [(
                    "hosts".to_owned(),
                    TableGrant { path: "/a.csv".into(), kind: TableKind::Cidr, key: None, stamp: (5, 9) },
                )]
                .into(),
            }),
            kv: Some(KvGrant { max_bytes: 1, max_keys: 2, durable: false }),
            http_client: None,
            seen: None,
        };
        let node = NodePlan {
            name: "mask".into(),
            artifact: Arc::new(Artifact::new("mask", b"abc".as_slice(), Origin::Builtin)),
            options: "{\"a\":1}".into(),
            limits: NodeLimits {
                memory_bytes: 1,
                time: Duration::from_millis(2),
                time_per_kib: Duration::from_micros(3),
                output_ratio: 4,
                host_calls: 5,
                log_lines: 6,
                fields: 7,
                table_elements: 8,
                instances: 9,
                state_bytes: 10,
                retry_calls: 11,
                retry_time: Duration::from_secs(12),
            },
            grants: Arc::new(grants),
            circuit: CircuitSettings {
                fault_percent: 1,
                window: 2,
                min_batches: 3,
                cool_down: Duration::from_secs(4),
                max_cool_down: Duration::from_secs(5),
            },
            on_fault: OnFault::Stop,
            on_state_mismatch: OnStateMismatch::Empty,
            state: StateSettings::default(),
            shape: NodeShape {
                ports: vec!["out".into()],
                name: "mask".into(),
                version: "1.0.0".into(),
                summary: String::new(),
                masks: true,
                is_stateful: false,
                capabilities: vec![],
                state: StateSettings::default(),
            },
            ports: vec![PortPlan { name: "out".into(), targets: vec![Target::Output(0)] }],
        };
        PipelinePlan {
            name: "audit".into(),
            pack: None,
            sources: vec![0],
            inputs: vec![],
            entry: vec![Target::Node(0)],
            nodes: vec![node],
            outputs: vec![OutputPlan {
                name: "ok".into(),
                title: "Ok".into(),
                description: String::new(),
                discard: false,
            }],
            reference: None,
            parameters: serde_json::Map::new(),
            shadow: None,
            canary: None,
        }
    }

    #[test]
    fn the_fingerprint_of_a_pipeline_is_the_same_in_every_version() {
        // A change of this digest makes agents forget their decisions about canaries; see the top
        // of this file.
        assert_eq!(
            sample().fingerprint(),
            "sha256:a2e6d0b9caf2186047d9dad1ca8eed80236f0677de1f477a28e790c5c67df3dd",
            "{}",
            pipeline(&sample())
        );
    }

    #[test]
    fn a_grant_that_was_added_later_counts_if_it_is_given() {
        let mut granted = sample();
        granted.nodes[0].grants = Arc::new(Grants { host: true, ..(*granted.nodes[0].grants).clone() });
        assert_ne!(granted.fingerprint(), sample().fingerprint());
    }

    #[test]
    fn names_packs_and_sources_do_not_count() {
        let reference = Some("p".into());
        let other = PipelinePlan { name: "other".into(), sources: vec![], inputs: vec![(1, 0)], reference, ..sample() };
        assert_eq!(other.fingerprint(), sample().fingerprint());
    }

    #[test]
    fn every_setting_of_a_node_counts() {
        let changes: [fn(&mut NodePlan); 12] = [
            |node| node.options = "{}".into(),
            |node| node.limits.retry_calls = 12,
            |node| node.on_fault = OnFault::Fail,
            |node| node.circuit.window = 3,
            |node| node.ports[0].targets.clear(),
            |node| Arc::make_mut(&mut node.grants).random = true,
            |node| Arc::make_mut(&mut node.grants).seen = Some(SeenGrant::default()),
            |node| Arc::make_mut(&mut node.grants).kv = Some(KvGrant { max_bytes: 1, max_keys: 2, durable: true }),
            |node| node.state.sharing = Sharing::Key(vec!["body.user".into()]),
            |node| node.state.shards += 1,
            |node| node.state.durability = Durability::Disk,
            |node| node.state.snapshot_interval += Duration::from_secs(1),
        ];
        for change in changes {
            let mut other = sample();
            change(&mut other.nodes[0]);
            assert_ne!(other.fingerprint(), sample().fingerprint());
        }
    }
}
