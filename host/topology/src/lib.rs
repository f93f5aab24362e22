//! The running graph: sources, lanes, workers, pipelines, sinks, and the swap of generations.
//!
//! The data path is [`pipeline`]: read `Pipeline::run` first. Around it: a [`lane`] holds the
//! batches of one source in order, a [`worker`] takes them from lanes and runs pipelines, a
//! [`generation`] is the running form of one configuration, and [`Topology`] starts, swaps and
//! drains.
//!
//! # Invariants
//!
//! - Every batch from a lane is either delivered, or dropped with its acknowledgement open, so that its source sends
//!   it again.
//! - Outputs of one source reach a sink in the order in which the source sent its batches, however many workers run.
//! - A worker uses one generation for a whole batch.
//! - A source that occupies all workers for long does not keep other sources waiting for long (`watch.rs`).

mod balance;
mod buffer;
mod bugs;
mod canary;
mod circuit;
mod counts;
mod differences;
mod emitter;
mod generation;
mod lane;
mod lanes;
mod observer;
mod offline;
mod pipeline;
mod quarantine;
mod ratio;
mod running;
mod shadow;
mod shared;
mod sink_handle;
mod snapshots;
mod states;
mod stops;
mod tally;
mod tap;
#[cfg(test)]
mod testing;
mod users;
mod watch;
mod worker;

pub use balance::{Balance, EventsIn, EventsOut};
pub use bugs::Bugs;
pub use canary::canary_name;
pub use counts::{BatchTotals, Counts, NodeCounts, OutputCounts, PipelineCounts, Rates, Snapshot};
pub use differences::differences;
pub use generation::{BuildError, InstanceError, NodeFactory, NodeScope, sandboxed, sandboxed_at};
pub use observer::{Buffer, Endpoint, EndpointState, Observer};
pub use offline::{Collect, Meter, Offline, Pace, Scratch, TIME_LIMIT, run_offline};
pub use quarantine::{QuarantineError, QuarantineStore, Quarantined, Retried, RetryError, retry};
pub use ratio::Ratio;
pub use running::{Drained, Left, Swapped, Topology, TopologySettings};
pub use shadow::{Difference, OutputReport, ShadowReport, ShadowSnapshot};
pub use states::STATE_VERSION;
pub use stops::{Stopped, Stops};
pub use tally::Tally;
pub use tap::{
    Entry, FailedSample, FailedSamples, Filter, FilterError, MAX_RATE, MAX_SUBSCRIPTIONS, NoEntry, Recent, RecentError,
    RecentEvents, Subscription, TapError, TapOptions, TapPolicy, TapReport, Tapped, Taps, Trace, TraceStep,
};
