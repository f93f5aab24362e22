//! Resolves the text of a link: `node`, `node.port`, `input`, and patterns with `*`.

use super::{Ports, Start};
use crate::pattern::{is_pattern, matches};
use crate::raw::graph::{GraphManifest, INPUT};
use wattle_diagnostics::{Findings, Text, codes};
use wattle_options::suggest;
use wattle_plan::Target;

/// Port that a link without a port name means.
const DEFAULT_PORT: &str = "out";

pub(super) struct Resolver<'a> {
    pub(super) graph: &'a GraphManifest,
    pub(super) shapes: &'a [Option<Ports>],
    /// False after a link could not be resolved: what seems to be missing may then be its target.
    pub(super) sure: bool,
}

impl<'a> Resolver<'a> {
    /// Finds the start of a link. For a misspelt name it continues with the suggested one, so that
    /// one mistake gives one diagnostic.
    pub(super) fn resolve(&mut self, link: &Text, target: Target, findings: &mut Findings) -> Vec<Start> {
        if link.text == INPUT {
            return vec![Start::Input];
        }
        let (node, port) = link.text.split_once('.').unwrap_or((&link.text, DEFAULT_PORT));
        let from = if is_pattern(node) {
            self.resolve_pattern(node, port, link, target, findings)
        } else {
            self.resolve_name(node, port, link, findings)
        };
        self.sure &= !from.is_empty();
        from
    }

    fn resolve_pattern(
        &self,
        node: &str,
        port: &str,
        link: &Text,
        target: Target,
        findings: &mut Findings,
    ) -> Vec<Start> {
        let mut from = Vec::new();
        let mut any = false;
        for (index, manifest) in self.graph.nodes.iter().enumerate() {
            // A pattern in the inputs of a node excludes the node itself.
            if matches(node, &manifest.name) && target != Target::Node(index) {
                any = true;
                from.extend(self.ports_of(index, port));
            }
        }
        if !any {
            let finding = codes::UNKNOWN_NODE.at(link.place, format!("no node matches `{node}`"));
            findings.report(finding.hint_if(suggest::hint(node, self.node_names())));
        } else if from.is_empty() {
            let message = format!("no port of the nodes that match `{node}` matches `{port}`");
            findings
                .report(codes::UNKNOWN_PORT.at(link.place, message).hint("a link without a port means the port `out`"));
        }
        from
    }

    fn resolve_name(&self, node: &str, port: &str, link: &Text, findings: &mut Findings) -> Vec<Start> {
        let names = || self.node_names().chain([INPUT]);
        let known = self.graph.nodes.iter().position(|manifest| manifest.name == node);
        let index = known.or_else(|| {
            let message = format!("no node `{node}` in the graph");
            let hint = match node {
                INPUT => Some("`input` has no ports; write `\"input\"`".to_owned()),
                _ => suggest::hint(node, names()),
            };
            findings.report(codes::UNKNOWN_NODE.at(link.place, message).hint_if(hint));
            let meant = suggest::closest(node, self.node_names())?;
            self.graph.nodes.iter().position(|manifest| manifest.name == meant)
        });
        let Some(index) = index else { return Vec::new() };
        let from: Vec<Start> = self.ports_of(index, port).collect();
        if !from.is_empty() || known.is_none() {
            return from;
        }
        let Some(shape) = self.shapes.get(index).and_then(Option::as_ref) else { return from };
        let name = self.graph.nodes.get(index).map_or(node, |manifest| &manifest.name);
        let meant = suggest::closest(port, shape.iter().map(String::as_str));
        let hint = match meant {
            Some(meant) => format!("did you mean `{name}.{meant}`?"),
            None => {
                let all: Vec<String> = shape.iter().map(|port| format!("{name}.{port}")).collect();
                format!("available: {}", suggest::list(all.iter().map(String::as_str)))
            }
        };
        findings.report(codes::UNKNOWN_PORT.at(link.place, format!("node `{name}` has no port `{port}`")).hint(hint));
        meant.map(|meant| self.ports_of(index, meant).collect()).unwrap_or_default()
    }

    fn ports_of(&self, node: usize, pattern: &str) -> impl Iterator<Item = Start> + use<'a> {
        let shape = self.shapes.get(node).and_then(Option::as_ref);
        let names: &[String] = shape.map(Vec::as_slice).unwrap_or_default();
        let found: Vec<usize> =
            names.iter().enumerate().filter(|(_, name)| matches(pattern, name)).map(|(port, _)| port).collect();
        let unknown = shape.is_none().then_some(Start::Node(node));
        found.into_iter().map(move |port| Start::Port(node, port)).chain(unknown)
    }

    fn node_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.graph.nodes.iter().map(|node| node.name.as_str())
    }
}

/// Formats the start of a link for messages.
pub(super) fn describe(from: Start, graph: &GraphManifest, shapes: &[Option<Ports>]) -> String {
    let name = |node: usize| graph.nodes.get(node).map_or("", |manifest| manifest.name.as_str());
    match from {
        Start::Input => format!("`{INPUT}`"),
        Start::Node(node) => format!("`{}`", name(node)),
        Start::Port(node, port) => {
            let shape = shapes.get(node).and_then(Option::as_ref);
            let port = shape.and_then(|shape| shape.get(port)).map(String::as_str).unwrap_or_default();
            format!("`{}.{port}`", name(node))
        }
    }
}
