//! Options of the generator: layout, shape, sizes and rates.

use jiff::Timestamp;

use crate::size::DocumentSize;

/// Layout of the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Without whitespace, as S3 delivers it.
    #[default]
    Compact,
    /// Indented by two spaces per level, as `jq` prints it.
    Pretty,
}

/// Shape of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// `{"Records":[...]}`, as S3 delivers it.
    #[default]
    Records,
    /// `[...]`
    Array,
    /// One record per line, with a line feed after each; always compact.
    Ndjson,
    /// A CloudWatch Logs subscription: each record is a string in `logEvents[].message`, in the
    /// selected form.
    CloudWatch,
}

/// Options of a [`Generator`](crate::Generator).
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Seed of all random values.
    pub seed: u64,
    /// Layout of records and documents.
    pub form: Form,
    /// Shape of documents.
    pub shape: Shape,
    /// Distribution that [`Generator::document_size`](crate::Generator::document_size) draws from.
    pub records_per_document: DocumentSize,
    /// The share of records with an `errorCode`, from 0 to 1.
    pub error_rate: f64,
    /// The share of records with a readable `accessKeyId`, from 0 to 1.
    /// The other records contain no `assumedRoleId`, `sessionToken` or escaped secret either.
    pub secret_rate: f64,
    /// The share of records with free-form `requestParameters` of 4 to 100 KB, from 0 to 1.
    pub bulk_rate: f64,
    /// The time of the first record; about five records per second follow.
    pub start: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            form: Form::default(),
            shape: Shape::default(),
            records_per_document: DocumentSize::default(),
            error_rate: 0.1,
            secret_rate: 0.6,
            bulk_rate: 0.0005,
            start: Timestamp::constant(1_735_689_600, 0),
        }
    }
}

/// The rates of [`Options`] in parts per million.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) access_key: u32,
    pub(crate) error: u32,
    pub(crate) bulk: u32,
}

impl Rates {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            access_key: parts(options.secret_rate),
            error: parts(options.error_rate),
            bulk: parts(options.bulk_rate),
        }
    }
}

/// Converts a share from 0 to 1 to parts per million.
fn parts(share: f64) -> u32 {
    // The cast turns a NaN into 0.
    (share.clamp(0.0, 1.0) * 1e6).round() as u32
}
