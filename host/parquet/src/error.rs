//! Errors of writing.

use parquet::errors::ParquetError;
use thiserror::Error;
use wattle_json::Kind;

/// Why a record is not in the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The record is not JSON.
    #[error("the record is not JSON: {0}")]
    NotJson(wattle_json::Error),
    /// The record is JSON, but not an object.
    #[error("the record must be an object, but is of type {}", .0.name())]
    NotAnObject(Kind),
    /// A required column has no value, or one that does not fit.
    #[error("the required column `{column}` has no value of its type")]
    Missing {
        /// Name of the column.
        column: String,
    },
    /// The file cannot be encoded. The writer is of no use any more.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl PushError {
    /// Whether only this record is to blame, so that the writer takes further ones.
    #[must_use]
    pub const fn is_about_record(&self) -> bool {
        !matches!(self, Self::Encode(_))
    }

    /// A short name in lower case with hyphens, for metrics and failure codes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not-json",
            Self::NotAnObject(_) => "not-an-object",
            Self::Missing { .. } => "missing-column",
            Self::Encode(_) => "encode",
        }
    }
}

/// The file cannot be encoded, for example because it is too large for the format.
#[derive(Debug, Error)]
#[error("the Parquet file cannot be encoded: {0}")]
pub struct EncodeError(#[from] pub(crate) ParquetError);
