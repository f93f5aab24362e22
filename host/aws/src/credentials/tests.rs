//! Tests of the cache of credentials.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

thread_local! {
    /// The time of the test. Each test has a thread, also for its runtime.
    static NOW: Cell<i64> = const { Cell::new(1_000_000) };
}

fn pass(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

/// Results in turn; `None` is a failure.
struct Script {
    results: parking_lot::Mutex<VecDeque<Option<Credential>>>,
    loads: Arc<AtomicUsize>,
}

impl Load for Script {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Credential, CredentialsError>> + Send + '_>> {
        Box::pin(async move {
            // Other callers arrive meanwhile.
            tokio::task::yield_now().await;
            self.loads.fetch_add(1, Ordering::Relaxed);
            let failed = || CredentialsError::new("test", CredentialsProblem::Unavailable, "it is down", "wait");
            self.results.lock().pop_front().flatten().ok_or_else(failed)
        })
    }
}

/// Credentials that are valid for this long, from now.
fn valid(id: &str, seconds: Option<i64>) -> Option<Credential> {
    Some(Credential {
        access_key_id: id.to_owned(),
        secret_access_key: "geheim-geheim-geheim".to_owned(),
        session_token: Some("token-token-token".to_owned()),
        expires_in: seconds.map(|s| reqsign_core::time::Timestamp::from_second(NOW.get() + s).unwrap()),
    })
}

fn cache(results: Vec<Option<Credential>>) -> (Arc<Credentials>, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let script = Script { results: parking_lot::Mutex::new(results.into()), loads: loads.clone() };
    (Arc::new(Credentials::with_clock(script, Duration::from_secs(5), || NOW.get())), loads)
}

async fn id(cache: &Credentials) -> Result<String, CredentialsError> {
    cache.get().await.map(|held| held.credential().access_key_id.clone())
}

#[tokio::test]
async fn credentials_are_refreshed_before_they_expire() {
    let (cache, loads) = cache(vec![valid("first", Some(3600)), valid("second", Some(7200))]);
    assert_eq!(id(&cache).await.unwrap(), "first");
    pass(3000);
    assert_eq!((id(&cache).await.unwrap().as_str(), loads.load(Ordering::Relaxed)), ("first", 1));
    pass(300);
    assert_eq!((id(&cache).await.unwrap().as_str(), loads.load(Ordering::Relaxed)), ("second", 2));
}

#[tokio::test]
async fn previous_credentials_stay_while_they_are_valid_and_a_refresh_fails() {
    let (cache, loads) = cache(vec![valid("first", Some(3600)), None, None, None, valid("second", Some(7200))]);
    assert_eq!(id(&cache).await.unwrap(), "first");
    pass(3400);
    assert_eq!(id(&cache).await.unwrap(), "first");
    // A failure is not repeated at once.
    assert_eq!((id(&cache).await.unwrap().as_str(), loads.load(Ordering::Relaxed)), ("first", 2));
    pass(10);
    assert_eq!((id(&cache).await.unwrap().as_str(), loads.load(Ordering::Relaxed)), ("first", 3));
    pass(200);
    let error = id(&cache).await.unwrap_err().to_string();
    assert_eq!(error, "no credentials from test: it is down; wait");
    pass(10);
    assert_eq!(id(&cache).await.unwrap(), "second");
}

#[tokio::test]
async fn many_callers_cause_one_load() {
    let (cache, loads) = cache(vec![valid("first", Some(3600))]);
    let callers: Vec<_> = (0..50).map(|_| cache.clone()).map(|c| tokio::spawn(async move { id(&c).await })).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "first");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    let (cache, loads) = self::cache(vec![None]);
    let callers: Vec<_> = (0..50).map(|_| cache.clone()).map(|c| tokio::spawn(async move { id(&c).await })).collect();
    for caller in callers {
        caller.await.unwrap().unwrap_err();
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1, "a failure causes no storm of attempts");
}

#[tokio::test]
async fn credentials_without_expiry_are_loaded_again_so_that_changed_files_take_effect() {
    let (cache, _) = cache(vec![valid("first", None), valid("second", None), None]);
    assert_eq!(id(&cache).await.unwrap(), "first");
    pass(601);
    assert_eq!(id(&cache).await.unwrap(), "second");
    pass(601);
    assert_eq!(id(&cache).await.unwrap(), "second");
}

#[tokio::test]
async fn invalid_credentials_are_replaced_once() {
    let (cache, loads) = cache(vec![valid("first", Some(3600)), valid("second", Some(3600))]);
    let held = cache.get().await.unwrap();
    cache.invalidate(&held);
    assert_eq!(id(&cache).await.unwrap(), "second");
    // Another caller reports the same credentials late.
    cache.invalidate(&held);
    assert_eq!((id(&cache).await.unwrap().as_str(), loads.load(Ordering::Relaxed)), ("second", 2));
}

#[tokio::test]
async fn expired_credentials_are_an_error() {
    let (cache, _) = cache(vec![valid("first", Some(-5))]);
    assert!(id(&cache).await.unwrap_err().to_string().contains("already expired"));
}

#[tokio::test]
async fn debug_output_shows_no_secret() {
    let (cache, _) = cache(vec![valid("AKIDEXAMPLE", Some(3600))]);
    let held = cache.get().await.unwrap();
    let shown = format!("{cache:?} {held:?}");
    assert!(shown.contains("expires_at"), "{shown}");
    for part in ["AKI", "geh", "eim", "tok", "ken"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
}
