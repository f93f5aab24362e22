//! Faults that requests meet at random.

/// Probabilities from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// S3 answers `503 SlowDown`.
    pub slow_down: f64,
    /// The body of an object ends early, and the connection with it.
    pub cut: f64,
    /// The body of an object comes in pieces, over up to a second.
    pub slow: f64,
    /// SQS answers `ThrottlingException`.
    pub throttled: f64,
    /// A service answers `403 ExpiredToken`, once: the next request is a new draw.
    pub expired: f64,
    /// The request is processed, but the connection ends without a response.
    pub unanswered: f64,
    /// A message stays visible when it is delivered, so that another receiver gets it as well.
    pub doubled: f64,
    /// A message appears up to two seconds after its visibility timeout has run out.
    pub late: f64,
    /// A message is delivered out of order.
    pub shuffled: f64,
}

impl Faults {
    /// Some of every kind. A client without retries would not get far, and one with them is not much slower.
    pub const fn all() -> Self {
        Self {
            slow_down: 0.02,
            cut: 0.02,
            slow: 0.01,
            throttled: 0.02,
            expired: 0.002,
            unanswered: 0.005,
            doubled: 0.01,
            late: 0.2,
            shuffled: 0.5,
        }
    }
}
