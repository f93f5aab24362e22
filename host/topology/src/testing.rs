//! Runs real pipelines in tests, with nodes that are written here and a source that a test feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use wattle_batch::{Ack, Batch, Call, Column, Disposition, Field, FieldPath, Form, NodeInfo, Outcome};
use wattle_plan::{
    AgentSettings, Artifact, BufferPlan, CircuitSettings, EndpointPlan, NodeLimits, NodePlan, NodeShape, OnFault,
    OnStateMismatch, Origin, OutputPlan, PipelinePlan, Plan, PortPlan, Sharing, SinkPlan, StateSettings, Target,
};
use wattle_runtime::{NodeStats, Process};
use wattle_source::{Batches, Source, SourceContext, SourceError};

use crate::generation::{InstanceError, NodeFactory, NodeScope};
use crate::running::{Topology, TopologySettings};

const SOURCE: &str = "in";

/// A node of a pipeline: its name, its kind (see [`TestNode`]), and the targets of its ports by name. `failed` leads to
/// the output `fails` unless it is named.
pub(crate) type NodeSketch<'a> = (&'a str, &'a str, &'a [(&'a str, &'a [&'a str])]);

/// A pipeline with the entry, the nodes and the outputs. It reads the source.
pub(crate) fn pipeline(name: &str, entry: &[&str], nodes: &[NodeSketch<'_>], outputs: &[&str]) -> PipelinePlan {
    let target = |to: &&str| match nodes.iter().position(|(node, ..)| node == to) {
        Some(node) => Target::Node(node),
        None => Target::Output(outputs.iter().position(|output| output == to).unwrap_or_else(|| panic!("no {to}"))),
    };
    let planned = nodes.iter().map(|(node, kind, links)| {
        let mut names: Vec<&str> = if *kind == "route" { vec!["out", "other"] } else { vec!["out"] };
        names.push("failed");
        let ports = names.iter().map(|port| {
            let named = links.iter().find(|(own, _)| own == port).map(|(_, to)| *to);
            let to = named.unwrap_or(if *port == "failed" { &["fails"] } else { &[] });
            PortPlan { name: (*port).to_owned(), targets: to.iter().map(target).collect() }
        });
        NodePlan {
            name: (*node).to_owned(),
            artifact: Arc::new(Artifact::new(*kind, b"".as_slice(), Origin::Builtin)),
            options: "{}".to_owned(),
            limits: NodeLimits::default(),
            grants: Arc::default(),
            circuit: CircuitSettings { min_batches: 1, ..CircuitSettings::default() },
            on_fault: OnFault::Fail,
            on_state_mismatch: OnStateMismatch::Refuse,
            state: StateSettings::default(),
            shape: NodeShape {
                ports: names.iter().filter(|name| **name != "failed").map(|name| (*name).to_owned()).collect(),
                name: (*kind).to_owned(),
                version: "1.0.0".to_owned(),
                masks: *kind == "mask",
                is_stateful: false,
                summary: String::new(),
                capabilities: Vec::new(),
                state: StateSettings::default(),
            },
            ports: ports.collect(),
        }
    });
    let output = |name: &&str| OutputPlan {
        name: (*name).to_owned(),
        title: (*name).to_owned(),
        description: String::new(),
        discard: *name == "nowhere",
    };
    PipelinePlan {
        name: name.to_owned(),
        pack: None,
        sources: vec![0],
        inputs: Vec::new(),
        entry: entry.iter().map(target).collect(),
        nodes: planned.collect(),
        outputs: outputs.iter().map(output).collect(),
        reference: None,
        parameters: serde_json::Map::new(),
        shadow: None,
        canary: None,
    }
}

/// All workers share one instance of a node.
pub(crate) fn share(pipeline: &mut PipelinePlan, node: &str) {
    for planned in pipeline.nodes.iter_mut().filter(|planned| planned.name == node) {
        planned.state.sharing = Sharing::Single;
    }
}

/// A plan with these pipelines. All outputs but `nowhere` lead to a sink, unless they feed a pipeline.
pub(crate) fn plan(pipelines: Vec<PipelinePlan>) -> Plan {
    let endpoint = |name: &str, type_name: &str| EndpointPlan {
        name: name.into(),
        type_name: type_name.into(),
        options: serde_json::json!({}),
        files: BTreeMap::new(),
    };
    let outputs = pipelines.iter().enumerate().flat_map(|(index, pipeline)| {
        let named = pipeline.outputs.iter().enumerate().filter(|(_, output)| !output.discard);
        named.map(move |(output, _)| (index, output))
    });
    let sink =
        SinkPlan { endpoint: endpoint("out", "blackhole"), inputs: outputs.collect(), buffer: BufferPlan::default() };
    Plan {
        agent: AgentSettings { sink_handover_timeout: Duration::from_secs(10), ..crate::offline::agent() },
        sources: vec![endpoint(SOURCE, "test")],
        sinks: vec![sink],
        pipelines,
        packs: Vec::new(),
        files: BTreeSet::new(),
    }
}

/// A node by its kind, which is the name of its type:
///
/// | kind | effect |
/// | --- | --- |
/// | `mask` | replaces `SECRET`; fails at `unmaskable`; masks |
/// | `split` | one event for each member of `Records`; fails at other texts |
/// | `parse` | fails at texts that are not JSON, with the text in the message |
/// | `route` | sends events with `Describe` to `other` |
/// | `drop` | drops events with `noise` |
/// | `hold` | keeps events with `keep` |
/// | `fault` | faults on a batch with `poison` |
/// | `lose` | a bug: forgets a batch with `lost` |
/// | `pass` | passes everything |
struct TestNode {
    kind: String,
    info: Arc<NodeInfo>,
    has_faulted: bool,
}

impl Process for TestNode {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        self.has_faulted = false;
        let bodies: Vec<String> = batch.body().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
        let with = |part: &str| -> Vec<u32> {
            (0..).zip(&bodies).filter(|(_, body)| body.contains(part)).map(|(row, _)| row).collect()
        };
        if self.kind == "lose" && !with("lost").is_empty() {
            return Vec::new();
        }
        let mut call = Call::new(batch, self.info.clone());
        let fail = |call: &mut Call, rows: &[u32], code: &str, message: &str| {
            call.fail(rows, &vec![0; rows.len()], vec![(code.to_owned(), message.to_owned())]).unwrap();
        };
        match self.kind.as_str() {
            "mask" => {
                let masked = bodies.iter().map(|body| body.replace("SECRET", "*****"));
                call.set(0, Form::Text, Column::from_rows(masked).unwrap(), Vec::new()).unwrap();
                fail(&mut call, &with("unmaskable"), "no-mask", "it cannot be masked");
            }
            "split" => {
                let (mut parents, mut children) = (Vec::new(), Vec::new());
                for (row, body) in (0..).zip(&bodies) {
                    match serde_json::from_str::<serde_json::Value>(body) {
                        Ok(document) if document["Records"].is_array() => {
                            for record in document["Records"].as_array().unwrap() {
                                parents.push(row);
                                children.push(record.to_string());
                            }
                        }
                        _ => fail(&mut call, &[row], "no-records", &format!("no records in {body}")),
                    }
                }
                call.split_into(parents, Column::from_rows(children).unwrap()).unwrap();
            }
            "parse" => {
                for (row, body) in (0..).zip(&bodies).filter(|(_, body)| !body.starts_with('{')) {
                    fail(&mut call, &[row], "not-json", &format!("not JSON: {body}"));
                }
            }
            "route" => call.route(bodies.iter().map(|body| u8::from(body.contains("Describe"))).collect()).unwrap(),
            "drop" => call.drop_rows(&with("noise"), "noise".to_owned()).unwrap(),
            "hold" => call.hold(&with("keep")).unwrap(),
            "fault" if !with("poison").is_empty() => {
                self.has_faulted = true;
                let rows: Vec<u32> = (0..).take(bodies.len()).collect();
                fail(&mut call, &rows, "trap", "it trapped");
            }
            _ => {}
        }
        vec![call.finish().map_err(|refused| refused.1).unwrap()]
    }

    fn has_faulted(&self) -> bool {
        self.has_faulted
    }
}

fn factory() -> Arc<NodeFactory> {
    Arc::new(|plan: &NodePlan, _: &NodeScope<'_>, _: Arc<NodeStats>| -> Result<Box<dyn Process>, InstanceError> {
        let field = Field { path: FieldPath::body(), read: true, write: true };
        let info = NodeInfo {
            name: plan.name.as_str().into(),
            version: format!("{}@1.0.0", plan.shape.name).into(),
            ports: plan.shape.ports.clone(),
            fields: vec![field],
        };
        Ok(Box::new(TestNode { kind: plan.shape.name.clone(), info: Arc::new(info), has_faulted: false }))
    })
}

/// Bodies of a batch.
type Bodies = Vec<String>;

/// A source that sends what a test gives it.
struct Fed {
    batches: mpsc::UnboundedReceiver<Bodies>,
    ends: watch::Sender<Vec<Disposition>>,
}

impl Source for Fed {
    fn run(
        mut self: Box<Self>,
        context: SourceContext,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let mut stop = context.stop.clone();
            loop {
                let bodies = tokio::select! {
                    bodies = self.batches.recv() => bodies,
                    () = stop.stopped() => None,
                };
                let Some(bodies) = bodies else { return Ok(()) };
                let ends = self.ends.clone();
                let ack = Ack::new(move |end| ends.send_modify(|ends| ends.push(end)));
                let batch = Batch::new(Column::from_rows(bodies).unwrap(), context.origin("test", &[]), ack);
                if context.output.push(Batches(batch)).await.is_err() {
                    return Ok(());
                }
            }
        })
    }
}

