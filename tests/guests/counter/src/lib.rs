//! A guest with state of version 1: the number of rows that it has seen.

mod count;

pub use count::Counter;

wattle_node::export_stateful_node!(Counter<1>);
