//! The rows of a batch: which joined event each belongs to, and the decisions that follow.

use wattle_convert::time::Format;
use wattle_keyed::KeyHash;
use wattle_node::json::Kind;
use wattle_node::{Batch, Column, ColumnWriter, Form};

use crate::Counts;
use crate::group::{Ended, Group, Groups, Held};
use crate::made::Target;
use crate::options::AtLimit;
use crate::prepare::{Handles, Plan};
use crate::step::{Next, START, Step};
use crate::tail::{MAX_ROWS, Seen, Tail};

/// Reason of a dropped row beyond a limit.
const TOO_LONG: &str = "too-long";
/// Reason of a dropped row that only marks the end of an event.
const END_MARKER: &str = "end-marker";

/// The rows of a batch. Keeps its memory from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The next row of the same group, for each row.
    next: Vec<u32>,
    ended: Vec<Ended>,
    /// Keys of groups that are open and got their first row of this batch.
    touched: Vec<KeyHash>,
    too_long: Vec<u32>,
    markers: Vec<u32>,
}

impl Rows {
    /// Begins a batch.
    pub(crate) fn begin(&mut self, rows: usize) {
        self.next.clear();
        self.next.resize(rows, 0);
        self.ended.clear();
        self.touched.clear();
        self.too_long.clear();
        self.markers.clear();
    }

    /// Decides about a row.
    pub(crate) fn decide(
        &mut self,
        row: usize,
        column: &Column,
        plan: &mut Plan,
        groups: &mut Groups,
        counts: &mut Counts,
        tail: &mut Tail,
    ) {
        if column.kind(row) <= Kind::Null {
            return;
        }
        let text = column.row(row);
        let Some((key, line)) = plan.key(row, text) else { return };
        // Earlier ones would be forgotten at once.
        if row + MAX_ROWS >= column.rows().len() {
            tail.add(Seen::new(key, text));
        }
        if let Some(line) = line {
            let next = Next { state: 1, ends: !line.is_part };
            let is_open = groups.contains(key);
            // Parts continue until the last one.
            self.step(
                row,
                line.message,
                key,
                if is_open { Step::Join(next) } else { Step::Begin(next) },
                plan,
                groups,
                counts,
            );
            return;
        }
        let state = groups.get_mut(key).map_or(START, |group| group.state);
        let step = plan.engine.step(row, text, state);
        self.step(row, text, key, step, plan, groups, counts);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of the node are borrowed one by one")]
    fn step(
        &mut self,
        row: usize,
        text: &[u8],
        key: KeyHash,
        step: Step,
        plan: &Plan,
        groups: &mut Groups,
        counts: &mut Counts,
    ) {
        let index = u32::try_from(row).unwrap_or(u32::MAX);
        match step {
            Step::Marker => self.markers.push(index),
            Step::Alone => self.end(key, groups, true),
            Step::Begin(next) => {
                self.end(key, groups, true);
                self.open(index, key, next, plan.form.cost(text), groups);
            }
            Step::Join(next) => {
                let cost = plan.form.cost(text);
                let Some(group) = groups.get_mut(key) else { return };
                let limits = &plan.limits;
                let is_full = group.events >= limits.max_events || group.bytes.saturating_add(cost) > limits.max_bytes;
                match (is_full, limits.at_limit) {
                    (true, AtLimit::Split) => {
                        counts.split += 1;
                        self.end(key, groups, false);
                        self.open(index, key, next, cost, groups);
                        return;
                    }
                    (true, AtLimit::Cut) => {
                        (group.state, group.touched) = (next.state, None);
                        self.too_long.push(index);
                    }
                    (false, _) => {
                        if group.count == 0 {
                            group.first = index;
                            self.touched.push(key);
                        } else if let Some(link) = self.next.get_mut(group.last as usize) {
                            *link = index;
                        }
                        (group.state, group.touched, group.last) = (next.state, None, index);
                        group.count += 1;
                        group.events = group.events.saturating_add(1);
                        group.bytes = group.bytes.saturating_add(cost);
                    }
                }
                if next.ends {
                    self.end(key, groups, true);
                }
            }
        }
    }

    /// Opens a group with one row, unless the row is also its last one.
    fn open(&mut self, row: u32, key: KeyHash, next: Next, cost: usize, groups: &mut Groups) {
        if !next.ends {
            groups.begin(key, next.state, row, cost);
            self.touched.push(key);
        }
    }

    /// Ends the open group of a key.
    fn end(&mut self, key: KeyHash, groups: &mut Groups, is_whole: bool) {
        // A single row of this batch stays as it is.
        if let Some(group) = groups.remove(key).filter(|group| group.held.is_some() || group.count > 1) {
            self.ended.push(Ended { group, is_whole });
        }
    }

    /// Makes the decisions. Returns the groups that ended and of which the node must make an event.
    pub(crate) fn apply(
        &mut self,
        column: &Column,
        batch: &mut Batch<'_>,
        plan: &mut Plan,
        groups: &mut Groups,
        counts: &mut Counts,
    ) -> Vec<Ended> {
        keep_resource(batch, &plan.handles);
        let mut held = Vec::new();
        let mut whole = Vec::new();
        let mut made = Vec::new();
        for mut ended in std::mem::take(&mut self.ended) {
            if ended.group.held.is_some() {
                self.take(column, plan, &mut ended.group, &mut held);
                made.push(ended);
            } else {
                whole.push(ended);
            }
        }
        let touched = std::mem::take(&mut self.touched);
        let is_new = |group: &Group| group.count > 0 && group.held.is_none();
        let begins = touched.iter().any(|key| groups.get_mut(*key).is_some_and(|group| is_new(group)));
        let first = if begins { FirstRows::read(batch, plan) } else { FirstRows::default() };
        for key in &touched {
            groups.hold(*key, |group| {
                if group.held.is_none() {
                    group.held = Some(Box::new(first.held(group.first as usize)));
                }
                self.take(column, plan, group, &mut held);
            });
        }
        self.touched = touched;
        self.combine(column, batch, plan, &whole);
        counts.joined += whole.len() as u64;
        batch.hold(&held);
        batch.drop_rows(&self.too_long, TOO_LONG);
        batch.drop_rows(&self.markers, END_MARKER);
        made
    }

    /// The rows of a group in this batch.
    fn of<'a>(&'a self, group: &Group) -> impl Iterator<Item = u32> + use<'a> {
        let mut row = group.first;
        (0..group.count).map(move |_| {
            let this = row;
            row = self.next.get(this as usize).copied().unwrap_or_default();
            this
        })
    }

    /// Moves the texts of a group's rows to its memory, and its rows to `held`.
    fn take(&self, column: &Column, plan: &Plan, group: &mut Group, held: &mut Vec<u32>) {
        let rows = self.of(group);
        let mut is_first = u64::from(group.count) == group.events;
        if let Some(memory) = &mut group.held {
            for row in rows {
                plan.form.add(column.row(row as usize), is_first, &mut memory.text);
                held.push(row);
                is_first = false;
            }
        }
        group.count = 0;
    }

    /// Combines the rows of groups that are complete within the batch.
    fn combine(&self, column: &Column, batch: &mut Batch<'_>, plan: &mut Plan, whole: &[Ended]) {
        if whole.is_empty() {
            return;
        }
        let (mut rows, mut offsets) = (Vec::new(), vec![0]);
        let mut bodies = ColumnWriter::with_capacity(column.bytes.len(), whole.len());
        let mut texts = Texts::new(plan.form.is_json());
        let old = match plan.maker.target {
            Target::Body => Column::default(),
            Target::InBody(_) | Target::InAttributes(_) => batch.read(plan.handles.body, Form::Text),
        };
        let mut text = Vec::new();
        for Ended { group, is_whole } in whole {
            let is_body = matches!(plan.maker.target, Target::Body);
            let joined = if is_body { &mut bodies.bytes } else { &mut text };
            let start = joined.len();
            for (index, row) in self.of(group).enumerate() {
                plan.form.add(column.row(row as usize), index == 0, joined);
                rows.push(row);
            }
            plan.form.finish(*is_whole, start, joined);
            let body = old.row(group.first as usize);
            match plan.maker.target {
                Target::Body => {}
                Target::InBody(_) => {
                    let body = plan.maker.place_in_body(body, &text, plan.form.is_json());
                    bodies.bytes.extend_from_slice(body);
                }
                Target::InAttributes(_) => {
                    bodies.bytes.extend_from_slice(body);
                    texts.push(group.first, &text);
                }
            }
            text.clear();
            bodies.end_row();
            offsets.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        }
        if let Some(field) = plan.handles.joined {
            let form = if texts.is_json { Form::Json } else { Form::Text };
            batch.set(field, form, texts.column(batch.len()));
        }
        if let Some(field) = plan.handles.count {
            let mut counts = Texts::new(true);
            whole.iter().for_each(|ended| counts.push(ended.group.first, ended.group.events.to_string().as_bytes()));
            batch.set(field, Form::Json, counts.column(batch.len()));
        }
        batch.combine(&rows, &offsets, bodies);
    }
}

