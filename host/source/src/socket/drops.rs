//! Counts the datagrams that the kernel dropped because the buffer of the socket was full.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::source::SourceContext;

/// Interval between checks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts dropped datagrams while the source runs. `before` are those that are not its own. Never returns.
pub(super) async fn follow(socket: &impl AsFd, before: u64, context: &SourceContext) -> Infallible {
    loop {
        tokio::time::sleep(INTERVAL).await;
        check(socket, before, context);
    }
}

/// Reads the kernel's count, and logs if it has grown.
pub(super) fn check(socket: &impl AsFd, before: u64, context: &SourceContext) {
    let Some(dropped) = dropped(socket) else { return };
    let dropped = dropped.saturating_sub(before);
    let before = context.stats.dropped_datagrams.fetch_max(dropped, Ordering::Relaxed);
    if dropped > before {
        tracing::warn!(
            source = %context.name, datagrams = dropped - before,
            "the kernel dropped datagrams, because the source did not read them in time; raise `receive_buffer_bytes` and \
             `net.core.rmem_max`, or use `tcp`"
        );
    }
}

/// Datagrams that the kernel dropped since the socket was created; `None` on systems other than Linux.
pub(super) fn dropped(socket: &impl AsFd) -> Option<u64> {
    let inode = rustix::fs::fstat(socket).ok()?.st_ino;
    // A socket of IPv6 is in the second file, also if IPv4 clients reach it.
    ["/proc/self/net/udp", "/proc/self/net/udp6"].iter().find_map(|file| {
        let table = std::fs::read_to_string(file).ok()?;
        drops_of(&table, inode)
    })
}

/// The column `drops` of a socket in the table of the kernel, which is the last one (`udp4_format_sock` in Linux).
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        (columns.get(9) == Some(&inode.as_str())).then(|| columns.last()?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_that_of_the_socket() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref \
                     pointer drops\n  264: 0100007F:C3B2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                     4711 2 ffff8880 7\n  265: 0100007F:C3B3 00000000:0000 07 00000000:00000000 00:00000000 00000000     0     \
                        0 471 2 ffff8880 0\n";
        assert_eq!((drops_of(table, 4711), drops_of(table, 471), drops_of(table, 1)), (Some(7), Some(0), None));
    }
}
