//! What the program around the supervisor shows to the operator.

use std::any::Any;
use std::sync::Arc;

use wattle_diagnostics::Diagnostic;
use wattle_runtime::Runtime;

/// The program around the supervisor. The supervisor calls it and prints nothing itself.
pub trait Frontend: Send + Sync {
    /// Shows the errors and warnings of a configuration that was loaded.
    fn show(&self, diagnostics: &[Diagnostic]);

    /// Called before a configuration is loaded, which can take seconds because it compiles. The
    /// supervisor drops the returned value when the load ends.
    fn loading(&self, runtime: &Arc<Runtime>) -> Box<dyn Any>;
}
