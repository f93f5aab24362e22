//! Checks the quotes of a line. `csv_core` never fails: it ends an open quoted column at the end of the text, and takes text
//! after a closing quote as part of the column.

use memchr::memchr;

use super::Fault;

/// Where in a line the next byte is. The states are those of `csv_core`.
#[derive(Clone, Copy)]
enum At {
    Start,
    /// In a column that does not begin with a quote; quotes in it are ordinary characters.
    Plain,
    Quoted,
    /// After the escape in a quoted column.
    Escaped,
    /// After a quote in a quoted column, which closes it or is the first of two.
    Quote,
}

/// Checks that each quoted column has a closing quote, and that the column ends there. Without an escape, two quotes stand
/// for one.
///
/// # Errors
/// The first problem, with the number of its column, from 1.
pub(super) fn check(text: &[u8], delimiter: u8, escape: Option<u8>) -> Result<(), Fault> {
    if memchr(b'"', text).is_none() {
        return Ok(());
    }
    let (mut at, mut column) = (At::Start, 1_usize);
    for &byte in text {
        at = match (at, byte) {
            (At::Quoted, _) if escape == Some(byte) => At::Escaped,
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted | At::Escaped, _) => At::Quoted,
            (At::Quote, b'"') if escape.is_none() => At::Quoted,
            (At::Start, b'"') => At::Quoted,
            (_, b'\r' | b'\n') => At::Start,
            _ if byte == delimiter => {
                column += 1;
                At::Start
            }
            (At::Quote, _) => return Err(fault(format!("has text after the closing quote of column {column}"))),
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    match at {
        At::Quoted | At::Escaped => Err(fault(format!("has no closing quote in column {column}"))),
        At::Start | At::Plain | At::Quote => Ok(()),
    }
}

fn fault(message: String) -> Fault {
    Fault { code: "not-csv", message }
}
