//! The kinds of events that the generator knows, with their weights and templates.

mod access;
mod compute;
mod kind;
mod storage;

pub(crate) use kind::Kind;

/// Returns every kind.
pub(crate) fn all() -> impl Iterator<Item = &'static Kind> {
    access::KINDS.iter().chain(compute::KINDS).chain(storage::KINDS)
}
