//! How a release was built, as a statement of in-toto with the predicate of SLSA 1.0.

use serde_json::{Value, json};

/// What a release was built from.
pub(crate) struct Build<'a> {
    /// URI of the machine or service that builds.
    pub(crate) builder: &'a str,
    /// URI of the repository.
    pub(crate) repository: &'a str,
    pub(crate) commit: &'a str,
    /// Whether files differ from the commit.
    pub(crate) is_modified: bool,
    /// Digest of `Cargo.lock`.
    pub(crate) lock: &'a str,
    /// Version and commit of rustc.
    pub(crate) rustc: (&'a str, &'a str),
    /// Version of zig.
    pub(crate) zig: &'a str,
    pub(crate) triples: &'a [&'a str],
}

/// The statement about files: their names and digests. It has no times, so that the same commit gives the same statement.
pub(crate) fn statement(build: &Build<'_>, files: &[(String, String)]) -> String {
    let subjects: Vec<Value> =
        files.iter().map(|(name, digest)| json!({ "name": name, "digest": { "sha256": digest } })).collect();
    let (rustc, rustc_commit) = build.rustc;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": format!("{}#cargo-xtask-dist/v1", build.repository),
                "externalParameters": { "command": "cargo xtask dist", "targets": build.triples, "modified": build.is_modified },
                "internalParameters": {},
                "resolvedDependencies": [
                    { "uri": format!("git+{}", build.repository), "digest": { "gitCommit": build.commit } },
                    { "name": "Cargo.lock", "digest": { "sha256": build.lock } },
                    {
                        "uri": format!("git+https://github.com/rust-lang/rust@{rustc}"),
                        "digest": { "gitCommit": rustc_commit },
                    },
                    { "uri": format!("pkg:pypi/ziglang@{}", build.zig) },
                ],
            },
            "runDetails": { "builder": { "id": build.builder } },
        },
    });
    format!("{statement:#}\n")
}

/// The list of digests in the format of `sha256sum`.
pub(crate) fn sums(files: &[(String, String)]) -> String {
    files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_every_file_and_what_it_was_built_from() {
        let build = Build {
            builder: "https://ci.example/1",
            repository: "https://git.example/wattle",
            commit: "c0ffee",
            is_modified: true,
            lock: "10cc",
            rustc: ("1.95.0", "dec0de"),
            zig: "0.15.1",
            triples: &["x86_64-unknown-linux-musl"],
        };
        let files = [("a".to_owned(), "aa".to_owned()), ("b".to_owned(), "bb".to_owned())];
        let statement: Value = serde_json::from_str(&statement(&build, &files)).unwrap();
        assert_eq!(statement["subject"][1], json!({ "name": "b", "digest": { "sha256": "bb" } }));
        let predicate = &statement["predicate"];
        assert_eq!(predicate["runDetails"]["builder"]["id"], "https://ci.example/1");
        let definition = &predicate["buildDefinition"];
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "c0ffee");
        assert_eq!(definition["resolvedDependencies"][1]["digest"]["sha256"], "10cc");
        assert_eq!(definition["externalParameters"]["modified"], true);
    }

    #[test]
    fn sums_are_what_sha256sum_reads() {
        assert_eq!(sums(&[("a".to_owned(), "aa".to_owned())]), "aa  a\n");
    }
}
