//! Reads a stream of server-sent events. Lines, messages and pauses are bounded.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::error::ClientError;

/// Maximum size of one message in bytes; a status of thousands of pipelines has a few MB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Maximum time without a byte. The agent writes at least once a second.
const MAX_SILENCE: Duration = Duration::from_secs(15);

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its type.
    pub(crate) event: String,
    /// Its data, usually JSON.
    pub(crate) data: String,
}

impl Message {
    /// The error of a stream that ends with the event `end`, which has the reason.
    pub(crate) fn ended(&self) -> ClientError {
        let end: serde_json::Value = serde_json::from_str(&self.data).unwrap_or_default();
        let reason = end.get("reason").and_then(serde_json::Value::as_str);
        ClientError::Lost(reason.unwrap_or("the agent closed it").to_owned())
    }
}

/// A stream of events.
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// The next event; none if the agent ended the stream.
    ///
    /// # Errors
    ///
    /// The connection ended, or the agent does not write events.
    ///
    /// # Cancel safety
    ///
    /// No event is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(message) = self.parser.next()? {
                return Ok(Some(message));
            }
            let frame = timeout(MAX_SILENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| ClientError::Lost(format!("no data for {} s", MAX_SILENCE.as_secs())))?;
            match frame {
                Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|data| self.parser.push(data)),
                Some(Err(error)) => return Err(ClientError::Lost(error.to_string())),
                None => return Ok(None),
            }
        }
    }
}

/// Finds messages in bytes.
#[derive(Default)]
struct Parser {
    /// Bytes that are not a whole line yet, from `read` on.
    buffer: Vec<u8>,
    read: usize,
    /// Number of bytes of the unread part that are known to have no line feed.
    searched: usize,
    /// The message of the lines so far.
    message: Message,
    has_data: bool,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        // What was read makes room first, so that the buffer stays as small as one message.
        self.buffer.drain(..self.read.min(self.buffer.len()));
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message.
    fn next(&mut self) -> Result<Option<Message>, ClientError> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                let message = std::mem::take(&mut self.message);
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(message));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.message.event),
                "data" => {
                    if self.has_data {
                        self.message.data.push('\n');
                    }
                    self.message.data.push_str(value);
                    self.has_data = true;
                    self.check(self.message.data.len())?;
                }
                // Comments keep the connection open. Ids and times are not used here.
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next whole line.
    fn line(&mut self) -> Result<Option<String>, ClientError> {
        let unread = self.buffer.get(self.read..).unwrap_or_default();
        let fresh = unread.get(self.searched..).unwrap_or_default();
        let Some(found) = fresh.iter().position(|&byte| byte == b'\n') else {
            self.searched = unread.len();
            self.check(unread.len())?;
            return Ok(None);
        };
        let length = self.searched + found;
        let line = unread.get(..length).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|error| ClientError::NotAgent(error.to_string()))?.to_owned();
        self.read += length + 1;
        self.searched = 0;
        Ok(Some(line))
    }

    fn check(&self, bytes: usize) -> Result<(), ClientError> {
        if bytes > MAX_MESSAGE_BYTES {
            return Err(ClientError::NotAgent(format!("an event has more than {} MiB", MAX_MESSAGE_BYTES >> 20)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let (mut parser, mut all) = (Parser::default(), Vec::new());
        for chunk in chunks {
            parser.push(chunk);
            while let Some(Message { event, data }) = parser.next().unwrap() {
                all.push((event, data));
            }
        }
        all
    }

    #[test]
    fn messages_are_found_however_the_bytes_arrive() {
        let text = ": hello\n\nevent: status\ndata: {\"a\":1}\n\nid: 7\r\ndata:one\r\ndata:  two\r\n\r\nevent: empty\n\nretry: 5\ndata\n\nevent: cut\ndata: x";
        let message = |event: &str, data: &str| (event.to_owned(), data.to_owned());
        let expected = [message("status", "{\"a\":1}"), message("", "one\n two"), message("", "")];
        assert_eq!(parse(&[text.as_bytes()]), expected);
        for size in [1, 2, 3, 7] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(parse(&chunks), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..=65).find_map(|_| {
            parser.push(&chunk);
            parser.next().err()
        });
        assert!(refused.is_some_and(|error| error.to_string().contains("more than 64 MiB")));
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &chunk, b"\n"].concat();
        let refused = (0..=65).find_map(|_| {
            parser.push(&line);
            parser.next().err()
        });
        assert!(refused.is_some());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        let mut parser = Parser::default();
        parser.push(b"data: \xff\n\n");
        assert!(matches!(parser.next(), Err(ClientError::NotAgent(_))));
    }
}
