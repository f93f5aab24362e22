//! Plans for tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::*;

/// A node `NAME` with these ports and targets, and with `failed` as the last one.
pub(crate) fn node(name: &str, masks: bool, ports: &[(&str, &[Target])]) -> NodePlan {
    let shape = NodeShape {
        ports: ports.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != FAILED).collect(),
        name: name.into(),
        version: "1.0.0".into(),
        summary: String::new(),
        masks,
        is_stateful: false,
        capabilities: Vec::new(),
        state: StateSettings::default(),
    };
    NodePlan {
        name: name.into(),
        artifact: Arc::new(Artifact::new(name, b"".as_slice(), Origin::Builtin)),
        options: "{}".into(),
        limits: NodeLimits::default(),
        grants: Arc::default(),
        circuit: CircuitSettings::default(),
        on_fault: OnFault::default(),
        on_state_mismatch: OnStateMismatch::default(),
        state: StateSettings::default(),
        shape,
        ports: ports
            .iter()
            .map(|(name, targets)| PortPlan { name: (*name).into(), targets: targets.to_vec() })
            .collect(),
    }
}

/// A pipeline with these nodes and outputs, whose input is a source.
pub(crate) fn pipeline(name: &str, entry: &[Target], nodes: Vec<NodePlan>, outputs: &[&str]) -> PipelinePlan {
    let output = |name: &&str| OutputPlan {
        name: (*name).into(),
        title: (*name).into(),
        description: String::new(),
        discard: false,
    };
    PipelinePlan {
        name: name.into(),
        pack: None,
        sources: vec![0],
        inputs: Vec::new(),
        entry: entry.to_vec(),
        nodes,
        outputs: outputs.iter().map(output).collect(),
        reference: None,
        parameters: serde_json::Map::new(),
        shadow: None,
        canary: None,
    }
}

/// A plan with these pipelines, one source and no sinks.
pub(crate) fn plan(pipelines: Vec<PipelinePlan>) -> Plan {
    let agent = AgentSettings {
        data_dir: PathBuf::new(),
        workers: 1,
        io_threads: 1,
        drain_timeout: Duration::ZERO,
        sink_handover_timeout: Duration::ZERO,
        batch: BatchSettings::default(),
        limits: NodeLimits::default(),
        circuit: CircuitSettings::default(),
        artifacts: ArtifactLimits::default(),
        quarantine: QuarantineSettings::default(),
        rollback: RollbackSettings::default(),
        pack_tests: true,
        packs: PathBuf::new(),
        registry: RegistrySettings::default(),
        trust: TrustPolicy::default(),
        admin: None,
    };
    let source = EndpointPlan {
        name: "in".into(),
        type_name: "demo".into(),
        options: serde_json::json!({}),
        files: Default::default(),
    };
    Plan { agent, sources: vec![source], sinks: Vec::new(), pipelines, packs: Vec::new(), files: Default::default() }
}
