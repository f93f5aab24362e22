//! The options of a `file` source, as written and as checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, Number, OptionError, Period, Size};

use super::about::{About, PlainFiles};
use super::discover::Patterns;
use super::links::Links;
use super::names::base;
use crate::decompress::{Caps, Decompression};
use crate::frame::{
    DEFAULT_MAX_EVENT_BYTES, DEFAULT_MAX_LINE_BYTES, Framing, LineFormat, Rules, check_csv, check_max_bytes, multiline,
};
use crate::transcode::Encoding;

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Globs of the files to read, such as `/var/log/*.log`; `**` stands for any number of folders.
    pub(super) include: Vec<String>,
    /// Globs of files to exclude. A glob without `/`, such as `*.gz`, is compared with the file
    /// name; any other with the whole path. A glob that names a folder excludes everything below
    /// it. Default: none.
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    /// How bytes become events. `auto`: each JSON document is an event, compact or pretty, with or
    /// without line feeds between documents; each line that is not JSON is an event. `lines`: each
    /// line is an event. `csv`: the same, but a line feed in quotes does not end it. `document`: each
    /// file is one event. Default: `auto`.
    #[serde(default)]
    pub(super) framing: FileFraming,
    /// Where to start reading files that existed before the first run of the source, or before it
    /// lost its positions: `beginning` or `end`. Default: `beginning`.
    #[serde(default)]
    pub(super) read_from: ReadFrom,
    /// Whether to read files as they grow. The source reads compressed files and files with framing
    /// `document` only when they have not changed for `stable_after`. Default: `true`.
    #[serde(default = "yes")]
    pub(super) follow: Flag,
    /// Which symbolic links to follow: `same_owner` (links of root, links of the agent's user, and
    /// links to a target with the same owner), `always`, or `never`. An agent that runs as root
    /// never follows links across owners. Default: `same_owner`.
    #[serde(default)]
    pub(super) follow_symlinks: Links,
    /// Whether compressed files (gzip, zstd) are recognised by their first bytes: `auto` or `none`.
    /// Default: `auto`.
    #[serde(default)]
    pub(super) decompression: Decompression,
    /// What to do with a file after all its events are delivered: `keep`, `delete`, or `{ move_to =
    /// "folder" }`. Default: `keep`.
    #[serde(default)]
    pub(super) when_finished: WhenFinished,
    /// Interval between searches for new files, in seconds or as `500ms`. Default: `1s`.
    #[serde(default = "second")]
    pub(super) glob_interval: Period,
    /// Time without changes after which a file counts as complete. Applies to files that are read
    /// as a whole, and to files that may end inside a JSON document. Default: `1s`.
    #[serde(default = "second")]
    pub(super) stable_after: Period,
    /// How long the source continues to read a renamed or deleted file after its last change.
    /// Default: `5s`.
    #[serde(default = "rotate_wait")]
    pub(super) rotate_wait: Period,
    /// Maximum length of a line in bytes. Longer lines are skipped, counted and logged.
    /// Default: `1MiB`.
    #[serde(default = "max_line_bytes")]
    pub(super) max_line_bytes: Size,
    /// Format of lines. Default: `auto`.
    #[serde(default)]
    pub(super) line_format: LineFormat,
    /// Encoding of the text: `utf-8`, `utf-16le`, `utf-16be` or `windows-1252` (includes Latin-1).
    /// A byte order mark of UTF-16 or UTF-8 overrides the option and is removed. Default: `utf-8`.
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// Joins several lines to one event, such as a stack trace. Default: none.
    #[serde(default)]
    pub(super) multiline: Option<multiline::Options>,
    /// Maximum length of an event in bytes, including JSON documents and events of several lines.
    /// With framing `document` a longer file fails; otherwise the event is skipped, counted and
    /// logged. Default: `1GiB`.
    #[serde(default = "max_event_bytes")]
    pub(super) max_event_bytes: Size,
    /// Maximum decompressed size of a compressed file in bytes; a larger file fails.
    /// Default: `4GiB`.
    #[serde(default = "max_decompressed_bytes")]
    pub(super) max_decompressed_bytes: Size,
    /// Maximum window of zstd files in bytes, a power of two up to `2GiB`. Reading needs this much
    /// memory. Default: `128MiB`.
    #[serde(default = "max_zstd_window")]
    pub(super) max_zstd_window: Size,
    /// Maximum ratio of decompressed to compressed bytes; a file with a higher ratio fails.
    /// Default: `1000`.
    #[serde(default = "max_decompression_ratio")]
    pub(super) max_decompression_ratio: Number<u64>,
    /// Maximum number of open files. If the limit of the process is lower, the sources share it.
    /// Default: `256`.
    #[serde(default = "max_open_files")]
    pub(super) max_open_files: Number<u64>,
}

pub(super) fn yes() -> Flag {
    Flag(true)
}

fn second() -> Period {
    Period(Duration::from_secs(1))
}

fn rotate_wait() -> Period {
    Period(Duration::from_secs(5))
}

fn max_line_bytes() -> Size {
    Size(DEFAULT_MAX_LINE_BYTES)
}

pub(super) fn max_zstd_window() -> Size {
    Size(128 << 20)
}

fn max_event_bytes() -> Size {
    Size(DEFAULT_MAX_EVENT_BYTES)
}

pub(super) fn max_decompressed_bytes() -> Size {
    Size(4 << 30)
}

pub(super) fn max_decompression_ratio() -> Number<u64> {
    Number(1000)
}

