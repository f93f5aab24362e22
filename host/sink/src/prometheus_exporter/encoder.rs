//! The half of the sink on the workers: makes a record of each event.

use prost::Message as _;
use wattle_batch::Batch;

use super::record::{Exemplar, Record, Value, label_text};
use crate::prometheus::{self as metrics, Labels, Point, PointError, Temporality};
use crate::refusal::write_refused;
use crate::sink::{Encoder, Payload};

/// Makes records of metric events.
#[derive(Debug)]
pub(super) struct RecordEncoder {
    /// What the names of all metrics begin with, including `_`; empty for nothing.
    pub(super) prefix: String,
    pub(super) labels: Labels,
}

impl Encoder for RecordEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let labels = self.labels.bind(&batch);
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let record = Point::read(&batch, row).and_then(|point| {
                let nanoseconds = batch.timestamp(row).unwrap_or(batch.origin().observed);
                self.record(point, labels.of(row), nanoseconds.div_euclid(1_000_000))
            });
            match record.map(|record| record.encode_to_vec()) {
                Ok(record) if bytes.len() + record.len() <= metrics::MAX_BATCH_BYTES => bytes.extend(record),
                Ok(_) => write_refused(&PointError::BatchTooLarge.to_string(), &batch, row, &mut bytes),
                Err(error) => write_refused(&error.to_string(), &batch, row, &mut bytes),
            }
            ends.push(bytes.len());
        }
        drop(labels);
        let ack = batch.into_ack();
        if ends.is_empty() {
            // A payload without ends counts as one event.
            ack.deliver();
            return Vec::new();
        }
        vec![Payload { key: None, bytes, events: ends.len(), ends, ack }]
    }
}

impl RecordEncoder {
    fn record(
        &self,
        point: Point,
        mut labels: std::collections::BTreeMap<String, String>,
        time: i64,
    ) -> Result<Record, PointError> {
        let family = metrics::family_name(&point);
        if family.is_empty() {
            return Err(PointError::Name);
        }
        let name = format!("{}{}", self.prefix, family);
        metrics::free_reserved(&point.value, &mut labels);
        // Every sample of the event has all labels; this limits what they have together.
        metrics::samples(&point.value, &name, &labels)?;
        let unit = metrics::unit_of(&point);
        let base = name.strip_suffix("_total").unwrap_or(&name);
        // A name that has its unit in another place has no suffix of it.
        let has_unit = base.strip_suffix(&*unit).is_some_and(|rest| rest.ends_with('_')) && !unit.is_empty();
        let exemplar = |exemplar: metrics::Exemplar| Exemplar {
            value: exemplar.value,
            time: exemplar.time,
            labels: label_text(&exemplar.labels),
        };
        Ok(Record {
            name,
            unit: if has_unit { unit } else { String::new() },
            help: point.description,
            labels: label_text(&labels),
            is_delta: point.temporality == Temporality::Delta,
            time,
            exemplars: point.exemplars.into_iter().map(exemplar).collect(),
            value: Some(Value::of(point.value)),
        })
    }
}
