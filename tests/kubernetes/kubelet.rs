//! A node: containers that write logs, and a kubelet that rotates them.
//!
//! Rotation follows `ContainerLogManager` of the kubelet: the log is renamed to `0.log.TIME`, the runtime opens a new
//! one, the log that was rotated before is compressed to `.tmp`, renamed to `.gz`, and removed, and the oldest ones are
//! removed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Threads that write, each for some of the pods.
const WRITERS: usize = 4;

/// How often a writer writes to each of its pods.
const TICK: Duration = Duration::from_millis(50);

/// Length of usual messages, and of long ones, which the runtime splits.
const MESSAGE: usize = 400;
const LONG_MESSAGE: usize = 40_000;
const PART: usize = 16 << 10;

/// One of this many messages is long.
const LONG_EVERY: u64 = 500;

/// The load of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) pods: usize,
    /// Of all pods together.
    pub(crate) bytes_per_second: u64,
    pub(crate) seconds: u64,
    /// Size at which a log is rotated.
    pub(crate) rotate_at: u64,
    /// Number of files of a container, with the current one.
    pub(crate) max_files: usize,
}

/// What the containers wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Number of messages of each pod.
    pub(crate) messages: Vec<u64>,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) rotations: u64,
}

/// The node.
pub(crate) struct Node {
    folder: PathBuf,
    load: Load,
}

/// Containers that write.
pub(crate) struct Writing {
    writers: Vec<JoinHandle<Vec<Container>>>,
    kubelet: JoinHandle<u64>,
    begun: Instant,
}

/// A container and its log.
struct Container {
    number: usize,
    folder: PathBuf,
    log: File,
    size: u64,
    messages: u64,
    bytes: u64,
    rotations: Arc<AtomicU64>,
}

impl Node {
    pub(crate) fn new(folder: &Path, load: Load) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), load }
    }

    /// Begins to write.
    pub(crate) fn begin(&self) -> Writing {
        let load = self.load;
        let rotations = Arc::new(AtomicU64::new(0));
        let (rotated, to_compress) = std::sync::mpsc::channel();
        let containers = (0..load.pods).map(|number| Container::new(&self.folder, number, &rotations));
        let mut groups: Vec<Vec<Container>> = (0..WRITERS).map(|_| Vec::new()).collect();
        for container in containers {
            groups[container.number % WRITERS].push(container);
        }
        let writers = groups.into_iter().map(|containers| {
            let rotated = rotated.clone();
            std::thread::spawn(move || write(containers, load, &rotated))
        });
        let writers = writers.collect();
        drop(rotated);
        let kubelet = std::thread::spawn(move || {
            // The kubelet compresses in its own time, not in that of the containers.
            to_compress.into_iter().for_each(|folder: PathBuf| clean(&folder, load.max_files));
            rotations.load(Ordering::Relaxed)
        });
        Writing { writers, kubelet, begun: Instant::now() }
    }
}

impl Writing {
    /// Waits until everything is written.
    pub(crate) fn join(self) -> Written {
        let containers: Vec<Container> = self.writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut written = Written { messages: vec![0; containers.len()], seconds, ..Written::default() };
        for container in &containers {
            written.messages[container.number] = container.messages;
            written.bytes += container.bytes;
        }
        drop(containers);
        written.rotations = self.kubelet.join().unwrap();
        written
    }
}

/// Writes at the pace of the load, whatever the agent does.
fn write(mut containers: Vec<Container>, load: Load, rotated: &std::sync::mpsc::Sender<PathBuf>) -> Vec<Container> {
    let begun = Instant::now();
    let end = Duration::from_secs(load.seconds);
    let mut now = Duration::ZERO;
    while now < end {
        now = begun.elapsed().min(end);
        let due = load.bytes_per_second as f64 * now.as_secs_f64() / load.pods as f64;
        for container in &mut containers {
            container.write_until(due as u64);
            if container.size >= load.rotate_at {
                container.rotate();
                // Only an error of the kubelet's thread closes the channel, which `join` reports.
                let _ = rotated.send(container.folder.clone());
            }
        }
        std::thread::sleep(TICK.saturating_sub(begun.elapsed() - now));
    }
    containers
}

