//! Configurations and packs: any text gives diagnostics that can be shown, or a plan that can be
//! drawn.

use std::cell::RefCell;

use serde_json::Map;
use wattle_diagnostics::{Invalid, Severity};
use wattle_manifest::load_pack;
use wattle_plan::{dot, drawn, mermaid, svg};

#[path = "../../../host/manifest/tests/fakes.rs"]
mod fakes;

/// Treats bytes as `agent.toml`, or as `pack.toml` if they begin with its head.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if !text.starts_with("[pack]") {
        return match fakes::load(text) {
            Ok((plan, warnings)) => {
                warnings.iter().for_each(show);
                for pipeline in &plan.pipelines {
                    assert!(!mermaid(pipeline).is_empty() && !dot(pipeline).is_empty());
                    assert!(svg(&[drawn(pipeline)]).ends_with("</svg>\n"));
                }
            }
            Err(invalid) => refused(&invalid),
        };
    }
    thread_local! {
        static PACK: tempfile::TempDir = tempfile::tempdir().unwrap();
        static LIBRARY: RefCell<wattle_pack::Library> = RefCell::new(fakes::library());
    }
    PACK.with(|folder| {
        std::fs::write(folder.path().join("pack.toml"), text).unwrap();
        let reference = folder.path().to_str().unwrap();
        let loaded = LIBRARY.with(|library| load_pack(reference, &Map::new(), &fakes::FakeNodes, &library.borrow()));
        if let Err(invalid) = loaded {
            refused(&invalid);
        }
    });
}

fn refused(invalid: &Invalid) {
    assert!(invalid.diagnostics.iter().any(|d| d.severity == Severity::Error), "refused without a reason");
    invalid.diagnostics.iter().for_each(show);
}

fn show(diagnostic: &wattle_diagnostics::Diagnostic) {
    assert!(!diagnostic.render(true).is_empty() && !diagnostic.render_line().is_empty());
    diagnostic.render_json();
}
