//! A client of syslog over TCP that knows what was read: it ends each connection in order and waits until the server has
//! closed it too. A connection that is refused or reset is repeated with the same messages.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most messages of a connection.
const MESSAGES: u64 = 20;
/// Longer than any pause of the server while it reads; a connection that hangs for so long is a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clients that connect again and again.
pub(super) struct Clients {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<HashMap<String, u64>>>,
}

impl Clients {
    pub(super) fn start(count: u64, seed: u64, server: SocketAddr) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let start = |client: u64| {
            let ends = ends.clone();
            std::thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed + client);
                let (mut sent, mut next) = (HashMap::new(), 0);
                while !ends.load(Ordering::Relaxed) {
                    let messages: Vec<String> =
                        (next..next + random.u64(1..=MESSAGES)).map(|number| format!("c{client}-{number}")).collect();
                    next += messages.len() as u64;
                    loop {
                        // A connection that was reset can have been read, so each try may arrive.
                        let ended = send(server, &messages);
                        if !matches!(ended, Ended::Refused) {
                            messages.iter().for_each(|message| *sent.entry(message.clone()).or_default() += 1);
                        }
                        match ended {
                            Ended::Read => break,
                            Ended::Refused | Ended::Reset => std::thread::sleep(Duration::from_millis(20)),
                        }
                    }
                    std::thread::sleep(Duration::from_millis(random.u64(..5)));
                }
                sent
            })
        };
        let threads = (0..count).map(start).collect();
        Self { ends, threads }
    }

    /// Ends the clients. Returns how often each message was sent; all of them were read at least once.
    pub(super) fn end(self) -> HashMap<String, u64> {
        self.ends.store(true, Ordering::Relaxed);
        let mut sent = HashMap::new();
        for thread in self.threads {
            sent.extend(thread.join().expect("a client does not end"));
        }
        sent
    }
}

/// How a connection ended.
enum Ended {
    /// The server has closed it after the client.
    Read,
    /// There was none.
    Refused,
    /// The client knows that something was not read.
    Reset,
}

fn send(server: SocketAddr, messages: &[String]) -> Ended {
    let Ok(mut stream) = TcpStream::connect(server) else { return Ended::Refused };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    for message in messages {
        let message = format!("<13>1 - - - - - - {message}");
        text += &format!("{} {message}", message.len());
    }
    let ended = stream.write_all(text.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    match ended.and_then(|()| stream.read(&mut [0])) {
        Ok(0) => Ended::Read,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("a connection hangs"),
        Ok(_) | Err(_) => Ended::Reset,
    }
}
