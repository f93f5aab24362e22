//! Tests which worker can take from which lane.

use wattle_batch::{Ack, Column, Origin};

use super::*;
use crate::watch::{LONG, Watch};

fn free(_: &str) -> bool {
    false
}

fn lanes<const N: usize>(workers: usize, sources: [&str; N]) -> (Arc<Lanes>, [Arc<Lane>; N]) {
    let lanes = Lanes::new(workers);
    let all = sources.map(|source| Lane::new(source.into(), usize::MAX, &lanes));
    all.iter().for_each(|lane| lanes.add(lane.clone()));
    (lanes, all)
}

fn fill(lane: &Lane, batches: usize) {
    for _ in 0..batches {
        let origin = Arc::new(Origin { source: lane.source.clone(), resource: "{}".into(), observed: 0 });
        let batch = Batch::new(Column::from_rows(["row"]).unwrap(), origin, Ack::none());
        assert!(lane.queue.try_push(Batches(batch)).is_ok());
    }
}

fn take(lanes: &Lanes) -> Option<(String, Work)> {
    lanes.take(&mut 0, free).map(|work| (work.lane.source.to_string(), work))
}

fn end(work: Work) {
    work.lane.put(work.sequence, Vec::new(), true);
}

#[test]
fn a_busy_source_gets_all_workers_while_others_are_idle() {
    let (lanes, [busy, _idle]) = lanes(4, ["busy", "idle"]);
    fill(&busy, 4);
    let works: Vec<_> = (0..4).map_while(|_| take(&lanes)).collect();
    assert_eq!(works.len(), 4);
}

#[test]
fn suspects_together_never_get_the_last_worker() {
    let (lanes, [first, second, healthy]) = lanes(3, ["first", "second", "healthy"]);
    for lane in [&first, &second] {
        fill(lane, 3);
        lane.suspect();
    }
    let mut works: Vec<_> = (0..2).map(|_| take(&lanes).unwrap()).collect();
    assert!(take(&lanes).is_none(), "the third worker is kept free");
    fill(&healthy, 2);
    let (source, work) = take(&lanes).unwrap();
    assert_eq!(source, "healthy");
    end(work);
    end(works.pop().unwrap().1);
    // Round robin begins at `second`.
    assert_eq!(take(&lanes).unwrap().0, "second", "a place that is free again is used");
}

#[test]
fn a_suspect_is_served_if_it_is_alone_or_there_is_one_worker() {
    let (alone, [lane]) = lanes(2, ["suspect"]);
    fill(&lane, 2);
    lane.suspect();
    let works: Vec<_> = (0..2).map_while(|_| take(&alone)).collect();
    assert_eq!(works.len(), 2);
    let (single, [lane, _other]) = lanes(1, ["suspect", "other"]);
    fill(&lane, 1);
    lane.suspect();
    assert!(take(&single).is_some());
}

#[test]
fn suspicion_expires() {
    let (_lanes, [lane]) = lanes(2, ["suspect"]);
    assert!(!lane.is_suspect(Instant::now));
    lane.suspect();
    assert!(lane.is_suspect(|| Instant::now() + SUSPICION / 2));
    assert!(!lane.is_suspect(|| Instant::now() + SUSPICION * 2));
    assert!(!lane.is_suspect(Instant::now), "and does not come back");
}

#[test]
fn the_spare_worker_skips_suspects_and_lanes_with_a_worker() {
    let (lanes, [stuck, suspect, held, healthy]) = lanes(2, ["stuck", "suspect", "held", "healthy"]);
    fill(&stuck, 3);
    // The first two workers find no other work.
    let first = take(&lanes).unwrap();
    let second = take(&lanes).unwrap();
    assert_eq!((&*first.0, &*second.0), ("stuck", "stuck"));
    [&suspect, &held, &healthy].into_iter().for_each(|lane| fill(lane, 2));
    suspect.suspect();
    let is_held = |source: &str| source == "held";
    let work = lanes.take_spare(is_held).unwrap();
    assert_eq!(&*work.lane.source, "healthy");
    assert!(lanes.take_spare(is_held).is_none());
    end(work);
    assert_eq!(&*lanes.take_spare(is_held).unwrap().lane.source, "healthy");
    end(first.1);
    end(second.1);
    assert_eq!(&*lanes.take_spare(is_held).unwrap().lane.source, "stuck");
}

#[test]
fn all_workers_are_stuck_only_when_each_has_been_busy_for_long() {
    let watch = Watch::new(2);
    watch.begin(0);
    std::thread::sleep(LONG);
    assert_eq!(watch.left(), None, "one is free");
    watch.begin(1);
    assert!(watch.left().unwrap() > Duration::ZERO || watch.is_stuck());
    while !watch.is_stuck() {
        std::thread::sleep(watch.left().unwrap());
    }
    watch.end(0);
    assert_eq!(watch.left(), None);
    watch.begin(0);
    assert!(watch.left().is_some(), "again both are at work");
}

