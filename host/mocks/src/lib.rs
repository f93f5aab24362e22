//! What a test provides to a node beyond its batches: grants, and mocks in the form of [`wattle_cases::Mocks`].
//!
//! It has no outside effect and is the same in every run: the clock stands still, random bytes have
//! a seed, facts about the machine are constants, and no request is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattle_capability::{
    Capability, Clock, Facts, Failure, FailureKind, LogTarget, MissingMocks, Mock, MockHttp, NodeServices, Response,
    Table,
};
use wattle_cases::{MockAnswer, MockKind, MockTable, Mocks};
use wattle_plan::{Grants, TableKind};

/// Grants and mocks of a project, or of a test of a pack.
#[derive(Clone, Debug)]
pub struct Provided {
    grants: Grants,
    mocks: Mocks,
    /// Tables of the mocks, and of the granted files without a mock of the same name.
    tables: BTreeMap<String, Arc<Table>>,
    http: MockHttp,
    missing: MissingMocks,
}

impl Default for Provided {
    /// Every capability, without tables, keys and responses.
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
    /// A table cannot be loaded, or a mock has an unknown failure.
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

    /// The same, with the mocks of a case replacing those of the project one by one.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
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

    /// New services for an instance and its successors.
    ///
    /// # Errors
    ///
    /// The mocked keys exceed the grant.
    pub fn services(&self, log: LogTarget) -> Result<NodeServices, String> {
        NodeServices::mocked(&self.mock(log)).map_err(|error| format!("`mocks.kv`: {error}"))
    }

    /// What the services of a node are made of.
    pub fn mock(&self, log: LogTarget) -> Mock {
        Mock {
            grants: self.grants.clone(),
            clock: Clock::Fixed(self.mocks.clock.unwrap_or_default()),
            seed: Some(self.mocks.random.unwrap_or_default()),
            facts: Facts::of_test(self.mocks.facts()),
            log,
            tables: self.tables.clone(),
            values: self.mocks.kv.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            seen: self.mocks.seen.iter().cloned().collect(),
            http: self.http.clone(),
            missing: self.missing.clone(),
        }
    }

    /// Checks that a component gets every capability that it imports: these.
    ///
    /// # Errors
    ///
    /// The missing capabilities, with the lines to add.
    pub fn check(&self, imported: &[Capability]) -> Result<(), String> {
        let names = imported.iter().map(|capability| capability.name());
        let missing: Vec<String> = names.filter(|name| !self.grants.has(name)).map(line).collect();
        match missing.as_slice() {
            [] => Ok(()),
            lines => Err(format!(
                "the node imports capabilities that `[grants]` in `node.toml` does not contain; add {}",
                lines.join(", ")
            )),
        }
    }

    /// Requests without a mock so far, in the form of the keys of mocks.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().iter().cloned().collect()
    }
}

/// The line of `[grants]` for a capability.
fn line(capability: &str) -> String {
    match capability {
        "lookup" => "`lookup = { tables = {} }`".into(),
        "http-client" => "`http-client = { hosts = [] }`".into(),
        other => format!("`{other} = true`"),
    }
}

fn table_of(table: &MockTable) -> Result<Table, String> {
    let kind = match table.kind {
        MockKind::Exact => TableKind::Exact,
        MockKind::Cidr => TableKind::Cidr,
        MockKind::Mmdb => TableKind::Mmdb,
    };
    let rows = serde_json::Value::from(table.rows.clone()).to_string();
    Table::from_json(rows.as_bytes(), kind, Some(&table.key)).map_err(|error| error.to_string())
}

fn answer_of(answer: &MockAnswer) -> Result<Result<Response, Failure>, String> {
    match answer {
        MockAnswer::Response(status, headers, body) => {
            Ok(Ok(Response { status: *status, headers: headers.clone(), body: body.clone() }))
        }
        MockAnswer::Failure(code) => match FailureKind::ALL.into_iter().find(|known| known.name() == code) {
            Some(kind) => Ok(Err(Failure { kind, message: "set by the mock".into() })),
            None => {
                let known = FailureKind::ALL.map(FailureKind::name);
                Err(format!("unknown failure `{code}`; available: {}", known.join(", ")))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_every_fact() {
        let names: Vec<&str> = wattle_cases::FACTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, Facts::NAMES);
    }
}
