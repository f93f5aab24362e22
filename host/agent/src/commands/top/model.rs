//! The figures of a screen: from two status documents and the graph to rows of text.
//!
//! All text of the documents is escaped here. Names and error texts can come from the operator's files, from servers and
//! from nodes, and a screen must show them without executing them.

mod head;
mod panels;

use wattle_api::graph::Graph;
use wattle_printable as printable;

use self::head::head;
pub(crate) use self::head::{Head, balance};
pub(crate) use self::panels::per_event;
use super::rates::Pair;

/// Maximum length of a text in characters. No screen shows more, and layout takes time for each.
const MAX_TEXT: usize = 400;

/// A text inside a line, safe for a terminal.
pub(crate) fn safe(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_TEXT).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable::line(&cut).into_owned()
}

/// What a text means for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// Less important.
    Dim,
    Good,
    /// Degraded, and recovers without the operator.
    Warn,
    /// Data is lost or the operator must act.
    Bad,
}

/// A text with its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    /// A text of this crate: a figure.
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// The four panels, in their order on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Panel {
    Sources,
    #[default]
    Pipelines,
    Outputs,
    Sinks,
}

impl Panel {
    pub(crate) const ALL: [Self; 4] = [Self::Sources, Self::Pipelines, Self::Outputs, Self::Sinks];

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A column of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers are aligned right.
    pub(crate) is_number: bool,
    /// Minimum width of the screen that shows the column.
    pub(crate) from: u16,
}

/// What a row shows. The names are those of the documents, for requests; they are not safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Source(String),
    Pipeline(String),
    Node(String, String),
    /// A canary or a shadow of a pipeline.
    Candidate(String, &'static str),
    Output(String, String),
    Sink(String),
}

/// A row of a panel.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    /// The first cell, without its indent.
    pub(crate) name: String,
    /// 1 for what belongs to the pipeline above.
    pub(crate) depth: usize,
    pub(crate) body: Body,
    pub(crate) keys: Keys,
}

/// The part of a row after its name.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// One cell for each column but the first.
    Cells(Vec<Cell>),
    /// A text over all columns.
    Note(Cell),
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Keys {
    /// Events a second.
    pub(crate) rate: f64,
    /// Time in calls of a node or pipeline, bytes a second of others.
    pub(crate) cost: f64,
    /// Failed events, faults, retries.
    pub(crate) trouble: f64,
}

/// The order of the rows of a panel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Graph,
    Rate,
    Cost,
    Trouble,
    Name,
}

impl Order {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Graph => Self::Rate,
            Self::Rate => Self::Cost,
            Self::Cost => Self::Trouble,
            Self::Trouble => Self::Name,
            Self::Name => Self::Graph,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Rate => "rate",
            Self::Cost => "cost",
            Self::Trouble => "trouble",
            Self::Name => "name",
        }
    }
}

/// A table of the overview.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Sorts the rows. What belongs to a pipeline stays below it and is sorted by itself.
    pub(crate) fn sort(&mut self, order: Order) {
        if order == Order::Graph {
            return;
        }
        let mut groups: Vec<Vec<Row>> = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            match groups.last_mut() {
                Some(group) if row.depth > 0 => group.push(row),
                _ => groups.push(vec![row]),
            }
        }
        let compare = |a: &Row, b: &Row| match order {
            Order::Graph => std::cmp::Ordering::Equal,
            Order::Rate => b.keys.rate.total_cmp(&a.keys.rate),
            Order::Cost => b.keys.cost.total_cmp(&a.keys.cost),
            Order::Trouble => b.keys.trouble.total_cmp(&a.keys.trouble),
            Order::Name => a.name.cmp(&b.name),
        };
        for group in &mut groups {
            if let Some((_, members)) = group.split_first_mut() {
                members.sort_by(compare);
            }
        }
        groups.sort_by(|a, b| match (a.first(), b.first()) {
            (Some(a), Some(b)) => compare(a, b),
            _ => std::cmp::Ordering::Equal,
        });
        self.rows = groups.into_iter().flatten().collect();
    }
}

/// The whole overview.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) head: Head,
    /// What the operator should know, the worst first.
    pub(crate) alerts: Vec<Cell>,
    /// In the order of [`Panel::ALL`].
    pub(crate) tables: [Table; 4],
}

impl Model {
    /// The overview of a document, with rates if there is an earlier one.
    pub(crate) fn new(pair: &Pair<'_>, graph: &Graph) -> Self {
        Self {
            head: head(pair),
            alerts: head::alerts(pair.now),
            tables: [panels::sources(pair), panels::pipelines(pair), panels::outputs(pair, graph), panels::sinks(pair)],
        }
    }

    /// The table of a panel.
    pub(crate) fn table(&self, panel: Panel) -> &Table {
        let [sources, pipelines, outputs, sinks] = &self.tables;
        match panel {
            Panel::Sources => sources,
            Panel::Pipelines => pipelines,
            Panel::Outputs => outputs,
            Panel::Sinks => sinks,
        }
    }
}
