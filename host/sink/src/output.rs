//! Writes payloads to an output that may accept only a part of them, or fail temporarily.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::MetadataExt;

use wattle_buffer::Queue;

use crate::sink::Payload;

/// Maximum number of buffers in one system call.
const MAX_PARTS: usize = 64;

/// Bytes of payloads that are collected from the queue for one write.
const GATHER_BYTES: usize = 2 << 20;

/// An output.
pub(crate) trait Output: Send {
    /// Writes the beginning of the parts and returns the number of bytes written.
    fn write_parts(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Waits until everything written is on the storage medium.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether the file has no name any more, so that its contents are lost when it is closed.
    fn is_removed(&self) -> bool {
        false
    }
}

impl Output for File {
    fn write_parts(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(parts)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // Pipes and devices have no storage medium.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            done => done,
        }
    }

    fn is_removed(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 0)
    }
}

/// Payloads to write in order, and the number of bytes of the first one that are already written.
#[derive(Debug, Default)]
pub(crate) struct Todo {
    pub(crate) payloads: VecDeque<Payload>,
    pub(crate) offset: usize,
}

impl Todo {
    /// Whether everything is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// Adds a payload and further payloads of the queue, up to [`GATHER_BYTES`].
    pub(crate) fn gather(&mut self, first: Payload, queue: &Queue<Payload>) {
        let mut bytes = first.bytes.len();
        self.payloads.push_back(first);
        while bytes < GATHER_BYTES {
            let Some(payload) = queue.try_pop() else { return };
            bytes += payload.bytes.len();
            self.payloads.push_back(payload);
        }
    }

    /// The bytes of the first payload that are not written yet.
    pub(crate) fn first(&self) -> &[u8] {
        self.payloads.front().and_then(|p| p.bytes.get(self.offset..)).unwrap_or_default()
    }

    /// Records that `count` bytes are written, and passes completed payloads to `done`.
    fn advance(&mut self, mut count: usize, done: &mut impl FnMut(Payload)) {
        while let Some(first) = self.payloads.front() {
            let rest = first.bytes.len().saturating_sub(self.offset);
            if count < rest {
                self.offset += count;
                return;
            }
            count -= rest;
            self.offset = 0;
            if let Some(payload) = self.payloads.pop_front() {
                done(payload);
            }
            if count == 0 {
                return;
            }
        }
    }

    /// Writes the first `count` payloads, and passes each completed payload to `done`. After an
    /// error the next call continues with the first byte that was not written.
    pub(crate) fn write(
        &mut self,
        count: usize,
        output: &mut dyn Output,
        mut done: impl FnMut(Payload),
    ) -> io::Result<()> {
        let target = self.payloads.len().saturating_sub(count);
        while self.payloads.len() > target {
            let mut parts = [IoSlice::new(&[]); MAX_PARTS];
            let mut used = 0;
            let wanted = self.payloads.iter().take(self.payloads.len() - target).enumerate();
            for (part, (index, payload)) in parts.iter_mut().zip(wanted) {
                let skip = if index == 0 { self.offset } else { 0 };
                *part = IoSlice::new(payload.bytes.get(skip..).unwrap_or_default());
                used += 1;
            }
            let parts = parts.get(..used).unwrap_or_default();
            // `write_vectored` returns 0 for empty parts, which would look like an error.
            let taken = if parts.iter().all(|p| p.is_empty()) { 0 } else { write_some(output, parts)? };
            self.advance(taken, &mut done);
        }
        Ok(())
    }
}

/// Writes at least one byte. The parts must not be empty.
fn write_some(output: &mut dyn Output, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match output.write_parts(parts) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Writes `bytes` from `at` on and advances `at`, so that a call after an error continues where
/// this one stopped.
pub(crate) fn write_rest(output: &mut dyn Output, bytes: &[u8], at: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*at..).filter(|rest| !rest.is_empty()) {
        *at += write_some(output, &[IoSlice::new(rest)])?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod fake {
    //! An output with programmed results.

    use super::*;
    use std::sync::{Arc, Mutex};

    /// The state of a fake output, and the results of its next writes.
    #[derive(Debug, Default)]
    pub(crate) struct Fake {
        pub(crate) written: Vec<u8>,
        /// Results of the next writes: a maximum of bytes, or an error. After them, every write
        /// succeeds.
        pub(crate) plan: VecDeque<Result<usize, ErrorKind>>,
        pub(crate) syncs: usize,
        pub(crate) sync_error: Option<ErrorKind>,
        pub(crate) is_removed: bool,
    }

    /// A handle to a fake output.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct FakeOutput(pub(crate) Arc<Mutex<Fake>>);

    impl Output for FakeOutput {
        fn write_parts(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut fake = self.0.lock().unwrap();
            let limit = fake.plan.pop_front().unwrap_or(Ok(usize::MAX))?;
            let all: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).take(limit).collect();
            fake.written.extend_from_slice(&all);
            Ok(all.len())
        }

        fn sync(&mut self) -> io::Result<()> {
            let mut fake = self.0.lock().unwrap();
            fake.syncs += 1;
            fake.sync_error.take().map_or(Ok(()), |kind| Err(kind.into()))
        }

        fn is_removed(&self) -> bool {
            self.0.lock().unwrap().is_removed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeOutput;
    use super::*;
    use wattle_batch::Ack;

    fn payload(text: &str) -> Payload {
        Payload { key: None, bytes: text.into(), events: 1, ends: Vec::new(), ack: Ack::none() }
    }

    #[test]
    fn writing_continues_where_a_partial_write_stopped() {
        let texts = ["one\n", "", "two\n", "three\n", ""];
        for first in 0..15 {
            let mut todo = Todo { payloads: texts.iter().map(|t| payload(t)).collect(), offset: 0 };
            let mut output = FakeOutput::default();
            let plan = [Ok(first.max(1)), Err(ErrorKind::Interrupted), Ok(1), Err(ErrorKind::StorageFull), Ok(2)];
            output.0.lock().unwrap().plan = plan.into();
            let mut done = Vec::new();
            let mut errors = 0;
            while todo.write(5, &mut output, |p| done.push(p.bytes)).is_err() {
                errors += 1;
            }
            assert!(todo.is_empty());
            assert!(errors <= 1);
            assert_eq!(output.0.lock().unwrap().written, b"one\ntwo\nthree\n", "{first}");
            assert_eq!(done, texts.map(|t| t.as_bytes().to_vec()));
        }
    }

    #[test]
    fn only_the_given_number_of_payloads_is_written() {
        let mut todo = Todo { payloads: (0..1000).map(|i| payload(&format!("{i}\n"))).collect(), offset: 0 };
        let mut output = FakeOutput::default();
        todo.write(999, &mut output, drop).unwrap();
        assert_eq!(todo.first(), b"999\n");
        todo.write(1, &mut output, drop).unwrap();
        let expected: String = (0..1000).map(|i| format!("{i}\n")).collect();
        assert_eq!(output.0.lock().unwrap().written, expected.as_bytes());
    }

    #[test]
    fn an_output_that_accepts_nothing_is_an_error() {
        let mut output = FakeOutput::default();
        output.0.lock().unwrap().plan = [Ok(0)].into();
        let mut todo = Todo { payloads: [payload("x")].into(), offset: 0 };
        assert_eq!(todo.write(1, &mut output, drop).unwrap_err().kind(), ErrorKind::WriteZero);
    }
}
