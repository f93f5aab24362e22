//! The outcome of a reload or of another command that changes the agent.

use serde::{Deserialize, Serialize};

/// Outcome of a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The changed configuration runs.
    Applied,
    /// The configuration is the same.
    Unchanged,
    /// It has errors; the running configuration stays.
    Invalid,
    /// It could not be built; the running configuration stays.
    #[default]
    Failed,
}

impl Outcome {
    /// All outcomes, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Unchanged, Self::Invalid, Self::Failed];

    /// Whether the configuration on disk runs.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Applied | Self::Unchanged)
    }

    /// The label in metrics, `/status` and the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
        }
    }
}
