//! Rotation as the kubelet does it, while lines are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Node, line};
use crate::testing::{gzip, texts};

/// Rotates like a kubelet with `containerLogMaxFiles = 3`: renames the log, compresses the rotated one before, and
/// removes the oldest.
fn rotate(node: &Node, pod: &str, turn: usize) {
    let folder = node.log(pod, "app");
    fs::rename(folder.join("0.log"), folder.join(format!("0.log.20260101-{turn:06}"))).unwrap();
    fs::write(folder.join("0.log"), "").unwrap();
    let mut rotated = names(&folder, |name| name.starts_with("0.log.2026"));
    let newest = rotated.pop().unwrap();
    assert!(!newest.ends_with(".gz"));
    for name in rotated.iter().filter(|name| !name.ends_with(".gz")) {
        let (from, to) = (folder.join(name), folder.join(format!("{name}.gz")));
        fs::write(folder.join(format!("{name}.tmp")), gzip(fs::read(&from).unwrap())).unwrap();
        fs::rename(folder.join(format!("{name}.tmp")), to).unwrap();
        fs::remove_file(from).unwrap();
    }
    let rotated = names(&folder, |name| name.starts_with("0.log.2026"));
    for name in rotated.iter().take(rotated.len().saturating_sub(2)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

fn names(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| is_meant(name)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn rotation_of_many_pods_loses_and_repeats_nothing() {
    let node = Node::new();
    let pods: Vec<String> = (0..10).map(|number| format!("shop_web-{number}_u{number}")).collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let running = node.start(json!({ "metadata": "path" }));
    for turn in 0..12 {
        for pod in &pods {
            for number in 0..20 {
                let text = format!("{pod} {turn} {number}");
                // Some lines are in parts.
                let (one, other) = text.split_at(text.len() / 2);
                let lines = match number % 3 {
                    0 => {
                        line("stdout", "P", one)
                            + &line("stderr", "F", &format!("e {text}"))
                            + &line("stdout", "F", other)
                    }
                    _ => line("stdout", "F", &text),
                };
                if number % 3 == 0 {
                    expected.insert(format!("e {text}"), 1);
                }
                expected.insert(text, 1);
                node.append(pod, "app/0.log", &lines);
            }
            if turn % 2 == 1 {
                rotate(&node, pod, turn);
            }
        }
        // Reading lags behind by up to two turns.
        while found.len() + 2 * 10 * 27 < expected.len() {
            let batch = node.rig.pop().await;
            texts(&batch).into_iter().for_each(|text| *found.entry(text).or_default() += 1);
            batch.into_ack().deliver();
        }
    }
    while found.len() < expected.len() {
        let batch = node.rig.pop().await;
        texts(&batch).into_iter().for_each(|text| *found.entry(text).or_default() += 1);
        batch.into_ack().deliver();
    }
    assert_eq!(found, expected);
    assert_eq!(node.rig.stats.lost_bytes.total(), 0);
    node.end(running).await;
}

#[tokio::test]
async fn logs_that_rotated_while_the_agent_did_not_run_are_read_from_where_it_stopped() {
    let node = Node::new();
    let pod = "shop_web_u1";
    let write = |node: &Node, from: usize, to: usize| {
        (from..to)
            .for_each(|number| node.append(pod, "app/0.log", &line("stdout", "F", &format!("line number {number}"))));
    };
    write(&node, 0, 10);
    let running = node.start(json!({ "metadata": "path" }));
    let mut found = node.rig.take(10).await;
    node.end(running).await;
    write(&node, 10, 20);
    rotate(&node, pod, 1);
    write(&node, 20, 30);
    rotate(&node, pod, 2);
    write(&node, 30, 40);
    let node = node.again();
    let running = node.start(json!({ "metadata": "path" }));
    found.extend(node.rig.take(30).await);
    found.sort_by_key(|text| text.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    assert_eq!(found, (0..40).map(|number| format!("line number {number}")).collect::<Vec<_>>());
    node.rig.expect_quiet(std::time::Duration::from_millis(300)).await;
    node.end(running).await;
}
