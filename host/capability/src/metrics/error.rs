//! Why a metric is refused.

use super::{Kind, MAX_BOUNDS, MAX_LABELS, MAX_NAME_BYTES, MAX_VALUE_BYTES};

/// Why a metric of a node is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The name breaks a rule. Long names are cut.
    #[error(
        "`{0}` is not a metric name; names consist of letters, digits and underscores, start with no digit, and have at \
         most {max} bytes",
        max = MAX_NAME_BYTES
    )]
    Name(String),
    /// The name ends like a sample of another kind of metric.
    #[error("the name `{name}` of a {kind} must not end with `{suffix}`")]
    Suffix {
        /// The metric.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// The reserved suffix.
        suffix: &'static str,
    },
    /// There are too many labels.
    #[error("the metric `{name}` has {count} labels; at most {max} are allowed", max = MAX_LABELS)]
    TooManyLabels {
        /// The metric.
        name: String,
        /// Number of labels.
        count: usize,
    },
    /// The name of a label breaks a rule or is reserved.
    #[error("`{label}` cannot be a label of the metric `{name}`")]
    Label {
        /// The metric.
        name: String,
        /// The label, cut if it is long.
        label: String,
    },
    /// The value of a label is too long.
    #[error(
        "the label `{label}` of the metric `{name}` has {bytes} bytes; at most {max} are allowed",
        max = MAX_VALUE_BYTES
    )]
    LabelValue {
        /// The metric.
        name: String,
        /// The label.
        label: String,
        /// Bytes of the value.
        bytes: usize,
    },
    /// A label occurs twice.
    #[error("the metric `{0}` has a label twice")]
    RepeatedLabel(String),
    /// The bounds of a histogram are not usable.
    #[error("the bounds of the histogram `{0}` must be 1 to {max} increasing numbers", max = MAX_BOUNDS)]
    Bounds(String),
    /// A histogram of this name has other bounds.
    #[error("the histogram `{0}` exists with other bounds; use another name")]
    OtherBounds(String),
    /// A metric of this name has another kind.
    #[error("the metric `{name}` exists as a {known}; use another name for a {requested}")]
    OtherKind {
        /// The metric.
        name: String,
        /// Kind of the existing metric.
        known: &'static str,
        /// Requested kind.
        requested: &'static str,
    },
    /// The node has no metric with this handle.
    #[error("no metric has the handle {0}")]
    UnknownHandle(u32),
    /// The metric with this handle has another kind than the function that was called.
    #[error("the metric with the handle {handle} is not a {expected}")]
    WrongKind {
        /// The handle.
        handle: u32,
        /// Kind of metric that the function changes.
        expected: &'static str,
    },
}

impl MetricError {
    /// A metric `name` of another kind, or with other bounds, exists.
    pub(super) fn exists(name: &str, known: &Kind, requested: &Kind) -> Self {
        match known.name() == requested.name() {
            true => Self::OtherBounds(name.to_owned()),
            false => Self::OtherKind { name: name.to_owned(), known: known.name(), requested: requested.name() },
        }
    }
}
