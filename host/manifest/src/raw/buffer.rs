//! `[sinks.NAME.buffer]` as written.

use std::time::Duration;

use wattle_diagnostics::{Findings, Reader, codes};
use wattle_plan::{BufferKind, BufferPlan, WhenFull};

/// Default size of a disk buffer.
const DISK_BYTES: u64 = 1 << 30;
/// Default interval with `fsync = "interval"`.
const FSYNC_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Memory,
    Disk,
}

#[derive(Clone, Copy, PartialEq)]
enum Fsync {
    Always,
    Interval,
}

/// Reads the buffer of the sink `name`; the default is a buffer in memory.
pub(crate) fn read(sink: &mut Reader<'_>, name: &str, findings: &mut Findings) -> BufferPlan {
    let default = BufferPlan::default();
    let Some((table, entry)) = sink.table("buffer", findings) else { return default };
    let mut reader = Reader::new(table, entry.place, format!("`[sinks.{name}.buffer]`"));
    let kind = reader.choice("type", &[("memory", Kind::Memory), ("disk", Kind::Disk)], findings);
    let sizes = match kind {
        Some(Kind::Disk) => 1 << 20..=1 << 50,
        _ => 64 << 10..=4 << 30,
    };
    let max_size = reader.size("max_size", sizes, findings);
    let policies = [("block", WhenFull::Block), ("drop_newest", WhenFull::DropNewest)];
    let when_full = reader.choice("when_full", &policies, findings).unwrap_or(default.when_full);
    let fsync = reader.choice("fsync", &[("always", Fsync::Always), ("interval", Fsync::Interval)], findings);
    let interval = reader.duration("fsync_interval", Duration::from_millis(1)..=Duration::from_mins(1), findings);
    for (key, applies, rule) in [
        ("fsync", kind == Some(Kind::Disk), "`type = \"disk\"`"),
        ("fsync_interval", fsync == Some(Fsync::Interval), "`fsync = \"interval\"`"),
    ] {
        if let Some(entry) = reader.optional(key).filter(|_| !applies) {
            let message = format!("`{key}` has no effect without {rule}");
            findings.report(codes::BAD_VALUE.at(entry.place, message).hint("remove it, or add that setting"));
        }
    }
    reader.finish(findings);
    let (kind, max_bytes) = match kind {
        Some(Kind::Disk) => {
            let gather = match fsync {
                Some(Fsync::Interval) => interval.unwrap_or(FSYNC_INTERVAL),
                _ => Duration::ZERO,
            };
            (BufferKind::Disk { gather }, DISK_BYTES)
        }
        _ => (BufferKind::Memory, default.max_size),
    };
    BufferPlan { kind, max_size: max_size.unwrap_or(max_bytes), when_full }
}
