//! Decisions of nodes with memory: several rows become one event, rows end in the node, and events
//! come from it.

use std::sync::Arc;

use super::{Call, Checked, Fate, InvalidDecision, invalid};
use crate::ack::Ack;
use crate::batch::Batch;
use crate::column::{Column, ColumnBuilder, ColumnTooLarge};
use crate::field::{FieldPath, Form, Root};
use crate::kind::EventKind;
use crate::origin::Origin;

/// Groups of rows that become one event each.
#[derive(Debug)]
pub(super) struct Groups {
    /// The rows of all groups; group i is `rows[offsets[i]..offsets[i + 1]]`.
    rows: Vec<u32>,
    offsets: Vec<u32>,
    bodies: Column,
}

impl Groups {
    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.offsets.windows(2).map(|pair| match *pair {
            [start, end] => self.rows.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        })
    }
}

/// Events that a node makes without a parent, in columns.
#[derive(Debug)]
pub struct MadeEvents {
    /// What kind of telemetry they are.
    pub kind: EventKind,
    /// The bodies.
    pub bodies: Column,
    /// The attributes as JSON objects; empty for none at all.
    pub attributes: Column,
    /// Whether a row has attributes, as the kinds of a column; empty if every row has them.
    pub kinds: Vec<u8>,
    /// The time of each event in nanoseconds since the epoch; `i64::MIN` for none. Empty if no
    /// event has a time.
    pub timestamps: Vec<i64>,
}

impl Call {
    /// Begins a call of a timer, which has no batch. It can only make events and count. Events without
    /// a time of their own have the time of the tick, in nanoseconds since the epoch.
    pub fn of_timer(node: Arc<super::NodeInfo>, now: i64) -> Self {
        let origin = Origin { source: node.name.clone(), resource: "{}".into(), observed: now };
        Self::new(Batch::new(Column::default(), Arc::new(origin), Ack::none()), node)
    }

    /// Whether the source offered the batch before.
    pub fn is_redelivered(&self) -> bool {
        self.batch.is_redelivered()
    }

    /// Decides to make one event of each group of rows. Its body comes from `bodies`; everything
    /// else, and its place in the order, from the first row of the group.
    pub fn combine(&mut self, rows: Vec<u32>, offsets: Vec<u32>, bodies: Column) -> Checked {
        if self.split.is_some() || self.groups.is_some() {
            return invalid("combine: one call can split or combine only once");
        }
        let ends = offsets.first() == Some(&0) && offsets.last().map(|&last| last as usize) == Some(rows.len());
        if !ends || !offsets.is_sorted() {
            return invalid("combine: offsets must start at 0, never decrease, and end at the number of rows");
        }
        if bodies.rows() + 1 != offsets.len() {
            return invalid(format!("combine: {} groups but {} bodies", offsets.len() - 1, bodies.rows()));
        }
        let mut used = vec![false; self.batch.rows()];
        for &row in &rows {
            match used.get_mut(row as usize) {
                Some(used) if !*used => *used = true,
                Some(_) => return invalid(format!("combine: row {row} is in two groups")),
                None => return invalid(format!("combine: row {row} does not exist")),
            }
        }
        let groups = Groups { rows, offsets, bodies };
        if groups.iter().any(<[u32]>::is_empty) {
            return invalid("combine: a group has no rows");
        }
        self.groups = Some(groups);
        Ok(())
    }

    /// Decides that rows end in the memory of the node.
    pub fn hold(&mut self, rows: &[u32]) -> Checked {
        for &row in rows {
            match self.fates.get_mut(row as usize) {
                // A failure wins, so that the row leaves with its reason.
                Some(Fate::Fails(_)) => {}
                Some(fate) => *fate = Fate::Held,
                None => return invalid(format!("hold: row {row} does not exist")),
            }
        }
        Ok(())
    }

