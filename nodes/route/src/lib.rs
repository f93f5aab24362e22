//! The node `route`: sends each event out on the port of the first path whose condition holds.

mod options;
mod rows;

use wattle_condition::{Compiler, ReadFields};
use wattle_node::{Batch, Node, Setup, export_node};

pub use crate::options::{Options, RoutePath};
use crate::rows::{Paths, Router};

/// The configured node.
pub struct Route {
    router: Router,
}

impl Node for Route {
    const NAME: &'static str = "route";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Sends each event out on the port of the first path whose condition holds.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut paths = Paths::default();
        let mut compiler = Compiler::new(ReadFields::default());
        for (number, path) in options.paths.iter().enumerate() {
            let at = format!("paths[{number}]");
            paths.add_name(&at, &path.name, setup);
            // Compile every condition, also after an error, to report all errors at once.
            if let Some(condition) = compiler.condition(&format!("{at}.when"), &path.when, setup) {
                paths.add(condition, path.goes_on);
            }
        }
        paths.name_ports(setup);
        Some(Self { router: Router::new(paths, compiler.into_resolver()) })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.router.run(batch);
        Ok(())
    }
}

export_node!(Route);
