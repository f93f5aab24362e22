//! Options of the sink `file`, as written and as meant.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::template::Template;
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing};
use crate::options::{self, Count, Faults, OptionError, Size, Time};

/// Options of the sink `file`.
///
/// # What a file holds
///
/// Events in the order in which they came, each with its framing. A file is never cut: one that ends in the middle of an
/// event, because the machine went down, gets a line break before the next event; a compressed one whose end is missing
/// is renamed as if rotated, and a new one begins. Compressed files are streams that follow each other, each
/// with an empty one behind it that marks it as complete; `zcat` and `zstdcat` read them as one.
///
/// # When events are acknowledged
///
/// When `fsync` has kept its promise. While a file cannot be written (the disk is full, the folder is read-only), the
/// sink tries again until it can, goes on with the byte after the last one that was written, and its queue holds up the
/// sources.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileOptions {
    /// Where to write, relative to the folder the agent was started in. Folders that are missing are made.
    ///
    /// `{{ attributes.x }}`, `{{ resource.a.b }}` and `{{ body.awsRegion }}` stand for fields of the event, `%Y-%m-%d`
    /// and the like for its time in UTC. In a value, `/` and control characters become `_`, as does a value that is
    /// empty, missing, or nothing but dots; more than 80 bytes are cut off.
    path: String,
    /// What to write of an event.
    #[serde(default)]
    encoding: EncodingOptions,
    /// `none`, `gzip` or `zstd`. Default: `none`. The path is not changed; give it the ending yourself.
    #[serde(default)]
    compression: Compression,
    /// What happens to a file that exists when the agent starts: `append` (default) or `truncate`.
    #[serde(default)]
    mode: Mode,
    /// Renames a file before it would grow beyond this size, or when it has reached it where it is compressed. What one
    /// batch brings is not taken apart, so a file can be larger by that. Default: never.
    ///
    /// `logs/app.json.gz` becomes `logs/app-20231017T045321Z-1.json.gz`: the time of the rotation in UTC, and a number
    /// that makes the name new.
    rotate_bytes: Option<Size>,
    /// Renames a file this long after it was made. Default: never.
    rotate_every: Option<Time>,
    /// Closes files to which nothing was written for so long. Default: `30s`.
    #[serde(default = "default_idle_timeout")]
    idle_timeout: Time,
    /// How many files may be open; beyond that the one unused for longest is closed. Where the process may have fewer,
    /// sinks share what there is. Default: `256`.
    #[serde(default = "default_max_open_files")]
    max_open_files: Count,
    /// When events are safe: `interval` (synced to disk each `fsync_interval`), `batch` (synced after every write), or
    /// `never` (the operating system has them; a power cut can lose them). Default: `interval`.
    #[serde(default)]
    fsync: Fsync,
    /// With `fsync = "interval"`: how long events wait at most to be synced and acknowledged, and so how much a source
    /// has to hold back and how long the end of a run waits. Default: `200ms`.
    #[serde(default = "default_fsync_interval")]
    fsync_interval: Time,
}

fn default_idle_timeout() -> Time {
    Time(Duration::from_secs(30))
}

fn default_max_open_files() -> Count {
    Count(256)
}

fn default_fsync_interval() -> Time {
    Time(Duration::from_millis(200))
}

/// What happens to a file that exists when the agent starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Events are added to it.
    #[default]
    Append,
    /// It is emptied before the first write.
    Truncate,
}

/// When events are safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fsync {
    /// After every write.
    Batch,
    /// After an interval.
    #[default]
    Interval,
    /// When the operating system has them.
    Never,
}

/// What the half that writes has to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The path, unless it depends on the event.
    pub(crate) literal: Option<std::sync::Arc<str>>,
    pub(crate) compression: Compression,
    /// Events end with a line break, so that a file without one at its end is torn.
    pub(crate) lines: bool,
    pub(crate) mode: Mode,
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_open_files: usize,
    pub(crate) fsync: Fsync,
    pub(crate) fsync_interval: Duration,
}

/// The schema of the options.
pub(crate) fn schema() -> Value {
    options::schema_of::<FileOptions>()
}

/// Validates options.
pub(crate) fn read(options: &Value) -> Result<(Template, Encoding, Settings), Vec<OptionError>> {
    let options: FileOptions = options::read(options)?;
    let mut faults = Faults::default();
    let template = Template::parse(&options.path).map_err(|message| faults.add("path", message)).ok();
    faults.at_least_one("max_open_files", options.max_open_files.0 as u64);
    faults.at_least_one("rotate_bytes", options.rotate_bytes.map_or(1, |size| size.0));
    let times = [
        ("rotate_every", options.rotate_every),
        ("idle_timeout", Some(options.idle_timeout)),
        ("fsync_interval", Some(options.fsync_interval)),
    ];
    for (path, time) in times {
        if time.is_some_and(|time| time.0.is_zero()) {
            faults.add(path, "must be more than no time at all");
        }
    }
    let encoding = Encoding::new(&options.encoding);
    let settings = Settings {
        literal: template.as_ref().and_then(|template| template.literal()).map(Into::into),
        compression: options.compression,
        lines: encoding.framing == Framing::Newline,
        mode: options.mode,
        rotate_bytes: options.rotate_bytes.map(|size| size.0),
        rotate_every: options.rotate_every.map(|time| time.0),
        idle_timeout: options.idle_timeout.0,
        max_open_files: options.max_open_files.0,
        fsync: options.fsync,
        fsync_interval: options.fsync_interval.0,
    };
    faults.finish(template.map(|template| (template, encoding, settings)))
}