/// Copies the resource of each row to its attributes, unless an earlier node has done so.
fn keep_resource(batch: &mut Batch<'_>, handles: &Handles) {
    if let Some(field) = handles.origin {
        let known = batch.read(field, Form::Text);
        let rows: Vec<u8> = (0..batch.len()).map(|row| u8::from(known.kind(row) == Kind::Missing)).collect();
        batch.set_json_from(field, handles.resource, &rows);
    }
}

/// Values of a few rows, in any order.
struct Texts {
    is_json: bool,
    values: Vec<(u32, Vec<u8>)>,
}

impl Texts {
    const fn new(is_json: bool) -> Self {
        Self { is_json, values: Vec::new() }
    }

    fn push(&mut self, row: u32, text: &[u8]) {
        self.values.push((row, text.to_vec()));
    }

    fn column(mut self, rows: usize) -> ColumnWriter {
        self.values.sort_unstable();
        let mut writer = ColumnWriter::with_capacity(0, rows);
        for (row, value) in &self.values {
            (writer.len()..*row as usize).for_each(|_| writer.push_none());
            writer.push(value);
        }
        (writer.len()..rows).for_each(|_| writer.push_none());
        writer
    }
}

/// What the memory needs of the first rows of groups.
#[derive(Default)]
struct FirstRows {
    attributes: Column,
    resource: Column,
    timestamp: Column,
    body: Column,
}

impl FirstRows {
    fn read(batch: &mut Batch<'_>, plan: &Plan) -> Self {
        let handles = &plan.handles;
        let body = match plan.maker.target {
            Target::Body => Column::default(),
            Target::InBody(_) | Target::InAttributes(_) => batch.read(handles.body, Form::Text),
        };
        Self {
            attributes: batch.read(handles.attributes, Form::Json),
            resource: batch.read(handles.resource, Form::Json),
            timestamp: batch.read(handles.timestamp, Form::Text),
            body,
        }
    }

    fn held(&self, row: usize) -> Held {
        Held {
            text: Vec::new(),
            body: self.body.row(row).to_vec(),
            attributes: self.attributes.row(row).to_vec(),
            resource: self.resource.row(row).to_vec(),
            timestamp: Format::Auto.parse(self.timestamp.row(row)),
        }
    }
}
