//! The guest `counter` with state of version 2, which cannot read version 1.

#[path = "../../counter/src/count.rs"]
mod count;

pub use count::Counter;

wattle_node::export_stateful_node!(Counter<2>);
