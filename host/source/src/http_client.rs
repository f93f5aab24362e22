//! The source `http_client`: polls an API over HTTP, and follows its pages.
//!
//! A *run* requests one page after the other until the API has no more, and begins again after `interval`. [`poll`] is
//! that loop. A page is requested ([`request`]), split into events ([`page`]), delivered ([`deliver`]), and only then
//! the position moves past it and is saved ([`state`]). [`link`] finds the next page, [`limits`] reads what the server
//! says about its rate limit, [`since`] makes the times that limit the next run.
//!
//! # Invariants
//!
//! - The position moves past a page only after all events of the page are delivered. Batches that return are sent again
//!   from memory, not requested again.
//! - `since` moves only at the end of a run that reached the last page, so an API that begins with its newest events
//!   loses nothing to a crash in the middle.
//! - No request leaves the server of `endpoint`: links to another scheme, host or port are refused.
//! - One page is in memory at a time, of at most `max_response_bytes`. Runs are bounded in pages and bytes.
//! - No address of a page, no cursor and no value of an option is in a log.

mod deliver;
mod failure;
mod limits;
mod link;
mod options;
mod page;
mod poll;
mod request;
mod settings;
mod since;
mod state;
mod template;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;

use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::source::{Source, SourceContext};
pub(crate) use options::Options;
use settings::Settings;

/// Name of the type.
const TYPE: &str = "http_client";

/// The source, ready to run.
pub(crate) struct HttpClientSource {
    settings: Arc<Settings>,
}

impl HttpClientSource {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Arc::new(Settings::new(options, errors)?) })
    }
}

impl Source for HttpClientSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(poll::run(self.settings, context))
    }
}
