//! Metadata of the API server, while it works and while it does not.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::ApiServer;
use super::{Node, line, pod};

const WEB: &str = "shop_web_u1";

/// The value of a fact in the next batch, which has this body.
#[track_caller]
fn fact(node: &Node, body: &'static str, fact: &'static str) -> impl Future<Output = Value> {
    let next = node.next();
    async move {
        let (bodies, resource) = next.await;
        assert_eq!(bodies, [body]);
        resource[fact].clone()
    }
}

#[tokio::test]
async fn events_have_the_metadata_of_their_pod_and_its_changes() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({}));
    let (bodies, resource) = node.next().await;
    assert_eq!(bodies, ["a"]);
    for (key, value) in [
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "web"),
        ("k8s.node.name", "n1"),
        ("k8s.pod.label.app", "web"),
        ("container.id", "c1"),
        ("container.image.name", "shop/web"),
        ("container.image.tag", "1"),
    ] {
        assert_eq!(resource[key], value, "{key}");
    }
    let mut changed = pod("u1", "web");
    changed["metadata"]["labels"]["app"] = "shop".into();
    server.set("pods", changed);
    // Until the event of the watch was received, lines have the earlier label.
    for number in 0.. {
        let text = number.to_string();
        node.append(WEB, "app/0.log", &line("stdout", "F", &text));
        let (bodies, resource) = node.next().await;
        assert_eq!(bodies, [text]);
        if resource["k8s.pod.label.app"] == "shop" {
            break;
        }
    }
    let targets = server.requests();
    assert_eq!(targets[0], "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&resourceVersion=0");
    assert!(targets[1].contains("watch=true&allowWatchBookmarks=true&timeoutSeconds="), "{targets:?}");
    assert!(targets[1].ends_with("&resourceVersion=11"), "{targets:?}");
    node.end(running).await;
}

#[tokio::test]
async fn a_log_of_a_new_pod_waits_for_its_metadata() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({}));
    node.rig.expect_quiet(Duration::from_millis(300)).await;
    server.set("pods", pod("u1", "web"));
    assert_eq!(fact(&node, "a", "k8s.pod.label.app").await, "web");
    node.end(running).await;
}

#[tokio::test]
async fn without_an_api_server_events_go_with_what_the_path_says_and_nothing_is_lost() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    let address = server.address;
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({ "metadata_timeout": "100ms" }));
    drop(server);
    let (bodies, resource) = node.next().await;
    assert_eq!((bodies, &resource["k8s.pod.uid"]), (vec!["a".to_owned()], &json!("u1")));
    // It comes back.
    let server = ApiServer::listen(address).await;
    server.set("pods", pod("u1", "web"));
    for number in 0.. {
        let text = number.to_string();
        node.append(WEB, "app/0.log", &line("stdout", "F", &text));
        let (bodies, resource) = node.next().await;
        assert_eq!(bodies, [text]);
        if resource["k8s.pod.label.app"] == "web" {
            break;
        }
    }
    node.end(running).await;
}

#[tokio::test]
async fn a_version_that_is_too_old_is_listed_again() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    let running = node.start_with(&server, json!({}));
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    assert_eq!(fact(&node, "a", "k8s.pod.label.app").await, "web");
    server.set("pods", pod("u2", "cart"));
    server.compact();
    node.append("shop_cart_u2", "app/0.log", &line("stdout", "F", "b"));
    assert_eq!(fact(&node, "b", "k8s.pod.label.app").await, "web");
    server.cut();
    server.set("pods", pod("u3", "pay"));
    node.append("shop_pay_u3", "app/0.log", &line("stdout", "F", "c"));
    assert_eq!(fact(&node, "c", "k8s.pod.label.app").await, "web");
    assert_eq!(node.failures(), 0, "neither is a failure");
    node.end(running).await;
}

#[tokio::test]
async fn a_rotated_token_is_read_again() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.accept("first");
    server.set("pods", pod("u1", "web"));
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({}));
    assert_eq!(fact(&node, "a", "k8s.pod.label.app").await, "web");
    server.accept("second");
    server.set("pods", pod("u2", "cart"));
    node.append("shop_cart_u2", "app/0.log", &line("stdout", "F", "b"));
    node.rig.until(|| node.failures() == 1).await;
    fs::write(node.folder.path().join("token"), "second").unwrap();
    assert_eq!(fact(&node, "b", "k8s.pod.label.app").await, "web");
    let (_, reason) = node.rig.stats.last_failure.lock().clone().unwrap();
    assert!(reason.contains("401"), "{reason}");
    node.end(running).await;
}

#[tokio::test]
async fn a_missing_permission_is_reported_once() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.refuse(Some((403, "pods is forbidden: User \"agent\" cannot list")));
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({ "metadata_timeout": "100ms" }));
    assert_eq!(fact(&node, "a", "k8s.pod.name").await, "web");
    node.rig.until(|| server.requests().len() >= 3).await;
    assert_eq!(node.failures(), 1);
    let (_, reason) = node.rig.stats.last_failure.lock().clone().unwrap();
    assert!(reason.contains("403") && reason.contains("cannot list"), "{reason}");
    node.end(running).await;
}

#[tokio::test]
async fn the_last_lines_of_a_deleted_pod_have_its_metadata() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    node.append(WEB, "app/0.log", &line("stdout", "F", "a"));
    let running = node.start_with(&server, json!({}));
    assert_eq!(fact(&node, "a", "k8s.pod.label.app").await, "web");
    server.delete("pods", "u1");
    server.set("pods", pod("u2", "cart"));
    node.append("shop_cart_u2", "app/0.log", &line("stdout", "F", "b"));
    // The end of the other pod was received before this one.
    assert_eq!(fact(&node, "b", "k8s.pod.label.app").await, "web");
    node.append(WEB, "app/0.log", &line("stdout", "F", "last"));
    fs::remove_dir_all(node.log(WEB, "app")).unwrap();
    assert_eq!(fact(&node, "last", "k8s.pod.label.app").await, "web");
    node.end(running).await;
}

#[tokio::test]
async fn an_event_of_a_watch_without_an_end_is_bounded() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    let running = node.start_with(&server, json!({}));
    node.rig.until(|| server.requests().len() >= 2).await;
    server.send_raw(vec![b'x'; (8 << 20) + 1]);
    node.rig.until(|| node.failures() == 1).await;
    let (_, reason) = node.rig.stats.last_failure.lock().clone().unwrap();
    assert!(reason.contains("an event of a watch has more than 8388608 bytes"), "{reason}");
    server.set("pods", pod("u2", "cart"));
    node.append("shop_cart_u2", "app/0.log", &line("stdout", "F", "b"));
    assert_eq!(fact(&node, "b", "k8s.pod.label.app").await, "web");
    node.end(running).await;
}

#[tokio::test]
async fn a_response_that_is_not_json_is_reported_without_its_text() {
    let (node, server) = (Node::new(), ApiServer::start().await);
    server.set("pods", pod("u1", "web"));
    let running = node.start_with(&server, json!({}));
    node.rig.until(|| server.requests().len() >= 2).await;
    server.send_raw(b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":secret\n".to_vec());
    node.rig.until(|| node.failures() == 1).await;
    let (_, reason) = node.rig.stats.last_failure.lock().clone().unwrap();
    assert!(reason.contains("its response is not valid") && !reason.contains("secret"), "{reason}");
    node.end(running).await;
}
