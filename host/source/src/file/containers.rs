//! The files of containers, for the sources that read them: lines of a container runtime, with facts about the
//! container.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use wattle_options::{Number, OptionError, Period, Size};

use super::about::About;
use super::links::Links;
use super::options::{FileFraming, Options, ReadFrom, Settings, WhenFinished};
use crate::decompress::Decompression;
use crate::frame::LineFormat;
use crate::transcode::Encoding;

/// How much longer a line of a runtime may be than its message: time and stream, and the escapes of one part of Docker.
const MAX_LINE_EXTRA: u64 = 256 << 10;

/// Maximum of `max_event_bytes`, so that a buffer with the parts of one such event stays below 4 GiB.
const MAX_EVENT_BYTES: u64 = 1 << 30;

/// Which files to read, and how.
#[derive(Debug)]
pub(crate) struct ContainerFiles {
    /// Globs.
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) read_from: ReadFrom,
    pub(crate) follow_symlinks: Links,
    pub(crate) glob_interval: Period,
    pub(crate) rotate_wait: Period,
    pub(crate) max_event_bytes: Size,
    pub(crate) max_open_files: Number<u64>,
    pub(crate) about: Arc<dyn About>,
}

impl ContainerFiles {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// All errors of the options.
    pub(crate) fn check(self) -> Result<Settings, Vec<OptionError>> {
        let max_event_bytes = self.max_event_bytes;
        let options = Options {
            include: self.include,
            exclude: self.exclude,
            framing: FileFraming::Lines,
            read_from: self.read_from,
            follow: super::options::yes(),
            follow_symlinks: self.follow_symlinks,
            decompression: Decompression::Auto,
            when_finished: WhenFinished::Keep,
            glob_interval: self.glob_interval,
            stable_after: Period(Duration::from_secs(1)),
            rotate_wait: self.rotate_wait,
            max_line_bytes: max_event_bytes,
            line_format: LineFormat::Container,
            encoding: Encoding::default(),
            multiline: None,
            max_event_bytes,
            max_decompressed_bytes: super::options::max_decompressed_bytes(),
            max_zstd_window: super::options::max_zstd_window(),
            max_decompression_ratio: super::options::max_decompression_ratio(),
            max_open_files: self.max_open_files,
        };
        let mut errors = Vec::new();
        if !(1..=MAX_EVENT_BYTES).contains(&max_event_bytes.0) {
            errors.push(OptionError::new("max_event_bytes", "must be at least 1 and at most `1GiB`"));
        }
        let is_other = |error: &OptionError| !matches!(error.path.as_str(), "max_event_bytes" | "max_line_bytes");
        let settings = Settings::new(options).map_err(|all| errors.extend(all.into_iter().filter(is_other)));
        let (Ok(mut settings), []) = (settings, &errors[..]) else { return Err(errors) };
        settings.rules.max_line_bytes = max_event_bytes.0.saturating_add(MAX_LINE_EXTRA);
        settings.about = self.about;
        Ok(settings)
    }
}

/// Adds the name and the tag of an image.
pub(crate) fn add_image(image: &str, facts: &mut Map<String, Value>) {
    let without_digest = image.split_once('@').map_or(image, |(image, _)| image);
    // A colon before the last slash belongs to the port of a registry.
    let (name, tag) = match without_digest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (without_digest, None),
    };
    if !name.is_empty() {
        facts.insert("container.image.name".to_owned(), name.into());
    }
    if let Some(tag) = tag {
        facts.insert("container.image.tag".to_owned(), tag.into());
    }
}
