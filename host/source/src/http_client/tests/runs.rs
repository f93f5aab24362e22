//! Runs one after the other: where the next one begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::{Api, Reply};
use super::*;
use crate::stats::get;
use crate::testing::texts;

/// Seconds of 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600;

fn timed(number: u64) -> Value {
    json!({ "id": number, "at": START + number })
}

/// A growing list of events, one each second, limited by `from` in Unix time.
async fn growing(count: &Arc<AtomicU64>, newest_first: bool) -> Api {
    let count = count.clone();
    Api::start(move |asked| {
        let from = asked.number("from").unwrap().saturating_sub(START);
        let mut all: Vec<u64> = (from..count.load(Ordering::SeqCst)).collect();
        if newest_first {
            all.reverse();
        }
        let offset = asked.number("offset").unwrap() as usize;
        let page: Value = all.into_iter().skip(offset).take(3).map(timed).collect();
        Reply::json(&page)
    })
    .await
}

fn options() -> Value {
    json!({
        "query": { "from": "{{ since }}", "offset": "{{ offset }}" }, "pagination": { "strategy": "offset", "page_size": 3 },
        "since": { "path": "body.at", "format": "unix", "start": "2026-01-01T00:00:00Z" },
    })
}

fn all(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| timed(number).to_string()).collect()
}

#[tokio::test]
async fn each_run_reads_what_is_new_also_if_the_newest_events_come_first() {
    for newest_first in [false, true] {
        let count = Arc::new(AtomicU64::new(8));
        let api = growing(&count, newest_first).await;
        let place = Place::new();
        let running = place.start(&api, options());
        let mut found = place.rig.take(8).await;
        for step in 1..4 {
            // Within a run, new events would move those of the next page.
            let newest = START + count.load(Ordering::SeqCst) - 1;
            place.rig.until(|| place.saved()["since"] == json!(newest * 1_000_000_000)).await;
            count.store(8 + 5 * step, Ordering::SeqCst);
            found.extend(place.rig.take(5).await);
        }
        found.sort_by_key(|text| serde_json::from_str::<Value>(text).unwrap()["id"].as_u64());
        assert_eq!(found, all(0..23), "the event at the boundary comes once");
        let runs = api.count();
        place.rig.until(|| api.count() > runs + 2).await;
        place.end(running).await;
        assert!(place.rig.queue.is_empty(), "runs without new events send none");
    }
}

#[tokio::test]
async fn events_that_appear_late_are_read_within_the_overlap() {
    let late = Arc::new(AtomicU64::new(0));
    let shown = late.clone();
    let api = Api::start(move |asked| {
        let from = asked.number("from").unwrap();
        // The events 3 and 4 appear after 5.
        let is_shown = |number: &u64| shown.load(Ordering::SeqCst) == 1 || !(3..5).contains(number);
        Reply::json(&(0..6).filter(is_shown).filter(|number| START + number >= from).map(timed).collect())
    })
    .await;
    let place = Place::new();
    let mut options = options();
    options["since"]["overlap"] = json!("2s");
    options["pagination"] = json!({ "strategy": "none" });
    options["query"] = json!({ "from": "{{ since }}" });
    let running = place.start(&api, options);
    assert_eq!(place.rig.take(4).await.len(), 4);
    place.rig.until(|| api.count() > 2).await;
    late.store(1, Ordering::SeqCst);
    assert_eq!(place.rig.take(2).await, all(3..5));
    place.end(running).await;
    assert!(place.rig.queue.is_empty());
}

#[tokio::test]
async fn an_event_of_the_future_does_not_hide_others() {
    let api = Api::start(|_| Reply::json(&json!([timed(0), { "at": "2200-01-01T00:00:00Z" }]))).await;
    let place = Place::new().once();
    assert_eq!(place.read(&api, options()).await.len(), 2);
    assert_eq!(place.saved()["since"], json!(START * 1_000_000_000));
}

#[tokio::test]
async fn a_start_in_the_past_is_relative_to_the_first_start() {
    let api = Api::start(|_| Reply::json(&json!([]))).await;
    let place = Place::new().once();
    let mut more = options();
    more["since"]["start"] = json!("-2h");
    place.read(&api, more.clone()).await;
    let place = place.again().once();
    place.read(&api, more).await;
    let asked: Vec<u64> = api.asked().iter().map(|asked| asked.number("from").unwrap()).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
    assert!(asked[0].abs_diff(crate::positions::now() - 7200) < 60);
}

