//! Generated lines run through their packs: each line leaves on the output that the generator names.

use std::collections::BTreeMap;

use wattle_tests::{Folder, finish};

const LINES: &str = "5000";

/// The counts in `5000 lines: 49 errors, 4951 requests`.
fn counts(log: &str) -> BTreeMap<String, usize> {
    let line = log.lines().find_map(|line| line.split_once(" lines: ")).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(line.0, LINES);
    let pairs = line.1.split(", ").map(|pair| pair.split_once(' ').unwrap());
    pairs.map(|(count, output)| (output.to_owned(), count.parse().unwrap())).collect()
}

#[test]
fn every_generated_line_leaves_on_its_output() {
    for (kind, outputs) in [
        ("nginx", &["errors", "fails", "requests"][..]),
        ("syslog-auth", &["auth", "fails", "failures", "other"]),
        ("vpc-flow", &["accepted", "fails", "no_data", "rejected"]),
        ("alb", &["errors", "fails", "requests", "slow"]),
        ("kubernetes-containers", &["errors", "fails", "logs"]),
    ] {
        for seed in ["1", "2"] {
            let folder = Folder::new();
            let generated = folder.run(&["generate", kind, "-n", LINES, "--seed", seed]);
            assert_eq!(generated.code, 0, "{}", generated.log);
            let mut expected = counts(&generated.log);
            let header = expected.remove("header").unwrap_or_default();
            assert_eq!(expected.keys().collect::<Vec<_>>(), outputs, "{kind}: every output gets lines");
            assert_eq!(expected.values().sum::<usize>() + header, 5000);
            let run = ["run", "--pack", kind, "--out", "out", "--framing", "lines"];
            let ended = finish(folder.wattle().args(run), &generated.output);
            assert_eq!(ended.code, 0, "{}", ended.log);
            for (output, count) in expected {
                let lines = folder.events(&format!("out/{output}.ndjson")).len();
                assert_eq!(lines, count, "{kind}, seed {seed}, output {output}");
            }
        }
    }
}

#[test]
fn lines_depend_only_on_the_seed_and_refuse_options_of_documents() {
    let folder = Folder::new();
    let generate = |seed| folder.run(&["generate", "alb", "-n", "50", "--seed", seed]).output;
    assert_eq!(generate("3"), generate("3"));
    assert_ne!(generate("3"), generate("4"));
    let refused = folder.run(&["generate", "alb", "--pretty"]);
    assert_eq!(refused.code, 2);
    assert!(refused.log.contains("are for cloudtrail"), "{}", refused.log);
}
