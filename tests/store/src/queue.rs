//! The queue.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Event, State};

/// The longest delay of a message whose visibility timeout has run out.
const MAX_LATE: Duration = Duration::from_secs(2);

/// Why a message was visible when it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is new.
    First,
    /// Its visibility timeout ran out.
    RanOut,
    /// A receiver gave it back: set another visibility timeout than it received the message with.
    Returned,
    /// The server delivers it twice, which is a fault.
    Doubled,
}

#[derive(Debug)]
struct Message {
    body: String,
    sent_ms: i64,
    deliveries: u64,
    /// With which visibility timeout it was received last.
    visibility: Duration,
    /// When it becomes visible, if it is hidden.
    hidden_until: Option<Instant>,
    /// The cause of its next delivery.
    cause: Cause,
    is_deleted: bool,
}

/// All messages, also deleted ones, by index.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: Vec<Message>,
    visible: VecDeque<usize>,
    /// Entries of messages that were hidden for another time meanwhile stay until they are due.
    hidden: BTreeSet<(Instant, usize)>,
    left: usize,
}

impl Queue {
    pub(crate) fn send(&mut self, body: String) -> usize {
        let index = self.messages.len();
        self.messages.push(Message {
            body,
            sent_ms: jiff::Timestamp::now().as_millisecond(),
            deliveries: 0,
            visibility: Duration::ZERO,
            hidden_until: None,
            cause: Cause::First,
            is_deleted: false,
        });
        self.visible.push_back(index);
        self.left += 1;
        index
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// When the next hidden message may become visible.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.hidden.first().map(|(due, _)| *due)
    }

    fn hide(&mut self, index: usize, until: Instant) {
        self.messages[index].hidden_until = Some(until);
        self.hidden.insert((until, index));
    }

    /// The message of a handle, if the handle is the newest of it.
    fn of_receipt(&self, receipt: &Value) -> Option<usize> {
        let (index, delivery) = receipt.as_str()?.split_once('#')?;
        let index: usize = index.parse().ok()?;
        let message = self.messages.get(index)?;
        (message.deliveries.to_string() == delivery).then_some(index)
    }
}

/// A response: status and JSON.
pub(crate) type Answer = (u16, Value);

