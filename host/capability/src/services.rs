//! Services that the agent keeps for nodes over all generations, and the view of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use wattle_plan::{Grants, KvGrant, LogLevel, SeenGrant};

use crate::ambient::{Clock, Random};
use crate::capability::Capability;
use crate::facts::{Facts, UnknownFact};
use crate::flusher::Flusher;
use crate::http::{Budget, Client, Failure, FailureKind, Request, Response};
use crate::kv::{KvError, KvUsage, Staged, Store};
use crate::log::{LogBudget, LogTarget};
use crate::lookup::{LookupError, OpenTable, Table, Tables};
use crate::meters::{Meter, Meters};
use crate::metrics::{FamilySnapshot, Kind, Label, MetricError, NodeMetrics};
use crate::seen::{Claims, SeenStore, SeenUsage};
use crate::values::{TooLarge, Values};

/// State of one node, which lives as long as the agent.
#[derive(Debug)]
struct NodeState {
    log: LogBudget,
    metrics: NodeMetrics,
    meters: Meters,
    values: Arc<Store>,
    seen: Arc<SeenStore>,
}

impl NodeState {
    fn new(pipeline: &str, node: &str) -> Arc<Self> {
        Self::with(pipeline, node, Store::default(), SeenStore::default())
    }

    fn with(pipeline: &str, node: &str, values: Store, seen: SeenStore) -> Arc<Self> {
        let (metrics, meters) = (NodeMetrics::default(), Meters::default());
        let (log, values, seen) = (LogBudget::new(pipeline, node), Arc::new(values), Arc::new(seen));
        Arc::new(Self { log, metrics, meters, values, seen })
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
    /// The data folder, unless nothing is kept.
    data_dir: OnceLock<PathBuf>,
    flusher: Flusher,
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
    /// The claims of the node, if it has made any.
    pub seen: Option<SeenUsage>,
    /// The keys and values of the node, if it has or had any.
    pub kv: Option<KvUsage>,
}

impl Services {
    /// Creates services for a test, of which [`dry`](Self::dry) returns the mock with the grants of the node.
    /// [`NodeServices::mocked`] checks the mock.
    pub fn mocked(mock: Mock) -> Self {
        Self { mock: Some(mock), ..Self::default() }
    }

    /// Keeps durable claims, keys and values in this data folder, which no other process uses. Without
    /// a folder they are in memory only. Call it before the first node.
    pub fn keep_in(&self, data_dir: PathBuf) {
        // Every later call has the same folder.
        let _ = self.data_dir.set(data_dir);
    }

    /// Returns the services of a node. A later node of the same name gets the same state. The first one
    /// with a durable grant reads what it had from the data folder.
    pub fn node(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        let name = (pipeline.to_owned(), node.to_owned());
        let kept = self.nodes.lock().entry(name).or_insert_with(|| NodeState::new(pipeline, node)).clone();
        if let Some(data_dir) = self.data_dir.get() {
            // A node inside another pack has a `/` in its name, and no name has a dot.
            let path = |store: &str| data_dir.join(store).join(pipeline).join(node.replace('/', "."));
            if let Some(grant) = grants.seen.as_ref().filter(|grant| grant.durable) {
                let forgotten = kept.seen.keep_in(path("seen"), grant, self.flusher.keep(&kept.seen));
                kept.meters.of(Capability::Seen).suppress(forgotten);
            }
            if grants.kv.as_ref().is_some_and(|grant| grant.durable) {
                kept.values.keep_in(path("kv"), self.flusher.keep(&kept.values));
            }
        }
        self.serve(kept, grants, LogTarget::Agent, Http::Sent(self.client.clone()), Clock::default())
    }

    /// Returns services without side effects: log lines are discarded, no request is sent, and
    /// metrics, keys and values are dropped with the node. Tables are shared with other nodes.
    pub fn dry(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        self.dry_at(pipeline, node, grants, Clock::default())
    }

    /// The same with this clock, so that several nodes see the same time. A mock keeps its own.
    pub fn dry_at(&self, pipeline: &str, node: &str, grants: &Grants, clock: Clock) -> NodeServices {
        if let Some(mock) = &self.mock {
            return mock.serve(grants);
        }
        self.serve(NodeState::new(pipeline, node), grants, LogTarget::Nowhere, Http::Refused, clock)
    }

