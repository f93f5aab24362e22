//! Why a table cannot be used.

use std::io;
use std::path::PathBuf;

use wattle_plan::TableGrant;

use crate::values::TooLarge;

/// Why a node cannot look up rows.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The node has no such table.
    #[error("the table `{table}` is not granted; {}", or_grant(.granted))]
    NotGranted {
        /// The requested table.
        table: String,
        /// Names of the granted tables.
        granted: Vec<String>,
    },
    /// The test of the node has no such table.
    #[error("the test has no table `{table}`; {}", or_mock(.mocked))]
    NotMocked {
        /// The requested table.
        table: String,
        /// Names of the tables that the test has.
        mocked: Vec<String>,
    },
    /// The file of a table cannot be used.
    #[error("`{}`: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: TableError,
    },
    /// The table lacks a column.
    #[error("the table has no column `{column}`; use {}", list(.columns))]
    NoColumn {
        /// The requested column.
        column: String,
        /// The columns of the table.
        columns: Vec<String>,
    },
}

/// Why rows cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The found cells are too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A record of a MaxMind DB cannot be read.
    #[error("a record of the MaxMind DB cannot be read: {0}; replace the file")]
    Record(
        /// Where and why.
        String,
    ),
}

/// Why the contents of a table are not valid. The text does not name the file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Unreadable(io::Error),
    /// The file is too large.
    #[error("it has more than {max} bytes; split it into several tables", max = TableGrant::MAX_BYTES)]
    TooLarge,
    /// There are too many rows.
    #[error("it has more than {max} rows; split it into several tables", max = TableGrant::MAX_ROWS)]
    TooManyRows,
    /// All cells together are too large.
    #[error("it has more than 4 GiB of cells; split it into several tables")]
    TooMuchText,
    /// The first row is missing or empty.
    #[error("it has no header; write the names of the columns in the first row")]
    NoHeader,
    /// Two columns have the same name.
    #[error("two columns have the name `{0}`; rename one of them")]
    RepeatedColumn(String),
    /// A row of CSV has more or fewer cells than the header.
    #[error("line {line} has {found} cells and the header has {expected}; quote cells that contain a comma")]
    Cells {
        /// Line in the file, from 1.
        line: u64,
        /// Number of cells.
        found: u64,
        /// Number of columns.
        expected: u64,
    },
    /// A quoted cell of CSV does not end.
    #[error("the quote that opens a cell in line {0} is not closed; close it, and double quotes inside of a cell")]
    OpenQuote(
        /// Line of the quote, from 1.
        u64,
    ),
    /// A quoted cell of CSV goes on after its closing quote.
    #[error(
        "the cell whose quote opens in line {opened} has text after its closing quote in line {line}; close the quote, and \
         double quotes inside of a cell"
    )]
    AfterQuote {
        /// Line of the opening quote, from 1.
        opened: u64,
        /// Line of the closing quote.
        line: u64,
    },
    /// There is a zero byte, as in UTF-16.
    #[error("line {0} has a zero byte; save the file as UTF-8")]
    ZeroByte(
        /// Line in the file, from 1.
        u64,
    ),
    /// A cell is not UTF-8.
    #[error("line {0} is not UTF-8; save the file as UTF-8")]
    NotUtf8(
        /// Line in the file, from 1.
        u64,
    ),
    /// The JSON is damaged.
    #[error("it is not valid JSON: line {line}, column {column}: {reason}")]
    NotJson {
        /// Line in the file, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        reason: wattle_json::ErrorKind,
    },
    /// The JSON ends too early.
    #[error("its JSON ends too early; the file may be incomplete")]
    Incomplete,
    /// The JSON is not an array of objects.
    #[error("it is not a JSON array of objects: line {line}, column {column}")]
    NotObjects {
        /// Line in the file, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// An object has two members with the same name.
    #[error("a row has two values for the column `{name}`, in lines {first} and {second}; remove one of them")]
    RepeatedMember {
        /// The name.
        name: String,
        /// Line of the first value, from 1.
        first: usize,
        /// Line of the second value, from 1.
        second: usize,
    },
    /// A line of JSON is not an object.
    #[error("line {line} is not a JSON object; write one object per line, or name a file with an array `.json`")]
    NotAnObject {
        /// Line in the file, from 1.
        line: usize,
    },
    /// The file is not a usable MaxMind DB.
    #[error("it is not a usable MaxMind DB: {0}; download it again")]
    Database(
        /// Where and why.
        String,
    ),
    /// The key column that the grant names does not exist.
    #[error("it has no column `{key}`; set `key` to {}", list(.columns))]
    NoKeyColumn {
        /// The requested column.
        key: String,
        /// The columns of the table.
        columns: Vec<String>,
    },
    /// The cell with the key is missing in a row.
    #[error("row {0} has no key")]
    NoKey(
        /// Row without the header, from 1.
        usize,
    ),
    /// Two rows have the same key.
    #[error("rows {first} and {second} have the same key `{key}`; remove one of them")]
    RepeatedKey {
        /// First row, from 1.
        first: usize,
        /// Second row, from 1.
        second: usize,
        /// The key.
        key: String,
    },
    /// The key of a row is not a usable network.
    #[error("row {row}: {error}")]
    Network {
        /// Row without the header, from 1.
        row: usize,
        /// Why.
        error: NetworkError,
    },
}

/// Why a key is not a usable network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The text is not a network.
    #[error("`{0}` is not a network such as `10.0.0.0/8`")]
    NotANetwork(String),
    /// The address has bits beyond the length of the prefix.
    #[error("`{0}` has bits outside of its prefix")]
    HostBits(String),
    /// The prefix of an IPv4-mapped network ends before the IPv4 address.
    #[error(
        "`{0}` is an IPv4-mapped network, whose prefix has 96 to 128 bits; write one of IPv4 such as `10.0.0.0/8`, or \
         `::ffff:10.0.0.0/104`"
    )]
    MappedPrefix(String),
    /// Another row has the same network.
    #[error("`{network}` is also the network of row {row}; remove one of them")]
    Repeated {
        /// The network.
        network: String,
        /// The other row, from 1.
        row: usize,
    },
}

impl From<csv::Error> for TableError {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Self::Unreadable(error),
            csv::ErrorKind::UnequalLengths { pos, expected_len: expected, len: found } => {
                Self::Cells { line: pos.map_or(0, |pos| pos.line()), found, expected }
            }
            csv::ErrorKind::Utf8 { pos, .. } => Self::NotUtf8(pos.map_or(0, |pos| pos.line())),
            // Reading records as bytes reports no other kind.
            other => Self::Unreadable(io::Error::other(format!("{other:?}"))),
        }
    }
}

fn or_mock(mocked: &[String]) -> String {
    match mocked {
        [] => "add it to `mocks.lookup`".to_owned(),
        mocked => format!("add it to `mocks.lookup`, or use one of {}", list(mocked)),
    }
}

fn or_grant(tables: &[String]) -> String {
    match tables {
        [] => "add it to `grants.lookup.tables`".to_owned(),
        tables => format!("use {}, or add it to `grants.lookup.tables`", list(tables)),
    }
}

/// Names in backticks, with `or` before the last.
fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "another table".to_owned(),
    }
}
