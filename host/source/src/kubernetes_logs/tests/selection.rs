//! Which logs are read: namespaces, selectors, exclusion.

use std::time::Duration;

use serde_json::json;

use super::server::ApiServer;
use super::{Node, line, pod};

fn write(node: &Node, pods: &[&str]) {
    for pod in pods {
        node.append(pod, "app/0.log", &line("stdout", "F", pod));
    }
}

#[tokio::test]
async fn namespaces_are_selected_by_the_path() {
    for (options, expected) in [
        (json!({ "namespaces": ["shop"] }), "shop_web_u1"),
        (json!({ "exclude_namespaces": ["shop", "dev"] }), "kube-system_dns_u2"),
    ] {
        let node = Node::new();
        write(&node, &["dev_web_u3", "kube-system_dns_u2", "shop_web_u1", "strange"]);
        let mut options = options;
        options["metadata"] = "path".into();
        let running = node.start(options);
        assert_eq!(node.next().await.0, [expected]);
        node.rig.expect_quiet(Duration::from_millis(200)).await;
        node.end(running).await;
    }
}

#[tokio::test]
async fn annotations_exclude_pods_and_containers() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    let mut excluded = pod("u1", "web");
    excluded["metadata"]["annotations"] = json!({ "wattle.dev/exclude": "true" });
    server.set("pods", excluded);
    let mut partly = pod("u2", "cart");
    partly["metadata"]["annotations"] = json!({ "wattle.dev/exclude-containers": "proxy" });
    server.set("pods", partly);
    write(&node, &["shop_web_u1", "shop_cart_u2"]);
    node.append("shop_cart_u2", "proxy/0.log", &line("stdout", "F", "proxy"));
    let running = node.start_with(&server, json!({}));
    assert_eq!(node.next().await.0, ["shop_cart_u2"]);
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    assert_eq!(node.rig.stats.lost_bytes.total(), 0);
    node.end(running).await;
}

#[tokio::test]
async fn a_pod_that_is_excluded_for_a_while_continues_at_its_position() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    write(&node, &["shop_web_u1"]);
    let running = node.start_with(&server, json!({}));
    assert_eq!(node.next().await.0, ["shop_web_u1"]);
    let mut excluded = pod("u1", "web");
    excluded["metadata"]["labels"]["wattle.dev/exclude"] = "true".into();
    server.set("pods", excluded);
    // Once another pod is known, so is the change before it.
    server.set("pods", pod("u2", "cart"));
    write(&node, &["shop_cart_u2"]);
    assert_eq!(node.next().await.0, ["shop_cart_u2"]);
    node.append("shop_web_u1", "app/0.log", &line("stdout", "F", "meanwhile"));
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    server.set("pods", pod("u1", "web"));
    assert_eq!(node.next().await.0, ["meanwhile"]);
    node.end(running).await;
}

#[tokio::test]
async fn with_a_selector_only_listed_pods_are_read_and_others_when_they_are_selected() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    write(&node, &["shop_web_u1", "shop_cart_u2"]);
    let running =
        node.start_with(&server, json!({ "extra_label_selector": "app in (web, shop)", "metadata_timeout": "0s" }));
    assert_eq!(node.next().await.0, ["shop_web_u1"]);
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    server.set("pods", pod("u2", "cart"));
    assert_eq!(node.next().await.0, ["shop_cart_u2"]);
    assert!(server.requests()[0].contains("&labelSelector=app%20in%20%28web%2C%20shop%29&"), "{:?}", server.requests());
    node.end(running).await;
}

#[tokio::test]
async fn with_a_selector_nothing_is_read_before_the_first_list() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    server.refuse(Some((500, "not yet")));
    write(&node, &["shop_web_u1"]);
    let running = node.start_with(&server, json!({ "extra_label_selector": "app", "metadata_timeout": "0s" }));
    node.rig.until(|| node.failures() == 1).await;
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    server.refuse(None);
    assert_eq!(node.next().await.0, ["shop_web_u1"]);
    node.end(running).await;
}

#[tokio::test]
async fn namespaces_are_selected_by_their_labels() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    server.set("pods", pod("u2", "web"));
    server.set("namespaces", json!({ "metadata": { "uid": "n1", "name": "shop" } }));
    write(&node, &["shop_web_u1", "dev_web_u2"]);
    let running = node.start_with(&server, json!({ "extra_namespace_label_selector": "env=prod" }));
    assert_eq!(node.next().await.0, ["shop_web_u1"]);
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    server.set("namespaces", json!({ "metadata": { "uid": "n2", "name": "dev" } }));
    assert_eq!(node.next().await.0, ["dev_web_u2"]);
    node.end(running).await;
}
