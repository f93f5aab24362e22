//! Credentials of all clients of a session: loaded by the chain, cached, and refreshed before they expire.
//!
//! While a refresh fails, the previous credentials stay in use as long as they are valid. Secrets never reach a log:
//! `Debug` shows when credentials expire, and nothing of their values.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqsign_aws_v4::Credential;
use tokio::sync::Mutex;

mod chain;
mod files;
mod process;
mod profile;
mod sso;
#[cfg(test)]
mod tests;

pub(crate) use chain::{Auth, Chain, Imds, default_session};
pub(crate) use profile::{Profiles, region_of_profile};

/// How long before they expire credentials are refreshed. Services renew theirs at least this long before.
const REFRESH_BEFORE: i64 = 5 * 60;

/// How often credentials without an expiry are loaded again, so that changed files take effect.
const RELOAD_AFTER: i64 = 10 * 60;

/// How long a failure is returned again instead of a new attempt, so that many callers cause one attempt.
const FAILURE_STAYS: i64 = 5;

/// What is wrong with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsProblem {
    /// No provider is configured.
    NotConfigured,
    /// A file, variable or option cannot be used.
    Invalid,
    /// A service refused to give credentials.
    Denied,
    /// A service or program that gives credentials cannot be reached, or failed.
    Unavailable,
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no credentials from {provider}: {reason}; {fix}")]
pub struct CredentialsError {
    /// The provider, such as "profile `logs`".
    pub provider: String,
    /// The kind of problem.
    pub problem: CredentialsProblem,
    /// What failed.
    pub reason: String,
    /// How to fix it.
    pub fix: String,
}

impl CredentialsError {
    pub(crate) fn new(
        provider: impl Into<String>,
        problem: CredentialsProblem,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { provider: provider.into(), problem, reason: reason.into(), fix: fix.into() }
    }
}

/// Loaded credentials.
pub(crate) struct Held {
    credential: Credential,
    /// Unix time.
    refresh_at: i64,
}

impl Held {
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    fn expires_at(&self) -> Option<i64> {
        self.credential.expires_in.map(|time| time.as_second())
    }

    fn is_valid(&self, now: i64) -> bool {
        self.expires_at().is_none_or(|expires| expires > now)
    }
}

// `Debug` of `Credential` shows parts of its values.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

/// Loads credentials: the chain, or a script of a test.
pub(crate) trait Load: Send + Sync {
    /// Loads credentials now.
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Credential, CredentialsError>> + Send + '_>>;
}

/// The last failed attempt.
struct Failure {
    /// Unix time until which no other attempt is made.
    until: i64,
    error: CredentialsError,
}

/// The cache. Clients share it.
pub struct Credentials {
    chain: Box<dyn Load>,
    current: ArcSwapOption<Held>,
    /// Held during a refresh, so that there is one at a time.
    refresh: Mutex<Option<Failure>>,
    /// Time limit of one load.
    limit: Duration,
    /// Unix time.
    now: fn() -> i64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(chain: impl Load + 'static, limit: Duration) -> Self {
        Self::with_clock(chain, limit, || jiff::Timestamp::now().as_second())
    }

    fn with_clock(chain: impl Load + 'static, limit: Duration, now: fn() -> i64) -> Self {
        Self { chain: Box::new(chain), current: ArcSwapOption::empty(), refresh: Mutex::new(None), limit, now }
    }

    /// Loads the credentials now, to find errors at the start instead of at the first request.
    ///
    /// # Errors
    ///
    /// There are none.
    pub async fn check(&self) -> Result<(), CredentialsError> {
        self.get().await.map(drop)
    }

    /// Valid credentials.
    pub(crate) async fn get(&self) -> Result<Arc<Held>, CredentialsError> {
        let now = (self.now)();
        let held = self.current.load_full();
        if let Some(held) = &held
            && now < held.refresh_at
        {
            return Ok(held.clone());
        }
        let usable = held.filter(|held| held.is_valid(now));
        let mut failure = match &usable {
            // One caller refreshes; the others do not wait for it.
            Some(held) => match self.refresh.try_lock() {
                Ok(failure) => failure,
                Err(_) => return Ok(held.clone()),
            },
            None => self.refresh.lock().await,
        };
        let now = (self.now)();
        // Another caller refreshed while this one waited.
        if let Some(held) = self.current.load_full()
            && now < held.refresh_at
        {
            return Ok(held);
        }
        if let Some(failure) = &*failure
            && now < failure.until
        {
            return usable.ok_or_else(|| failure.error.clone());
        }
        match self.load().await {
            Ok(held) => {
                *failure = None;
                let held = Arc::new(held);
                self.current.store(Some(held.clone()));
                Ok(held)
            }
            Err(error) => {
                *failure = Some(Failure { until: now + FAILURE_STAYS, error: error.clone() });
                let Some(held) = usable else { return Err(error) };
                let valid_for = held.expires_at().map(|expires| expires - now);
                tracing::warn!(%error, valid_for, "cannot refresh credentials; using the previous ones while they are valid");
                Ok(held)
            }
        }
    }

    /// Drops credentials that a service reported as expired, unless others have replaced them.
    pub(crate) fn invalidate(&self, held: &Arc<Held>) {
        self.current.rcu(|current| current.clone().filter(|current| !Arc::ptr_eq(current, held)));
    }

    async fn load(&self) -> Result<Held, CredentialsError> {
        let loaded = tokio::time::timeout(self.limit, self.chain.load()).await;
        let credential = loaded.map_err(|_| {
            let reason = format!("they did not load within {:?}", self.limit);
            let fix = "check the network of the agent, or raise `auth.load_timeout`";
            CredentialsError::new("the chain of providers", CredentialsProblem::Unavailable, reason, fix)
        })??;
        let now = (self.now)();
        let refresh_at = match credential.expires_in.map(|time| time.as_second()) {
            Some(expires) if expires <= now => {
                let fix = "check the clock of this machine, and log in again";
                let reason = "they have already expired";
                return Err(CredentialsError::new("the chain of providers", CredentialsProblem::Invalid, reason, fix));
            }
            // Short-lived credentials are used for three quarters of their time. Jitter spreads the agents.
            Some(expires) => {
                expires - REFRESH_BEFORE.min((expires - now) / 4) - fastrand::i64(0..=(expires - now) / 50)
            }
            None => now + RELOAD_AFTER,
        };
        Ok(Held { credential, refresh_at })
    }
}
