//! Documents cut at every byte, as truncated files, full buffers and rotations leave them.

use wattle_tests::Folder;

use crate::encodings::escaped;
use crate::forms::texts;
use crate::secrets::Readable;
use crate::{assert_accounted, assert_files_hide, assert_listings_hide, config};

/// The documents, each on one line.
fn documents() -> Vec<String> {
    let mut documents = Vec::new();
    for (_, text) in texts() {
        // Any white space is equal in JSON.
        let line = text.replace('\n', "\t");
        documents.extend((0..=2).map(|depth| escaped(&line, depth)));
        documents.push(format!("12:00 INFO got {line}"));
    }
    let python = texts()[0].1.replace('"', "'");
    documents.push(python);
    documents
}

#[test]
fn a_document_cut_at_every_byte_shows_no_secret() {
    let folder = Folder::new();
    let readable = Readable::in_parts();
    let mut lines = Vec::new();
    let mut count = 0;
    for document in documents() {
        let document = document.as_bytes();
        for at in 0..document.len() {
            let (head, tail) = document.split_at(at);
            for part in [head, tail].into_iter().filter(|part| !part.is_empty()) {
                lines.extend_from_slice(part);
                lines.push(b'\n');
                count += 1;
            }
        }
    }
    folder.write("in/cut.log", &lines);
    let source = "type = \"file\"\ninclude = [\"in/*.log\"]\nframing = \"lines\"";
    let ended = folder.once(&config(source, ""));
    let withheld = assert_accounted(&ended, count);
    readable.assert_none("the log", ended.log.as_bytes());
    assert_files_hide(&folder, "in", &readable);
    assert_listings_hide(&folder, &readable);
    assert!(withheld > 0 && withheld < count as u64, "{withheld} of {count}");
    println!(
        "{} documents cut at every byte: {count} rows, {withheld} in quarantine, 0 readable secrets",
        documents().len()
    );
}
