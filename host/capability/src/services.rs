//! Services that the agent keeps for nodes over all generations, and the view of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_plan::{Grants, KvGrant, LogLevel};

use crate::ambient::{Clock, Random};
use crate::capability::Capability;
use crate::facts::{Facts, UnknownFact};
use crate::http::{Budget, Client, Failure, FailureKind, Request, Response};
use crate::kv::{Changes, KvError, Store};
use crate::log::{LogBudget, LogTarget};
use crate::lookup::{LookupError, OpenTable, Table, Tables};
use crate::meters::{Meter, Meters};
use crate::metrics::{FamilySnapshot, Kind, Label, MetricError, NodeMetrics};
use crate::values::{TooLarge, Values};

/// State of one node, which lives as long as the agent.
#[derive(Debug)]
struct NodeState {
    log: LogBudget,
    metrics: NodeMetrics,
    meters: Meters,
    values: Store,
}

impl NodeState {
    fn new(pipeline: &str, node: &str) -> Arc<Self> {
        Self::with(pipeline, node, Store::default())
    }

    fn with(pipeline: &str, node: &str, values: Store) -> Arc<Self> {
        let (metrics, meters) = (NodeMetrics::default(), Meters::default());
        Arc::new(Self { log: LogBudget::new(pipeline, node), metrics, meters, values })
    }
}

/// Name of a pipeline and of a node in it.
type NodeName = (String, String);

/// All services of an agent.
#[derive(Debug, Default)]
pub struct Services {
    nodes: Mutex<BTreeMap<NodeName, Arc<NodeState>>>,
    facts: Arc<Facts>,
    tables: Arc<Tables>,
    client: Arc<Client>,
    mock: Option<Mock>,
}

/// How one node used its capabilities.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// The pipeline.
    pub pipeline: String,
    /// The node.
    pub node: String,
    /// Number of calls, errors and suppressed items, for each capability that the node used.
    pub used: Vec<(Capability, [u64; 3])>,
    /// The metrics of the node.
    pub metrics: Vec<FamilySnapshot>,
}

impl Services {
    /// Creates services for a test, of which [`dry`](Self::dry) returns the mock with the grants of the node.
    /// [`NodeServices::mocked`] checks the mock.
    pub fn mocked(mock: Mock) -> Self {
        Self { mock: Some(mock), ..Self::default() }
    }

    /// Returns the services of a node. A later node of the same name gets the same state.
    pub fn node(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        let name = (pipeline.to_owned(), node.to_owned());
        let kept = self.nodes.lock().entry(name).or_insert_with(|| NodeState::new(pipeline, node)).clone();
        self.serve(kept, grants, LogTarget::Agent, Http::Sent(self.client.clone()))
    }

    /// Returns services without side effects: log lines are discarded, no request is sent, and
    /// metrics, keys and values are dropped with the node. Tables are shared with other nodes.
    pub fn dry(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        if let Some(mock) = &self.mock {
            return mock.serve(grants);
        }
        self.serve(NodeState::new(pipeline, node), grants, LogTarget::Nowhere, Http::Refused)
    }

    fn serve(&self, kept: Arc<NodeState>, grants: &Grants, target: LogTarget, http: Http) -> NodeServices {
        let (clock, random) = (Clock::default(), Random::default());
        let (grants, facts) = (grants.clone(), self.facts.clone());
        let tables = Lookup::Files(self.tables.clone());
        NodeServices(Arc::new(Inner { kept, grants, target, clock, random, facts, tables, http }))
    }

    /// Returns how all nodes used their capabilities so far.
    pub fn snapshot(&self) -> Vec<NodeSnapshot> {
        let nodes: Vec<(NodeName, Arc<NodeState>)> =
            self.nodes.lock().iter().map(|(name, kept)| (name.clone(), kept.clone())).collect();
        let snapshots = nodes.into_iter().map(|((pipeline, node), kept)| {
            let used = Capability::ALL.into_iter().map(|c| (c, kept.meters.of(c).read()));
            let used = used.filter(|(_, counts)| *counts != [0; 3]).collect();
            NodeSnapshot { pipeline, node, used, metrics: kept.metrics.snapshot() }
        });
        snapshots.collect()
    }