    /// Decides to make events that have no parent and leave on a port.
    pub fn emit(&mut self, port: u8, events: MadeEvents) -> Checked {
        if usize::from(port) >= self.node.ports.len() {
            return invalid(format!("emit: port {port} does not exist"));
        }
        let MadeEvents { kind, bodies, attributes, kinds, timestamps } = events;
        let rows = bodies.rows();
        let counts = |len: usize| len == 0 || len == rows;
        if !counts(attributes.rows()) || !counts(timestamps.len()) || !(kinds.is_empty() || kinds.len() == rows) {
            return invalid(format!(
                "emit: {rows} bodies, {} attributes, {} kinds and {} timestamps",
                attributes.rows(),
                kinds.len(),
                timestamps.len()
            ));
        }
        for (row, text) in attributes.iter().enumerate() {
            if kinds.get(row).is_some_and(|&kind| kind == 0) {
                continue;
            }
            match wattle_json::check(text, crate::MAX_JSON_DEPTH) {
                Ok(wattle_json::Kind::Object) => {}
                Ok(kind) => return invalid(format!("emit: the attributes of event {row} are a JSON {}", kind.name())),
                Err(error) => return invalid(format!("emit: the attributes of event {row} are not JSON: {error}")),
            }
        }
        if rows == 0 {
            return Ok(());
        }
        let resource = r#"{"source":{"name":""#.to_owned() + &self.node.name + r#"","type":"node"}}"#;
        let observed = self.batch.origin().observed;
        let origin = Origin { source: self.node.name.clone(), resource: resource.into(), observed };
        let mut batch = Batch::new(bodies, Arc::new(origin), Ack::none()).of_kind(kind);
        if attributes.rows() > 0 {
            let set = batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &kinds);
            set.map_err(|_: ColumnTooLarge| InvalidDecision("emit: the attributes exceed 4 GiB".into()))?;
        }
        if !timestamps.is_empty() {
            batch.set_timestamps(&timestamps);
        }
        self.made.push((usize::from(port), batch));
        Ok(())
    }

    /// Applies the groups: the first row of each gets the body of the event, and the others end in
    /// it. Returns the number of rows in groups and of groups, without those whose first row failed
    /// because a field could not be set.
    pub(super) fn apply_groups(&mut self, batch: &mut Batch) -> Result<(usize, usize), InvalidDecision> {
        let Some(groups) = self.groups.take() else { return Ok((0, 0)) };
        let too_large = |_: ColumnTooLarge| InvalidDecision("a column would exceed 4 GiB".into());
        let mut bodies = vec![None; batch.rows()];
        let (mut rows, mut count) = (0, 0);
        for (index, group) in groups.iter().enumerate() {
            let Some((&first, others)) = group.split_first() else { continue };
            let fate = |row: u32| self.fates.get(row as usize).copied();
            if let Some(other) = group.iter().find(|&&row| !matches!(fate(row), Some(Fate::Goes | Fate::Fails(_)))) {
                return invalid(format!("combine: row {other} was also dropped or held"));
            }
            // All rows of a group fail together, so that none ends in an event that does not exist.
            let failed = group.iter().filter_map(|&row| fate(row)).find(|fate| *fate != Fate::Goes);
            if let Some(failed) = failed {
                group.iter().for_each(|&row| {
                    if let Some(fate @ Fate::Goes) = self.fates.get_mut(row as usize) {
                        *fate = failed;
                    }
                });
                continue;
            }
            for &row in others {
                if let Some(fate) = self.fates.get_mut(row as usize) {
                    *fate = Fate::Combined;
                }
            }
            if let Some(body) = bodies.get_mut(first as usize) {
                *body = Some(index);
            }
            rows += group.len();
            count += 1;
        }
        if count > 0 {
            let mut builder = ColumnBuilder::with_capacity(groups.bodies.byte_len(), bodies.len());
            for body in &bodies {
                builder.push(body.map_or(&[], |index| groups.bodies.row(index))).map_err(too_large)?;
            }
            let kinds: Vec<u8> = bodies.iter().map(|body| u8::from(body.is_some())).collect();
            batch.set(&FieldPath::body(), Form::Text, &builder.finish(), &kinds).map_err(too_large)?;
        }
        Ok((rows, count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeInfo;
    use super::*;
    use crate::ack::Disposition;
    use std::sync::Mutex;

    fn call(rows: &[&str]) -> (Call, Arc<Mutex<Vec<Disposition>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 7 });
        let batch = Batch::new(column(rows), origin, Ack::new(move |d| to.lock().unwrap().push(d)));
        let ports = vec!["out".into(), "rest".into()];
        let info = NodeInfo { name: "n".into(), version: "t@1.0.0".into(), ports, fields: Vec::new() };
        (Call::new(batch, Arc::new(info)), seen)
    }

    fn column(rows: &[&str]) -> Column {
        Column::from_rows(rows).unwrap()
    }

    fn written(batch: &Batch) -> Vec<String> {
        let line = |row| {
            let mut out = Vec::new();
            batch.write_json(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..batch.rows()).map(line).collect()
    }

    fn bodies(batch: &Batch) -> Vec<&str> {
        batch.body().iter().map(|row| std::str::from_utf8(row).unwrap()).collect()
    }

    #[test]
    fn combined_rows_leave_as_one_event_at_the_place_of_the_first() {
        let (mut call, seen) = call(&["a", "b1", "c1", "b2", "c2", "d"]);
        call.set_timestamps(vec![1, 2, 3, 4, 5, 6]).unwrap();
        call.combine(vec![1, 3, 2, 4], vec![0, 2, 4], column(&["b1 b2", "c1 c2"])).unwrap();
        let outcome = call.finish().unwrap();
        let (_, batch) = &outcome.emitted[0];
        assert_eq!(bodies(batch), ["a", "b1 b2", "c1 c2", "d"]);
        assert_eq!((0..4).map(|row| batch.timestamp(row)).collect::<Vec<_>>(), [1, 2, 3, 6].map(Some));
        assert_eq!((outcome.parents, outcome.combined), (4, 2));
        assert!(seen.lock().unwrap().is_empty());
        outcome.emitted.into_iter().for_each(|(_, batch)| batch.into_ack().deliver());
        assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
    }

    #[test]
    fn a_group_fails_as_a_whole() {
        let (mut call, _) = call(&["a1", "a2", "b"]);
        call.combine(vec![0, 1], vec![0, 2], column(&["a"])).unwrap();
        call.fail(&[1], &[0], vec![("bad".into(), "why".into())]).unwrap();
        let outcome = call.finish().unwrap();
        assert_eq!(bodies(outcome.failed.as_ref().unwrap()), ["a1", "a2"]);
        assert_eq!(bodies(&outcome.emitted[0].1), ["b"]);
        assert_eq!((outcome.parents, outcome.combined), (0, 0));
    }

    #[test]
    fn held_rows_end_and_failures_win() {
        let (mut call, _) = call(&["a", "b", "c", "d"]);
        call.fail(&[0], &[0], vec![("bad".into(), "why".into())]).unwrap();
        call.drop_rows(&[1], "noise".into()).unwrap();
        call.hold(&[0, 1, 2]).unwrap();
        let outcome = call.finish().unwrap();
        assert_eq!(outcome.held, 2);
        assert!(outcome.dropped.is_empty());
        assert_eq!(bodies(outcome.failed.as_ref().unwrap()), ["a"]);
        assert_eq!(bodies(&outcome.emitted[0].1), ["d"]);
    }

    #[test]
    fn made_events_leave_on_their_port_with_kind_attributes_and_time() {
        let (mut call, seen) = call(&["a"]);
        let made = MadeEvents {
            kind: EventKind::Metric,
            bodies: column(&["1", "2"]),
            attributes: column(&[r#"{"k":"v"}"#, ""]),
            kinds: vec![6, 0],
            timestamps: vec![1_000_000_000, i64::MIN],
        };
        call.emit(1, made).unwrap();
        let outcome = call.finish().unwrap();
        let (port, batch) = &outcome.made[0];
        assert_eq!(*port, 1);
        let resource = r#""resource":{"source":{"name":"n","type":"node"}}"#;
        let first =
            r#"{"timestamp":"1970-01-01T00:00:01Z","kind":"metric","body":"1","attributes":{"k":"v"},RESOURCE}"#;
        let second = r#"{"timestamp":"1970-01-01T00:00:00.000000007Z","kind":"metric","body":"2",RESOURCE}"#;
        assert_eq!(written(batch), [first, second].map(|line| line.replace("RESOURCE", resource)));
        assert_eq!(bodies(&outcome.emitted[0].1), ["a"]);
        drop(outcome.made);
        assert!(seen.lock().unwrap().is_empty(), "made events have no share of the acknowledgement");
    }

    #[test]
    fn events_of_a_timer_have_the_resource_of_the_node_and_the_time_of_the_tick() {
        let info = NodeInfo {
            name: "pack/n".into(),
            version: "t@1.0.0".into(),
            ports: vec!["out".into()],
            fields: Vec::new(),
        };
        let mut call = Call::of_timer(Arc::new(info), 2_000_000_000);
        let made = MadeEvents {
            kind: EventKind::Log,
            bodies: column(&["late", "own"]),
            attributes: Column::default(),
            kinds: Vec::new(),
            timestamps: vec![i64::MIN, 1_000_000_000],
        };
        call.emit(0, made).unwrap();
        let outcome = call.finish().unwrap();
        let resource = r#""resource":{"source":{"name":"pack/n","type":"node"}}"#;
        let event =
            |second, body| format!(r#"{{"timestamp":"1970-01-01T00:00:0{second}Z","body":"{body}",{resource}}}"#);
        assert_eq!(written(&outcome.made[0].1), [event(2, "late"), event(1, "own")]);
    }

    #[test]
    fn decisions_that_break_the_contract_are_refused() {
        let (mut call, _) = call(&["a", "b", "c"]);
        let mut refused = |rows: &[u32], offsets: &[u32], texts: &[&str], part: &str| {
            let error = call.combine(rows.to_vec(), offsets.to_vec(), column(texts)).unwrap_err();
            assert!(error.0.contains(part), "`{error}` lacks `{part}`");
        };
        refused(&[0, 1], &[0, 1], &["x"], "offsets must start at 0");
        refused(&[0, 1], &[], &[], "offsets must start at 0");
        refused(&[0, 1], &[0, 2], &["x", "y"], "1 groups but 2 bodies");
        refused(&[0, 0], &[0, 2], &["x"], "row 0 is in two groups");
        refused(&[3], &[0, 1], &["x"], "row 3 does not exist");
        refused(&[0], &[0, 0, 1], &["x", "y"], "a group has no rows");
        assert!(call.hold(&[3]).unwrap_err().0.contains("row 3 does not exist"));
        let events = |attributes: &[&str], timestamps: Vec<i64>| MadeEvents {
            kind: EventKind::Log,
            bodies: column(&["x"]),
            attributes: column(attributes),
            kinds: Vec::new(),
            timestamps,
        };
        for (port, events, part) in [
            (2, events(&[], vec![]), "port 2 does not exist"),
            (0, events(&["{}", "{}"], vec![]), "1 bodies, 2 attributes"),
            (0, events(&[], vec![1, 2]), "2 timestamps"),
            (0, events(&["[]"], vec![]), "are a JSON array"),
            (0, events(&["{"], vec![]), "are not JSON"),
        ] {
            let error = call.emit(port, events).unwrap_err();
            assert!(error.0.contains(part), "`{error}` lacks `{part}`");
        }
        call.combine(vec![0, 1], vec![0, 2], column(&["x"])).unwrap();
        assert!(call.split_into(vec![0], column(&["x"])).unwrap_err().0.contains("only once"));
        call.hold(&[1]).unwrap();
        let (batch, error) = *call.finish().unwrap_err();
        assert!(error.0.contains("row 1 was also dropped or held"), "{error}");
        assert_eq!(bodies(&batch), ["a", "b", "c"]);
    }
}
