//! Metrics that nodes report themselves, grouped by name over all nodes. They follow the metrics of
//! the agent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wattle_capability::{FamilySnapshot, NodeSnapshot, PREFIX, write_labels};

/// A node, and its family of one name.
type Part<'a> = (&'a NodeSnapshot, &'a FamilySnapshot);

/// Writes them.
pub(crate) fn render(nodes: &[NodeSnapshot], text: &mut String) {
    let mut families: BTreeMap<&str, Vec<Part<'_>>> = BTreeMap::new();
    for node in nodes {
        for family in &node.metrics {
            families.entry(&family.name).or_default().push((node, family));
        }
    }
    for (name, parts) in families {
        let kinds = || parts.iter().map(|(_, family)| family.kind);
        // Two nodes can use one name for two types. The page must stay valid nevertheless.
        let kind = kinds().next().filter(|first| kinds().all(|kind| kind == *first)).unwrap_or("untyped");
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {PREFIX}{name} Counted by a node.\n# TYPE {PREFIX}{name} {kind}");
        for (node, family) in parts {
            for (labels, reading) in &family.series {
                reading.each(|suffix, bound, value| {
                    let own = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    let agents = [("pipeline", node.pipeline.as_str()), ("node", node.node.as_str())];
                    let _ = write!(text, "{PREFIX}{name}{suffix}");
                    write_labels(agents.into_iter().chain(own), bound, text);
                    let _ = writeln!(text, " {value}");
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_capability::Reading;

    #[test]
    fn nodes_share_families_and_keep_their_labels() {
        let node = |node: &str, kind, reading| {
            let labels = vec![("kind".to_owned(), "a\"b".to_owned())];
            let family = FamilySnapshot { name: "rows".into(), kind, series: vec![(labels, reading)] };
            NodeSnapshot {
                pipeline: "main".into(),
                node: node.into(),
                used: Vec::new(),
                metrics: vec![family],
                seen: None,
                kv: None,
            }
        };
        let mut text = String::new();
        render(&[node("one", "gauge", Reading::Level(1.5)), node("two", "gauge", Reading::Level(2.0))], &mut text);
        let expected = "# HELP wattle_guest_rows Counted by a node.\n# TYPE wattle_guest_rows gauge\n\
                        wattle_guest_rows{pipeline=\"main\",node=\"one\",kind=\"a\\\"b\"} 1.5\n\
                        wattle_guest_rows{pipeline=\"main\",node=\"two\",kind=\"a\\\"b\"} 2\n";
        assert_eq!(text, expected);
        let distribution = Reading::Distribution { at_most: vec![(1.0, 2)], count: 3, sum: 4.5 };
        let mut text = String::new();
        render(&[node("one", "gauge", Reading::Level(1.0)), node("two", "histogram", distribution)], &mut text);
        assert!(text.contains("# TYPE wattle_guest_rows untyped\n"), "{text}");
        assert!(text.contains("node=\"two\",kind=\"a\\\"b\",le=\"+Inf\"} 3\n"), "{text}");
    }
}