    fn serve(
        &self,
        kept: Arc<NodeState>,
        grants: &Grants,
        target: LogTarget,
        http: Http,
        clock: Clock,
    ) -> NodeServices {
        let random = Random::default();
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
            let seen = Some(kept.seen.usage()).filter(|usage| *usage != SeenUsage::default());
            let kv = Some(kept.values.usage()).filter(|usage| *usage != KvUsage::default());
            NodeSnapshot { pipeline, node, used, metrics: kept.metrics.snapshot(), seen, kv }
        });
        snapshots.collect()
    }

    /// Writes everything durable to the disk: firm claims, keys and values. Call it at the end of a
    /// run, when all acknowledgements have ended. Blocks while it writes. Returns the files that cannot
    /// be written; the log has the reasons.
    pub fn flush(&self) -> Vec<PathBuf> {
        self.flusher.flush()
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
    /// Keys that were delivered already.
    pub seen: Vec<String>,
    /// Responses by method and URL, separated by a space.
    pub http: MockHttp,
    /// Receives the requests that have no mock.
    pub missing: MissingMocks,
}

impl Mock {
    fn serve(&self, grants: &Grants) -> NodeServices {
        NodeServices(Arc::new(Inner {
            kept: NodeState::with("", "", Store::with(&self.values), SeenStore::with(&self.seen)),
            grants: grants.clone(),
            target: self.log.clone(),
            clock: self.clock.clone(),
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
            self.meter(Capability::Log).suppress(1);
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
            self.meter(Capability::Metrics).suppress(1);
        }
        Ok(handle)
    }

    /// The metrics of the node.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.0.kept.metrics
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
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

    /// Returns the values of keys, as the call sees them that has staged these changes.
    ///
    /// # Errors
    ///
    /// The values have more than `max_bytes` in total.
    pub fn kv_get(&self, keys: &Values, max_bytes: usize, staged: &Staged) -> Result<Values, TooLarge> {
        self.0.kept.values.get(keys, self.0.clock.steady(), max_bytes, staged)
    }

    /// Sets the values of keys, for `ttl` milliseconds if given.
    ///
    /// # Errors
    ///
    /// The grant would be exceeded.
    pub fn kv_set(&self, keys: &Values, values: &Values, ttl: Option<u64>, staged: &mut Staged) -> Result<(), KvError> {
        self.0.kept.values.set(&self.kv_grant(), keys, values, ttl, self.0.clock.steady(), staged)
    }

    /// Adds to the numbers of keys.
    ///
    /// # Errors
    ///
    /// A value is not a number, or the grant would be exceeded.
    pub fn kv_add(&self, keys: &Values, amounts: &[i64], staged: &mut Staged) -> Result<Vec<i64>, KvError> {
        self.0.kept.values.add(&self.kv_grant(), keys, amounts, self.0.clock.steady(), staged)
    }

    /// Removes keys.
    pub fn kv_delete(&self, keys: &Values, staged: &mut Staged) {
        self.0.kept.values.delete(keys, self.0.clock.steady(), staged);
    }

    /// Makes the changes of a call that succeeded. `written` runs when they are on disk, or at once if
    /// they are only kept in memory.
    pub fn kv_commit(&self, staged: Staged, written: impl FnOnce() + Send + 'static) {
        let conflicts = staged.commit(self.0.clock.steady(), written);
        (0..conflicts).for_each(|_| self.meter(Capability::Kv).error());
    }

    /// Claims keys for `ttl` milliseconds, and returns 1 for each row whose key is new or missing, else
    /// 0. The claims are removed with `claims`, unless that ends otherwise.
    pub fn seen_claim(&self, keys: &Values, ttl: u64, claims: &mut Claims) -> Vec<u8> {
        let none = SeenGrant { max_keys: 0, ..SeenGrant::default() };
        let grant = self.0.grants.seen.as_ref().unwrap_or(&none);
        if u128::from(ttl) > grant.max_age.as_millis() && self.0.target.is_agent() {
            self.0.kept.log.warn_of_short_claims(ttl, grant.max_age);
        }
        let claim = self.0.kept.seen.claim(grant, keys, ttl, self.0.clock.steady(), claims);
        self.meter(Capability::Seen).suppress(claim.forgotten);
        claim.is_new
    }

    fn kv_grant(&self) -> KvGrant {
        self.0.grants.kv.clone().unwrap_or(KvGrant { max_bytes: 0, max_keys: 0, durable: false })
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

#[cfg(test)]
mod tests;
