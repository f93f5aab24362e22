//! Counts of failed handshakes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wattle_tls::AcceptError;

/// The reason of a handshake that a client begins at a port without TLS.
pub const UNEXPECTED_TLS: &str = "unexpected";

/// Failed TLS handshakes, by reason.
#[derive(Debug, Default)]
pub struct TlsStats {
    is_used: AtomicBool,
    /// One for each of [`AcceptError::KINDS`].
    failures: [AtomicU64; AcceptError::KINDS.len()],
    unexpected: AtomicU64,
}

impl TlsStats {
    /// Says that the port has TLS, so that counts of zero mean something.
    pub fn set_used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Counts a failed handshake.
    pub fn count(&self, reason: &str) {
        let known = AcceptError::KINDS.iter().position(|kind| *kind == reason);
        known.and_then(|at| self.failures.get(at)).unwrap_or(&self.unexpected).fetch_add(1, Ordering::Relaxed);
    }

    /// Failed handshakes by reason; empty for a port to which TLS does not apply.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        let named = AcceptError::KINDS.into_iter().chain([UNEXPECTED_TLS]);
        let counts = self.failures.iter().chain([&self.unexpected]).map(|count| count.load(Ordering::Relaxed));
        let counted: Vec<_> = named.zip(counts).collect();
        let applies = self.is_used.load(Ordering::Relaxed) || counted.iter().any(|(_, count)| *count > 0);
        if applies { counted } else { Vec::new() }
    }
}
