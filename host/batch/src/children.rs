//! Children of split rows. They are made piece by piece, so that a document of any size needs no
//! second copy in memory.

use bytes::Bytes;

use crate::batch::Batch;
use crate::column::{Column, ColumnBuilder, Span};
use crate::known::Known;

/// The bodies of children.
#[derive(Debug)]
pub(crate) enum Bodies {
    /// `prefix + text[start..end] + suffix` for each child.
    Spans { text: Bytes, known: Option<Known>, starts: Vec<u32>, ends: Vec<u32>, prefix: Vec<u8>, suffix: Vec<u8> },
    /// Bodies that the node made.
    Column(Column),
}

impl Bodies {
    /// The parents and bodies of some of the children.
    pub(crate) fn select(&self, parents: &[u32], children: &[u32]) -> (Vec<u32>, Self) {
        let pick = |all: &[u32]| children.iter().filter_map(|&child| all.get(child as usize).copied()).collect();
        let bodies = match self {
            Self::Spans { text, known, starts, ends, prefix, suffix } => Self::Spans {
                text: text.clone(),
                known: known.clone(),
                starts: pick(starts),
                ends: pick(ends),
                prefix: prefix.clone(),
                suffix: suffix.clone(),
            },
            Self::Column(column) => Self::Column(column.select(children)),
        };
        (pick(parents), bodies)
    }
}

/// The remaining children of a batch.
#[derive(Debug)]
pub struct Children {
    batch: Option<Batch>,
    parents: Vec<u32>,
    bodies: Bodies,
    next: usize,
}

impl Children {
    pub(crate) fn new(batch: Batch, parents: Vec<u32>, bodies: Bodies) -> Self {
        Self { batch: Some(batch), parents, bodies, next: 0 }
    }

    /// Number of all children.
    pub fn rows(&self) -> usize {
        self.parents.len()
    }

    /// Number of children that [`next_batch`](Self::next_batch) has not returned yet. More than 0
    /// after it returned `None` is a bug.
    pub fn remaining(&self) -> usize {
        self.parents.len().saturating_sub(self.next)
    }

    /// Returns the next children in order: at least one, and more up to `max_bytes` of bodies.
    ///
    /// The last batch ends the acknowledgement of the parents.
    pub fn next_batch(&mut self, max_bytes: usize) -> Option<Batch> {
        let batch = self.batch.as_ref()?;
        let first = self.next;
        let rest = self.parents.get(first..).unwrap_or_default();
        let (bodies, taken) = match &self.bodies {
            Bodies::Column(column) => {
                let mut bytes = 0;
                let mut rows = Vec::new();
                for index in first..self.parents.len() {
                    bytes += column.spans().get(index).map_or(0, |s| s.len());
                    if bytes > max_bytes && !rows.is_empty() {
                        break;
                    }
                    rows.push(u32::try_from(index).unwrap_or(u32::MAX));
                }
                (column.select(&rows), rows.len())
            }
            Bodies::Spans { text, known, starts, ends, prefix, suffix } => {
                let spans = starts.iter().zip(ends).skip(first);
                let around = prefix.len() + suffix.len();
                let (mut bytes, mut taken) = (0, 0);
                for (&start, &end) in spans.clone() {
                    bytes += (end - start) as usize + around;
                    if bytes > max_bytes && taken > 0 {
                        // This child does not fit and starts the next batch.
                        bytes -= (end - start) as usize + around;
                        break;
                    }
                    taken += 1;
                }
                let own = spans.take(taken).map(|(&start, &end)| Span { start, end });
                // Without prefix and suffix, the children share the text of their parents.
                if around == 0 {
                    (Column::from_spans(text.clone(), own.collect())?.knowing(known.clone()), taken)
                } else {
                    let mut builder = ColumnBuilder::with_capacity(bytes, taken);
                    let known = known.as_ref().and_then(|known| known.wrapped(own.clone(), prefix, suffix));
                    for Span { start, end } in own {
                        let out = builder.buffer();
                        out.extend_from_slice(prefix);
                        out.extend_from_slice(text.get(start as usize..end as usize).unwrap_or_default());
                        out.extend_from_slice(suffix);
                        if builder.finish_row().is_err() {
                            break;
                        }
                    }
                    let taken = builder.rows();
                    (builder.finish().knowing(known), taken)
                }
            }
        };
        let parents = rest.get(..taken).unwrap_or_default();
        if parents.is_empty() {
            if let Some(batch) = self.batch.take() {
                batch.into_ack().deliver();
            }
            return None;
        }
        self.next += taken;
        batch.split(parents, bodies).ok()
    }
}