pub(crate) fn error(code: &str) -> Answer {
    (400, json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": format!("message of {code}") }))
}

/// The messages of one attempt of `ReceiveMessage`; none if there are none now.
pub(crate) fn receive(state: &mut State, request: &Value) -> Vec<Value> {
    let now = Instant::now();
    let max = request["MaxNumberOfMessages"].as_u64().unwrap_or(1);
    let visibility = Duration::from_secs(request["VisibilityTimeout"].as_u64().unwrap_or(30));
    show_due(state, now);
    let mut found = Vec::new();
    while (found.len() as u64) < max && !state.queue.visible.is_empty() {
        let shuffled = state.faults.shuffled;
        let at = if state.meets("shuffled", shuffled) { state.random.usize(..state.queue.visible.len()) } else { 0 };
        // Swapping with the first one keeps this cheap in a long queue.
        let Some(index) = state.queue.visible.swap_remove_front(at) else { break };
        if state.queue.messages[index].is_deleted {
            continue;
        }
        let cause = state.queue.messages[index].cause;
        state.note(|| Event::Delivered { message: index, cause });
        let message = &mut state.queue.messages[index];
        message.deliveries += 1;
        message.visibility = visibility;
        found.push(json!({
            "MessageId": format!("message-{index}"),
            "ReceiptHandle": format!("{index}#{}", message.deliveries),
            "Body": message.body,
            "Attributes": {
                "ApproximateReceiveCount": message.deliveries.to_string(),
                "SentTimestamp": message.sent_ms.to_string(),
            },
        }));
        let doubled = state.faults.doubled;
        if state.meets("doubled", doubled) {
            state.queue.messages[index].cause = Cause::Doubled;
            state.queue.messages[index].hidden_until = None;
            state.queue.visible.push_back(index);
        } else {
            state.queue.messages[index].cause = Cause::RanOut;
            state.queue.hide(index, now + visibility);
        }
    }
    found
}

/// Makes messages visible whose time has run out.
fn show_due(state: &mut State, now: Instant) {
    while let Some((due, index)) = state.queue.hidden.first().copied().filter(|(due, _)| *due <= now) {
        state.queue.hidden.remove(&(due, index));
        let message = &state.queue.messages[index];
        if message.is_deleted || message.hidden_until != Some(due) {
            continue;
        }
        let late = state.faults.late;
        if state.meets("late", late) {
            let until = now + MAX_LATE.mul_f64(state.random.f64());
            state.queue.hide(index, until);
        } else {
            state.queue.messages[index].hidden_until = None;
            state.queue.visible.push_back(index);
        }
    }
}

/// Every operation but `ReceiveMessage`.
pub(crate) fn answer(state: &mut State, operation: &str, request: &Value) -> Answer {
    let single = [request.clone()];
    let entries = request["Entries"].as_array().map_or(&single[..], Vec::as_slice);
    let results = match operation {
        "DeleteMessage" | "DeleteMessageBatch" => entries.iter().map(|entry| delete(state, entry)).collect::<Vec<_>>(),
        "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => {
            entries.iter().map(|entry| change(state, entry)).collect()
        }
        "SendMessage" => {
            let index = state.queue.send(request["MessageBody"].as_str().unwrap_or_default().to_owned());
            return (200, json!({ "MessageId": format!("message-{index}") }));
        }
        "GetQueueUrl" => return (200, json!({ "QueueUrl": request["QueueName"] })),
        "GetQueueAttributes" => {
            let visible = state.queue.messages.iter().filter(|m| !m.is_deleted && m.hidden_until.is_none()).count();
            let attributes = json!({
                "ApproximateNumberOfMessages": visible.to_string(),
                "ApproximateNumberOfMessagesNotVisible": (state.queue.left - visible).to_string(),
                "RedrivePolicy": "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:1:dead\",\"maxReceiveCount\":1000}",
            });
            return (200, json!({ "Attributes": attributes }));
        }
        _ => return error("UnsupportedOperation"),
    };
    if !operation.ends_with("Batch") {
        return match results.as_slice() {
            [Err(code), ..] => error(code),
            _ => (200, json!({})),
        };
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (entry, result) in entries.iter().zip(results) {
        match result {
            Ok(()) => done.push(json!({ "Id": entry["Id"] })),
            Err(code) => failed.push(json!({ "Id": entry["Id"], "Code": code, "SenderFault": true })),
        }
    }
    (200, json!({ "Successful": done, "Failed": failed }))
}

fn delete(state: &mut State, entry: &Value) -> Result<(), &'static str> {
    let index = state.queue.of_receipt(&entry["ReceiptHandle"]).ok_or("ReceiptHandleIsInvalid")?;
    if !std::mem::replace(&mut state.queue.messages[index].is_deleted, true) {
        state.queue.left -= 1;
        state.note(|| Event::Deleted { message: index });
    }
    Ok(())
}

fn change(state: &mut State, entry: &Value) -> Result<(), &'static str> {
    let index = state.queue.of_receipt(&entry["ReceiptHandle"]).ok_or("ReceiptHandleIsInvalid")?;
    let message = &mut state.queue.messages[index];
    // A doubled message is visible already, and stays so.
    if message.is_deleted || message.hidden_until.is_none() {
        return Err("MessageNotInflight");
    }
    let visibility = Duration::from_secs(entry["VisibilityTimeout"].as_u64().unwrap_or_default());
    message.cause = if visibility == message.visibility { Cause::RanOut } else { Cause::Returned };
    state.queue.hide(index, Instant::now() + visibility);
    Ok(())
}
