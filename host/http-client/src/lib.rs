//! HTTP client of sources and sinks: connections with TLS, through proxies, and error texts that say what to do.
//!
//! A [`Client`] talks to one server. It never follows a redirect to another one, which would receive the credentials.

mod client;
mod connect;
mod error;
mod proxy;
mod redact;
mod retry_after;

pub use client::{Client, Limits, MAX_RESPONSE_BYTES, Response, Server, ServerError, beginning};
pub use connect::place;
pub use error::{ConnectError, RequestError};
pub use proxy::{ProxyAddressError, ProxyError, ProxyOptions, check as check_proxy};
pub use redact::redact;
pub use retry_after::retry_after;
