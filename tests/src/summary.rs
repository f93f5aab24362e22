//! Reads the summary that the agent prints at its end.

use std::collections::BTreeMap;

/// The events of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The pipelines by name.
    pub pipelines: BTreeMap<String, Pipeline>,
    /// Events that each sink delivered.
    pub sinks: BTreeMap<String, u64>,
    /// Batches that sinks or pipelines returned and that each source sent again. A source without
    /// such batches is not in here.
    pub sent_again: BTreeMap<String, u64>,
}

/// The events of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// Events that came from sources.
    pub received: u64,
    /// Events to account for: the received ones, and those added by splits and copies.
    pub events_in: u64,
    /// Events that left and did not fail.
    pub delivered: u64,
    /// Events that left as failed.
    pub failed: u64,
    /// Events dropped on purpose.
    pub dropped: u64,
    /// Events that nodes made without a parent.
    pub made: u64,
    /// Events that ended in the memory of nodes.
    pub held: u64,
    /// Events that went back to their source, unacknowledged.
    pub returned: u64,
    /// Events that left on each output.
    pub outputs: BTreeMap<String, u64>,
    /// The lines about failures and drops, such as `failed at unroll: 3 not-json`.
    pub reasons: Vec<String>,
}

impl Summary {
    /// Reads the summary at the end of a log.
    ///
    /// # Panics
    ///
    /// There is no summary, or one of its pipelines lost or duplicated events.
    #[track_caller]
    pub fn read(log: &str) -> Self {
        let mut summary = Self::default();
        let mut current: Option<String> = None;
        for line in log.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["pipeline", name] = words[..] {
                current = Some(name.to_owned());
                summary.pipelines.insert(name.to_owned(), Pipeline::default());
            } else if let ["sink", name, count, "events", ..] = words[..] {
                current = None;
                summary.sinks.insert(name.trim_end_matches(':').to_owned(), number(count));
            } else if let ["source", name, count, "batches", "were", "offered", "again;", ..] = words[..] {
                current = None;
                summary.sent_again.insert(name.trim_end_matches(':').to_owned(), number(count));
            } else if let Some(pipeline) = current.as_ref().and_then(|name| summary.pipelines.get_mut(name)) {
                pipeline.read(line.trim(), &words);
            }
        }
        assert!(!summary.pipelines.is_empty(), "no summary in: {log}");
        for (name, pipeline) in &summary.pipelines {
            let out = pipeline.events_out();
            assert_eq!(pipeline.events_in, out, "pipeline `{name}` lost or made events: {log}");
            assert!(pipeline.events_in >= pipeline.received || pipeline.events_in >= pipeline.dropped, "{log}");
        }
        assert!(!log.contains("NOT EQUAL") && !log.contains("are lost"), "{log}");
        summary
    }

    /// The only pipeline.
    #[track_caller]
    pub fn pipeline(&self) -> &Pipeline {
        assert_eq!(self.pipelines.len(), 1, "{self:?}");
        self.pipelines.values().next().unwrap()
    }
}

impl Pipeline {
    fn read(&mut self, line: &str, words: &[&str]) {
        match words {
            ["in", total, "=", received, "received", rest @ ..] => {
                self.events_in = number(total);
                self.received = number(received);
                let made = rest.windows(2).find(|pair| pair.last() == Some(&"made"));
                self.made = made.and_then(|pair| pair.first()).map_or(0, |made| number(made));
            }
            ["out", total, "=", delivered, "delivered", "+", failed, "failed", "+", dropped, "dropped", rest @ ..] => {
                (self.delivered, self.failed, self.dropped) = (number(delivered), number(failed), number(dropped));
                let mut rest = rest;
                if let ["+", held, "held", more @ ..] = rest {
                    self.held = number(held);
                    rest = more;
                }
                if let ["+", returned, "returned", ..] = rest {
                    self.returned = number(returned);
                }
                assert_eq!(number(total), self.events_out(), "{line}");
            }
            ["failed" | "dropped" | "faults" | "circuit", ..] => self.reasons.push(line.to_owned()),
            [output, count, "events", ..] => {
                self.outputs.insert((*output).to_owned(), number(count));
            }
            _ => {}
        }
    }

    fn events_out(&self) -> u64 {
        self.delivered + self.failed + self.dropped + self.held + self.returned
    }

    /// Events that left on an output.
    #[track_caller]
    pub fn output(&self, name: &str) -> u64 {
        *self.outputs.get(name).unwrap_or_else(|| panic!("no output `{name}`: {self:?}"))
    }
}

#[track_caller]
fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is not a number"))
}
