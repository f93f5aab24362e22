//! The node `enrich`: adds columns of lookup tables to events.
//!
//! Each lookup collects the keys of a batch and finds all of their rows at once ([`lookup`]). The found cells are spans of
//! the columns from the host, and go into documents over the roots of the events ([`roots`]).

mod field;
mod lookup;
mod options;
mod roots;

use wattle_condition::{Check, Compiler, ReadFields, Spare};
use wattle_document::Documents;
use wattle_node::{Batch, Column, Node, Reasons, Setup, export_node};

use crate::lookup::{Lookup, Verdict};
pub use crate::options::{Case, Columns, Lookup as LookupOptions, OnMissing, Options};
use crate::roots::{Problem, Roots};

/// Maximum number of lookups.
const MAX_LOOKUPS: usize = 32;
/// Maximum number of columns of all lookups: an arena has 255 texts.
const MAX_COLUMNS: usize = 200;
/// Reason and failure code for a key without a row.
const NOT_FOUND: &str = "not-found";
/// Number of the port for events that `on_missing` routes.
const PORT: u8 = 1;

/// The configured node. Keeps its memory from batch to batch.
pub struct Enrich {
    lookups: Vec<Lookup>,
    fields: ReadFields,
    columns: Vec<Column>,
    documents: Documents,
    roots: Roots,
    spare: Spare,
}

impl Node for Enrich {
    const NAME: &'static str = "enrich";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Adds columns of lookup tables to events.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let columns: usize = options.lookups.iter().map(|lookup| lookup.columns.len()).sum();
        if options.lookups.is_empty() {
            setup.error("lookups", "at least one lookup is needed");
        }
        if options.lookups.len() > MAX_LOOKUPS || columns > MAX_COLUMNS {
            let has = format!("{} lookups with {columns} columns", options.lookups.len());
            setup.error(
                "lookups",
                format!("has {has}; at most {MAX_LOOKUPS} and {MAX_COLUMNS} are possible; use two nodes"),
            );
            return None;
        }
        let mut documents = Documents::default();
        let mut roots = Roots::new(&mut documents);
        let mut compiler = Compiler::new(ReadFields::default());
        let lookups = options.lookups.iter().enumerate();
        // Compile all lookups before the first `None` ends the collection, to report every error at once.
        let lookups: Vec<_> = lookups
            .map(|(number, lookup)| Lookup::new(number, lookup, &mut roots, &mut documents, &mut compiler, setup))
            .collect();
        lookup::check_nested(&lookups, setup);
        if options.lookups.iter().any(|lookup| lookup.on_missing == OnMissing::Route) {
            setup.ports(vec!["out".to_owned(), "not_found".to_owned()]);
        }
        let is_resolved = roots.resolve(setup);
        let lookups = lookups.into_iter().collect::<Option<_>>()?;
        is_resolved?;
        let fields = compiler.into_resolver();
        Some(Self { lookups, fields, columns: Vec::new(), documents, roots, spare: Spare::default() })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.fields.read(batch, &mut self.columns);
        let (mut found, mut missing) = (0, 0);
        for lookup in &mut self.lookups {
            lookup.find(&self.columns, batch.len(), &mut self.documents, &mut self.spare);
            let counts = lookup.counts();
            found += counts.0;
            missing += counts.1;
        }
        self.columns.clear();
        let mut verdicts = Verdicts { ports: vec![0; batch.len()], ..Verdicts::default() };
        // Without a change, the roots are not even read.
        if self.lookups.iter().any(Lookup::has_changes) {
            self.roots.load(batch, &mut self.documents);
        }
        for row in 0..batch.len() {
            self.row(row, &mut verdicts);
        }
        self.roots.set(batch);
        verdicts.apply(batch);
        batch.count("found", found);
        batch.count(NOT_FOUND, missing);
        // The found columns are the host's buffers; drop them before the batch ends.
        self.lookups.iter_mut().for_each(Lookup::clear);
        Ok(())
    }
}

impl Enrich {
    /// Decides about a row and writes its changes.
    fn row(&mut self, row: usize, verdicts: &mut Verdicts) {
        for (number, lookup) in self.lookups.iter().enumerate() {
            match lookup.verdict(row) {
                Verdict::Continue => {}
                Verdict::Route => verdicts.ports.get_mut(row).into_iter().for_each(|port| *port = PORT),
                Verdict::Drop => {
                    verdicts.dropped.push(u32::try_from(row).unwrap_or(u32::MAX));
                    return;
                }
                Verdict::Fail => {
                    let table = lookup.table();
                    let message =
                        format!("lookups[{number}]: the table `{table}` has no row with the key of the event");
                    verdicts.reasons.add(row, NOT_FOUND, &message);
                    return;
                }
            }
        }
        if !self.lookups.iter().any(|lookup| lookup.changes(row)) {
            return;
        }
        self.roots.open(row, &mut self.documents);
        for (number, lookup) in self.lookups.iter_mut().enumerate() {
            if let Err((problem, place)) = lookup.set(row, &mut self.roots, &mut self.documents) {
                fail(row, problem, &format!("lookups[{number}]: {place}"), &mut verdicts.reasons);
                return;
            }
        }
        self.roots.write(&self.documents);
    }
}

#[cold]
fn fail(row: usize, problem: Problem, place: &str, reasons: &mut Reasons) {
    reasons.add(row, problem.code(), &format!("{place} {}", problem.message()));
}

/// Rows that leave elsewhere.
#[derive(Default)]
struct Verdicts {
    ports: Vec<u8>,
    dropped: Vec<u32>,
    reasons: Reasons,
}

impl Verdicts {
    /// Passes them to the host.
    fn apply(&self, batch: &mut Batch<'_>) {
        if self.ports.contains(&PORT) {
            batch.route(&self.ports);
        }
        batch.drop_rows(&self.dropped, NOT_FOUND);
        batch.fail(&self.reasons);
    }
}

/// The check of a condition, or none.
type Condition = Option<Check>;

export_node!(Enrich);
