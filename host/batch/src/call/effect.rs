//! The end of a call: applies all decisions together and sends the rows to their ports.

use std::time::Instant;

use super::ended::EMPTY;
use super::{Call, Change, Checked, Fate, InvalidDecision, Outcome, Refusal, check_source, invalid};
use crate::batch::{Batch, ROW_ALLOWANCE_BYTES, RowFailed, SetProblem};
use crate::children::{Bodies, Children};
use crate::origin::Failure;

impl Call {
    /// Applies all decisions.
    ///
    /// # Errors
    ///
    /// A decision that can only be checked together with the others. The error returns the batch
    /// unchanged.
    pub fn finish(self) -> Result<Outcome, Box<(Batch, InvalidDecision)>> {
        self.finish_within(None, u64::MAX).map_err(|refused| {
            let (batch, refusal) = *refused;
            let error = match refusal {
                Refusal::Invalid(error) => error,
                other => InvalidDecision(other.to_string()),
            };
            Box::new((batch, error))
        })
    }

    /// Like [`finish`](Self::finish), with a deadline that is checked after each change: one change
    /// may rewrite every body, and a node may make thousands of changes.
    ///
    /// # Errors
    ///
    /// Like [`finish`](Self::finish); also if the deadline passed, or if the output rows carry more
    /// than `max_carried` bytes in addition to their bodies.
    pub fn finish_within(
        mut self,
        deadline: Option<Instant>,
        max_carried: u64,
    ) -> Result<Outcome, Box<(Batch, Refusal)>> {
        if self.is_fused && !self.only_edits() {
            let error = InvalidDecision("several nodes as one can only replace, set timestamps and count".into());
            return Err(Box::new((self.batch, Refusal::Invalid(error))));
        }
        // Changes apply to a second batch, so that an error can return the original one.
        let mut changed = self.batch.share();
        for (index, change) in std::mem::take(&mut self.changes).into_iter().enumerate() {
            let applied = self.apply(change, index > 0, &mut changed).map_err(Refusal::Invalid);
            let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if let Err(refusal) = applied.and_then(|()| if is_late() { Err(Refusal::TooLong) } else { Ok(()) }) {
                // Only the share of the second batch ends; the returned batch keeps its own.
                changed.into_ack().deliver();
                return Err(Box::new((self.batch, refusal)));
            }
        }
        let (combined_rows, combined) = match self.apply_groups(&mut changed) {
            Ok(done) => done,
            Err(error) => {
                changed.into_ack().deliver();
                return Err(Box::new((self.batch, Refusal::Invalid(error))));
            }
        };
        let carried = self.carried(&changed);
        if carried > max_carried {
            changed.into_ack().deliver();
            return Err(Box::new((self.batch, Refusal::TooMuch(carried))));
        }
        let counts = self.counts.take();
        let mut outcome = Outcome {
            failed: self.failed(),
            dropped: self.dropped(),
            counts,
            parents: combined_rows,
            combined,
            held: self.fates.iter().filter(|fate| **fate == Fate::Held).count(),
            made: std::mem::take(&mut self.made),
            ended: self.ended(),
            ..Outcome::default()
        };
        match self.split.take() {
            Some((parents, bodies)) => self.emit_children(changed, parents, bodies, &mut outcome),
            None => self.emit_rows(changed, &mut outcome),
        }
        // Every batch of the outcome has its own share, so this one ends.
        self.batch.into_ack().deliver();
        Ok(outcome)
    }

    /// Whether every row goes on as one event on port 0, only with edits.
    fn only_edits(&self) -> bool {
        let is_edit = |change: &Change| matches!(change, Change::Replace { .. } | Change::Timestamps(_));
        self.changes.iter().all(is_edit)
            && self.fates.iter().all(|fate| *fate == Fate::Goes)
            && self.routes.is_none()
            && self.copies.is_empty()
            && self.split.is_none()
            && self.groups.is_none()
            && self.made.is_empty()
    }

