//! Runs the agent as a program: to its end, or in parallel to the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Summary;

/// Timeout of every wait. Only a broken agent takes this long, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The result of a run.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub log: String,
}

impl Ended {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.output).unwrap()
    }

    /// The summary, after checking it.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        Summary::read(&self.log)
    }
}

/// Runs a command to its end, with this standard input.
pub fn finish(command: &mut Command, input: &[u8]) -> Ended {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let ended = std::thread::scope(|scope| {
        // A program that ends before it has read everything is not an error of the test.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Ended {
        code: ended.status.code().unwrap_or(-1),
        output: ended.stdout,
        log: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

/// The same, but kills a command that does not end, because its test would wait with it.
pub fn finish_in_time(command: &Command, input: &[u8]) -> Ended {
    let mut limited = Command::new("timeout");
    limited.args(["--signal", "KILL", &PATIENCE.as_secs().to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    command.get_current_dir().iter().for_each(|folder| _ = limited.current_dir(folder));
    finish(&mut limited, input)
}

/// Waits until a condition holds.
///
/// # Panics
///
/// It never does.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "this never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An agent that runs in parallel to the test, and is killed if the test fails.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    log: String,
}

impl Agent {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, reader: Some(reader), log: String::new() }
    }

    /// Waits for a log line with this text, after the lines of earlier waits; returns the line.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.log.push_str(&line);
                    self.log.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("the agent never said `{text}`; what it said:\n{}", self.log),
            }
        }
    }

    /// The log of the agent up to the line of the last wait.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Maximum memory of the agent so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Current memory of the agent, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, key: &str) -> u64 {
        let mut status = String::new();
        let path = format!("/proc/{}/status", self.child.id());
        std::fs::File::open(path).unwrap().read_to_string(&mut status).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    /// Number of open descriptors of the agent.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks the agent to drain, and waits for its end.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        let ended = self.ended();
        assert_eq!(ended.code, 0, "{}", ended.log);
        ended
    }

    /// Kills the agent.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended()
    }

    /// Waits until the agent ends by itself.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the agent does not end; what it said:\n{}", self.rest());
            std::thread::sleep(Duration::from_millis(10));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        Ended { code: status.code().unwrap_or(-1), output: Vec::new(), log: self.rest() }
    }

    fn rest(&mut self) -> String {
        let mut log = std::mem::take(&mut self.log);
        for line in self.lines.try_iter() {
            log.push_str(&line);
            log.push('\n');
        }
        log
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
