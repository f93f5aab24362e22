//! The input: files that grow as fast as the agent reads them, and clients that post one document
//! after another.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::load::{Place, templates};
use crate::room::Room;

/// Maximum number of unread events per file: enough that the agent always has work.
const BACKLOG: usize = 4_000;
/// Bytes at the end of a file that the agent may not have read yet; many times the backlog.
const UNREAD: u64 = 128 << 20;
/// Records of a document in a file.
const FILE_RECORDS: u32 = 40;
/// Records of a document that a client posts.
const POST_RECORDS: u32 = 4;
/// Number of different documents, used in turn.
const TEMPLATES: usize = 200;

/// Start and end of a request.
pub(crate) type Sample = (Instant, Instant);

/// A thread that feeds until it is stopped.
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feed {
    /// Appends to a file.
    pub(crate) fn file(books: &[Arc<Ledger>; 2], stream: usize, path: PathBuf) -> Self {
        let all = templates(stream as u64 + 1, FILE_RECORDS, TEMPLATES);
        let books = books.clone();
        Self::start(move |stop| {
            let mut file = File::options().create(true).append(true).open(&path).unwrap();
            let mut room = Room::new(&path);
            let (mut number, mut written) = (0, 0);
            for template in all.iter().cycle() {
                while books[0].open(stream) > BACKLOG || books[1].open(stream) > BACKLOG {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                books.iter().for_each(|ledger| ledger.send(stream, template));
                let mut line = template.write(stream, number);
                line.push(b'\n');
                file.write_all(&line).unwrap();
                written += line.len() as u64;
                // The unread part is far smaller.
                room.is_read(line.len() as u64 * u64::from(written > UNREAD));
                number += template.records();
            }
        })
    }

    /// Posts one document after another, each after the previous acknowledgement.
    pub(crate) fn client(
        books: &[Arc<Ledger>; 2],
        stream: usize,
        address: SocketAddr,
        samples: &Arc<Mutex<Vec<Sample>>>,
        pause: &Arc<AtomicU64>,
    ) -> Self {
        let mut all = templates(stream as u64 + 1, POST_RECORDS, TEMPLATES);
        // Each document shows which version processed it.
        all.retain(|template| template.places.contains(&Place::ByVersion));
        let (books, samples, pause) = (books.clone(), samples.clone(), pause.clone());
        Self::start(move |stop| {
            let agent = ureq::Agent::new_with_defaults();
            let mut number = 0;
            for template in all.iter().cycle() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                books.iter().for_each(|ledger| ledger.send(stream, template));
                let document = template.write(stream, number);
                number += template.records();
                let since = Instant::now();
                // Any other status than 200 is an error here: nothing may be refused.
                let mut answer = agent.post(format!("http://{address}/")).send(&document).unwrap();
                answer.body_mut().read_to_vec().unwrap();
                samples.lock().unwrap().push((since, Instant::now()));
                std::thread::sleep(Duration::from_millis(pause.load(Ordering::Relaxed)));
            }
        })
    }

    fn start(feed: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        Self { stop, thread: std::thread::spawn(move || feed(&stopped)) }
    }

    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}
