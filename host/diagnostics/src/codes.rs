//! Every diagnostic code in one table, each with its explanation.
//!
//! The meaning of a code never changes; a new kind of problem gets a new code.

use crate::diagnostic::Severity;

/// A kind of problem with a stable identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable identifier such as `E0203`.
    pub id: &'static str,
    /// Errors make the agent refuse a configuration, warnings do not.
    pub severity: Severity,
    /// Meaning of the code and how to fix the problem, in one line.
    pub explanation: &'static str,
}

/// Finds the code with this identifier, in either case.
pub fn find(id: &str) -> Option<&'static Code> {
    ALL.iter().find(|code| code.id.eq_ignore_ascii_case(id))
}

macro_rules! codes {
    ($($name:ident $severity:ident $id:literal $explanation:literal;)*) => {
        $(#[doc = $explanation]
        pub const $name: Code =
            Code { id: $id, severity: Severity::$severity, explanation: $explanation };)*

        /// All codes in ascending order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    UNREADABLE Error "E0101" "A file cannot be read: it does not exist, permission is denied, or it is not UTF-8 text.";
    SYNTAX Error "E0102" "A file is not valid TOML; the rest of the file is not checked until it is valid.";
    UNKNOWN_KEY Error "E0103" "A table has an unknown key; it is misspelt, in the wrong table, or from another version.";
    MISSING_KEY Error "E0104" "A table lacks a required key.";
    WRONG_TYPE Error "E0105" "A value does not have the type that its key requires.";
    BAD_VALUE Error "E0106" "A value has the right type but not the right form or range, such as a size, duration or version.";
    UNSET_VARIABLE Error "E0107" "An environment variable used in `${NAME}` is not set; set it, or give a default as in `${NAME:-default}`.";
    BAD_REFERENCE Error "E0108" "A `${...}` reference in a string is malformed; write `$$` for a literal dollar.";
    BAD_NAME Error "E0109" "A name has characters that names cannot have, or is reserved.";
    SECRET_FILE Error "E0110" "The file of `${file:PATH}` or `${credential:NAME}` does not exist, cannot be read, is empty or too large, or is not UTF-8 text.";
    SET_TWICE Error "E0111" "Two files of a configuration define the same source, pipeline or sink, or set the same key.";
    REMOTE_ADMIN Error "E0121" "The admin listener has an address that other machines can reach, but `allow_remote = true` is not set; it has neither authentication nor encryption.";
    UNKNOWN_SOURCE_TYPE Error "E0201" "A source has a `type` that this agent does not know.";
    UNKNOWN_SINK_TYPE Error "E0202" "A sink has a `type` that this agent does not know.";
    UNKNOWN_NODE_TYPE Error "E0203" "A node names a built-in artifact that this agent does not have.";
    MISSING_ARTIFACT Error "E0204" "The file of a node's artifact does not exist or cannot be read.";
    OUTSIDE_ARTIFACT Error "E0205" "The artifact of a node of a pack lies outside the pack's folder.";
    REFUSED_ARTIFACT Error "E0206" "An artifact is not a component that this agent can run: it is not WebAssembly, of another contract version, or has imports that are not granted.";
    WRONG_DIGEST Error "E0207" "An artifact does not have the digest that its manifest gives.";
    UNKNOWN_CAPABILITY Error "E0208" "A pack requests a capability that does not exist.";
    CAPABILITY_NOT_ASKED Error "E0209" "An artifact imports a capability that its pack does not request; a pack must request each capability with a reason.";
    CAPABILITY_NOT_GRANTED Error "E0210" "A node imports a capability that the configuration does not grant to its pipeline.";
    NODE_OPTION Error "E0211" "A node refused one of its options.";
    SOURCE_OPTION Error "E0212" "A source refused one of its options.";
    SINK_OPTION Error "E0213" "A sink refused one of its options.";
    LOOKUP_TABLE Error "E0214" "A table for lookups cannot be read.";
    CYCLE Error "E0301" "Nodes or pipelines are linked in a circle; its events would never leave.";
    UNKNOWN_NODE Error "E0302" "A link names a node that the graph does not have.";
    UNKNOWN_PORT Error "E0303" "A link names a port that its node does not have.";
    UNLINKED_PORT Error "E0304" "A port is not linked; link it to a node or an output, so that no event is lost by oversight.";
    UNREACHABLE Error "E0305" "No event can reach a node or an output, because no path leads to it from the input.";
    DUPLICATE_LINK Error "E0306" "Two links join the same two places; each event would arrive twice.";
    NO_INPUTS Error "E0307" "A list of inputs is empty; each pipeline, node, output and sink needs at least one.";
    UNUSED_INPUT Error "E0308" "Nothing in a graph takes `input`, so its events would have no destination.";
    UNKNOWN_SOURCE Error "E0311" "A pipeline has a source as input that is not configured.";
    UNKNOWN_OUTPUT Error "E0312" "A sink, a pipeline or a `discard` names a source, a pipeline or an output that does not exist.";
    UNTAKEN_OUTPUT Error "E0313" "Neither a sink nor a pipeline receives an output; link it, or list it under `discard` of its pipeline.";
    DISCARDED_OUTPUT Error "E0314" "An output is listed under `discard` and a sink or a pipeline receives it as well.";
    TWO_WRITERS Error "E0315" "Two sinks write the same file and would corrupt each other's lines.";
    PASS_REFUSED Error "E0316" "A node has `on_fault = \"pass\"`, but its events must not or cannot pass unchanged: it masks data, or it has several output ports.";
    TWO_LISTENERS Error "E0317" "Two of the sources, the sinks and the admin listener listen at the same address; only one can bind it.";
    NOTHING_TO_RUN Error "E0318" "A configuration has no source, no pipeline and no sink, so there is nothing to run.";
    OWN_OUTPUT Error "E0319" "A source takes the events that a sink writes or sends for it, so each event comes again forever; or it reads the data folder of the agent.";
    PACK_NOT_FOUND Error "E0401" "No pack of this name is built in or in the library folder, or a folder is not a pack.";
    VERSION_NOT_FOUND Error "E0402" "The pack exists, but no version meets the requirement.";
    CONTRACT_VERSION Error "E0403" "A pack needs a version of the node contract that this agent does not serve.";
    MISPLACED_PACK Error "E0404" "The name or version of a library folder differs from that of the pack in it.";
    PIPELINE_FORM Error "E0405" "A pipeline needs either `pack`, or `nodes` and `outputs`, but not both.";
    PACK_FILES Error "E0406" "A pack has contents that packs cannot have, such as links or too many files, or cannot be read.";
    PACK_CYCLE Error "E0407" "A pack uses itself, through packs that are its nodes.";
    PACK_DEPTH Error "E0408" "Packs that are nodes of packs are nested too deeply, or have too many nodes in total.";
    PACK_IN_PACK Error "E0409" "A pack refers to another pack by folder; it can refer only to packs of the library, so that it works wherever it is copied.";
    UNKNOWN_PARAM Error "E0411" "The pack does not declare a parameter that is given or used.";
    MISSING_PARAM Error "E0412" "A parameter without a default has no value.";
    PARAM_TYPE Error "E0413" "A parameter has a value of the wrong type, or one that cannot be used at that place.";
    PARAM_NOT_ALLOWED Error "E0414" "A parameter has a value that its declaration does not allow.";
    UNSIGNED_PACK Error "E0421" "A pack has no signature, but the trust policy of the configuration requires one.";
    BAD_SIGNATURE Error "E0422" "The signature of a pack is damaged, or was made for another list of files.";
    UNTRUSTED_KEY Error "E0423" "A pack is signed with a key that `[packs.trust]` does not name, or that is not accepted for this pack.";
    ALTERED_PACK Error "E0424" "A file of a pack differs from the signed or pulled one: it was changed, removed or added.";
    NOT_PULLED Error "E0425" "A pack of a registry is not in the data folder: it was not pulled yet, or the pulled files are damaged.";
    ALTERED_LOCK Error "E0431" "`wattle.lock` was changed after it was written: its checksum does not match.";
    PIN_MISFIT Error "E0432" "The version that `wattle.lock` pins does not meet the requirement.";
    PIN_NOT_FOUND Error "E0433" "The version that `wattle.lock` pins is not in the library.";
    PIN_DIGEST Error "E0434" "A pack differs from the one that `wattle.lock` pins: its files have another digest.";
    NOT_PINNED Error "E0435" "`wattle.lock` does not pin a pack, and the agent runs with `--locked`, which allows pinned packs only.";
    CANDIDATE_OUTPUT Error "E0441" "A shadow or a canary has an output that the pipeline's pack does not have, so no sink receives its events.";
    TEST_INPUT Error "E0501" "A test of a pack does not have exactly one file `input.*` with a known extension.";
    TEST_EXPECTATION Error "E0502" "A test of a pack lacks the expectation for an output, or has one for an output that does not exist.";
    TEST_LINE Error "E0503" "A line of an expectation is not a JSON object with the keys of an event.";
    UNUSED_SOURCE Warning "W0601" "Neither a pipeline nor a sink reads a source, so the source is not started.";
    UNUSED_PARAM Warning "W0602" "A pack declares a parameter that none of its nodes uses.";
    UNUSED_CAPABILITY Warning "W0604" "A pack requests a capability that none of its artifacts imports.";
    PUBLIC_SECRET Warning "W0605" "Every user of the machine can read the file of a `${file:PATH}` or `${credential:NAME}`.";
    POSSIBLE_OWN_OUTPUT Warning "W0606" "A source reads the files that a sink writes for it, if their names have certain values; such events come again forever.";
    NO_TESTS Warning "W0701" "A pack has no tests, so its behaviour cannot be verified.";
    NO_README Warning "W0702" "A pack has no README.";
    NO_LICENSE Warning "W0703" "A pack has no `license`, or no file with the licence text.";
    NO_DESCRIPTION Warning "W0704" "A pack, a parameter or an output has no description.";
    SECRET_DEFAULT Warning "W0705" "A secret parameter has a default, which every reader of the pack can see.";
    NO_DIGEST Warning "W0706" "A node of a pack does not give the digest of its artifact; `wattle pack build` writes it.";
    ANY_VERSION Warning "W0707" "A pack accepts any version of another pack, and can break when that pack changes.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ascend() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn the_letter_of_a_code_is_its_severity() {
        for code in ALL {
            let letter = if code.severity == Severity::Error { 'E' } else { 'W' };
            assert!(code.id.starts_with(letter), "{}", code.id);
            assert!(code.explanation.ends_with('.'), "{}", code.id);
        }
    }

    #[test]
    fn finds_a_code_in_either_case() {
        assert_eq!(find("e0203").map(|code| code.id), Some("E0203"));
        assert_eq!(find("E9999"), None);
    }
}
