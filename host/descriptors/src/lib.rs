//! The limit of open files, and how sources and sinks share it.
//!
//! The operating system limits the open descriptors of a process. Sockets, state, checkpoints and
//! the cache always need some, so a reserve is kept for them. Sources and sinks get half of the
//! rest each. Within a half, each source or sink gets an equal share: at least [`MIN_SHARE`], and
//! at most the number that it requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rlimit::Resource;

/// Minimum number of files that a source or sink may keep open, regardless of the limit.
pub const MIN_SHARE: usize = 2;

/// Descriptors reserved for sockets, state, checkpoints and the cache, if the limit allows.
const RESERVE: usize = 128;

/// Too many open files on the machine; the same number on every architecture of Linux.
const ENFILE: i32 = 23;
/// Too many open files in the process.
const EMFILE: i32 = 24;

static SOURCES: AtomicUsize = AtomicUsize::new(0);
static SINKS: AtomicUsize = AtomicUsize::new(0);

/// Raises the soft limit of open files to the hard limit. Returns the limit before and after the
/// call; `usize::MAX` means unlimited.
///
/// # Errors
///
/// The operating system refused; the limit is unchanged.
pub fn raise() -> io::Result<(usize, usize)> {
    let (soft, hard) = Resource::NOFILE.get()?;
    if soft < hard {
        Resource::NOFILE.set(hard, hard)?;
    }
    Ok((size(soft), size(hard)))
}

/// The current limit of open files.
pub fn limit() -> usize {
    Resource::NOFILE.get().map_or(usize::MAX, |(soft, _)| size(soft))
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Whether an error means that the process or the machine has too many open files.
pub fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// What an operator can do about a shortage of descriptors.
pub fn help() -> String {
    format!(
        "the limit of open files is {}; raise the limit (`LimitNOFILE=` of the service, `ulimit -n` of the shell) \
         or lower `max_open_files`",
        limit()
    )
}

/// The two groups that share descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sources that keep files open.
    Source,
    /// Sinks that keep files open.
    Sink,
}

impl Kind {
    fn count(self) -> &'static AtomicUsize {
        match self {
            Self::Source => &SOURCES,
            Self::Sink => &SINKS,
        }
    }
}

/// The share of one source or sink. Clones are the same share; it ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct Share(Arc<Member>);

#[derive(Debug)]
struct Member(Kind);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.count().fetch_sub(1, Ordering::Relaxed);
    }
}

impl Share {
    /// Registers a member of the group.
    pub fn new(kind: Kind) -> Self {
        kind.count().fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Member(kind)))
    }

    /// Maximum number of files that this member may keep open if it requests `wanted`. Changes when
    /// other members join or leave.
    pub fn max(&self, wanted: usize) -> usize {
        share(limit(), self.0.0.count().load(Ordering::Relaxed), wanted)
    }
}

fn share(limit: usize, members: usize, wanted: usize) -> usize {
    let free = limit - RESERVE.min(limit / 2);
    (free / 2 / members.max(1)).max(MIN_SHARE).min(wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_a_reserve_and_never_exceed_the_request() {
        for (limit, members, wanted, expected) in [
            (64, 1, 256, 16),
            (64, 4, 256, 4),
            (64, 100, 256, MIN_SHARE),
            (1024, 1, 256, 256),
            (1024, 2, 256, 224),
            (1024, 1, 1, 1),
            (usize::MAX, 3, 256, 256),
            (0, 0, 0, 1),
        ] {
            assert_eq!(share(limit, members, wanted), expected, "{limit} {members} {wanted}");
        }
    }

    #[test]
    fn only_errors_about_too_many_open_files_are_a_shortage() {
        for (code, short) in [(24, true), (23, true), (2, false)] {
            assert_eq!(is_short(&io::Error::from_raw_os_error(code)), short);
        }
        assert!(!is_short(&io::Error::other("x")));
        assert!(help().contains("LimitNOFILE="));
    }

    #[test]
    fn raise_sets_the_soft_limit_to_the_hard_limit() {
        let (_, after) = raise().unwrap();
        assert_eq!(limit(), after);
    }
}