impl Container {
    fn new(folder: &Path, number: usize, rotations: &Arc<AtomicU64>) -> Self {
        let folder = folder.join(format!("shop_web-{number}_00000000-0000-0000-0000-{number:012}")).join("app");
        fs::create_dir_all(&folder).unwrap();
        let log = File::create(folder.join("0.log")).unwrap();
        Self { number, folder, log, size: 0, messages: 0, bytes: 0, rotations: rotations.clone() }
    }

    /// Writes messages until the container wrote this many bytes in total.
    fn write_until(&mut self, bytes: u64) {
        let mut text = String::new();
        while self.bytes + (text.len() as u64) < bytes {
            let length = if self.messages % LONG_EVERY == LONG_EVERY - 1 { LONG_MESSAGE } else { MESSAGE };
            let stream = if self.messages.is_multiple_of(7) { "stderr" } else { "stdout" };
            let message = message(self.number, self.messages, length);
            let mut parts = message.as_bytes().chunks(PART).peekable();
            while let Some(part) = parts.next() {
                let tag = if parts.peek().is_some() { 'P' } else { 'F' };
                text += &format!("2026-01-01T00:00:00.123456789Z {stream} {tag} ");
                text += std::str::from_utf8(part).unwrap();
                text.push('\n');
            }
            self.messages += 1;
        }
        self.log.write_all(text.as_bytes()).unwrap();
        self.bytes += text.len() as u64;
        self.size += text.len() as u64;
    }

    fn rotate(&mut self) {
        let number = self.rotations.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join("0.log");
        fs::rename(&log, self.folder.join(format!("0.log.20260101-{number:06}"))).unwrap();
        // The runtime still writes to the renamed log, until it opens the new one.
        let before = self.bytes;
        self.write_until(before + MESSAGE as u64);
        self.log = OpenOptions::new().append(true).create_new(true).open(&log).unwrap();
        self.size = 0;
    }
}

/// A text with the numbers of pod and message at its beginning, and its length at its end, so that a part of it is
/// recognized.
fn message(pod: usize, number: u64, length: usize) -> String {
    let mut text = format!("{pod} {number} ");
    let end = format!(" {length}");
    while text.len() + end.len() < length {
        // Not the same byte, which would compress far better than logs do.
        text.push(char::from(b'a' + ((text.len() as u64 * 7 + number) % 26) as u8));
    }
    text + &end
}

/// The numbers of pod and message, if the text is a whole message.
pub(crate) fn parse(text: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let (pod, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let length: usize = words.next_back()?.parse().ok()?;
    (length == text.len()).then_some((pod, number))
}

/// Compresses all rotated logs of a container but the newest, and removes the oldest.
fn clean(folder: &Path, max_files: usize) {
    let names = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("0.log.2026")).collect();
        names.sort();
        names
    };
    let rotated = names(folder);
    // The kubelet keeps `max_files` with the current log and the one that it rotates next.
    let removed = rotated.len().saturating_sub(max_files - 1);
    for name in &rotated[..removed] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    let newest = rotated.last().cloned().unwrap_or_default();
    for name in rotated[removed..].iter().filter(|name| !name.ends_with(".gz") && **name != newest) {
        let (from, to) = (folder.join(name), folder.join(format!("{name}.gz")));
        let temporary = folder.join(format!("{name}.tmp"));
        let mut encoder = GzEncoder::new(File::create(&temporary).unwrap(), Compression::fast());
        encoder.write_all(&fs::read(&from).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::rename(temporary, to).unwrap();
        fs::remove_file(from).unwrap();
    }
}
