//! Memory of what a source received and that is not acknowledged: requests, objects. Each holds a share of
//! `max_in_flight_bytes`, which grows with its actual use.

use std::sync::Arc;

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::refusal::Refusal;

/// Bytes per permit, so that a semaphore has enough permits.
const UNIT: u64 = 1 << 10;

/// The limit of bytes that all requests or objects of a source may hold.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    units: Arc<Semaphore>,
    max_bytes: u64,
}

/// There is no room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The share of one request or object. Dropping it releases the bytes.
#[derive(Debug)]
pub(crate) struct Share {
    all: InFlight,
    held: Option<OwnedSemaphorePermit>,
}

impl InFlight {
    /// Creates a limit of this many bytes.
    pub(crate) fn new(max_bytes: u64) -> Self {
        let units = usize::try_from(max_bytes.div_ceil(UNIT)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), max_bytes }
    }

    /// Creates an empty share.
    pub(crate) fn share(&self) -> Share {
        Share { all: self.clone(), held: None }
    }
}

impl Share {
    /// Returns the missing units until the share covers this many bytes. A single one always
    /// fits.
    fn missing(&self, bytes: u64) -> u32 {
        let units = usize::try_from(bytes.min(self.all.max_bytes).div_ceil(UNIT)).unwrap_or(usize::MAX);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(units.saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
    }

    /// Grows the share until it covers this many bytes.
    ///
    /// # Errors
    ///
    /// Others hold too much.
    pub(crate) fn cover(&mut self, bytes: u64) -> Result<(), NoRoom> {
        match self.missing(bytes) {
            0 => Ok(()),
            missing => {
                let permit = self.all.units.clone().try_acquire_many_owned(missing).map_err(|_| NoRoom)?;
                self.add(permit);
                Ok(())
            }
        }
    }

    /// Grows the share like [`cover`](Self::cover), for memory that can be many times what was received. One that exceeds
    /// the whole limit is an error too.
    ///
    /// # Errors
    ///
    /// Others hold too much, or it is too large for any time.
    pub(crate) fn cover_all(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.all.max_bytes {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the events of the request need more memory than `max_in_flight_bytes`; send fewer in one request",
            ));
        }
        Ok(self.cover(bytes)?)
    }

    /// Grows the share like [`cover`](Self::cover), but waits for room.
    pub(crate) async fn wait_for(&mut self, bytes: u64) {
        let missing = self.missing(bytes);
        // The semaphore is never closed.
        if let Ok(permit) = self.all.units.clone().acquire_many_owned(missing).await {
            self.add(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_and_is_released_on_drop() {
        let all = InFlight::new(10 << 10);
        let (mut one, mut two) = (all.share(), all.share());
        one.cover(1).unwrap();
        one.cover(6 << 10).unwrap();
        one.cover(100).unwrap();
        assert_eq!(two.cover(5 << 10).unwrap_err(), NoRoom);
        two.cover(4 << 10).unwrap();
        drop(one);
        two.cover(10 << 10).unwrap();
        two.cover(1 << 40).unwrap();
        assert!(all.share().cover(1).is_err());
    }
}
