//! Checks: compiled conditions that narrow down the rows of a batch.

use wattle_node::Column;

use crate::hash::{Key, Share};
use crate::pair::PairTest;
use crate::test::Test;

/// A compiled condition.
#[derive(Debug)]
pub struct Check(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    /// All of these tests hold for the column at this index.
    Field(usize, Vec<Test>),
    /// A test holds for the column at the first index and the one at the second.
    Pair(usize, usize, PairTest),
    /// The key has a hash in the share.
    Sample(Key, Share),
    All(Vec<Check>),
    Any(Vec<Check>),
    Not(Box<Check>),
}

impl Check {
    /// Clears the rows for which the condition does not hold. Rows that are already clear cost no test.
    ///
    /// `columns` has the fields in text form, each at the index that [`ResolveField`](crate::ResolveField) returned for
    /// it. `rows` has one entry per row.
    pub fn narrow(&self, columns: &[Column], rows: &mut [bool], spare: &mut Spare) {
        match &self.0 {
            Kind::Field(column, tests) => {
                for (test, column) in tests.iter().filter_map(|test| Some((test, columns.get(*column)?))) {
                    test.narrow(column, rows);
                }
            }
            Kind::Pair(left, right, test) => {
                if let (Some(left), Some(right)) = (columns.get(*left), columns.get(*right)) {
                    test.narrow(left, right, rows);
                }
            }
            Kind::Sample(key, share) => {
                for (row, open) in rows.iter_mut().enumerate() {
                    *open = *open && key.hash(columns, row).is_some_and(|hash| share.has(hash));
                }
            }
            Kind::All(checks) => checks.iter().for_each(|check| check.narrow(columns, rows, spare)),
            Kind::Any(checks) => {
                // Rows for which no condition has matched yet.
                let mut open = spare.copy_of(rows);
                for check in checks {
                    let mut hits = spare.copy_of(&open);
                    check.narrow(columns, &mut hits, spare);
                    clear(&mut open, &hits);
                    spare.give_back(hits);
                }
                clear(rows, &open);
                spare.give_back(open);
            }
            Kind::Not(check) => {
                let mut hits = spare.copy_of(rows);
                check.narrow(columns, &mut hits, spare);
                clear(rows, &hits);
                spare.give_back(hits);
            }
        }
    }
}

/// Clears the rows that are set in `hits`.
fn clear(rows: &mut [bool], hits: &[bool]) {
    for (row, hit) in rows.iter_mut().zip(hits) {
        *row &= !hit;
    }
}

/// Row buffers, kept from batch to batch.
#[derive(Debug, Default)]
pub struct Spare(Vec<Vec<bool>>);

impl Spare {
    /// A copy of these rows.
    pub fn copy_of(&mut self, rows: &[bool]) -> Vec<bool> {
        let mut copy = self.0.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(rows);
        copy
    }

    /// Takes a copy back, to reuse its memory.
    pub fn give_back(&mut self, rows: Vec<bool>) {
        self.0.push(rows);
    }
}
