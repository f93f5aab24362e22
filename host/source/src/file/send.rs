//! Sends events, and keeps checking files while the output has no room or is slow.

use std::fs::File;
use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use wattle_batch::Batch;

use super::reader::{LOOK_INTERVAL, Reader};
use super::track::Key;
use super::turn::proof;
use super::{about, clock};
use crate::assemble::{Chunk, Unwanted};
use crate::reading::Flow;

/// A batch for which the output had no room.
pub(super) struct Waiting {
    pub(super) key: Key,
    /// Where its events end in the file.
    end: u64,
    batch: Batch,
}

impl Reader {
    /// Sends a chunk. While the output has no room, file checks continue: logs rotate whether or
    /// not events can be delivered. The turn of an uncompressed file (`plain`) ends meanwhile, and
    /// the chunk waits.
    pub(super) fn send(
        &mut self,
        key: Key,
        resource: &Arc<str>,
        plain: Option<&File>,
        chunk: Chunk,
    ) -> Result<Flow, Unwanted> {
        if self.tracker.is_going_back(key) {
            // The file is read again from before this chunk. If the file disappears first, these
            // events are lost too.
            drop(self.tracker.ack(key, chunk.end, None, chunk.column.rows() as u64));
            return Ok(Flow::Pause);
        }
        let origin = self.context.origin_with(resource.clone());
        let proof = plain.and_then(|file| proof(file, chunk.end));
        self.last_proof = proof;
        let end = chunk.end;
        let (ack, is_redelivered) = self.tracker.ack(key, end, proof, chunk.column.rows() as u64);
        let mut batch = Batch::new(chunk.column, origin, ack);
        about::mark(&mut batch, &chunk.marks);
        if is_redelivered {
            batch = batch.redelivered();
        }
        // Earlier batches wait for room, so this one waits after them.
        if !self.waiting.is_empty() {
            self.waiting.push_back(Waiting { key, end, batch });
            return Ok(Flow::Pause);
        }
        loop {
            batch = match self.output.try_send(batch) {
                Ok(()) => break self.tracker.offered(key, end),
                Err(TrySendError::Closed(_)) => return Err(Unwanted),
                Err(TrySendError::Full(batch)) => batch,
            };
            if self.tracker.is_stopped() {
                return Err(Unwanted);
            }
            if self.tracker.is_going_back(key) {
                return Ok(Flow::Pause);
            }
            self.tracker.wait(LOOK_INTERVAL);
            if !self.is_time_to_look() {
                continue;
            }
            if plain.is_some() {
                self.waiting.push_back(Waiting { key, end, batch });
                return Ok(Flow::Pause);
            }
            self.look_around();
        }
        // A slow sink may have room at each attempt, so this must not depend on waiting.
        match self.is_time_to_look() {
            true if plain.is_some() => return Ok(Flow::Pause),
            true => self.look_around(),
            false => {}
        }
        Ok(Flow::Continue)
    }

    /// Returns whether the turn of a file took so long that the reader must check the others.
    fn is_time_to_look(&self) -> bool {
        !self.context.once && self.look_at <= clock::now()
    }

    /// Sends waiting batches. Returns whether all were sent.
    pub(super) fn send_waiting(&mut self) -> Result<bool, Unwanted> {
        while let Some(Waiting { key, end, batch }) = self.waiting.pop_front() {
            if self.tracker.is_going_back(key) {
                // These events are read again.
                continue;
            }
            match self.output.try_send(batch) {
                Ok(()) => self.tracker.offered(key, end),
                Err(TrySendError::Closed(_)) => return Err(Unwanted),
                Err(TrySendError::Full(batch)) => {
                    self.waiting.push_front(Waiting { key, end, batch });
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns whether reading pauses because read batches have no room.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_looking_around || !self.waiting.is_empty()
    }

    /// Checks all files in the middle of reading one.
    fn look_around(&mut self) {
        self.is_looking_around = true;
        if self.scan_at <= clock::now() {
            self.scan();
        }
        self.look_at_open();
        self.finish_delivered();
        self.is_looking_around = false;
    }
}
