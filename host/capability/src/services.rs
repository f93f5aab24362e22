//! What the agent keeps for nodes, whichever generation runs, and what one node sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_plan::{Grants, KvGrant, LogLevel};

use crate::ambient::{Clock, Random};
use crate::capability::Capability;
use crate::http::{Budget, Client, Failure, Request, Response};
use crate::kv::{Changes, Store};
use crate::log::{LogBudget, LogTarget};
use crate::lookup::{OpenTable, Table, Tables};
use crate::meters::{Meter, Meters};
use crate::metrics::{FamilySnapshot, Kind, Label, NodeMetrics};
use crate::values::{Values, ValuesBuilder};

/// What is kept for one node as long as the agent lives.
#[derive(Debug)]
struct Kept {
    log: LogBudget,
    metrics: NodeMetrics,
    meters: Meters,
    values: Store,
}

impl Kept {
    fn new(pipeline: &str, node: &str) -> Arc<Self> {
        Arc::new(Self {
            log: LogBudget::new(pipeline, node),
            metrics: NodeMetrics::default(),
            meters: Meters::default(),
            values: Store::default(),
        })
    }
}

/// Name of a pipeline and of a node in it.
type NodeName = (String, String);

/// All services of an agent.
#[derive(Debug, Default)]
pub struct Services {
    nodes: Mutex<BTreeMap<NodeName, Arc<Kept>>>,
    tables: Arc<Tables>,
    client: Arc<Client>,
}

/// What one node did with its capabilities.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// The pipeline.
    pub pipeline: String,
    /// The node.
    pub node: String,
    /// Calls, errors and what was left out, for each capability that it used.
    pub used: Vec<(Capability, [u64; 3])>,
    /// Its own metrics.
    pub metrics: Vec<FamilySnapshot>,
}

impl Services {
    /// The services of a node; the same again for its successor of that name.
    pub fn node(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        let name = (pipeline.to_owned(), node.to_owned());
        let kept = self.nodes.lock().entry(name).or_insert_with(|| Kept::new(pipeline, node)).clone();
        self.serve(kept, grants, LogTarget::Agent, Http::Sent(self.client.clone()))
    }

    /// Services without an effect on anything: log and metrics go nowhere, no request is sent, and what is kept is gone
    /// with the node. Tables are the same.
    pub fn dry(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        self.serve(Kept::new(pipeline, node), grants, LogTarget::Nowhere, Http::Refused)
    }

    fn serve(&self, kept: Arc<Kept>, grants: &Grants, target: LogTarget, http: Http) -> NodeServices {
        let (clock, random) = (Clock::default(), Random::default());
        let (grants, tables) = (grants.clone(), Lookup::Files(self.tables.clone()));
        NodeServices(Arc::new(Inner { kept, grants, target, clock, random, tables, http }))
    }

    /// What all nodes did so far.
    pub fn snapshot(&self) -> Vec<NodeSnapshot> {
        let nodes: Vec<(NodeName, Arc<Kept>)> =
            self.nodes.lock().iter().map(|(name, kept)| (name.clone(), kept.clone())).collect();
        let snapshots = nodes.into_iter().map(|((pipeline, node), kept)| {
            let used = Capability::ALL.into_iter().map(|c| (c, kept.meters.of(c).read()));
            let used = used.filter(|(_, counts)| *counts != [0; 3]).collect();
            NodeSnapshot { pipeline, node, used, metrics: kept.metrics.snapshot() }
        });
        snapshots.collect()
    }

    /// Says how many lines of logs were left out of late. For who calls about every second, and at the end.
    pub fn settle(&self, is_end: bool) {
        let nodes: Vec<Arc<Kept>> = self.nodes.lock().values().cloned().collect();
        nodes.iter().for_each(|kept| kept.log.settle(is_end));
    }
}

/// What a test says that the services are.
#[derive(Debug, Default)]
pub struct Mock {
    /// What is granted.
    pub grants: Grants,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Where lines of the log go.
    pub log: LogTarget,
    /// Tables by name.
    pub tables: BTreeMap<String, Arc<Table>>,
    /// What is kept under keys.
    pub values: Vec<(String, String)>,
    /// Answers by method and URL, with a space between.
    pub http: MockHttp,
    /// Takes the requests that have no answer, for who says which are missing.
    pub missing: MissingMocks,
}

/// Requests that had no mock, by method and URL.
pub type MissingMocks = Arc<Mutex<BTreeSet<String>>>;

/// Requests that are remembered as missing.
const MAX_MISSING: usize = 100;

/// Every code of a [`Failure`].
pub const FAILURES: [&str; 7] =
    ["bad-request", "host-not-allowed", "address-not-allowed", "budget", "timeout", "connect", "too-large"];

/// Answers to requests, by method and URL with a space between.
pub type MockHttp = BTreeMap<String, Result<Response, Failure>>;

/// Where requests go.
#[derive(Debug)]
enum Http {
    Sent(Arc<Client>),
    Refused,
    Mocked(MockHttp, MissingMocks),
}

/// Where tables come from.
#[derive(Debug)]
enum Lookup {
    Files(Arc<Tables>),
    Mocked(BTreeMap<String, Arc<Table>>),
}

#[derive(Debug)]
struct Inner {
    kept: Arc<Kept>,
    grants: Grants,
    target: LogTarget,
    clock: Clock,
    random: Random,
    tables: Lookup,
    http: Http,
}

