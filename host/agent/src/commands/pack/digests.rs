//! Writes digests of artifacts to a manifest and leaves all other bytes unchanged.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use wattle_plan::{Artifact, Origin};

use crate::exit::Failure;

/// A node whose artifact is a file of the pack.
struct Node {
    name: String,
    path: String,
    /// Where the key `artifact` begins.
    key: usize,
    /// Its value, with the quotes.
    artifact: Range<usize>,
    /// The value of `digest`, with the quotes, and the digest in it.
    digest: Option<(Range<usize>, String)>,
}

/// Returns the manifest with the digest of every artifact that is a file of the pack, and a line
/// for each change.
pub(super) fn with_digests(folder: &Path, text: &str) -> Result<(String, Vec<String>), Failure> {
    let mut nodes = nodes(text)?;
    // From the end, so an edit does not move the places of later edits.
    nodes.sort_by_key(|node| std::cmp::Reverse(node.key));
    let mut new = text.to_owned();
    let mut changes = Vec::new();
    for Node { name, path, key, artifact, digest } in nodes {
        let bytes = fs::read(folder.join(&path))
            .map_err(|error| Failure::config(format!("cannot read the artifact `{path}` of node `{name}`: {error}")))?;
        let now = Artifact::new("", bytes, Origin::Builtin).digest;
        match digest {
            Some((_, before)) if before == now => continue,
            Some((place, _)) => new.replace_range(place, &format!("\"{now}\"")),
            None => insert(&mut new, key, &artifact, &now),
        }
        changes.push(format!("node {name}: {now}"));
    }
    changes.reverse();
    // Check the result, because a manifest can have unusual forms.
    match nodes_have(&new, &changes) {
        true => Ok((new, changes)),
        false => Err(Failure::new("cannot write digests to this form of `pack.toml`; write a table for each node")),
    }
}

/// Adds the key beside `artifact`: on a separate line, or in the same braces.
fn insert(text: &mut String, key: usize, artifact: &Range<usize>, digest: &str) {
    let line = text.get(..key).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let before = text.get(line..key).unwrap_or_default().to_owned();
    if before.contains(['{', ',']) {
        text.insert_str(artifact.end, &format!(", digest = \"{digest}\""));
        return;
    }
    let rest = text.get(artifact.end..).unwrap_or_default();
    let (end, ending) = match rest.find('\n') {
        Some(at) => {
            (artifact.end + at + 1, if rest.get(..at).is_some_and(|r| r.ends_with('\r')) { "\r\n" } else { "\n" })
        }
        None => {
            text.push('\n');
            (text.len(), "\n")
        }
    };
    text.insert_str(end, &format!("{before}digest = \"{digest}\"{ending}"));
}

fn nodes(text: &str) -> Result<Vec<Node>, Failure> {
    let table =
        DeTable::parse(text).map_err(|error| Failure::config(format!("`pack.toml` is not valid TOML: {error}")))?;
    let nodes = table.get_ref().iter().find(|(key, _)| key.get_ref() == "nodes");
    let Some(DeValue::Table(nodes)) = nodes.map(|(_, value)| value.get_ref()) else { return Ok(Vec::new()) };
    let node = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        let DeValue::Table(node) = value.get_ref() else { return None };
        let entry = |wanted: &str| {
            let (key, value) = node.iter().find(|(key, _)| key.get_ref() == wanted)?;
            let DeValue::String(text) = value.get_ref() else { return None };
            Some((key.span().start, value.span(), text.to_string()))
        };
        let (key, artifact, path) = entry("artifact").filter(|(.., path)| !path.contains(':'))?;
        let digest = entry("digest").map(|(_, place, digest)| (place, digest));
        Some(Node { name: name.to_string(), path, key, artifact, digest })
    };
    Ok(nodes.iter().filter_map(node).collect())
}

fn nodes_have(text: &str, changes: &[String]) -> bool {
    nodes(text).is_ok_and(|nodes| {
        changes.iter().all(|change| {
            nodes.iter().any(|node| {
                let digest = node.digest.as_ref().map(|(_, digest)| digest.as_str()).unwrap_or_default();
                *change == format!("node {}: {digest}", node.name)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Writes digests into a text in which all artifacts contain `abc`.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("nodes")).unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(format!("nodes/{name}.wasm")), "abc").unwrap();
        }
        let written = |text: &str| with_digests(folder.path(), text).map_err(|failure| failure.message);
        let (new, changes) = written(text).unwrap();
        assert_eq!(new, expected.replace("DIGEST", DIGEST));
        assert_eq!(changes.is_empty(), new == text);
        assert_eq!(written(&new).unwrap(), (new, Vec::new()), "a second time there is nothing to do");
    }

    #[test]
    fn a_digest_is_written_after_its_artifact_and_nothing_else_changes() {
        check(
            "# about\n[nodes.a] # first\nartifact = \"nodes/a.wasm\" # own\ninputs = [\"input\"]\n[nodes.b]\n  artifact='nodes/b.wasm'",
            "# about\n[nodes.a] # first\nartifact = \"nodes/a.wasm\" # own\ndigest = \"DIGEST\"\ninputs = [\"input\"]\n\
             [nodes.b]\n  artifact='nodes/b.wasm'\n  digest = \"DIGEST\"\n",
        );
        check(
            "[nodes.a]\r\nartifact = \"nodes/a.wasm\"\r\ninputs = []\r\n",
            "[nodes.a]\r\nartifact = \"nodes/a.wasm\"\r\ndigest = \"DIGEST\"\r\ninputs = []\r\n",
        );
    }

    #[test]
    fn tables_in_braces_and_with_dots_keep_their_form() {
        check(
            "[nodes]\na = { artifact = \"nodes/a.wasm\", inputs = [] }\nb.artifact = \"nodes/b.wasm\"\nb.inputs = []\n",
            "[nodes]\na = { artifact = \"nodes/a.wasm\", digest = \"DIGEST\", inputs = [] }\n\
             b.artifact = \"nodes/b.wasm\"\nb.digest = \"DIGEST\"\nb.inputs = []\n",
        );
        check(
            "nodes = { a = { inputs = [], artifact = \"nodes/a.wasm\" } }\n",
            "nodes = { a = { inputs = [], artifact = \"nodes/a.wasm\", digest = \"DIGEST\" } }\n",
        );
    }

    #[test]
    fn an_old_digest_is_replaced_and_built_in_artifacts_get_none() {
        check(
            "[nodes.a]\ndigest = \"sha256:0\" # old\nartifact = \"nodes/a.wasm\"\n[nodes.m]\nartifact = \"builtin:mask\"\n\
             [nodes.p]\nartifact = \"pack:other@1/a.wasm\"\n",
            "[nodes.a]\ndigest = \"DIGEST\" # old\nartifact = \"nodes/a.wasm\"\n[nodes.m]\nartifact = \"builtin:mask\"\n\
             [nodes.p]\nartifact = \"pack:other@1/a.wasm\"\n",
        );
        check("[pack]\nname = \"p\"\n", "[pack]\nname = \"p\"\n");
    }
}
