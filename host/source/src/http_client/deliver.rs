//! Delivers the events of a page.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use wattle_batch::{Ack, Batch, Column, Disposition, Origin};

use crate::pauses::Pauses;
use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// Pauses before batches that returned are sent again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// The source stops before all events of a page are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Sends batches, and waits until all are delivered. Those that return are sent again; the others are not.
///
/// # Errors
///
/// The source stops, and some have returned.
pub(super) async fn deliver(
    columns: Vec<Column>,
    origin: &Arc<Origin>,
    context: &SourceContext,
) -> Result<(), Stopped> {
    if columns.is_empty() {
        return Ok(());
    }
    let mut stop = context.stop.clone();
    let mut pauses = Pauses::new(FIRST_PAUSE, LAST_PAUSE);
    let mut left = columns;
    let mut is_again = false;
    // The next page is requested only after the last acknowledgement of this one.
    let _wait = context.waits.begin();
    loop {
        left = send(left, origin, context, is_again).await?;
        if left.is_empty() {
            return Ok(());
        }
        if stop.is_stopped() {
            return Err(Stopped);
        }
        let (source, batches) = (&context.name, left.len());
        tracing::warn!(%source, batches, "batches returned undelivered; sending them again");
        tokio::select! {
            () = tokio::time::sleep(pauses.next()) => {}
            () = stop.stopped() => return Err(Stopped),
        }
        is_again = true;
        add(&context.stats.retries, left.len() as u64);
    }
}

/// Sends batches, and waits for their acknowledgements. Returns those that came back, in their order.
async fn send(
    columns: Vec<Column>,
    origin: &Arc<Origin>,
    context: &SourceContext,
    is_again: bool,
) -> Result<Vec<Column>, Stopped> {
    let (report, mut reports) = mpsc::unbounded_channel();
    for (index, column) in columns.iter().enumerate() {
        let report = report.clone();
        let ack = Ack::new(move |disposition| {
            // Rejected events were counted where they were rejected; requesting them again cannot help.
            let _ = report.send((index, disposition == Disposition::Retry));
        });
        let batch = Batch::new(column.clone(), origin.clone(), ack);
        let batch = if is_again { batch.redelivered() } else { batch };
        // A closed queue returns the batch; the source stops then.
        context.output.push(Batches(batch)).await.map_err(|_| Stopped)?;
        add(&context.stats.events, column.rows() as u64);
        add(&context.stats.bytes, column.byte_len() as u64);
    }
    drop(report);
    let mut returned = vec![false; columns.len()];
    // The channel ends with the last acknowledgement.
    while let Some((index, is_returned)) = reports.recv().await {
        if let Some(returned) = returned.get_mut(index) {
            *returned = is_returned;
        }
    }
    Ok(columns.into_iter().zip(returned).filter_map(|(column, is_returned)| is_returned.then_some(column)).collect())
}
