//! Services of packs that run on their own, for their tests and for trials: what mocks say, and no effects.

use std::sync::Arc;

use wattle_capability::{Clock, LogTarget, Mock, Services};
use wattle_mocks::Provided;
use wattle_runtime::Catalog;

/// The catalog whose nodes have every capability and look up what the mocks have.
pub(crate) fn catalog(catalog: &Catalog, provided: &Provided, clock: Clock) -> Catalog {
    let mock = Mock { clock, ..provided.mock(LogTarget::Nowhere) };
    catalog.with_services(Arc::new(Services::mocked(mock)))
}
