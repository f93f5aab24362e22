//! Assigns the rows of a batch to ports.

use wattle_condition::{Check, ReadFields, Spare};
use wattle_node::{Batch, Column, Setup};

/// The port of events that take no path.
const UNMATCHED: &str = "unmatched";

/// Paths in order; the index of a path is that of its port.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    names: Vec<String>,
    /// Conditions, and whether their events are also tested against later paths.
    checks: Vec<(Check, bool)>,
}

impl Paths {
    pub(crate) fn add(&mut self, check: Check, goes_on: bool) {
        self.checks.push((check, goes_on));
    }

    /// Adds the name of a path, and reports errors in it.
    pub(crate) fn add_name(&mut self, at: &str, name: &str, setup: &mut Setup<'_>) {
        let option = format!("{at}.name");
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !fits {
            setup.error(option, format!("bad name `{name}`; a name is a letter and then letters, digits, `_` and `-`"));
        } else if name == UNMATCHED || name == "failed" {
            setup.error(option, format!("the port `{name}` is there by itself; choose another name"));
        } else if self.names.iter().any(|known| known == name) {
            setup.error(option, format!("there is a path `{name}` already; choose another name"));
        }
        self.names.push(name.to_owned());
    }

    /// Sets the ports, and reports errors in the list of paths.
    pub(crate) fn name_ports(&self, setup: &mut Setup<'_>) {
        match self.names.len() {
            0 => setup.error("paths", "at least one path is needed"),
            // A port number is a byte, and `unmatched` needs one.
            1..=255 => {}
            many => setup.error("paths", format!("{many} paths are too many; the limit is 255")),
        }
        let mut ports = self.names.clone();
        ports.push(UNMATCHED.into());
        setup.ports(ports);
    }
}

/// Paths with the fields that they read. Keeps its memory from batch to batch.
#[derive(Debug)]
pub(crate) struct Router {
    paths: Paths,
    fields: ReadFields,
    columns: Vec<Column>,
    /// Rows that have no path yet.
    open: Vec<bool>,
    ports: Vec<u8>,
    copies: Vec<u32>,
    spare: Spare,
}

impl Router {
    pub(crate) fn new(paths: Paths, fields: ReadFields) -> Self {
        Self {
            paths,
            fields,
            columns: Vec::new(),
            open: Vec::new(),
            ports: Vec::new(),
            copies: Vec::new(),
            spare: Spare::default(),
        }
    }

    /// Decides the port of every row.
    pub(crate) fn run(&mut self, batch: &mut Batch<'_>) {
        let rows = batch.len();
        self.fields.read(batch, &mut self.columns);
        self.open.clear();
        self.open.resize(rows, true);
        let unmatched = u8::try_from(self.paths.checks.len()).unwrap_or(u8::MAX);
        self.ports.clear();
        self.ports.resize(rows, unmatched);
        for ((check, goes_on), port) in self.paths.checks.iter().zip(0..=u8::MAX) {
            let mut hits = self.spare.copy_of(&self.open);
            check.narrow(&self.columns, &mut hits, &mut self.spare);
            self.copies.clear();
            let places = self.ports.iter_mut().zip(&mut self.open);
            for ((row, (place, open)), _) in (0_u32..).zip(places).zip(&hits).filter(|(_, hit)| **hit) {
                // The first path gets the event itself, a later one a copy.
                if *place == unmatched {
                    *place = port;
                } else {
                    self.copies.push(row);
                }
                *open = *goes_on;
            }
            batch.copy_to(port, &self.copies);
            self.spare.give_back(hits);
        }
        batch.route(&self.ports);
        // The columns are spans of the host's buffers; drop them before the batch ends.
        self.columns.clear();
    }
}
