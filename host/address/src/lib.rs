//! IP addresses and networks as events and options write them.
//!
//! Lookup tables, the test `in_network` of conditions and the step `network` of `edit` use these functions, so that one
//! text is the same address everywhere.

mod address;
mod network;

pub use crate::address::read;
pub use crate::network::{Network, NetworkError};
