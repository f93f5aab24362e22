//! `clock` and `random`, of the machine or mocked by a test.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clock of the machine.
    #[default]
    Machine,
    /// A constant time in nanoseconds since 1970, for tests.
    Fixed(i64),
    /// A time in nanoseconds since 1970 that a test moves; all clones show the same time.
    Moved(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that a test moves, with this time in nanoseconds since 1970.
    pub fn moved(start: i64) -> Self {
        Self::Moved(Arc::new(AtomicI64::new(start)))
    }

    /// Sets the time of a clock that a test moves; other clocks stay as they are.
    pub fn set(&self, now: i64) {
        if let Self::Moved(time) = self {
            time.store(now, Ordering::Relaxed);
        }
    }

    /// Moves the time of a clock that a test moves; other clocks stay as they are.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)));
    }

    /// Whether a test determines the time.
    pub fn is_mocked(&self) -> bool {
        !matches!(self, Self::Machine)
    }

    /// Returns the nanoseconds since 1970.
    pub fn now(&self) -> i64 {
        match self {
            Self::Machine => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            }
            Self::Fixed(now) => *now,
            Self::Moved(time) => time.load(Ordering::Relaxed),
        }
    }

    /// Returns the nanoseconds since an unspecified start; never decreases.
    pub fn monotonic(&self) -> u64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::Machine => u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Self::Fixed(_) | Self::Moved(_) => 0,
        }
    }

    /// Returns the milliseconds since 1970 by the clock of the machine at the start of the process,
    /// plus those that passed since. Ages that are measured by it do not change when the clock of the
    /// machine jumps.
    pub(crate) fn steady(&self) -> u64 {
        static BEGAN: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), Clock::Machine.now()));
        let nanoseconds = match self {
            Self::Machine => {
                let (began, at) = *BEGAN;
                at.saturating_add(i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX))
            }
            Self::Fixed(_) | Self::Moved(_) => self.now(),
        };
        u64::try_from(nanoseconds).unwrap_or_default() / 1_000_000
    }
}

/// The random generator of the system failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the random generator of the system failed: {0}")]
pub struct RandomError(getrandom::Error);

/// Randomness.
#[derive(Debug, Default)]
pub enum Random {
    /// The random generator of the system.
    #[default]
    Machine,
    /// A seeded sequence, for tests.
    Seeded(AtomicU64),
}

impl Random {
    /// The sequence of a seed, or else that of the machine.
    pub fn of(seed: Option<u64>) -> Self {
        seed.map_or(Self::Machine, |seed| Self::Seeded(seed.into()))
    }

    /// Returns `len` random bytes.
    ///
    /// # Errors
    ///
    /// The random generator of the system failed.
    pub fn bytes(&self, len: usize) -> Result<Vec<u8>, RandomError> {
        let mut bytes = vec![0; len];
        match self {
            Self::Machine => getrandom::fill(&mut bytes).map_err(RandomError)?,
            Self::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    let number = split_mix(state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)).to_le_bytes();
                    for (byte, from) in chunk.iter_mut().zip(number) {
                        *byte = from;
                    }
                }
            }
        }
        Ok(bytes)
    }
}

/// SplitMix64. Not cryptographic: only tests use it.
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_a_repeatable_sequence_and_the_machine_does_not() {
        let seeded = || Random::of(Some(7)).bytes(20).unwrap();
        assert_eq!(seeded(), seeded());
        assert_ne!(Random::Machine.bytes(20).unwrap(), Random::Machine.bytes(20).unwrap());
    }

    #[test]
    fn a_fixed_clock_stands_still() {
        assert_eq!((Clock::Fixed(5).now(), Clock::Fixed(5).monotonic()), (5, 0));
        assert_eq!(Clock::Fixed(5_999_999).steady(), 5);
        assert!(!Clock::Machine.is_mocked() && Clock::Fixed(5).is_mocked());
        assert!(Clock::Machine.now() > 1_700_000_000_000_000_000);
        assert!(Clock::Machine.steady() > 1_700_000_000_000);
    }

    #[test]
    fn all_clones_of_a_moved_clock_show_its_time() {
        let clock = Clock::moved(5);
        let other = clock.clone();
        clock.advance(Duration::from_millis(2));
        assert_eq!((other.now(), other.steady()), (2_000_005, 2));
        other.set(7);
        assert_eq!(clock.now(), 7);
    }
}
