//! A guest whose ports change: from a point in time on, `configure` returns three ports instead of
//! one, and the guest sends rows to the last one.

use wattle_node::capabilities::clock;
use wattle_node::{Batch, Node, Setup, export_node};

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Unix time in seconds.
    after: i64,
}

/// The guest.
pub struct Shifty {
    is_shifted: bool,
}

impl Node for Shifty {
    const NAME: &'static str = "shifty";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Changes its ports.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let is_shifted = clock::now() / 1_000_000_000 >= options.after;
        let ports: &[&str] = if is_shifted { &["a", "b", "c"] } else { &["a"] };
        setup.ports(ports.iter().map(|&port| port.to_owned()).collect());
        Some(Self { is_shifted })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        if self.is_shifted {
            batch.route(&vec![2; batch.len()]);
        }
        Ok(())
    }
}

export_node!(Shifty);
