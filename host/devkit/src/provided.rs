//! What a node under test has beyond its batches: what a project grants, and what its mocks answer.
//!
//! Nothing of it has an effect on anything else, and all of it is the same every time: the clock stands still, random bytes
//! have a seed, and no request is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattle_capability::{
    Clock, FAILURES, Failure, LogTarget, MissingMocks, Mock, MockHttp, NodeServices, Random, Response, Table,
};
use wattle_cases::{MockAnswer, MockTable, Mocks};
use wattle_plan::{Grants, TableKind};
use wattle_runtime::Compiled;

/// Grants and mocks of a project.
#[derive(Clone, Debug)]
pub struct Provided {
    grants: Grants,
    mocks: Mocks,
    /// Tables of the mocks, and of the files that are granted where no mock has their name.
    tables: BTreeMap<String, Arc<Table>>,
    http: MockHttp,
    missing: MissingMocks,
}

impl Default for Provided {
    /// Every capability, without tables, keys and answers.
    fn default() -> Self {
        Self {
            grants: Grants::of_tests(),
            mocks: Mocks::default(),
            tables: BTreeMap::new(),
            http: BTreeMap::new(),
            missing: MissingMocks::default(),
        }
    }
}

impl Provided {
    /// What a project provides. Without grants, a node has every capability.
    ///
    /// # Errors
    ///
    /// A table cannot be loaded, or a mock has a failure that does not exist.
    pub fn new(grants: Option<Grants>, mocks: Mocks) -> Result<Self, String> {
        let grants = grants.unwrap_or_else(Grants::of_tests);
        let mut tables = BTreeMap::new();
        for (name, grant) in grants.lookup.iter().flat_map(|lookup| &lookup.tables) {
            if !mocks.lookup.contains_key(name) {
                let table = Table::load(grant).map_err(|error| format!("`grants.lookup.tables.{name}`: {error}"))?;
                tables.insert(name.clone(), Arc::new(table));
            }
        }
        let project = Self { grants, mocks: Mocks::default(), tables, http: BTreeMap::new(), ..Self::default() };
        project.with(&mocks)
    }

    /// The same with the mocks of a case, which replace those of the project one by one.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new).
    pub fn with(&self, case: &Mocks) -> Result<Self, String> {
        let mut provided = Self { mocks: self.mocks.with(case), ..self.clone() };
        for (name, table) in &case.lookup {
            let table = table_of(table).map_err(|error| format!("`mocks.lookup.{name}`: {error}"))?;
            provided.tables.insert(name.clone(), Arc::new(table));
        }
        for (request, answer) in &case.http {
            let answer = answer_of(answer).map_err(|error| format!("`mocks.http-client.{request}`: {error}"))?;
            provided.http.insert(request.clone(), answer);
        }
        Ok(provided)
    }

    /// Fresh services for an instance and those that follow it.
    ///
    /// # Errors
    ///
    /// The mocks of keys are more than is granted.
    pub fn services(&self, log: LogTarget) -> Result<NodeServices, String> {
        NodeServices::mocked(Mock {
            grants: self.grants.clone(),
            clock: Clock::Fixed(self.mocks.clock.unwrap_or_default()),
            random: Random::Seeded(self.mocks.random.unwrap_or_default().into()),
            log,
            tables: self.tables.clone(),
            values: self.mocks.kv.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            http: self.http.clone(),
            missing: self.missing.clone(),
        })
    }

    /// Whether a component gets every capability that it imports.
    ///
    /// # Errors
    ///
    /// Those that are missing, with what to write.
    pub fn check(&self, compiled: &Compiled) -> Result<(), String> {
        let names = compiled.capabilities.iter().map(|capability| capability.name());
        let missing: Vec<String> = names.filter(|name| !self.grants.has(name)).map(line).collect();
        match missing.as_slice() {
            [] => Ok(()),
            lines => Err(format!(
                "the node imports capabilities that `[grants]` of `node.toml` does not have; add {}",
                lines.join(", ")
            )),
        }
    }

    /// Requests that had no mock so far, as the keys that mocks for them have.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().iter().cloned().collect()
    }
}

/// The line of `[grants]` that grants a capability.
fn line(capability: &str) -> String {
    match capability {
        "lookup" => "`lookup = { tables = {} }`".into(),
        "http-client" => "`http-client = { hosts = [] }`".into(),
        other => format!("`{other} = true`"),
    }
}

fn table_of(table: &MockTable) -> Result<Table, String> {
    let kind = if table.is_cidr { TableKind::Cidr } else { TableKind::Exact };
    let rows = serde_json::Value::from(table.rows.clone()).to_string();
    Table::from_json(rows.as_bytes(), kind, Some(&table.key))
}

fn answer_of(answer: &MockAnswer) -> Result<Result<Response, Failure>, String> {
    match answer {
        MockAnswer::Response(status, headers, body) => {
            Ok(Ok(Response { status: *status, headers: headers.clone(), body: body.clone() }))
        }
        MockAnswer::Failure(code) => match FAILURES.iter().find(|known| *known == code) {
            Some(code) => Ok(Err(Failure { code, message: "the mock says so".into() })),
            None => Err(format!("unknown failure `{code}`; there are {}", FAILURES.join(", "))),
        },
    }
}
