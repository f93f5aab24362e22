//! Documents in a row on standard input, as `zcat *.json.gz` writes them.

use wattle_tests::{Folder, Trail, finish};

/// The result of such concatenated documents with the default options.
#[track_caller]
fn check(separator: &str, change: impl Fn(usize, Vec<u8>) -> Vec<u8>, delivered: u64, failed: u64) {
    let folder = Folder::new();
    let mut input = Vec::new();
    for number in 0..40 {
        let document = Trail::new(number, 5).document();
        let text = String::from_utf8(document).unwrap();
        input.extend(change(usize::try_from(number).unwrap(), text.trim_end().as_bytes().to_vec()));
        input.extend(separator.as_bytes());
    }
    let arguments = ["run", "--pack", "cloudtrail@1.0.0", "--out", "out"];
    let ended = finish(folder.wattle().args(arguments), &input);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let pipeline = ended.summary().pipeline().clone();
    assert_eq!((pipeline.delivered, pipeline.failed), (delivered, failed), "separated by {separator:?}");
}

#[test]
fn documents_without_line_feeds_between_them_give_all_their_records() {
    for separator in ["", "\n", " ", "\r\n\r\n"] {
        check(separator, |_, document| document, 200, 0);
    }
}

#[test]
fn a_truncated_document_fails_alone() {
    let cut = |number, document: Vec<u8>| {
        if number == 7 { document[..document.len() / 2].to_vec() } else { document }
    };
    check("\n", cut, 195, 1);
}

#[test]
fn pretty_documents_are_recognised() {
    let pretty = |_, document: Vec<u8>| {
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        serde_json::to_vec_pretty(&value).unwrap()
    };
    check("", pretty, 200, 0);
    check("\n", pretty, 200, 0);
}
