//! Options of the sink `file`: as written, and validated.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_options::{Number, OptionError, OptionErrors, Period, Size};

use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, schema_for_people};
use crate::path_template::Template;

/// Options of the sink `file`.
///
/// # Contents of a file
///
/// Events in the order in which they arrived, each with its framing. The sink never truncates a
/// file after an error. If a file ends in the middle of an event because the machine went down, the
/// sink adds a line break before the next event. A compressed file without its end mark is renamed
/// as at a rotation, and a new file is created. A compressed file is a sequence of streams, each
/// followed by an empty stream that marks it as complete; `zcat` and `zstdcat` read all of them.
///
/// # When events are acknowledged
///
/// After the sync that `fsync` requires. While a file cannot be written (the disk is full, the
/// folder is read-only), the sink retries and continues after the last byte that was written.
/// Meanwhile its queue fills up and the sources wait.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileOptions {
    /// Path of the file, relative to the working directory of the agent. Missing folders are
    /// created.
    ///
    /// `{{ attributes.x }}`, `{{ resource.a.b }}` and `{{ body.awsRegion }}` are replaced by fields
    /// of the event, and `%Y-%m-%d` and similar directives by its time in UTC. In a value, `/` and
    /// control characters become `_`, and so does a value that is empty, missing, or consists of
    /// dots. Values are cut to 80 bytes.
    path: String,
    /// How to write an event.
    #[serde(default)]
    encoding: EncodingOptions,
    /// `none`, `gzip` or `zstd`. The sink does not add an extension to the path. Default: `none`.
    #[serde(default)]
    compression: Compression,
    /// How to open a file that exists when the agent starts: `append` (default) or `truncate`.
    #[serde(default)]
    mode: Mode,
    /// Rotates a file before it would exceed this size; a compressed file after it has reached the
    /// size. The events of one batch stay together, so a file can exceed the size by one batch.
    /// Default: never.
    ///
    /// Rotation renames the file: `logs/app.json.gz` becomes `logs/app-20231017T045321Z-1.json.gz`,
    /// with the time of the rotation in UTC and a number that makes the name unique.
    rotate_bytes: Option<Size>,
    /// Rotates a file at this age. Default: never.
    rotate_every: Option<Period>,
    /// Closes a file after this time without writes. Default: `30s`.
    #[serde(default = "default_idle_timeout")]
    idle_timeout: Period,
    /// Maximum number of open files; beyond it, the least recently used file is closed. If the
    /// limit of the process is lower, the sinks share it. Default: `256`.
    #[serde(default = "default_max_open_files")]
    max_open_files: Number<usize>,
    /// When events are synced to disk and acknowledged: `interval` (every `fsync_interval`),
    /// `batch` (after every write), or `never` (acknowledged when the operating system has them; a
    /// loss of power can lose events). Default: `interval`.
    #[serde(default)]
    fsync: Fsync,
    /// With `fsync = "interval"`: maximum time until events are synced and acknowledged. A longer
    /// interval makes sources hold more unacknowledged events, and delays the end of a run.
    /// Default: `200ms`.
    #[serde(default = "default_fsync_interval")]
    fsync_interval: Period,
}

fn default_idle_timeout() -> Period {
    Period(Duration::from_secs(30))
}

fn default_max_open_files() -> Number<usize> {
    Number(256)
}

fn default_fsync_interval() -> Period {
    Period(Duration::from_millis(200))
}

/// How to open a file that exists when the agent starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Events are appended.
    #[default]
    Append,
    /// The file is emptied before the first write.
    Truncate,
}

/// When events are synced and acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fsync {
    /// After every write.
    Batch,
    /// After every `fsync_interval`.
    #[default]
    Interval,
    /// Events are acknowledged without a sync.
    Never,
}

/// Validated options of the writing half.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The path, if it does not depend on the event.
    pub(crate) literal: Option<std::sync::Arc<str>>,
    pub(crate) compression: Compression,
    /// Whether events end with a line break. A file without one at its end then has an incomplete
    /// event.
    pub(crate) lines: bool,
    pub(crate) mode: Mode,
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_open_files: usize,
    pub(crate) fsync: Fsync,
    pub(crate) fsync_interval: Duration,
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    schema_for_people::<FileOptions>()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(crate) fn read(options: &Value) -> Result<(Template, Encoding, Settings), Vec<OptionError>> {
    wattle_options::read(options, validate)
}

fn validate(options: FileOptions, errors: &mut OptionErrors) -> Option<(Template, Encoding, Settings)> {
    let template = errors.check("path", Template::parse(&options.path));
    errors.at_least_one("max_open_files", options.max_open_files.0 as u64);
    errors.at_least_one("rotate_bytes", options.rotate_bytes.map_or(1, |size| size.0));
    if let Some(every) = options.rotate_every {
        errors.not_zero("rotate_every", every);
    }
    errors.not_zero("idle_timeout", options.idle_timeout);
    errors.not_zero("fsync_interval", options.fsync_interval);
    let encoding = Encoding::for_people(&options.encoding, errors);
    let template = template?;
    if let Some(path) = template.literal().filter(|path| std::path::Path::new(path).is_dir()) {
        let folder = path.trim_end_matches('/');
        errors.add("path", format!("`{path}` is a folder; name a file in it, such as `{folder}/events.ndjson`"));
    }
    let settings = Settings {
        literal: template.literal().map(Into::into),
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
    Some((template, encoding, settings))
}
