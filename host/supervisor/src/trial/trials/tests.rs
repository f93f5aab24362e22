//! Requests to try packs, in an agent without nodes.

use std::path::Path;

use wattle_plan::ArtifactLimits;
use wattle_runtime::Runtime;

use super::*;

/// A configuration whose only pipeline passes everything on, and what tries it.
fn trials(folder: &Path) -> Arc<Trials> {
    let root = folder.display();
    let file = folder.join("agent.toml");
    let text = format!(
        "[agent]\ndata_dir = \"{root}/data\"\n[sources.in]\ntype = \"file\"\ninclude = [\"{root}/*.log\"]\n\
         [sinks.out]\ntype = \"blackhole\"\ninputs = [\"main.*\"]\n[pipelines.main]\ninputs = [\"in\"]\n\
         [pipelines.main.outputs.all]\ninputs = [\"input\"]\n"
    );
    std::fs::write(&file, text).unwrap();
    let catalog = Catalog::new(Runtime::new(None, ArtifactLimits::default()).unwrap(), Vec::new());
    let (configuration, library) = (Configuration::Files(vec![file]), Library::new(Vec::new()));
    let (plan, _) = configuration.load(&catalog, &library).unwrap();
    let trials = Trials::new(configuration, &catalog, library);
    trials.follow(&plan);
    Arc::new(trials)
}

fn of_pipeline(name: &str) -> Request {
    Request { pipeline: Some(name.into()), ..Request::default() }
}

#[tokio::test]
async fn a_pipeline_is_tried_as_it_runs_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let trials = trials(folder.path());
    let tried = trials.run(of_pipeline("main"), Input::File(Bytes::from_static(b"one\ntwo\n"))).await.unwrap();
    let (pack, output) = (&tried.result, &tried.result.outputs[0]);
    assert_eq!((pack.pack.as_str(), pack.events, output.events, output.bytes), ("main", 2, 2, 6));
    assert_eq!((pack.balance.delivered, pack.traces.len(), tried.against), (2, 2, None));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["agent.toml"]);
}

#[tokio::test]
async fn one_trial_runs_at_a_time_and_the_next_ones_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let trials = trials(folder.path());
    let turn = trials.running.clone().acquire_owned().await.unwrap();
    let begin = || {
        let trials = trials.clone();
        tokio::spawn(async move { trials.run(of_pipeline("main"), Input::File(Bytes::from_static(b"x"))).await })
    };
    let mut waiting: Vec<_> = (0..MAX_TRIALS).map(|_| begin()).collect();
    while trials.check_room().is_ok() {
        tokio::task::yield_now().await;
    }
    let busy = trials.run(of_pipeline("main"), Input::File(Bytes::new())).await;
    assert!(matches!(busy, Err(RequestError::Busy)), "{busy:?}");
    // A client that leaves makes room, as soon as its packs are ready.
    waiting.pop().unwrap().abort();
    while trials.check_room().is_err() {
        tokio::task::yield_now().await;
    }
    assert!(waiting.iter().all(|trial| !trial.is_finished()));
    drop(turn);
    for trial in waiting {
        trial.await.unwrap().unwrap();
    }
    for _ in 0..20 {
        trials.run(of_pipeline("main"), Input::File(Bytes::from_static(b"x"))).await.unwrap();
    }
    let refused = trials.run(of_pipeline("other"), Input::File(Bytes::new())).await;
    assert!(matches!(&refused, Err(RequestError::NoPipeline(name)) if name == "other"), "{refused:?}");
    let long = trials.run(of_pipeline("main"), Input::File(vec![b'x'; MAX_INPUT_BYTES + 1].into())).await;
    assert!(matches!(long, Err(RequestError::TooLong)));
    trials.run(of_pipeline("main"), Input::File(Bytes::new())).await.unwrap();
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the threads that wait for the lock are not of this runtime")]
async fn a_client_that_leaves_while_its_packs_compile_keeps_its_place_until_they_are_ready() {
    let folder = tempfile::tempdir().unwrap();
    let trials = trials(folder.path());
    let begin = || {
        let trials = trials.clone();
        tokio::spawn(async move { trials.run(of_pipeline("main"), Input::File(Bytes::from_static(b"x"))).await })
    };
    // The threads that compile begin with the plan, so without it they take as long as this test wants.
    let plan = trials.plan.lock();
    let mut compiling: Vec<_> = (0..MAX_TRIALS).map(|_| begin()).collect();
    while trials.check_room().is_ok() {
        tokio::task::yield_now().await;
    }
    let left = compiling.pop().unwrap();
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    // Its thread still compiles. A free place now would let clients that come and go compile any number of packs.
    assert!(matches!(trials.check_room(), Err(RequestError::Busy)));
    assert!(compiling.iter().all(|trial| !trial.is_finished()));
    drop(plan);
    for trial in compiling {
        trial.await.unwrap().unwrap();
    }
    while trials.places.available_permits() < MAX_TRIALS {
        tokio::task::yield_now().await;
    }
    let again: Vec<_> = (0..MAX_TRIALS).map(|_| begin()).collect();
    for trial in again {
        trial.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn no_request_reaches_files_or_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let trials = trials(folder.path());
    std::fs::create_dir(folder.path().join("pack")).unwrap();
    std::fs::write(folder.path().join("pack/pack.toml"), "not a manifest, and its text is not shown").unwrap();
    let absolute = folder.path().join("pack").display().to_string();
    for named in [&absolute, "./pack", "../pack", "pack/../pack", "oci://example.com/pack:1", "a:b", "..\\pack", ""] {
        for request in [
            Request { pack: Some(named.into()), ..Request::default() },
            Request { against: Some(named.into()), ..of_pipeline("main") },
        ] {
            match trials.run(request, Input::File(Bytes::new())).await {
                Err(RequestError::Reference(text)) => assert_eq!(text, named),
                Err(RequestError::Invalid(lines)) => {
                    assert!(!lines.join(" ").contains("not a manifest"), "{named}: {lines:?}");
                    assert!(!named.contains(['/', ':', '\\']), "{named}: {lines:?}");
                }
                other => panic!("{named}: {other:?}"),
            }
        }
    }
    let unknown =
        trials.run(Request { pack: Some("nginx".into()), ..Request::default() }, Input::File(Bytes::new())).await;
    let Err(RequestError::Invalid(lines)) = unknown else { panic!("{unknown:?}") };
    assert!(lines.join(" ").contains("nginx"), "{lines:?}");
    assert!(matches!(trials.run(Request::default(), Input::File(Bytes::new())).await, Err(RequestError::Nothing)));
}