    /// Applies one change to the result of the changes before it.
    fn apply(&mut self, change: Change, is_changed: bool, batch: &mut Batch) -> Checked {
        let node = self.node.clone();
        let path = |index: usize| match node.fields.get(index) {
            Some(field) => Ok(&field.path),
            None => invalid("field handle was never resolved"),
        };
        let too_large = |_| InvalidDecision("a column would exceed 4 GiB".into());
        let (field, failed) = match change {
            Change::Replace { field, form, starts, ends, with } => {
                let field = path(field)?;
                let replaced = batch.replace(field, form, &starts, &ends, &with);
                (field, replaced.map_err(|error| InvalidDecision(format!("replace: {error}")))?)
            }
            Change::Set { field, form, values, kinds } => {
                let field = path(field)?;
                (field, batch.set(field, form, &values, &kinds).map_err(too_large)?)
            }
            Change::SetJsonFrom { target, source, rows } => {
                let (target, source) = (path(target)?, path(source)?);
                if is_changed {
                    // An earlier change of this call may have replaced the text that was checked at
                    // the decision.
                    check_source(batch, source, target, &rows)?;
                }
                (target, batch.set_json_from(target, source, &rows).map_err(too_large)?)
            }
            Change::Timestamps(times) => {
                batch.set_timestamps(&times);
                return Ok(());
            }
        };
        let mut last: Option<(SetProblem, u32)> = None;
        for RowFailed { row, problem } in failed {
            // One change has few problems, and usually the same in all rows.
            let reason = match last {
                Some((same, reason)) if same == problem => reason,
                _ => {
                    self.reasons.push((problem.code().into(), problem.message(field).into()));
                    u32::try_from(self.reasons.len() - 1).unwrap_or(u32::MAX)
                }
            };
            last = Some((problem, reason));
            // A row that already fails or is dropped keeps its fate.
            if let Some(fate @ Fate::Goes) = self.fates.get_mut(row as usize) {
                *fate = Fate::Fails(reason);
            }
        }
        Ok(())
    }

    /// Bytes that the output rows carry in addition to their bodies and that the batch did not:
    /// inherited attributes and resources of children and copies, and reasons of failures. They are
    /// shared in memory, but each encoded row contains a copy. Amounts below an allowance per row
    /// do not count, so that small rows with an ordinary resource can split and fail.
    fn carried(&self, changed: &Batch) -> u64 {
        let beyond = |bytes: usize| bytes.saturating_sub(ROW_ALLOWANCE_BYTES) as u64;
        let inherited = |row: &u32| if self.goes(*row) { changed.charged_carried(*row as usize) as u64 } else { 0 };
        let mut last = (u32::MAX, 0);
        let children = self.split.iter().flat_map(|(parents, _)| parents).map(|parent| {
            // Children of one parent are adjacent, so the last result is often the right one.
            if last.0 != *parent {
                last = (*parent, inherited(parent));
            }
            last.1
        });
        let children = children.fold(0_u64, u64::saturating_add);
        let copies = self.copies.iter().flat_map(|(_, rows)| rows).map(inherited).fold(0_u64, u64::saturating_add);
        let reason = |fate: &Fate| match fate {
            Fate::Fails(reason) => self.reasons.get(*reason as usize),
            _ => None,
        };
        let reasons = self.fates.iter().filter_map(reason).map(|(code, message)| beyond(code.len() + message.len()));
        let reasons = reasons.fold(0_u64, u64::saturating_add);
        children.saturating_add(copies).saturating_add(reasons)
    }

    fn failed(&self) -> Option<Batch> {
        let mut rows = Vec::new();
        let mut failures = Vec::new();
        for (row, fate) in (0_u32..).zip(&self.fates) {
            if let Fate::Fails(reason) = fate
                && let Some((code, message)) = self.reasons.get(*reason as usize)
            {
                rows.push(row);
                failures.push(Failure {
                    node: self.node.name.clone(),
                    version: self.node.version.clone(),
                    code: code.clone(),
                    message: message.clone(),
                });
            }
        }
        (!rows.is_empty()).then(|| self.batch.select(&rows).with_failures(failures))
    }