/// A running topology.
pub(crate) struct Rig {
    pub(crate) topology: Topology,
    batches: mpsc::UnboundedSender<Bodies>,
    ends: watch::Receiver<Vec<Disposition>>,
    sent: usize,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start(workers: usize, mut plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        plan.agent.data_dir = folder.path().to_owned();
        let settings =
            TopologySettings { data_dir: folder.path().to_owned(), workers, once: false, keeps_state: false };
        let (batches, receiver) = mpsc::unbounded_channel();
        let (ends, ended) = watch::channel(Vec::new());
        let source = Box::new(Fed { batches: receiver, ends });
        let topology = Topology::start_with(&plan, settings, factory(), (SOURCE, source)).await.unwrap();
        Self { topology, batches, ends: ended, sent: 0, _folder: folder }
    }

    pub(crate) async fn swap(&mut self, mut plan: Plan) {
        plan.agent.data_dir = self._folder.path().to_owned();
        self.topology.swap(&plan).await.unwrap();
    }

    /// Sends a batch.
    pub(crate) fn feed<S: Into<String>>(&mut self, bodies: impl IntoIterator<Item = S>) {
        self.sent += 1;
        self.batches.send(bodies.into_iter().map(Into::into).collect()).unwrap();
    }

    /// Waits until all batches have ended. Returns how.
    pub(crate) async fn ended(&mut self) -> Vec<Disposition> {
        let sent = self.sent;
        let wait = self.ends.wait_for(|ends| ends.len() >= sent);
        let ends = tokio::time::timeout(Duration::from_secs(60), wait).await;
        ends.expect("a batch did not end").unwrap().clone()
    }

    /// The number of events that batches of a pipeline that reads the source did not account for, after a check that its
    /// counts add up.
    pub(crate) async fn unbalanced(&self, pipeline: &str) -> u64 {
        let counts = self.topology.observer().counts().pipeline(pipeline);
        // An acknowledgement can end before the worker has counted the batch.
        while counts.snapshot().batches < self.sent as u64 {
            tokio::task::yield_now().await;
        }
        let unbalanced = counts.unbalanced.load(std::sync::atomic::Ordering::Relaxed);
        let snapshot = counts.snapshot();
        assert_eq!(snapshot.is_conserved(), unbalanced == 0, "{snapshot:?}");
        unbalanced
    }
}
