use std::time::Duration;

use super::*;
use crate::values::ValuesBuilder;

fn grants() -> Grants {
    Grants { seen: Some(SeenGrant { durable: true, ..SeenGrant::default() }), ..Grants::of_tests() }
}

/// A call whose events are delivered.
fn call(services: &NodeServices, keys: &[&str]) -> Vec<u8> {
    let mut claims = Claims::default();
    let mut column = ValuesBuilder::with_rows(keys.len());
    keys.iter().for_each(|key| column.push(Some(key.as_bytes()), usize::MAX).unwrap());
    let is_new = services.seen_claim(&column.finish(), 60_000, &mut claims);
    claims.end(true);
    is_new
}

#[test]
fn all_instances_of_a_node_share_its_claims_and_dry_ones_have_their_own() {
    let services = Services::default();
    let nodes = [services.node("main", "dedup", &grants()), services.node("main", "dedup", &grants())];
    assert_eq!(call(&nodes[0], &["a"]), [1]);
    assert_eq!(call(&nodes[1], &["a"]), [0]);
    assert_eq!(call(&services.node("main", "other", &grants()), &["a"]), [1]);
    let dry = services.dry("main", "dedup", &grants());
    assert_eq!(call(&dry, &["a", "b"]), [1, 1]);
    assert_eq!(call(&nodes[1], &["b"]), [1]);
    let snapshot = services.snapshot();
    assert_eq!(snapshot[0].seen, Some(SeenUsage { keys: 2, ..SeenUsage::default() }));
    assert_eq!(snapshot[0].used, [], "the caller counts calls");
}

#[test]
fn durable_claims_are_in_the_data_folder_and_dry_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let services = Services::default();
        services.keep_in(dir.path().to_owned());
        services
    };
    let services = start();
    assert_eq!(call(&services.node("main", "pack/dedup", &grants()), &["a"]), [1]);
    assert_eq!(call(&services.dry("main", "dry", &grants()), &["a"]), [1]);
    let memory = Grants { seen: Some(SeenGrant::default()), ..Grants::default() };
    assert_eq!(call(&services.node("main", "memory", &memory), &["a"]), [1]);
    services.flush();
    let files: Vec<_> =
        std::fs::read_dir(dir.path().join("seen/main")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["pack.dedup"]);
    drop(services);
    let next = start();
    assert_eq!(call(&next.node("main", "pack/dedup", &grants()), &["a", "b"]), [0, 1]);
    assert_eq!(call(&next.node("main", "memory", &memory), &["a"]), [1]);
}

#[test]
fn claims_that_the_grant_forgets_are_counted() {
    let services = Services::default();
    let small = SeenGrant { max_keys: 2, max_age: Duration::from_secs(1), durable: false };
    let node = services.node("main", "dedup", &Grants { seen: Some(small), ..Grants::default() });
    assert_eq!(call(&node, &["a", "b", "c", "d"]), [1; 4]);
    assert_eq!(node.meter(Capability::Seen).read(), [0, 0, 2]);
}

#[test]
fn keys_of_a_mock_were_delivered_before() {
    let mock = Mock { grants: grants(), seen: vec!["a".into()], clock: Clock::Fixed(0), ..Mock::default() };
    assert_eq!(call(&NodeServices::mocked(&mock).unwrap(), &["a", "b"]), [0, 1]);
}
