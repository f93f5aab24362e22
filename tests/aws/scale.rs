//! The configuration of docs/SCALE.md: two agents at a queue, two more under load, and one that is killed.

use std::collections::BTreeMap;

use wattle_tests::{Agent, Folder, scale_page, wait_until};

use super::moto::Moto;
use super::{LINES, is_empty, put_objects};

const OBJECTS: usize = 400;
/// Objects that are written at a time.
const STEP: usize = 40;

/// The page's configuration, with this server and this folder.
fn config(moto: &Moto, folder: &Folder) -> String {
    let source = format!(
        "region = \"us-east-1\"\nendpoint = \"{}\"\nwait_time = \"1s\"\nauth.access_key_id = \"AKIDEXAMPLE\"\n\
         auth.secret_access_key = \"secret-of-test\"",
        moto.address()
    );
    scale_page(
        "SQS",
        folder,
        &[
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/logs", &moto.url("events")),
            ("region = \"us-east-1\"", &source),
        ],
    )
}

/// How often each line arrived, at all agents. A kill can cut the last line of a file.
fn arrived(folders: &[Folder]) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for folder in folders {
        let text = String::from_utf8(folder.read("out.ndjson")).unwrap();
        for line in text.lines() {
            let read: Result<serde_json::Value, _> = serde_json::from_str(line);
            if let Some(id) = read.ok().and_then(|line| line["eventID"].as_str().map(str::to_owned)) {
                *arrived.entry(id).or_default() += 1;
            }
        }
    }
    arrived
}

#[test]
fn agents_that_are_killed_and_added_under_load_lose_nothing_and_double_what_was_in_flight() {
    let moto = Moto::start();
    moto.notify();
    // Messages of the killed agent are received twice.
    moto.redrive_after(10);
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    let start = |at: usize| -> Agent { folders[at].start(&config(&moto, &folders[at])) };
    let (one, two) = (start(0), start(1));
    let mut added = Vec::new();
    let mut victim = Some(one);
    let mut in_flight = 0;
    for step in 0..OBJECTS / STEP {
        put_objects(&moto, step * STEP..(step + 1) * STEP);
        match step {
            3 => added.extend([start(2), start(3)]),
            6 => {
                let Some(one) = victim.take() else { continue };
                one.kill();
                in_flight = usize::try_from(moto.messages("events").1).unwrap() * LINES;
            }
            _ => {}
        }
    }
    wait_until("all objects are read", || arrived(&folders).len() == OBJECTS * LINES);
    wait_until("the queue is empty", || is_empty(&moto));
    for agent in added.into_iter().chain([two]) {
        let ended = agent.stop();
        assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
    }
    let events = OBJECTS * LINES;
    let arrived = arrived(&folders);
    let doubled = arrived.values().sum::<usize>() - arrived.len();
    println!("4 agents, one killed, two added: 0 of {events} lost, {doubled} doubled, {in_flight} in flight");
    assert_eq!(arrived.len(), events);
    assert!(doubled <= in_flight, "{doubled} doubled, {in_flight} in flight");
    assert_eq!(moto.messages("dead"), (0, 0));
}
