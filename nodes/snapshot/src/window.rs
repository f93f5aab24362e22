//! Windows of time: spans of equal length that begin at multiples of it since 1970.

/// A span of time in nanoseconds since the epoch, with its start and without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first nanosecond.
    pub start: i64,
    /// One after the last nanosecond.
    pub end: i64,
}

impl Window {
    /// The window of this length that contains a time. `length` must be more than 0.
    #[must_use]
    pub fn at(time: i64, length: i64) -> Self {
        let start = align(time, length);
        Self { start, end: start.saturating_add(length) }
    }
}

/// The last multiple of a length that is not after a time.
#[must_use]
pub fn align(time: i64, length: i64) -> i64 {
    time.saturating_sub(time.checked_rem_euclid(length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_contains_its_time() {
        assert_eq!(Window::at(25, 10), Window { start: 20, end: 30 });
        assert_eq!(Window::at(-1, 10), Window { start: -10, end: 0 });
        assert_eq!(Window::at(i64::MAX, 10).end, i64::MAX);
        assert_eq!(Window::at(i64::MIN, 10).start, i64::MIN);
    }
}
