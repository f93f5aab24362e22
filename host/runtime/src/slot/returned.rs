//! Made events that come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use wattle_batch::{Ack, Batch, Disposition};

/// Events that were made and that a sink or a drain gave back. They must be sent again.
#[derive(Debug, Default)]
pub(super) struct Returned {
    any: AtomicBool,
    back: Mutex<Back>,
}

#[derive(Debug, Default)]
struct Back {
    batches: Vec<Made>,
    /// Who sends them instead.
    heir: Option<Arc<Returned>>,
}

impl Returned {
    /// Whether any came back.
    pub(super) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Has another one send what is here and what still comes back.
    pub(super) fn move_to(&self, heir: Option<&Arc<Self>>) {
        let mut back = self.back.lock();
        back.heir = heir.cloned();
        let Some(heir) = heir else { return };
        let batches = std::mem::take(&mut back.batches);
        drop(back);
        batches.into_iter().for_each(|made| heir.push(made));
    }

    fn push(&self, made: Made) {
        let mut back = self.back.lock();
        if let Some(heir) = back.heir.clone() {
            drop(back);
            return heir.push(made);
        }
        back.batches.push(made);
        self.any.store(true, Ordering::Release);
    }

    /// Takes those that came back.
    pub(super) fn take(&self) -> Vec<Made> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut self.back.lock().batches)
    }
}

/// Events that a node made, without an acknowledgement.
#[derive(Debug)]
pub(super) struct Made {
    port: usize,
    batch: Batch,
    undelivered: Arc<AtomicU64>,
}

impl Made {
    /// Events of one call, whose number of undelivered batches this is.
    pub(super) fn new(port: usize, batch: &Batch, undelivered: &Arc<AtomicU64>) -> Self {
        Self { port, batch: batch.detached(), undelivered: undelivered.clone() }
    }

    /// The port on which they leave.
    pub(super) fn port(&self) -> usize {
        self.port
    }

    /// The events with an acknowledgement that keeps them until they are delivered.
    pub(super) fn track(self, returned: &Arc<Returned>) -> Batch {
        let Self { port, batch, undelivered } = self;
        let (copy, returned) = (batch.detached(), returned.clone());
        let report = move |disposition| match disposition {
            Disposition::Retry => returned.push(Self { port, batch: copy.redelivered(), undelivered }),
            // What a sink counted as lost cannot be delivered later either.
            _ => _ = undelivered.fetch_sub(1, Ordering::AcqRel),
        };
        batch.with_ack(Ack::new(report))
    }
}
