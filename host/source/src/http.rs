//! x
use crate::options::OptionError;
use crate::source::{Source, SourceContext, SourceError};
use std::pin::Pin;
pub(crate) struct HttpSource;
impl HttpSource { pub(crate) fn new(_: serde_json::Value) -> Result<Self, Vec<OptionError>> { Ok(Self) } }
impl Source for HttpSource {
    fn run(self: Box<Self>, _: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> { Box::pin(async { Ok(()) }) }
}
