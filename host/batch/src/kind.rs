//! Kinds of telemetry.

/// What kind of telemetry an event is, in the terms of OpenTelemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A log record; everything that sources of text read.
    #[default]
    Log,
    /// One data point of a metric: its body is a JSON object with name, unit, type, temporality,
    /// start, and value or buckets; its attributes are the dimensions.
    Metric,
    /// A span of a trace.
    Span,
}

impl EventKind {
    /// All kinds, in the order of `event-kind` in `wit/types.wit`.
    pub const ALL: [Self; 3] = [Self::Log, Self::Metric, Self::Span];

    /// The name in encoded events: `log`, `metric` or `span`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metric => "metric",
            Self::Span => "span",
        }
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