#[test]
fn the_spare_worker_sleeps_until_all_workers_are_busy() {
    let lanes = Lanes::new(2);
    let (sender, awake) = std::sync::mpsc::channel();
    let watched = lanes.clone();
    let spare = std::thread::spawn(move || {
        while !watched.is_stopped() {
            watched.watch.wait_until_stuck();
            if watched.watch.is_stuck() && sender.send(()).is_err() {
                return;
            }
        }
    });
    lanes.watch.begin(0);
    assert!(awake.recv_timeout(LONG * 5).is_err(), "one worker is free");
    lanes.watch.begin(1);
    assert!(awake.recv_timeout(Duration::from_secs(30)).is_ok());
    lanes.watch.end(1);
    lanes.stop();
    drop(awake);
    spare.join().unwrap();
}

#[test]
fn a_source_on_hold_is_skipped_until_every_hold_is_dropped() {
    let (lanes, [held, free]) = lanes(2, ["held", "free"]);
    fill(&held, 2);
    fill(&free, 1);
    let holds = [lanes.hold(vec!["held".into()]), lanes.hold(vec!["held".into(), "other".into()])];
    assert_eq!(take(&lanes).unwrap().0, "free");
    assert!(take(&lanes).is_none() && lanes.take_spare(|_| false).is_none());
    let [first, second] = holds;
    drop(first);
    assert!(take(&lanes).is_none(), "another sink still hands over");
    drop(second);
    assert_eq!(take(&lanes).unwrap().0, "held");
}

#[test]
fn events_that_a_lane_returns_reach_no_sink_and_later_ones_do() {
    let (lanes, [lane]) = lanes(2, ["lane"]);
    let encoder = wattle_sink::build("out", "blackhole", &"{}".parse().unwrap()).unwrap().encoder;
    let queue = Queue::new(1, None, None);
    let sink = Arc::new(SinkHandle { encoder, queue: queue.clone(), stats: Arc::default(), drop_newest: None });
    let seen: Arc<Mutex<Vec<wattle_batch::Disposition>>> = Arc::default();
    let payload = |text: &str| {
        let to = seen.clone();
        let ack = Ack::new(move |disposition| to.lock().push(disposition));
        let payload = Payload { key: None, bytes: text.into(), events: 1, ends: Vec::new(), ack };
        vec![(sink.clone(), payload)]
    };
    fill(&lane, 4);
    let works: Vec<Work> = (0..2).map(|_| take(&lanes).unwrap().1).collect();
    let [first, second] = works.try_into().unwrap_or_else(|_| panic!("two were taken"));
    lane.put(first.sequence, payload("with the sink"), false);
    lane.put(first.sequence, payload("waits in the lane"), true);
    lanes.return_all(&["lane".into()]);
    lane.put(second.sequence, payload("comes later"), true);
    use wattle_batch::Disposition::Retry;
    assert_eq!(*seen.lock(), [Retry, Retry], "what is with the sink stays there");
    assert!(take(&lanes).is_none(), "what waited for workers is returned too");
    assert_eq!(queue.try_pop().unwrap().bytes, b"with the sink");
    fill(&lane, 1);
    let (_, third) = take(&lanes).unwrap();
    lane.put(third.sequence, payload("new"), true);
    assert_eq!(queue.try_pop().unwrap().bytes, b"new");
}

/// A sink with a full queue, so payloads for it wait in the lane.
fn full_sink() -> Arc<SinkHandle> {
    struct Never;
    impl wattle_sink::Encoder for Never {
        fn encode(&self, _: Batch) -> Vec<Payload> {
            Vec::new()
        }
    }
    let queue = Queue::new(1, None, None);
    assert!(queue.try_push(payload(Ack::none())).is_ok());
    Arc::new(SinkHandle { encoder: Arc::new(Never), queue, stats: Arc::default(), drop_newest: None })
}

fn payload(ack: Ack) -> Payload {
    Payload { key: None, bytes: vec![0; 10], events: 1, ends: Vec::new(), ack }
}

#[test]
fn a_withdrawn_batch_returns_its_events_and_those_of_later_batches_on_request() {
    for (later, returned) in [(false, vec![1]), (true, vec![1, 2])] {
        let (lanes, [lane]) = lanes(3, ["in"]);
        fill(&lane, 3);
        let works: Vec<Work> = (0..3).map(|_| take(&lanes).unwrap().1).collect();
        let sink = full_sink();
        let ends = Arc::new(Mutex::new(Vec::new()));
        for work in &works {
            let (ends, sequence) = (ends.clone(), work.sequence);
            let ack = Ack::new(move |end| ends.lock().push((sequence, end)));
            lane.put(sequence, vec![(sink.clone(), payload(ack))], false);
        }
        lane.void(1, later);
        let expected: Vec<_> = returned.iter().map(|sequence| (*sequence, wattle_batch::Disposition::Retry)).collect();
        assert_eq!(*ends.lock(), expected);
        // Further payloads of a withdrawn batch return too.
        let seen = Arc::new(Mutex::new(None));
        let ack = Ack::new({
            let seen = seen.clone();
            move |end| *seen.lock() = Some(end)
        });
        lane.put(1, vec![(sink.clone(), payload(ack))], false);
        assert_eq!(*seen.lock(), Some(wattle_batch::Disposition::Retry));
        works.into_iter().for_each(end);
        assert_eq!(ends.lock().len(), returned.len(), "other batches wait for their sink");
        lane.close();
    }
}
