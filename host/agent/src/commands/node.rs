//! `wattle node`: creates, builds, tests and measures nodes.

mod bench;
mod build;
mod component;
mod conformance;
mod create;
mod dev;
mod project;
mod run;
mod templates;
mod test;
mod wrap;

use crate::cli::Color;
use crate::cli::node::NodeCommand;
use crate::exit::Done;

pub(crate) fn node(command: &NodeCommand, color: Color) -> Done {
    match command {
        NodeCommand::New(options) => create::create(options),
        NodeCommand::Build(options) => build::build(options),
        NodeCommand::Test(options) => test::test(options),
        NodeCommand::Run(options) => run::run(options, color),
        NodeCommand::Bench(options) => bench::bench(options),
        NodeCommand::Dev(options) => dev::dev(options),
        NodeCommand::Conformance(options) => conformance::conformance(options),
        NodeCommand::Wrap(options) => wrap::wrap(options),
    }
}
