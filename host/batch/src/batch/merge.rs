//! Puts the parts of a batch together again, in the order of its rows.
//!
//! A node that shares its state by key sees the rows of a batch in several parts. What leaves it must
//! have the order of the source.

use std::sync::OnceLock;

use super::{Batch, marks};
use crate::column::{Column, ColumnBuilder, ColumnTooLarge};
use crate::object::Object;

/// A row of one of the parts: index of the part, and of the row in it.
pub(crate) type PartRow = (usize, usize);

impl Batch {
    /// The same rows, which remember their places from here on.
    pub fn numbered(self) -> Self {
        let places = (0..u32::try_from(self.rows()).unwrap_or(u32::MAX)).collect();
        Self { places: Some(places), ..self }
    }

    /// Puts parts together that descend from one [numbered](Self::numbered) batch: rows in the order
    /// of their places, and those of one place in the order of the parts. Returns `None` without
    /// parts.
    ///
    /// # Errors
    ///
    /// A column would exceed 4 GiB. The parts are then dropped, and their source sends them again.
    pub fn merge(mut parts: Vec<Self>) -> Result<Option<Self>, ColumnTooLarge> {
        if parts.len() < 2 {
            return Ok(parts.pop().map(|part| Self { places: None, ..part }));
        }
        let place = |&(part, row): &PartRow| {
            let places = parts.get(part).and_then(|part| part.places.as_ref());
            places.and_then(|places| places.get(row)).copied().unwrap_or(u32::MAX)
        };
        let mut order: Vec<PartRow> = Vec::with_capacity(parts.iter().map(Self::rows).sum());
        for (index, part) in parts.iter().enumerate() {
            order.extend((0..part.rows()).map(|row| (index, row)));
        }
        order.sort_by_key(place);
        let body = gather(&parts.iter().map(|part| &part.body).collect::<Vec<_>>(), &order)?;
        let attributes = Object::gather(&parts.iter().map(|part| &part.attributes).collect::<Vec<_>>(), &order)?;
        let resource = Object::gather(&parts.iter().map(|part| &part.resource).collect::<Vec<_>>(), &order)?;
        let context = Object::gather(&parts.iter().map(|part| &part.context).collect::<Vec<_>>(), &order)?;
        let timestamps = parts
            .iter()
            .any(|part| part.timestamps.is_some())
            .then(|| order.iter().map(|&(part, row)| parts.get(part).and_then(|part| part.timestamp(row))).collect());
        let failures = parts.iter().all(Self::is_failed).then(|| {
            order
                .iter()
                .filter_map(|&(part, row)| parts.get(part).and_then(|part| part.failure(row)).cloned())
                .collect()
        });
        let marks = marks::gathered(&parts, &order);
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(None) };
        // All parts have shares of the same acknowledgement.
        parts.for_each(|part| part.into_ack().deliver());
        Ok(Some(Self {
            body,
            attributes,
            resource,
            context,
            timestamps,
            failures,
            places: None,
            marks,
            body_kinds: OnceLock::new(),
            ..first
        }))
    }
}

