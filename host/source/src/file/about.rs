//! What a source knows about the files that it reads with this one: those of containers have metadata and filters.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use wattle_batch::{Batch, ColumnBuilder, ColumnTooLarge, FieldPath, Form, Root};

use crate::frame::Mark;

/// Facts about a file, for the resource of its events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Facts {
    Known(Map<String, Value>),
    /// They may arrive soon. The file is not read until then.
    Wait,
    /// The file is not to be read.
    Unwanted,
}

/// The source of files.
pub(crate) trait About: Debug + Send + Sync {
    /// Type of the source.
    fn type_name(&self) -> &'static str;

    /// Returns whether a file that the globs match is to be watched. Each search for files calls it for each file.
    fn is_wanted(&self, path: &Path) -> bool;

    /// Returns the facts about a file, each time that it is read. `waited` is how long the source has known the file.
    fn facts(&self, path: &Path, waited: Duration) -> Facts;

    /// Returns whether rotation leaves files in their folder. Then only files of one folder are compared with each
    /// other, which matters if all files have the same name.
    fn stays_in_folder(&self) -> bool;
}

/// Files about which nothing else is known.
#[derive(Debug)]
pub(super) struct PlainFiles;

impl About for PlainFiles {
    fn type_name(&self) -> &'static str {
        "file"
    }

    fn is_wanted(&self, _: &Path) -> bool {
        true
    }

    fn facts(&self, _: &Path, _: Duration) -> Facts {
        Facts::Known(Map::new())
    }

    fn stays_in_folder(&self) -> bool {
        false
    }
}

/// Sets the time of events, and their stream in `attributes.stream`.
pub(super) fn mark(batch: &mut Batch, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    let times: Vec<i64> = marks.iter().map(|mark| mark.time.unwrap_or(i64::MIN)).collect();
    batch.set_timestamps(&times);
    // Some bytes per event, of a batch that is below the limit.
    let set =
        streams(marks).and_then(|streams| batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &streams, &[]));
    debug_assert!(set.is_ok());
}

fn streams(marks: &[Mark]) -> Result<wattle_batch::Column, ColumnTooLarge> {
    let mut column = ColumnBuilder::default();
    for mark in marks {
        if let Some(stream) = mark.stream {
            column.buffer().extend_from_slice(b"{\"stream\":\"");
            column.buffer().extend_from_slice(stream.name().as_bytes());
            column.buffer().extend_from_slice(b"\"}");
        } else {
            column.buffer().extend_from_slice(b"{}");
        }
        column.finish_row()?;
    }
    Ok(column.finish())
}
