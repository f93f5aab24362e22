//! A progress bar on a terminal while a bounded input is read.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wattle_source::SourceStats;
use wattle_topology::Observer;

use crate::waiting::Drawn;

pub(crate) struct Progress(Option<(ProgressBar, tokio::task::JoinHandle<()>, Drawn)>);

impl Progress {
    /// Shows the bar if `wanted` and standard error is a terminal.
    pub(crate) fn start(wanted: bool, observer: &Observer) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
        let sources: Vec<Arc<SourceStats>> = observer.sources().into_iter().map(|source| source.stats).collect();
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let sum = |count: fn(&SourceStats) -> u64| sources.iter().map(|s| count(s)).sum::<u64>();
                let total = sum(|s| s.total_bytes.load(Ordering::Relaxed));
                let read = sum(|s| s.read_bytes.load(Ordering::Relaxed));
                let events = sum(|s| s.events.load(Ordering::Relaxed));
                let template = if total > 0 {
                    shown.set_length(total);
                    "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg} {eta} left"
                } else {
                    "{spinner} {bytes} {bytes_per_sec} {msg}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    shown.set_style(style);
                }
                shown.set_position(read);
                shown.set_message(format!("{events} events"));
            }
        });
        Self(Some((bar, task, Drawn::new())))
    }

    /// Removes the bar.
    pub(crate) fn end(self) {
        if let Some((bar, task, _drawn)) = self.0 {
            task.abort();
            bar.finish_and_clear();
        }
    }
}