/// The rows of several columns in this order. Copies no text if all columns share one buffer.
pub(crate) fn gather(columns: &[&Column], order: &[PartRow]) -> Result<Column, ColumnTooLarge> {
    let is_shared = |pair: &[&Column]| match pair {
        [one, other] => one.bytes().as_ptr() == other.bytes().as_ptr() && one.bytes().len() == other.bytes().len(),
        _ => true,
    };
    if let Some(first) = columns.first().filter(|_| columns.windows(2).all(is_shared)) {
        let span = |&(part, row): &PartRow| columns.get(part).and_then(|column| column.spans().get(row)).copied();
        let spans = order.iter().map(|at| span(at).unwrap_or_default()).collect();
        if let Some(column) = Column::from_spans(first.bytes().clone(), spans) {
            return Ok(column);
        }
    }
    let mut builder = ColumnBuilder::with_capacity(columns.iter().map(|c| c.byte_len()).sum(), order.len());
    for &(part, row) in order {
        builder.push(columns.get(part).map_or(&[], |column| column.row(row)))?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::{Ack, Disposition};
    use crate::field::{FieldPath, Form};
    use crate::origin::{Failure, Origin};
    use std::sync::{Arc, Mutex};

    fn batch(rows: usize) -> (Batch, Arc<Mutex<Vec<Disposition>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"r":1}"#.into(), observed: 0 });
        let bodies = Column::from_rows((0..rows).map(|row| format!("body {row}"))).unwrap();
        (Batch::new(bodies, origin, Ack::new(move |d| to.lock().unwrap().push(d))), seen)
    }

    fn written(batch: &Batch) -> Vec<String> {
        let line = |row| {
            let mut out = Vec::new();
            batch.write_json(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..batch.rows()).map(line).collect()
    }

    fn set(batch: &mut Batch, path: &str, values: &[&str]) {
        let kinds: Vec<u8> = values.iter().map(|value| u8::from(!value.is_empty())).collect();
        let values = Column::from_rows(values).unwrap();
        batch.set(&FieldPath::parse(path).unwrap(), Form::Text, &values, &kinds).unwrap();
    }

    #[test]
    fn parts_come_back_in_the_order_of_the_batch() {
        let (mut whole, seen) = batch(5);
        set(&mut whole, "attributes.all", &["a", "b", "c", "d", "e"]);
        whole.set_timestamps(&[1, i64::MIN, 3, 4, 5]);
        set(&mut whole, "severity.text", &["INFO", "", "WARN", "", "INFO"]);
        let expected = written(&whole);
        let whole = whole.numbered();
        let parts = vec![whole.select(&[1, 3]), whole.select(&[0, 2, 4])];
        whole.into_ack().deliver();
        let merged = Batch::merge(parts).unwrap().unwrap();
        assert_eq!(written(&merged), expected);
        assert!(seen.lock().unwrap().is_empty());
        merged.into_ack().deliver();
        assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
    }

    #[test]
    fn parts_that_changed_differently_keep_their_changes() {
        let (whole, _) = batch(4);
        let whole = whole.numbered();
        let (mut one, mut two) = (whole.select(&[0, 3]), whole.select(&[1, 2]));
        set(&mut one, "attributes.x", &["x0", ""]);
        set(&mut two, "attributes.y", &["y1", "y2"]);
        set(&mut two, "body", &["new 1", ""]);
        set(&mut two, "resource.z", &["", "z2"]);
        set(&mut two, "scope.name", &["lib", ""]);
        let expected: Vec<String> = [(&one, 0), (&two, 0), (&two, 1), (&one, 1)]
            .iter()
            .map(|(part, row)| written(part)[*row].clone())
            .collect();
        assert_eq!(written(&Batch::merge(vec![one, two]).unwrap().unwrap()), expected);
    }

    #[test]
    fn failures_stay_with_their_rows_and_children_with_their_parents() {
        let (whole, _) = batch(3);
        let whole = whole.numbered();
        let failure =
            |code: &str| Failure { node: "n".into(), version: "n@1".into(), code: code.into(), message: "m".into() };
        let one = whole.select(&[1]).with_failures(vec![failure("one")]);
        let two = whole.select(&[0, 2]).with_failures(vec![failure("zero"), failure("two")]);
        let merged = Batch::merge(vec![one, two]).unwrap().unwrap();
        let codes: Vec<String> = (0..3).map(|row| merged.failure(row).unwrap().code.to_string()).collect();
        assert_eq!(codes, ["zero", "one", "two"]);
        let children = whole.split(&[0, 0, 2], Column::from_rows(["0a", "0b", "2a"]).unwrap()).unwrap();
        let merged = Batch::merge(vec![children, whole.select(&[1])]).unwrap().unwrap();
        let bodies: Vec<&[u8]> = merged.body().iter().collect();
        assert_eq!(bodies, [b"0a".as_slice(), b"0b", b"body 1", b"2a"]);
        assert!(Batch::merge(Vec::new()).unwrap().is_none());
    }
}
