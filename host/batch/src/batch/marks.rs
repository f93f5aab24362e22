//! Marks of rows, by which the agent follows an event through the graph.
//!
//! A mark is a hidden column: descendants of a row inherit it, nodes cannot see it, and no encoder writes it. A batch
//! without a marked row has no column, so following nothing costs nothing.

use std::sync::Arc;

use super::Batch;
use super::merge::PartRow;

/// The marks of each row as bits; `None` if no row is marked.
pub(crate) type Marks = Option<Arc<[u8]>>;

/// The marks of descendants of these rows.
pub(super) fn inherited(marks: &Marks, parents: &[u32]) -> Marks {
    let marks = marks.as_ref()?;
    column(parents.iter().map(|&parent| marks.get(parent as usize).copied().unwrap_or(0)))
}

/// The marks of rows of several parts, in this order.
pub(super) fn gathered(parts: &[Batch], order: &[PartRow]) -> Marks {
    if parts.iter().all(|part| part.marks.is_none()) {
        return None;
    }
    column(order.iter().map(|&(part, row)| parts.get(part).map_or(0, |part| part.mark(row))))
}

fn column(marks: impl Iterator<Item = u8>) -> Marks {
    let marks: Arc<[u8]> = marks.collect();
    marks.iter().any(|&mark| mark != 0).then_some(marks)
}

impl Batch {
    /// Whether any row is marked.
    pub fn is_marked(&self) -> bool {
        self.marks.is_some()
    }

    /// The marks of a row as bits; 0 for a row without marks.
    pub fn mark(&self, row: usize) -> u8 {
        self.marks.as_ref().and_then(|marks| marks.get(row)).copied().unwrap_or(0)
    }

    /// Indices of the marked rows, with their marks.
    pub fn marked(&self) -> impl Iterator<Item = (usize, u8)> {
        self.marks.iter().flat_map(|marks| marks.iter().copied().enumerate()).filter(|&(_, mark)| mark != 0)
    }

    /// Sets the marks of all rows, one for each row.
    pub fn set_marks(&mut self, marks: &[u8]) {
        self.marks = column((0..self.rows()).map(|row| marks.get(row).copied().unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use crate::column::Column;
    use crate::origin::{Failure, Origin};

    fn batch(rows: usize) -> Batch {
        let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"r":1}"#.into(), observed: 0 });
        Batch::new(Column::from_rows((0..rows).map(|row| format!("body {row}"))).unwrap(), origin, Ack::none())
    }

    fn with_marks(mut batch: Batch, marks: &[u8]) -> Batch {
        batch.set_marks(marks);
        batch
    }

    fn marks(batch: &Batch) -> Vec<u8> {
        (0..batch.rows()).map(|row| batch.mark(row)).collect()
    }

    #[test]
    fn descendants_of_a_row_inherit_its_marks() {
        let whole = with_marks(batch(4), &[0, 1, 0, 6]);
        assert_eq!(whole.marked().collect::<Vec<_>>(), [(1, 1), (3, 6)]);
        assert_eq!(marks(&whole.share()), [0, 1, 0, 6]);
        assert_eq!(marks(&whole.select(&[3, 0, 1, 1])), [6, 0, 1, 1]);
        let children = whole.split(&[1, 1, 2], Column::from_rows(["a", "b", "c"]).unwrap()).unwrap();
        assert_eq!(marks(&children), [1, 1, 0]);
        let failure = Failure { node: "n".into(), version: "n@1".into(), code: "c".into(), message: "m".into() };
        let failed = whole.select(&[1]).with_failures(vec![failure]).without_contents();
        assert_eq!(marks(&failed), [1]);
    }

    #[test]
    fn a_batch_without_a_marked_row_has_no_marks() {
        let whole = with_marks(batch(3), &[0, 1, 0]);
        assert!(whole.is_marked());
        assert!(!whole.select(&[0, 2]).is_marked());
        assert!(!with_marks(whole, &[0, 0, 0]).is_marked());
    }

    #[test]
    fn parts_that_are_put_together_keep_their_marks() {
        let whole = with_marks(batch(4), &[0, 1, 2, 0]).numbered();
        let parts = vec![whole.select(&[0, 3]), whole.select(&[1, 2])];
        assert_eq!(marks(&Batch::merge(parts).unwrap().unwrap()), [0, 1, 2, 0]);
        let parts = vec![batch(1).numbered(), batch(1).numbered()];
        assert!(!Batch::merge(parts).unwrap().unwrap().is_marked());
    }

    #[test]
    fn encoders_do_not_write_marks() {
        let written = |batch: &Batch| {
            let mut out = Vec::new();
            (0..batch.rows()).for_each(|row| batch.write_json(row, &mut out));
            out
        };
        assert_eq!(written(&with_marks(batch(2), &[1, 2])), written(&batch(2)));
    }
}
