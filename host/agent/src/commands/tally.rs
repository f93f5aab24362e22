//! The output of test commands: cases of nodes and tests of packs.

use crate::exit::{Done, FAILED, Failure, print};

/// Prints a line for each test and counts them.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    updated: usize,
}

impl Tally {
    pub(crate) fn passed(&mut self, name: &str) -> Done {
        self.passed += 1;
        print(&format!("test {name} ... ok"))
    }

    /// A failed test with its problems, one per line.
    pub(crate) fn failed(&mut self, name: &str, problems: &str) -> Done {
        self.failed += 1;
        print(&format!("test {name} ... FAILED\n    {}", problems.replace('\n', "\n    ")))
    }

    /// A test whose expectations were written.
    pub(crate) fn updated(&mut self, name: &str, files: &[String]) -> Done {
        self.updated += 1;
        print(&format!("test {name} ... updated {}", files.join(", ")))
    }

    /// Prints the totals. If no test ran, the error names `what`.
    pub(crate) fn end(self, what: &str) -> Done {
        let updated = if self.updated > 0 { format!(", {} updated", self.updated) } else { String::new() };
        print(&format!("{} passed, {} failed{updated}", self.passed, self.failed))?;
        match (self.passed + self.updated, self.failed) {
            (0, 0) => Err(Failure::new(format!("no test of `{what}` ran"))),
            (_, 0) => Ok(()),
            _ => Err(Failure::silent(FAILED)),
        }
    }
}
