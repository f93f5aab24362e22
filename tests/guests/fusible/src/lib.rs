//! A guest of which one instance can do the work of several: it replaces a letter by a text.

use serde::Deserialize;
use wattle_node::{Batch, ColumnWriter, Field, Form, Fusible, Node, Setup, export_node, fused_name};

/// Options of the guest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The letter to replace.
    from: char,
    /// What takes its place.
    to: String,
    /// It panics on rows that contain this text.
    panics_on: Option<String>,
    /// With others as one, it refuses batches that contain this text.
    refuses: Option<String>,
}

/// The guest.
pub struct Replace {
    body: Field,
    nodes: Vec<Options>,
    is_fused: bool,
}

impl Node for Replace {
    const NAME: &'static str = "fusible";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Replaces a letter by a text.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { body: setup.read_write("", "body")?, nodes: vec![options], is_fused: false })
    }

    #[expect(clippy::panic, reason = "what this guest is for")]
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.body, Form::Text);
        let text = String::from_utf8_lossy(&column.bytes);
        let (mut starts, mut ends, mut texts) = (Vec::new(), Vec::new(), ColumnWriter::default());
        let mut counts = vec![0; self.nodes.len()];
        for (place, letter) in text.char_indices() {
            let node = self.nodes.iter().zip(&mut counts).find(|(node, _)| node.from == letter);
            if let Some((node, count)) = node {
                *count += 1;
                starts.push(u32::try_from(place).unwrap_or(u32::MAX));
                ends.push(u32::try_from(place + letter.len_utf8()).unwrap_or(u32::MAX));
                texts.push(node.to.as_bytes());
            }
        }
        for (index, (node, count)) in self.nodes.iter().zip(counts).enumerate() {
            if node.panics_on.as_ref().is_some_and(|poison| text.contains(poison)) {
                panic!("poison for {}", node.from);
            }
            if self.is_fused && node.refuses.as_ref().is_some_and(|refused| text.contains(refused)) {
                return Err("refused".to_owned());
            }
            match self.is_fused {
                true => batch.count(&fused_name(index, "replaced").unwrap_or_default(), count),
                false => batch.count("replaced", count),
            }
        }
        if self.is_fused {
            batch.count(&fused_name(0, "fused").unwrap_or_default(), 1);
        }
        batch.replace(self.body, Form::Text, &starts, &ends, texts);
        Ok(())
    }
}

impl Fusible for Replace {
    fn fuse(nodes: Vec<Options>, setup: &mut Setup<'_>) -> Option<Self> {
        let is_independent = nodes.iter().all(|node| nodes.iter().all(|other| !other.to.contains(node.from)));
        Some(Self { body: setup.read_write("", "body")?, nodes, is_fused: true }).filter(|_| is_independent)
    }
}

export_node!(Replace, fusion);
