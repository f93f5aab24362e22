//! How the marked rows of a call ended, for those that no batch of its outcome has.

use super::{Call, Fate};

/// Reason for rows that a split gave no children.
pub(super) const EMPTY: &str = "empty";

/// The end of a marked row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The marks of the row; see [`Batch::mark`](crate::Batch::mark).
    pub marks: u8,
    /// The code under which the node dropped the row, or `held` or `combined`.
    pub how: String,
}

impl Call {
    /// The marked rows that leave in no batch. Must be called before the split is applied.
    pub(super) fn ended(&self) -> Vec<Ended> {
        if !self.batch.is_marked() {
            return Vec::new();
        }
        let has_child = |row: usize| match &self.split {
            Some((parents, _)) => parents.iter().any(|&parent| parent as usize == row),
            None => true,
        };
        let how = |row: usize| match *self.fates.get(row)? {
            Fate::Goes if has_child(row) => None,
            Fate::Goes => Some(EMPTY.to_owned()),
            Fate::Fails(_) => None,
            Fate::Drops(code) => self.drop_codes.get(code as usize).cloned(),
            Fate::Held => Some("held".to_owned()),
            Fate::Combined => Some("combined".to_owned()),
        };
        self.batch.marked().filter_map(|(row, marks)| Some(Ended { marks, how: how(row)? })).collect()
    }
}