/// An API whose last page always has a link to where it goes on, like Okta's.
async fn endless(count: &Arc<AtomicU64>, names_itself: bool) -> Api {
    let count = count.clone();
    Api::start(move |asked| {
        let from = asked.number("after").unwrap_or(0);
        let to = (from + 3).min(count.load(Ordering::SeqCst));
        let next =
            if from == to && !names_itself { format!("/logs?after={to}&x") } else { format!("/logs?after={to}") };
        Reply::json(&array(from..to)).link(&next)
    })
    .await
}

#[tokio::test]
async fn a_link_that_is_always_there_is_where_the_next_run_begins() {
    for names_itself in [true, false] {
        let count = Arc::new(AtomicU64::new(7));
        let api = endless(&count, names_itself).await;
        let place = Place::new();
        let more = json!({ "pagination": { "strategy": "link" } });
        let running = place.start(&api, more.clone());
        assert_eq!(place.rig.take(7).await, events(0..7));
        let before = api.count();
        place.rig.until(|| api.count() > before + 2).await;
        count.store(9, Ordering::SeqCst);
        assert_eq!(place.rig.take(2).await, events(7..9));
        place.end(running).await;
        // Also after a restart.
        let place = place.again();
        count.store(11, Ordering::SeqCst);
        let running = place.start(&api, more);
        assert_eq!(place.rig.take(2).await, events(9..11));
        place.end(running).await;
        assert!(place.rig.queue.is_empty());
    }
}

#[tokio::test]
async fn a_cursor_after_the_last_page_is_used_only_without_since() {
    for with_since in [true, false] {
        let api = Api::start(|asked| {
            let from = asked.number("cursor").unwrap_or(0);
            let to = (from + 3).min(7);
            let items: Value = (from..to).map(timed).collect();
            Reply::json(&json!({ "cursor": to.to_string(), "more": to < 7, "items": items }))
        })
        .await;
        let place = Place::new();
        let mut more = json!({
            "items_path": "body.items", "query": { "cursor": "{{ cursor }}" },
            "pagination": { "strategy": "cursor", "path": "body.cursor", "has_more": "body.more" },
        });
        if with_since {
            more["since"] = options()["since"].clone();
            more["query"]["from"] = json!("{{ since }}");
        }
        let running = place.start(&api, more);
        assert_eq!(place.rig.take(7).await, all(0..7));
        place.rig.until(|| api.count() > 3).await;
        running.kill().await;
        let fourth = &api.asked()[3];
        let expected = if with_since { (None, Some(START + 6)) } else { (Some(7), None) };
        assert_eq!((fourth.number("cursor"), fourth.number("from")), expected);
    }
}

#[tokio::test]
async fn without_a_position_each_run_makes_the_same_request() {
    let api = Api::start(|_| Reply::json(&array(0..2))).await;
    let place = Place::new();
    let running = place.start(&api, json!({}));
    assert_eq!(place.rig.take(6).await, [events(0..2), events(0..2), events(0..2)].concat());
    place.end(running).await;
}

#[tokio::test]
async fn batches_that_return_are_sent_again_and_not_requested_again() {
    let api = Api::start(|asked| linked(asked, 6, 4)).await;
    let mut place = Place::new().once();
    place.rig.limits.max_events = 2;
    let running = place.start(&api, json!({ "pagination": { "strategy": "link" } }));
    let (first, second) = (place.rig.pop().await, place.rig.pop().await);
    assert!(place.rig.waits.is_any(), "sinks must not wait for a full batch");
    first.into_ack().deliver();
    drop(second);
    let again = place.rig.pop().await;
    assert!(again.is_redelivered());
    assert_eq!((texts(&again), api.count(), get(&place.rig.stats.retries)), (events(2..4), 1, 1));
    again.into_ack().reject(2);
    let last = place.rig.pop().await;
    assert_eq!((texts(&last), api.count()), (events(4..6), 2), "rejected events are not sent again");
    last.into_ack().deliver();
    running.ended().await.unwrap();
    assert!(!place.rig.waits.is_any());
}
