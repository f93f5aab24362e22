//! Events that an encoder refuses: payloads have them with the reason, and the sink never sends them.

use wattle_batch::Batch;

/// How an event begins that the encoder refuses. No event of a sink with refusals begins so.
const REFUSED: u8 = 0;

/// Writes an event that is never sent, with the reason, which has one line.
pub(crate) fn write_refused(reason: &str, batch: &Batch, row: usize, out: &mut Vec<u8>) {
    out.push(REFUSED);
    out.extend_from_slice(reason.as_bytes());
    out.push(b'\n');
    batch.write_json(row, out);
}

/// The reason why an event is never sent, and the event as JSON; `None` for an event that is sent.
pub(crate) fn refusal(event: &[u8]) -> Option<(&str, &[u8])> {
    let text = event.strip_prefix(&[REFUSED])?;
    let end = memchr::memchr(b'\n', text)?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, text.get(end + 1..)?))
}
