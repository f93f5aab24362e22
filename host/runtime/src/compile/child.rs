//! Compiles untrusted artifacts in a separate process with limited memory and processor time.
//!
//! The process runs this program with a hidden command: [`ChildCompiler`] is the agent's side,
//! [`serve_compiler`] the child's. The agent writes the artifact to its standard input. The child
//! writes one byte that distinguishes code from a message to its standard output, followed by the
//! code or the message. No other process has these pipes, so the result is as authentic as code
//! that was compiled in this process.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};

use bytes::Bytes;
use rlimit::Resource;
use wasmtime::Engine;
use wattle_plan::ArtifactLimits;

use crate::memory;
use crate::tier::Kind;

/// Address space of the child in addition to its data: program, libraries, stacks.
const ADDRESS_SPACE_BESIDES: u64 = 4 << 30;
/// Exit code of a panic in Rust.
const PANIC: i32 = 101;
/// First byte of the response: code follows.
const CODE: u8 = 0;
/// First byte of the response: a message follows that explains why the artifact is not a component.
const REFUSED: u8 = 1;

static CHILD: OnceLock<ChildCompiler> = OnceLock::new();

/// How to start the compiler program, whose `main` calls [`serve_compiler`] with the arguments that
/// follow.
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// Path of the program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

impl ChildCompiler {
    /// Makes every runtime of this process compile untrusted artifacts with this program. Only the
    /// first call counts. Without it, everything is compiled in this process, as in tests and
    /// benchmarks.
    pub fn install(self) {
        let _ = CHILD.set(self);
    }

    pub(super) fn installed() -> Option<&'static Self> {
        CHILD.get()
    }

    /// Compiles bytes to the code of an engine of this kind.
    pub(super) fn compile(&self, job: Job, limits: &ArtifactLimits, bytes: &Bytes) -> Result<Vec<u8>, ChildError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(job.arguments(limits)).env_clear();
        // A backtrace of a failed allocation would allocate.
        command.env("RUST_BACKTRACE", "0");
        // The program's allocator reserves memory in advance, which would count as used.
        command.env("MIMALLOC_ARENA_RESERVE", "16M");
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(ChildError::Start)?;
        let answer = exchange(&mut child, limits, bytes);
        let status = match &answer {
            Err(_) => {
                let _ = child.kill();
                child.wait()
            }
            Ok(_) => child.wait(),
        };
        let answer = answer?;
        match answer.split_first() {
            Some((&CODE, code)) if status.as_ref().is_ok_and(ExitStatus::success) => Ok(code.to_vec()),
            Some((&REFUSED, message)) if status.as_ref().is_ok_and(ExitStatus::success) => {
                Err(ChildError::Refused(String::from_utf8_lossy(message).into_owned()))
            }
            _ => Err(ended(status.map_err(ChildError::Start)?, limits)),
        }
    }
}

/// Why there is no code.
#[derive(Debug)]
pub(super) enum ChildError {
    /// The process could not be started or waited for.
    Start(io::Error),
    /// The child explains why the artifact is not a component.
    Refused(String),
    /// The artifact killed the child: the reason as a phrase without a subject.
    Killed(String),
    /// Something else ended the child.
    Ended(String),
}

/// Target of a compilation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) metered: bool,
    /// Whether other work needs the processors.
    pub(crate) in_background: bool,
    /// Whether address space is scarce where the code will run.
    pub(crate) is_small: bool,
}

impl Job {
    fn arguments(self, limits: &ArtifactLimits) -> [String; 6] {
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let seconds = limits.max_compile_time.as_secs().saturating_add(1).saturating_mul(processors);
        [
            (self.kind == Kind::Baseline).to_string(),
            self.metered.to_string(),
            self.in_background.to_string(),
            self.is_small.to_string(),
            limits.max_compile_bytes.to_string(),
            seconds.to_string(),
        ]
    }

    fn parse(arguments: &[OsString]) -> Option<(Self, u64, u64)> {
        let [baseline, metered, in_background, is_small, bytes, seconds] = arguments else { return None };
        let flag = |text: &OsString| text.to_str()?.parse::<bool>().ok();
        let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
        let kind = if flag(baseline)? { Kind::Baseline } else { Kind::Optimized };
        let job =
            Self { kind, metered: flag(metered)?, in_background: flag(in_background)?, is_small: flag(is_small)? };
        Some((job, number(bytes)?, number(seconds)?))
    }
}

