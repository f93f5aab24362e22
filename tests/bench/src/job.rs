//! Whole processes, measured from outside: CPU time of all their threads, wall time, peak memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use wait4::Wait4 as _;

/// A process to run.
pub(crate) struct Job {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    stdin: Option<PathBuf>,
    cores: Option<String>,
}

/// The resources that a process used.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
    pub(crate) peak_mb: f64,
    pub(crate) stdout: String,
}

impl Job {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), stdin: None, cores: None }
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, path: &Path) -> Self {
        self.stdin = Some(path.into());
        self
    }

    /// Runs the program through another one, whose arguments end with a path.
    pub(crate) fn under(mut self, program: &Path, args: &[&str], path: &Path) -> Self {
        let inner = std::mem::replace(&mut self.program, program.into());
        let before = args.iter().map(OsString::from).chain([path.into(), inner.into()]);
        self.args.splice(..0, before);
        self
    }

    /// Pins the process to these cores, such as `0` or `0,1`.
    pub(crate) fn on_cores(mut self, cores: &str) -> Self {
        self.cores = Some(cores.into());
        self
    }

    /// Starts the process; its standard output is a pipe.
    pub(crate) fn spawn(&self) -> anyhow::Result<Child> {
        let mut command = match &self.cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let stdin = match &self.stdin {
            Some(path) => File::open(path).with_context(|| path.display().to_string())?.into(),
            None => Stdio::null(),
        };
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v))).stdin(stdin).stdout(Stdio::piped());
        command.spawn().with_context(|| format!("could not start {}", self.program.display()))
    }

    /// Runs the process to its end. It must succeed.
    pub(crate) fn run(&self) -> anyhow::Result<Used> {
        let since = Instant::now();
        let mut child = self.spawn()?;
        let peak = Peak::watch(child.id());
        let mut stdout = String::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut stdout)?;
        }
        let done = child.wait4()?;
        let wall_s = since.elapsed().as_secs_f64();
        ensure!(done.status.success(), "{} {:?} ended with {}", self.program.display(), self.args, done.status);
        let cpu_s = (done.rusage.utime + done.rusage.stime).as_secs_f64();
        Ok(Used { cpu_s, wall_s, peak_mb: peak.end(), stdout })
    }
}

/// Samples the peak memory of a process. The figure of `wait4` starts with the memory of the parent
/// process, so this looks at the process itself while it runs.
struct Peak {
    bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Peak {
    fn watch(pid: u32) -> Self {
        let peak = Self { bytes: Arc::default(), over: Arc::default() };
        let (bytes, over) = (peak.bytes.clone(), peak.over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                bytes.fetch_max(status_bytes(pid, "VmHWM:").unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        peak
    }

    fn end(self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        crate::figures::mega(self.bytes.load(Ordering::Relaxed))
    }
}

/// A line of `/proc/<pid>/status` in bytes.
pub(crate) fn status_bytes(pid: u32, key: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// CPU time that all threads of a running process have used, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    cpu_seconds_of(pid, "")
}

/// The same of the threads whose names begin so.
pub(crate) fn cpu_seconds_of(pid: u32, name: &str) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        if !name.is_empty() && !std::fs::read_to_string(task.path().join("comm")).ok()?.starts_with(name) {
            return None;
        }
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum()).as_secs_f64()
}

/// Path of a program on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
