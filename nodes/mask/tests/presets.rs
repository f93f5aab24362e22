//! Checks which texts of the corpus beside this file the presets find and leave, and prints recall
//! and precision.

use std::collections::BTreeMap;

use serde_json::json;
use wattle_node::testing::run_bodies;
use wattle_node_mask::Mask;

const CORPUS: &str = include_str!("corpus/presets.txt");

#[derive(Default)]
struct Score {
    wanted: usize,
    found: usize,
    right: usize,
}

#[test]
fn presets_find_all_of_the_corpus_and_nothing_else() {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in CORPUS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut parts = line.splitn(3, ' ');
        let [Some(preset), Some(sign), Some(marked)] = [parts.next(), parts.next(), parts.next()] else {
            panic!("{line}");
        };
        let text = marked.replace(['«', '»'], "");
        assert_eq!(sign == "+", marked.contains('«'), "{line}");
        let options = json!({"rules": [{"preset": preset}], "replacement": {"fixed": "«»"}});
        let out = run_bodies::<Mask>(&options, &[&text]).unwrap().bodies("out").concat();
        // The expected text, without the values.
        let mut expected = String::new();
        let mut values = 0;
        for (index, piece) in marked.split(['«', '»']).enumerate() {
            expected.push_str(if index % 2 == 0 { piece } else { "«»" });
            values += index % 2;
        }
        let found = out.matches("«»").count();
        let is_right = out == expected;
        let score = scores.entry(preset).or_default();
        score.wanted += values;
        score.found += found;
        score.right += if is_right { values } else { 0 };
        if !is_right {
            wrong.push(format!("{preset}: {marked}\n  became {out}"));
        }
    }
    println!("{:<18} {:>6} {:>9}", "preset", "recall", "precision");
    for (preset, Score { wanted, found, right }) in &scores {
        let share = |of: usize| if of == 0 { 1.0 } else { *right as f64 / of as f64 };
        println!("{preset:<18} {:>6.2} {:>9.2}   ({right} of {wanted})", share(*wanted), share(*found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