/// Sends the artifact and reads the complete response.
fn exchange(child: &mut Child, limits: &ArtifactLimits, bytes: &Bytes) -> Result<Vec<u8>, ChildError> {
    let pipes = child.stdin.take().zip(child.stdout.take());
    let Some((mut input, output)) = pipes else { return Err(ChildError::Start(io::ErrorKind::BrokenPipe.into())) };
    let (sender, answered) = channel();
    let (bytes, most) = (bytes.clone(), limits.max_compile_bytes);
    let talk = move || {
        // If the child ended early, its status explains why.
        let _ = input.write_all(&bytes);
        drop(input);
        let mut answer = Vec::new();
        let _ = output.take(most).read_to_end(&mut answer);
        let _ = sender.send(answer);
    };
    std::thread::Builder::new().name("wattle-compile".into()).spawn(talk).map_err(ChildError::Start)?;
    answered.recv_timeout(limits.max_compile_time).map_err(|error| match error {
        RecvTimeoutError::Timeout => ChildError::Killed(format!("took longer than {:?}", limits.max_compile_time)),
        RecvTimeoutError::Disconnected => ChildError::Ended("the pipe to it broke".into()),
    })
}

/// Converts the status of a child that sent no response to an error.
fn ended(status: ExitStatus, limits: &ArtifactLimits) -> ChildError {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    const SIGBUS: i32 = 7;
    const SIGXCPU: i32 = 24;
    let mib = limits.max_compile_bytes >> 20;
    match status.signal() {
        Some(SIGABRT) => ChildError::Killed(format!("needed more than {mib} MiB of memory")),
        Some(SIGXCPU) => {
            ChildError::Killed(format!("took more processor time than {:?} allow", limits.max_compile_time))
        }
        Some(SIGKILL) => ChildError::Killed("was killed, probably because the machine ran out of memory".into()),
        Some(signal @ (SIGSEGV | SIGBUS)) => ChildError::Killed(format!("crashed with signal {signal}")),
        // An interrupt from the terminal or a stop of the service ends the child with the agent;
        // the artifact is not to blame.
        Some(signal) => ChildError::Ended(format!("it was ended by signal {signal}")),
        // When memory runs out, a thread that cannot start causes a panic.
        None if status.code() == Some(PANIC) => {
            ChildError::Killed(format!("needed more than {mib} MiB of memory, or the compiler has a bug"))
        }
        None => ChildError::Ended(format!("it ended with {status}")),
    }
}

/// Runs as the child: sets its own limits, reads the artifact from standard input, compiles it and
/// writes the response. `arguments` are those after [`ChildCompiler::arguments`].
pub fn serve_compiler(arguments: &[OsString]) -> ExitCode {
    let Some((job, bytes, seconds)) = Job::parse(arguments) else { return ExitCode::from(64) };
    // If the system refuses any of these limits, the agent still has its own timeout.
    let limit = |resource: Resource, wanted: u64| {
        let (_, hard) = resource.get().unwrap_or((wanted, u64::MAX));
        let _ = resource.set(wanted.min(hard), wanted.min(hard));
    };
    limit(Resource::CORE, 0);
    limit(Resource::FSIZE, 0);
    limit(Resource::DATA, bytes);
    limit(Resource::AS, bytes.saturating_add(ADDRESS_SPACE_BESIDES));
    let (_, hard) = Resource::CPU.get().unwrap_or((seconds, u64::MAX));
    let _ = Resource::CPU.set(seconds.min(hard), seconds.saturating_add(1).min(hard));
    // If the machine runs out of memory, the kernel should kill this process before the agent.
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut artifact = Vec::new();
    if io::stdin().lock().read_to_end(&mut artifact).is_err() {
        return ExitCode::from(74);
    }
    let compiled = engine(job).and_then(|engine| engine.precompile_component(&artifact));
    let (first, rest) = match compiled {
        Ok(code) => (CODE, code),
        Err(error) => {
            let text = format!("{error:#}");
            if memory::explain(&text).is_some() {
                // Only failed mappings are caught here, and they are equivalent to a failed
                // allocation.
                std::process::abort();
            }
            (REFUSED, text.into_bytes())
        }
    };
    let mut output = io::stdout().lock();
    let written = output.write_all(&[first]).and_then(|()| output.write_all(&rest)).and_then(|()| output.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(74) }
}

fn engine(job: Job) -> wasmtime::Result<Engine> {
    Engine::new(&job.kind.config(job.metered, job.in_background, job.is_small)?)
}
