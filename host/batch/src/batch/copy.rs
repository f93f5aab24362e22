//! Copies of events that are kept for long.
//!
//! A batch shares its buffers with everything that descends from what a source read, so keeping one row can keep a whole
//! file in memory. A copy has only its rows.

use std::sync::OnceLock;

use super::Batch;
use crate::ack::Ack;
use crate::column::{Column, ColumnBuilder, ColumnTooLarge};

impl Batch {
    /// Copies of the rows with these indices, in buffers of their own, without marks, places and acknowledgement.
    ///
    /// # Errors
    ///
    /// A column would exceed 4 GiB.
    pub fn copied(&self, rows: &[u32]) -> Result<Self, ColumnTooLarge> {
        let selected = self.detached().select(rows);
        Ok(Self {
            body: own(&selected.body)?,
            attributes: selected.attributes.owned()?,
            resource: selected.resource.owned()?,
            context: selected.context.owned()?,
            places: None,
            marks: None,
            ack: Ack::none(),
            body_kinds: OnceLock::new(),
            ..selected
        })
    }

    /// Approximate memory of a batch that shares its buffers with no other, in bytes.
    pub fn held_bytes(&self) -> usize {
        let failures: usize = self.failures.iter().flat_map(|all| all.iter()).map(|f| 128 + f.message.len()).sum();
        let times = self.timestamps.as_ref().map_or(0, |times| size_of_val(&**times));
        let objects = self.attributes.held_bytes() + self.resource.held_bytes() + self.context.held_bytes();
        let origin = self.origin.source.len() + self.origin.resource.len();
        size_of::<Self>() + self.body.held_bytes() + objects + times + failures + origin
    }
}

pub(crate) fn own(column: &Column) -> Result<Column, ColumnTooLarge> {
    let mut builder = ColumnBuilder::with_capacity(column.byte_len(), column.rows());
    for row in column.iter() {
        builder.push(row)?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::field::{FieldPath, Form};
    use crate::origin::{Failure, Origin};

    fn written(batch: &Batch) -> Vec<String> {
        let json = |row| {
            let mut out = Vec::new();
            batch.write_json(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..batch.rows()).map(json).collect()
    }

    #[test]
    fn a_copy_has_every_part_of_its_rows_and_shares_no_buffer() {
        let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"r":1}"#.into(), observed: 7 });
        let bodies = Column::from_rows((0..100).map(|row| format!("body {row} {}", "x".repeat(1000)))).unwrap();
        let mut batch = Batch::new(bodies, origin, Ack::none());
        for (path, value) in [("attributes.a", "1"), ("attributes", r#"{"b":2}"#), ("attributes.c", "3")] {
            let values = Column::from_rows((0..100).map(|_| value)).unwrap();
            batch.set(&FieldPath::parse(path).unwrap(), Form::Json, &values, &[1; 100]).unwrap();
        }
        let ids = Column::from_rows((0..100).map(|row| format!("\"{row:032x}\""))).unwrap();
        batch.set(&FieldPath::parse("trace_id").unwrap(), Form::Json, &ids, &[1; 100]).unwrap();
        batch.set_timestamps(&(0..100).collect::<Vec<i64>>());
        let failure = Failure { node: "n".into(), version: "n@1".into(), code: "c".into(), message: "m".into() };
        let mut batch = batch.with_failures(vec![failure; 100]);
        batch.set_marks(&[1; 100]);

        let copy = batch.copied(&[98, 3]).unwrap();
        assert_eq!(written(&copy), written(&batch.select(&[98, 3])));
        assert!(!copy.is_marked());
        assert_eq!(copy.body().bytes().len(), copy.byte_len());
        assert!((2000..4000).contains(&copy.held_bytes()), "{}", copy.held_bytes());
        let address = |batch: &Batch| batch.body().bytes().as_ptr() as usize;
        let all = address(&batch)..address(&batch) + batch.body().bytes().len();
        assert!(!all.contains(&address(&copy)));
    }
}
