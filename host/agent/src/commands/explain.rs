//! `wattle explain`: explains a diagnostic code.

use wattle_diagnostics::codes;

use crate::exit::{Done, Failure, print};

pub(crate) fn explain(code: Option<&str>) -> Done {
    match code {
        None => codes::ALL.iter().try_for_each(|code| print(&format!("{} {}", code.id, code.explanation))),
        Some(id) => match codes::find(id) {
            Some(code) => print(&format!("{} ({}): {}", code.id, code.severity, code.explanation)),
            None => Err(Failure::new(format!("there is no code `{id}`; `wattle explain` lists all codes"))),
        },
    }
}