    /// Logs how many log lines were suppressed recently. Call it about every second, and at the end
    /// with `is_end`.
    pub fn report_suppressed(&self, is_end: bool) {
        let nodes: Vec<Arc<NodeState>> = self.nodes.lock().values().cloned().collect();
        nodes.iter().for_each(|kept| kept.log.report_suppressed(is_end));
    }
}

/// Services as a test defines them.
#[derive(Clone, Debug, Default)]
pub struct Mock {
    /// The grants.
    pub grants: Grants,
    /// The time.
    pub clock: Clock,
    /// Seed of random bytes; `None` for those of the machine.
    pub seed: Option<u64>,
    /// Facts about the machine.
    pub facts: Facts,
    /// Destination of log lines.
    pub log: LogTarget,
    /// Tables by name.
    pub tables: BTreeMap<String, Arc<Table>>,
    /// Initial keys and values.
    pub values: Vec<(String, String)>,
    /// Responses by method and URL, separated by a space.
    pub http: MockHttp,
    /// Receives the requests that have no mock.
    pub missing: MissingMocks,
}

impl Mock {
    fn serve(&self, grants: &Grants) -> NodeServices {
        NodeServices(Arc::new(Inner {
            kept: NodeState::with("", "", Store::with(&self.values)),
            grants: grants.clone(),
            target: self.log.clone(),
            clock: self.clock,
            random: Random::of(self.seed),
            facts: Arc::new(self.facts.clone()),
            tables: Lookup::Mocked(self.tables.clone()),
            http: Http::Mocked(self.http.clone(), self.missing.clone()),
        }))
    }
}

/// Method and URL of requests that had no mock.
pub type MissingMocks = Arc<Mutex<BTreeSet<String>>>;

/// Maximum number of recorded requests without a mock.
const MAX_MISSING: usize = 100;

/// Responses to requests by method and URL, separated by a space.
pub type MockHttp = BTreeMap<String, Result<Response, Failure>>;

/// Destination of requests.
#[derive(Debug)]
enum Http {
    Sent(Arc<Client>),
    Refused,
    Mocked(MockHttp, MissingMocks),
}

/// Source of tables.
#[derive(Debug)]
enum Lookup {
    Files(Arc<Tables>),
    Mocked(BTreeMap<String, Arc<Table>>),
}

#[derive(Debug)]
struct Inner {
    kept: Arc<NodeState>,
    grants: Grants,
    target: LogTarget,
    clock: Clock,
    random: Random,
    facts: Arc<Facts>,
    tables: Lookup,
    http: Http,
}

/// The services of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeServices(Arc<Inner>);

impl NodeServices {
    /// Creates services for a test, without side effects.
    ///
    /// # Errors
    ///
    /// The initial keys and values exceed the grant.
    pub fn mocked(mock: &Mock) -> Result<Self, KvError> {
        let services = mock.serve(&mock.grants);
        if let Some(grant) = &mock.grants.kv {
            services.0.kept.values.check(grant)?;
        }
        Ok(services)
    }

    /// The grants.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// The meter of a capability.
    pub fn meter(&self, capability: Capability) -> &Meter {
        self.0.kept.meters.of(capability)
    }

    /// Writes a line to the log. `line_of_call` is the number of lines that this call of the node
    /// wrote before.
    pub fn log(&self, level: LogLevel, message: &str, line_of_call: u32) {
        let Some(grant) = &self.0.grants.log else { return };
        if !self.0.kept.log.write(&self.0.target, grant, level, message, line_of_call) {
            self.meter(Capability::Log).suppress();
        }
    }

    /// Returns the handle of a metric series.
    ///
    /// # Errors
    ///
    /// The name, the labels or the bounds break a rule; the text names it.
    pub fn series(&self, name: &str, labels: Vec<Label>, kind: &Kind) -> Result<u32, MetricError> {
        let max = self.0.grants.metrics.as_ref().map_or(0, |grant| grant.max_series as usize);
        let (handle, is_own) = self.0.kept.metrics.series(name, labels, kind, max)?;
        if !is_own {
            self.meter(Capability::Metrics).suppress();
        }
        Ok(handle)
    }