    fn dropped(&self) -> Vec<(String, usize)> {
        let mut counts = vec![0; self.drop_codes.len()];
        for fate in &self.fates {
            if let Fate::Drops(code) = fate
                && let Some(count) = counts.get_mut(*code as usize)
            {
                *count += 1;
            }
        }
        self.drop_codes.iter().cloned().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    fn goes(&self, row: u32) -> bool {
        self.fates.get(row as usize) == Some(&Fate::Goes)
    }

    fn emit_children(&self, batch: Batch, parents: Vec<u32>, bodies: Bodies, outcome: &mut Outcome) {
        let mut with_children = vec![false; self.fates.len()];
        for &parent in &parents {
            if let Some(seen) = with_children.get_mut(parent as usize) {
                *seen = true;
            }
        }
        let (mut used, mut childless) = (0, 0);
        for (fate, seen) in self.fates.iter().zip(with_children) {
            match (*fate == Fate::Goes, seen) {
                (true, true) => used += 1,
                (true, false) => childless += 1,
                _ => {}
            }
        }
        outcome.parents = used;
        // A row without children counts as dropped, so that every row is in the outcome.
        if childless > 0 {
            outcome.dropped.push((EMPTY.into(), childless));
        }
        let ports = self.child_routes.as_deref().filter(|ports| ports.iter().any(|port| *port != 0));
        // The usual case: no child must be removed, and all leave on port 0.
        if ports.is_none() && self.fates.iter().all(|f| *f == Fate::Goes) {
            outcome.children.push((0, Children::new(batch, parents, bodies)));
            return;
        }
        let port_of = |child: usize| ports.and_then(|ports| ports.get(child)).copied().unwrap_or(0);
        let mut by_port: Vec<Vec<u32>> = vec![Vec::new(); self.node.ports.len()];
        for (child, (index, &parent)) in (0_u32..).zip(&parents).enumerate() {
            if self.goes(parent)
                && let Some(children) = by_port.get_mut(usize::from(port_of(child)))
            {
                children.push(index);
            }
        }
        for (port, children) in by_port.into_iter().enumerate().filter(|(_, children)| !children.is_empty()) {
            let (parents, bodies) = bodies.select(&parents, &children);
            outcome.children.push((port, Children::new(batch.share(), parents, bodies)));
        }
        // Each group of children has its own share.
        batch.into_ack().deliver();
    }

    fn emit_rows(&self, batch: Batch, outcome: &mut Outcome) {
        for (port, rows) in &self.copies {
            let rows: Vec<u32> = rows.iter().copied().filter(|&r| self.goes(r)).collect();
            if !rows.is_empty() {
                outcome.copied += rows.len();
                outcome.emitted.push((usize::from(*port), batch.select(&rows)));
            }
        }
        let port_of = |row: usize| self.routes.as_ref().and_then(|r| r.get(row)).copied().unwrap_or(0);
        // The usual case: all rows leave on one port, so the batch moves on without selecting rows.
        let first = port_of(0);
        if !self.fates.is_empty()
            && self.fates.iter().enumerate().all(|(row, fate)| *fate == Fate::Goes && port_of(row) == first)
        {
            outcome.emitted.push((usize::from(first), batch));
            return;
        }
        let mut by_port: Vec<Vec<u32>> = vec![Vec::new(); self.node.ports.len()];
        for row in 0..self.fates.len() {
            let index = u32::try_from(row).unwrap_or(u32::MAX);
            if self.goes(index)
                && let Some(rows) = by_port.get_mut(usize::from(port_of(row)))
            {
                rows.push(index);
            }
        }
        for (port, rows) in by_port.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            outcome.emitted.push((port, batch.select(&rows)));
        }
        // Each selected batch has its own share.
        batch.into_ack().deliver();
    }
}
