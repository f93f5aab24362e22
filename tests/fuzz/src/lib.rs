//! The targets of `cargo xtask fuzz`: one function for each place where the agent reads untrusted
//! bytes.
//!
//! A target takes any bytes and panics when the crate under test breaks a promise. Most compare
//! with a model that is too simple to be wrong. The engine and a selection of inputs are in
//! `fuzz/`; the tests here run all of them, so a fixed bug stays fixed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a target that finds something panics"
)]

mod buffer;
mod decisions;
mod digest;
mod framing;
mod http_body;
mod json;
mod manifest;
mod notification;
mod syslog;

pub use buffer::buffer;
pub use decisions::decisions;
pub use digest::digest;
pub use framing::framing;
pub use http_body::http_body;
pub use json::json;
pub use manifest::manifest;
pub use notification::notification;
pub use syslog::syslog;

/// A target: takes bytes, and panics on an error.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus and of its program in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("buffer", buffer),
    ("decisions", decisions),
    ("digest", digest),
    ("framing", framing),
    ("http_body", http_body),
    ("json", json),
    ("manifest", manifest),
    ("notification", notification),
    ("syslog", syslog),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TARGETS;

    #[test]
    fn every_input_of_the_corpus_passes() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        for (name, target) in TARGETS {
            assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "`{name}` has no program");
            let mut count = 0;
            for entry in std::fs::read_dir(fuzz.join("corpus").join(name)).unwrap() {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                target(&std::fs::read(path).unwrap());
                count += 1;
            }
            assert!(count > 0, "the corpus of `{name}` is empty");
        }
    }
}