    /// The metrics of the node.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.0.kept.metrics
    }

    /// The time.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Randomness.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// A fact about the machine or the agent; `None` if the machine lacks it.
    ///
    /// # Errors
    ///
    /// There is no fact of this name.
    pub fn fact(&self, name: &str) -> Result<Option<&str>, UnknownFact> {
        self.0.facts.get(name)
    }

    /// Opens columns of a table.
    ///
    /// # Errors
    ///
    /// The table is not granted, cannot be loaded, or lacks a column.
    pub fn open(&self, table: &str, columns: &[String]) -> Result<OpenTable, LookupError> {
        match &self.0.tables {
            Lookup::Files(tables) => {
                let granted = self.0.grants.lookup.iter().flat_map(|grant| &grant.tables);
                match granted.clone().find(|(name, _)| *name == table) {
                    Some((_, grant)) => tables.open(grant, columns),
                    None => Err(LookupError::NotGranted {
                        table: table.to_owned(),
                        granted: granted.map(|(name, _)| name.clone()).collect(),
                    }),
                }
            }
            Lookup::Mocked(tables) => match tables.get(table) {
                Some(found) => OpenTable::new(found.clone(), columns),
                None => {
                    Err(LookupError::NotMocked { table: table.to_owned(), mocked: tables.keys().cloned().collect() })
                }
            },
        }
    }

    /// Returns the values of keys.
    ///
    /// # Errors
    ///
    /// The values have more than `max_bytes` in total.
    pub fn kv_get(&self, keys: &Values, max_bytes: usize) -> Result<Values, TooLarge> {
        self.0.kept.values.get(keys, max_bytes)
    }

    /// Sets the values of keys.
    ///
    /// # Errors
    ///
    /// The grant would be exceeded.
    pub fn kv_set(&self, keys: &Values, values: &Values, undo: &mut Changes) -> Result<(), KvError> {
        self.0.kept.values.set(&self.kv_grant(), keys, values, undo)
    }

    /// Adds to the numbers of keys.
    ///
    /// # Errors
    ///
    /// A value is not a number, or the grant would be exceeded.
    pub fn kv_add(&self, keys: &Values, amounts: &[i64], undo: &mut Changes) -> Result<Vec<i64>, KvError> {
        self.0.kept.values.add(&self.kv_grant(), keys, amounts, undo)
    }

    /// Removes keys.
    pub fn kv_delete(&self, keys: &Values, undo: &mut Changes) {
        self.0.kept.values.delete(keys, undo);
    }

    /// Reverts the changes of a call that faulted.
    pub fn kv_revert(&self, changes: Changes) {
        self.0.kept.values.revert(changes);
    }

    fn kv_grant(&self) -> KvGrant {
        self.0.grants.kv.clone().unwrap_or(KvGrant { max_bytes: 0, max_keys: 0 })
    }

    /// Sends requests. `budget` is the remaining budget of the batch; `None` before its first
    /// request.
    pub fn send(&self, requests: &[Request], budget: &mut Option<Budget>) -> Vec<Result<Response, Failure>> {
        let refused = |message: String| Failure { kind: FailureKind::HostNotAllowed, message };
        match &self.0.http {
            Http::Sent(client) => {
                let grant = self.0.grants.http_client.clone().unwrap_or_default();
                let budget = budget.get_or_insert_with(|| Budget::of(&grant));
                client.send(&grant, requests, budget)
            }
            Http::Refused => {
                let all = requests.iter().map(|r| Err(refused(format!("`{}` is not sent by a dry run", r.url))));
                all.collect()
            }
            Http::Mocked(answers, missing) => {
                let all = requests.iter().map(|r| {
                    let name = format!("{} {}", r.method, r.url);
                    answers.get(&name).cloned().unwrap_or_else(|| {
                        let mut missing = missing.lock();
                        if missing.len() < MAX_MISSING {
                            missing.insert(name.clone());
                        }
                        Err(refused(format!("`{name}` has no mock; add this key under `mocks.http-client`")))
                    })
                });
                all.collect()
            }
        }
    }
}