fn max_open_files() -> Number<u64> {
    Number(256)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileFraming {
    #[default]
    Auto,
    Lines,
    Csv,
    Document,
}

/// Where to begin in files that were there first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReadFrom {
    #[default]
    Beginning,
    End,
}

/// What to do with a file after all its events are delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenFinished {
    #[default]
    Keep,
    Delete,
    /// Folder to move the file to. If the name exists there, the source adds a number.
    MoveTo(PathBuf),
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) patterns: Patterns,
    /// What the source of these files knows about them.
    pub(crate) about: Arc<dyn About>,
    framing: FileFraming,
    pub(crate) read_from: ReadFrom,
    pub(crate) follow: bool,
    pub(crate) links: Links,
    /// Added to device numbers; a remount in tests.
    pub(crate) device_shift: Arc<AtomicU64>,
    pub(crate) decompression: Decompression,
    pub(crate) when_finished: WhenFinished,
    pub(crate) glob_interval: Duration,
    pub(crate) stable_after: Duration,
    pub(crate) rotate_wait: Duration,
    pub(crate) rules: Rules,
    pub(crate) max_window_log: u32,
    pub(crate) caps: Caps,
    pub(crate) max_open_files: usize,
}

impl Settings {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        let moved_to = match &options.when_finished {
            WhenFinished::MoveTo(folder) => Some(folder.as_path()),
            WhenFinished::Keep | WhenFinished::Delete => None,
        };
        let mut errors = Vec::new();
        if moved_to.is_some_and(|folder| folder.as_os_str().is_empty()) {
            errors.push(OptionError::new("when_finished.move_to", "names no folder"));
        }
        let patterns = Patterns::new(&options.include, &options.exclude, moved_to, &mut errors);
        if options.max_open_files.0 == 0 {
            errors.push(OptionError::new("max_open_files", "must be at least 1"));
        }
        errors.extend(check_max_bytes("max_event_bytes", options.max_event_bytes));
        errors.extend(check_max_bytes("max_line_bytes", options.max_line_bytes));
        let window = options.max_zstd_window.0;
        if !window.is_power_of_two() || !(1 << 10..=1 << 31).contains(&window) {
            errors.push(OptionError::new("max_zstd_window", "must be a power of two from `1KiB` to `2GiB`"));
        }
        let multiline = options.multiline.as_ref().and_then(|written| multiline::Multiline::new(written, &mut errors));
        let is_csv = matches!(options.framing, FileFraming::Csv);
        errors.extend(check_csv(is_csv, options.multiline.is_some(), options.line_format));
        let rules = Rules {
            quotes: is_csv,
            documents: matches!(options.framing, FileFraming::Auto) && multiline.is_none(),
            max_line_bytes: options.max_line_bytes.0.min(options.max_event_bytes.0),
            max_event_bytes: options.max_event_bytes.0,
            line_format: options.line_format,
            multiline: multiline.map(Arc::new),
            encoding: options.encoding,
        };
        let settings = Self {
            patterns,
            about: Arc::new(PlainFiles),
            framing: options.framing,
            read_from: options.read_from,
            follow: options.follow.0,
            links: options.follow_symlinks,
            device_shift: Arc::default(),
            decompression: options.decompression,
            when_finished: options.when_finished,
            glob_interval: options.glob_interval.0.max(Duration::from_millis(10)),
            stable_after: options.stable_after.0,
            rotate_wait: options.rotate_wait.0,
            rules,
            max_window_log: window.max(1).ilog2(),
            caps: Caps { max_bytes: options.max_decompressed_bytes.0, max_ratio: options.max_decompression_ratio.0 },
            max_open_files: usize::try_from(options.max_open_files.0).unwrap_or(usize::MAX),
        };
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    /// Returns the name without suffixes of rotation. If rotation leaves files in their folder, it contains the folder.
    pub(crate) fn base_of(&self, path: &Path) -> String {
        let name = base(path);
        match path.parent().filter(|_| self.about.stays_in_folder()) {
            Some(folder) => format!("{}/{name}", folder.to_string_lossy()),
            None => name,
        }
    }

    /// How the bytes of the file of this name become events; `Auto` for a file that may be one JSON
    /// document, which is complete when it does not change any more.
    pub(crate) fn framing_of(&self, path: &Path) -> Framing {
        match self.framing {
            FileFraming::Lines | FileFraming::Csv => Framing::Lines,
            FileFraming::Document => Framing::Document,
            FileFraming::Auto => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
                let is_document = [".json", ".json.gz", ".json.zst"].iter().any(|end| name.ends_with(end));
                if is_document { Framing::Auto } else { Framing::Lines }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_tell_documents_from_lines_unless_the_option_does() {
        let settings = |framing| {
            let options = json!({ "include": ["x"], "framing": framing });
            Settings::new(serde_json::from_value(options).unwrap()).unwrap()
        };
        for (name, expected) in [
            ("a.json", Framing::Auto),
            ("a/b.JSON.GZ", Framing::Auto),
            ("a.json.zst", Framing::Auto),
            ("a.jsonl", Framing::Lines),
            ("a.log.gz", Framing::Lines),
            ("a.json.1", Framing::Lines),
            ("json", Framing::Lines),
        ] {
            let path = Path::new(name);
            assert_eq!(settings("auto").framing_of(path), expected, "{name}");
            assert_eq!(settings("lines").framing_of(path), Framing::Lines);
            assert_eq!(settings("document").framing_of(path), Framing::Document);
        }
    }
}
