//! Why a page could not be read, and what to do about it.

use std::time::Duration;

use crate::reports::{self, Failed};

/// Failures that were logged and are not over.
pub(super) type Reports = reports::Reports<Action, Kind>;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Getting a page.
    Poll,
    /// Going from page to page.
    Paginate,
    /// Saving the position.
    Save,
}

/// Failures of one kind are logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// There can be no client, or the request cannot be made.
    Setup,
    /// There was no complete response.
    Connection,
    /// The server limits the rate.
    RateLimit,
    /// A status that says so.
    Status(u16),
    /// The page has more bytes than allowed.
    TooLarge,
    /// The page is not what the options say.
    Content,
    /// The next page is at another server, or nowhere.
    Link,
    /// The pages lead back to an earlier one.
    Loop,
    /// The disk.
    Disk,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// After a pause that grows.
    Backoff,
    /// After this time, which the server asks for.
    After(Duration),
    /// An operator must act; until then, after `interval`.
    Operator,
}

/// A failure. The text contains no address of a page and no value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) again: Again,
}

impl Failure {
    /// A failure that may be over soon.
    pub(super) fn passing(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), again: Again::Backoff }
    }

    /// A failure that lasts until an operator acts.
    pub(super) fn lasting(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), again: Again::Operator }
    }

    /// A response with another status than 2xx. `wait` is what the server asks for, `reason` what it says.
    pub(super) fn of_status(status: u16, wait: Option<Duration>, is_limited: bool, reason: &str) -> Self {
        let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if is_limited || status == 429 {
            let text = format!("the server limits the rate of requests (status {status}){said}");
            return Self { kind: Kind::RateLimit, text, again: wait.map_or(Again::Backoff, Again::After) };
        }
        let hint = match status {
            408 | 425 | 500.. => {
                let text = format!("the server responds with status {status}{said}");
                return Self { kind: Kind::Status(status), text, again: wait.map_or(Again::Backoff, Again::After) };
            }
            300..400 => {
                "it redirects to another server, which must not get the credentials; set `endpoint` to the new address"
            }
            400 | 422 => "it does not accept the request; check `query` and `body`",
            401 => "it does not accept the credentials; check `auth` and `headers`",
            403 => "the credentials have no permission; check the rights of the token in `auth` or `headers`",
            404 | 410 => "there is nothing at this address; check `endpoint`, and the rights of the token",
            405 => "it does not accept the method; check `method`",
            406 => "it has no such representation; set `accept` in `headers`",
            407 => "the proxy requires credentials; check `proxy`",
            414 | 431 => "the request is too long; shorten `query` or `headers`",
            415 => "it does not accept the type of the body; set `content-type` in `headers`",
            _ => "check `endpoint`, `query` and `auth`",
        };
        Self::lasting(
            Kind::Status(status),
            format!("the server refuses the request with status {status}{said}; {hint}"),
        )
    }
}

impl reports::Action for Action {
    fn what(self) -> &'static str {
        match self {
            Self::Poll => "cannot get a page of the API",
            Self::Paginate => "cannot follow the pages of the API",
            Self::Save => "cannot save the position in the API, so a restart sends events again",
        }
    }

    fn works_again(self) -> &'static str {
        match self {
            Self::Poll => "pages of the API are read again",
            Self::Paginate => "the pages of the API can be followed again",
            Self::Save => "the position in the API is saved again",
        }
    }
}

impl Failed for Failure {
    type Kind = Kind;

    fn kind(&self) -> Kind {
        self.kind
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn needs_operator(&self) -> bool {
        self.again == Again::Operator
    }
}