/// What one node has of the services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeServices(Arc<Inner>);

impl NodeServices {
    /// Services for a test: what it says, and everything else without an effect.
    ///
    /// # Errors
    ///
    /// What is to be kept under keys is more than is granted.
    pub fn mocked(mock: Mock) -> Result<Self, String> {
        let Mock { grants, clock, random, log: target, tables, values, http, missing } = mock;
        let kept = Kept::new("", "");
        let column = |text: fn(&(String, String)) -> &String| {
            let mut column = ValuesBuilder::with_rows(values.len());
            values.iter().try_for_each(|pair| column.push(Some(text(pair).as_bytes()), usize::MAX))?;
            Ok::<_, String>(column.finish())
        };
        if let Some(grant) = &grants.kv {
            let (keys, values) = (column(|(key, _)| key)?, column(|(_, value)| value)?);
            kept.values.set(grant, &keys, &values, &mut Changes::default())?;
        }
        let (tables, http) = (Lookup::Mocked(tables), Http::Mocked(http, missing));
        Ok(Self(Arc::new(Inner { kept, grants, target, clock, random, tables, http })))
    }

    /// What is granted.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// The meter of a capability.
    pub fn meter(&self, capability: Capability) -> &Meter {
        self.0.kept.meters.of(capability)
    }

    /// Writes a line to the log. `line_of_call` is how many the call of the node wrote before.
    pub fn log(&self, level: LogLevel, message: &str, line_of_call: u32) {
        let Some(grant) = &self.0.grants.log else { return };
        if !self.0.kept.log.write(&self.0.target, grant, level, message, line_of_call) {
            self.meter(Capability::Log).suppress();
        }
    }

    /// The handle of a series of metrics.
    ///
    /// # Errors
    ///
    /// Which rule is broken.
    pub fn series(&self, name: &str, labels: Vec<Label>, kind: &Kind) -> Result<u32, String> {
        let most = self.0.grants.metrics.as_ref().map_or(0, |grant| grant.max_series as usize);
        let (handle, is_own) = self.0.kept.metrics.series(name, labels, kind, most)?;
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

    /// Opens columns of a table.
    ///
    /// # Errors
    ///
    /// It is not granted, cannot be loaded, or lacks a column.
    pub fn open(&self, table: &str, columns: &[String]) -> Result<OpenTable, String> {
        let none = |names: Vec<&String>| {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            let there = if names.is_empty() { "none is".to_owned() } else { format!("there is {}", names.join(", ")) };
            format!("the table `{table}` is not granted; {there}")
        };
        match &self.0.tables {
            Lookup::Files(tables) => {
                let granted = self.0.grants.lookup.iter().flat_map(|grant| &grant.tables);
                match granted.clone().find(|(name, _)| *name == table) {
                    Some((_, grant)) => tables.open(grant, columns),
                    None => Err(none(granted.map(|(name, _)| name).collect())),
                }
            }
            Lookup::Mocked(tables) => match tables.get(table) {
                Some(found) => OpenTable::new(found.clone(), columns),
                None => Err(none(tables.keys().collect())),
            },
        }
    }

    /// The values of keys.
    ///
    /// # Errors
    ///
    /// They have more than `max_bytes` together.
    pub fn kv_get(&self, keys: &Values, max_bytes: usize) -> Result<Values, String> {
        self.0.kept.values.get(keys, max_bytes)
    }

    /// Sets the values of keys.
    ///
    /// # Errors
    ///
    /// It would be more than is granted.
    pub fn kv_set(&self, keys: &Values, values: &Values, undo: &mut Changes) -> Result<(), String> {
        self.0.kept.values.set(&self.kv_grant(), keys, values, undo)
    }

    /// Adds to the numbers of keys.
    ///
    /// # Errors
    ///
    /// A value is no number, or it would be more than is granted.
    pub fn kv_add(&self, keys: &Values, amounts: &[i64], undo: &mut Changes) -> Result<Vec<i64>, String> {
        self.0.kept.values.add(&self.kv_grant(), keys, amounts, undo)
    }

    /// Removes keys.
    pub fn kv_delete(&self, keys: &Values, undo: &mut Changes) {
        self.0.kept.values.delete(keys, undo);
    }

    /// Takes back what a call changed that faulted.
    pub fn kv_take_back(&self, changes: Changes) {
        self.0.kept.values.take_back(changes);
    }

    fn kv_grant(&self) -> KvGrant {
        self.0.grants.kv.clone().unwrap_or(KvGrant { max_bytes: 0, max_keys: 0 })
    }

    /// Sends requests. `budget` is what is left for the batch; none yet at its first.
    pub fn send(&self, requests: &[Request], budget: &mut Option<Budget>) -> Vec<Result<Response, Failure>> {
        let refused = |message: String| Failure { code: "host-not-allowed", message };
        match &self.0.http {
            Http::Sent(client) => {
                let grant = self.0.grants.http_client.clone().unwrap_or_default();
                let budget = budget.get_or_insert_with(|| Budget::of(&grant));
                client.send(&grant, requests, budget)
            }
            Http::Refused => {
                let all =
                    requests.iter().map(|r| Err(refused(format!("`{}` is not sent where it is only tried", r.url))));
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
