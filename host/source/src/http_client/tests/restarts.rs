//! Kills and restarts: nothing is lost, and at most a page comes twice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::server::Api;
use super::*;
use crate::testing::texts;

fn link() -> Value {
    json!({ "pagination": { "strategy": "link" } })
}

/// The page, delivered up to so many batches; the others are lost with the agent.
async fn deliver(place: &Place, batches: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..batches {
        let batch = place.rig.pop().await;
        found.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    found
}

#[tokio::test]
async fn a_kill_before_a_page_is_delivered_repeats_the_page() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let mut place = Place::new();
    place.rig.limits.max_events = 2;
    let running = place.start(&api, link());
    assert_eq!(deliver(&place, 1).await, events(0..2));
    let second = place.rig.pop().await;
    assert!(place.saved()["next"].is_null(), "nothing is saved before the whole page is delivered");
    running.kill().await;
    drop(second);
    let place = place.again().once();
    assert_eq!(place.read(&api, link()).await, events(0..6));
}

#[tokio::test]
async fn a_kill_after_a_page_is_saved_repeats_nothing() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let place = Place::new();
    let running = place.start(&api, link());
    assert_eq!(place.rig.take(4).await, events(0..4));
    place.rig.until(|| !place.saved()["next"].is_null()).await;
    running.kill().await;
    let place = place.again().once();
    assert_eq!(place.read(&api, link()).await, events(4..6));
}

#[tokio::test]
async fn a_kill_between_delivery_and_save_repeats_at_most_the_page() {
    for _ in 0..10 {
        let api = Api::start(|asked| linked(asked, 6, 4)).await;
        let place = Place::new();
        let running = place.start(&api, link());
        let mut found = deliver(&place, 1).await;
        running.kill().await;
        let place = place.again().once();
        found.extend(place.read(&api, link()).await);
        let repeated = [events(0..4), events(0..6)].concat();
        assert!(found == events(0..6) || found == repeated, "{found:?}");
    }
}

#[tokio::test]
async fn a_stop_with_events_that_return_repeats_the_page() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let place = Place::new();
    let running = place.start(&api, link());
    let batch = place.rig.pop().await;
    place.rig.stop();
    drop(batch);
    running.ended().await.unwrap();
    let place = place.again().once();
    assert_eq!(place.read(&api, link()).await, events(0..6));
}

#[tokio::test]
async fn a_stop_waits_for_a_page_that_is_delivered() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let place = Place::new();
    let running = place.start(&api, link());
    let batch = place.rig.pop().await;
    place.rig.stop();
    batch.into_ack().deliver();
    running.ended().await.unwrap();
    let place = place.again().once();
    assert_eq!(place.read(&api, link()).await, events(4..6));
}

#[tokio::test]
async fn another_request_begins_at_its_first_page() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    for (change, expected) in [
        (json!({ "interval": "1s", "auth": { "strategy": "bearer", "token": "new" } }), events(4..6)),
        (json!({ "query": { "filter": "x" } }), events(0..6)),
        (json!({ "endpoint": api.url("/other") }), events(0..6)),
    ] {
        let place = Place::new();
        let running = place.start(&api, link());
        assert_eq!(place.rig.take(4).await, events(0..4));
        place.rig.until(|| !place.saved()["next"].is_null()).await;
        running.kill().await;
        let place = place.again().once();
        let mut options = link();
        options.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(place.read(&api, options).await, expected, "{change}");
    }
}

#[tokio::test]
async fn a_damaged_position_begins_at_the_first_page() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let place = Place::new().once();
    let folder = place.folder.path().join("sources/in");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("checkpoints.json"), r#"{"version":1,"files":[{"next":"#).unwrap();
    assert_eq!(place.read(&api, link()).await, events(0..6));
}

#[tokio::test]
async fn fifty_thousand_events_survive_random_kills_and_returns() {
    const EVENTS: u64 = 50_000;
    const PAGE: u64 = 100;
    let mut random = fastrand::Rng::with_seed(7);
    let api = Api::start(|asked| linked(asked, EVENTS, PAGE)).await;
    let mut place = Place::new();
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    let (mut kills, mut returns) = (0, 0);
    while times.len() < EVENTS as usize {
        // About two batches in a page.
        place.rig.limits.max_events = 60;
        let running = place.start(&api, json!({ "pagination": { "strategy": "link" }, "interval": "1h" }));
        for _ in 0..random.u32(1..150) {
            let popped = tokio::time::timeout(Duration::from_secs(20), place.rig.queue.pop()).await.unwrap();
            let batch = popped.unwrap().0;
            if random.u32(..400) == 0 {
                returns += 1;
                continue;
            }
            for text in texts(&batch) {
                *times.entry(text).or_default() += 1;
            }
            batch.into_ack().deliver();
            if times.len() == EVENTS as usize {
                break;
            }
        }
        running.kill().await;
        kills += 1;
        place = place.again();
    }
    let repeated: u64 = times.values().map(|times| times - 1).sum();
    assert!(times.keys().eq(events(0..EVENTS).iter().collect::<std::collections::BTreeSet<_>>()), "no event is lost");
    assert!(repeated <= kills * PAGE, "{repeated} repeated events after {kills} kills");
    assert!(kills > 5 && returns > 0, "{kills} kills, {returns} returns");
}
