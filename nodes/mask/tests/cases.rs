//! Runs the data-driven cases of the node.

#[test]
fn cases_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    wattle_node::testing::run_cases::<wattle_node_mask::Mask>(&folder).unwrap();
}
