//! Compiles artifacts within limits.
//!
//! Before a compiler sees the artifact, size, functions, nesting and sections are checked: compile
//! time is about linear in size and functions, and partly quadratic in the nesting. Artifacts that
//! are not built in are compiled in a separate process (`child.rs`), which ends when it exceeds its
//! memory or time; the optimizer (`optimizer.rs`) compiles the others there too. An artifact that killed the compiler is recorded and refused, so it costs
//! nothing when the agent restarts again and again.
//!
//! Without such a process (in tests), and for built-in artifacts at start, a thread compiles. A thread
//! cannot be interrupted: if it takes too long, the agent stops waiting, and refuses the artifact
//! while the thread runs.

mod child;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wattle_plan::{Artifact, ArtifactLimits, Origin};

use crate::artifact::ArtifactError;
use crate::cache::{Cache, load_compiled};
use crate::tier::{Kind, Tier};

pub(crate) use child::Job;
pub use child::{ChildCompiler, serve_compiler};

use child::ChildError;

/// Common start of hints about limits.
const RAISE: &str = "if the artifact is correct, raise";
/// Maximum nesting of components and modules; tools produce 3 to 5 levels.
const MAX_NESTING: usize = 32;
/// Maximum number of modules and components in one artifact.
const MAX_PARTS: usize = 1000;
/// Maximum number of sections of all of them.
const MAX_SECTIONS: usize = 100_000;

pub(crate) struct Compiler {
    limits: ArtifactLimits,
    /// Digests of artifacts that the agent gave up on while a thread still compiles them.
    abandoned: Arc<Mutex<HashSet<String>>>,
    /// Artifacts that killed a compiler of this process, with the reason, if there is no cache to
    /// record them.
    refused: Mutex<HashMap<(Kind, String), String>>,
    /// Names of the artifacts that are being compiled now.
    active: Mutex<Vec<String>>,
}

/// Lists an artifact as being compiled until it is dropped.
struct Active<'a>(&'a Compiler, &'a str);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let mut active = self.0.active.lock();
        if let Some(index) = active.iter().position(|name| name == self.1) {
            active.remove(index);
        }
    }
}

impl Compiler {
    pub(crate) fn new(limits: ArtifactLimits) -> Self {
        Self { limits, abandoned: Arc::default(), refused: Mutex::default(), active: Mutex::default() }
    }

    /// Names of the artifacts that are being compiled now.
    pub(crate) fn active(&self) -> Vec<String> {
        self.active.lock().clone()
    }

    /// Compiles an artifact.
    ///
    /// # Errors
    ///
    /// It is not a component, exceeds a limit, or killed a compiler before.
    pub(crate) fn compile(
        &self,
        tier: &Tier,
        cache: Option<&Cache>,
        artifact: &Artifact,
    ) -> Result<Component, ArtifactError> {
        self.compile_with(tier, cache, artifact, false)
    }

    /// Compiles an artifact in a separate process if there is one, also if it is built in. The optimizing compiler needs
    /// ten times the memory of an idle agent, and each of its threads keeps a part of it until the process ends.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub(crate) fn compile_apart(
        &self,
        tier: &Tier,
        cache: Option<&Cache>,
        artifact: &Artifact,
    ) -> Result<Component, ArtifactError> {
        self.compile_with(tier, cache, artifact, true)
    }

    fn compile_with(
        &self,
        tier: &Tier,
        cache: Option<&Cache>,
        artifact: &Artifact,
        apart: bool,
    ) -> Result<Component, ArtifactError> {
        let bytes = artifact.bytes();
        self.check(&bytes)?;
        self.active.lock().push(artifact.name.clone());
        let _active = Active(self, &artifact.name);
        match (&artifact.origin, ChildCompiler::installed()) {
            (Origin::File(_), Some(child)) => self.compile_elsewhere(child, tier, cache, artifact, &bytes),
            // A built-in artifact is trusted, so limits that are too low for it do not stop it.
            (_, Some(child)) if apart => {
                let compiled = self.compile_elsewhere(child, tier, cache, artifact, &bytes);
                compiled.or_else(|_| self.compile_here(&tier.engine, artifact, bytes))
            }
            _ => self.compile_here(&tier.engine, artifact, bytes),
        }
    }

    /// Compiles an untrusted artifact in a separate process.
    fn compile_elsewhere(
        &self,
        child: &ChildCompiler,
        tier: &Tier,
        cache: Option<&Cache>,
        artifact: &Artifact,
        bytes: &Bytes,
    ) -> Result<Component, ArtifactError> {
        let digest = &artifact.digest;
        let key = (tier.kind, digest.clone());
        if let Some(reason) = self.refused.lock().get(&key) {
            return Err(self.fatal(reason, ""));
        }
        if let Some((reason, path)) = cache.and_then(|cache| cache.refused(&tier.engine, digest, &self.limits)) {
            return Err(self.fatal(&reason, &format!("; remove `{}` to try again", path.display())));
        }
        let error = match child.compile(tier.job(), &self.limits, bytes) {
            Ok(code) => match load_compiled(&tier.engine, &code) {
                Ok(component) => return Ok(component),
                Err(error) => ChildError::Ended(format!("its code does not load: {error}")),
            },
            Err(error) => error,
        };
        match error {
            ChildError::Refused(text) => Err(not_a_component(&text)),
            ChildError::Killed(reason) => {
                let mut clear = "";
                // One of the agent itself only met a machine without time or memory, and may be compiled at the next start.
                let is_own = matches!(artifact.origin, Origin::Builtin | Origin::Embedded);
                match cache {
                    _ if is_own => {}
                    Some(cache) => {
                        cache.refuse(&tier.engine, digest, &self.limits, &reason);
                        clear = "; until then the agent refuses it without compiling";
                    }
                    None => _ = self.refused.lock().insert(key, reason.clone()),
                }
                tracing::warn!(artifact = artifact.name, digest, reason, "an artifact killed the compiler");
                Err(self.fatal(&reason, clear))
            }
            ChildError::Start(error) => {
                let hint = "the agent runs its own program as the compiler; check the limits of processes and memory";
                Err(ArtifactError::new(format!("the compiler process cannot be started: {error}"), hint))
            }
            ChildError::Ended(what) => {
                Err(ArtifactError::new(format!("the compiler process returned no code: {what}"), "try again"))
            }
        }
    }

    /// The error for an artifact that killed the compiler.
    fn fatal(&self, reason: &str, clear: &str) -> ArtifactError {
        let is_time = reason.contains("longer than") || reason.contains("processor time");
        let option = if is_time { "max_compile_time" } else { "max_compile_memory" };
        let hint = format!("{RAISE} `{option}` in [agent.artifacts]{clear}");
        let error = ArtifactError::new(format!("artifact is refused: compiling it {reason}"), &hint);
        ArtifactError { is_fatal: true, ..error }
    }

    /// Compiles on a thread of this process.
    fn compile_here(&self, engine: &Engine, artifact: &Artifact, bytes: Bytes) -> Result<Component, ArtifactError> {
        let too_long = |what: &str| {
            let message = format!("artifact {what} longer than {:?} to compile", self.limits.max_compile_time);
            Err(ArtifactError::new(message, &format!("{RAISE} `max_compile_time` in [agent.artifacts]")))
        };
        if self.abandoned.lock().contains(&artifact.digest) {
            return too_long("is being compiled, and takes");
        }
        let (sender, answer) = channel();
        let (engine, digest) = (engine.clone(), artifact.digest.clone());
        let abandoned = self.abandoned.clone();
        let compiling = std::thread::Builder::new().name("wattle-compile".into()).spawn(move || {
            let compiled = Component::from_binary(&engine, &bytes);
            // Hold the lock while sending, so that the waiting thread does not give up on code that
            // just arrived.
            let mut abandoned = abandoned.lock();
            abandoned.remove(&digest);
            let _ = sender.send(compiled);
        });
        if let Err(error) = compiling {
            return Err(ArtifactError::new(format!("no thread to compile on: {error}"), ""));
        }
        // Built-in artifacts are known to compile, and a busy machine must not keep the agent from
        // starting.
        let longest = match artifact.origin {
            Origin::File(_) => self.limits.max_compile_time,
            Origin::Builtin | Origin::Embedded => Duration::MAX,
        };
        let compiled = match answer.recv_timeout(longest) {
            Ok(compiled) => compiled,
            Err(RecvTimeoutError::Timeout) => {
                let mut abandoned = self.abandoned.lock();
                match answer.try_recv() {
                    Ok(compiled) => compiled,
                    Err(_) => {
                        abandoned.insert(artifact.digest.clone());
                        return too_long("takes");
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(ArtifactError::new("the compiler failed on the artifact", "please report this"));
            }
        };
        compiled.map_err(|error| not_a_component(&format!("{error:#}")))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), ArtifactError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(ArtifactError::new("artifact is not webassembly", "it must be a component in binary form"));
        }
        if !Parser::is_component(bytes) {
            return Err(ArtifactError::new(
                "artifact is a core module, not a component",
                "wrap it with `wasm-tools component new`, or build it with the SDK",
            ));
        }
        if bytes.len() as u64 > self.limits.max_bytes {
            let message = format!("artifact has {} bytes; at most {} are allowed", bytes.len(), self.limits.max_bytes);
            return Err(ArtifactError::new(message, &format!("{RAISE} `max_size` in [agent.artifacts]")));
        }
        let counts = Counts::of(bytes)?;
        let functions = counts.functions;
        if functions > u64::from(self.limits.max_functions) {
            let message =
                format!("artifact has {functions} functions; at most {} are allowed", self.limits.max_functions);
            return Err(ArtifactError::new(message, &format!("{RAISE} `max_functions` in [agent.artifacts]")));
        }
        Ok(())
    }
}

/// Explains an error of a parser or compiler about bytes that are not a component. Only the first
/// line of the error is useful.
fn not_a_component(text: &str) -> ArtifactError {
    let first = text.lines().next().unwrap_or_default();
    let (what, offset) = match first.rsplit_once("(at offset 0x") {
        Some((what, offset)) => (what.trim_end(), u64::from_str_radix(offset.trim_end_matches(')'), 16).ok()),
        None => (first, None),
    };
    let what = what.strip_prefix("failed to parse WebAssembly module: ").unwrap_or(what);
    let place = offset.map_or(String::new(), |offset| format!(" at byte {offset}"));
    // The parser reports an incomplete section before it reaches the end of the bytes.
    if what.contains("unexpected end") || what.contains("out of bounds") {
        let message = format!("artifact is cut off: it ends{place} inside a section");
        return ArtifactError::new(message, "copy or build the artifact again");
    }
    let message = format!("artifact is not a valid WebAssembly component{place}: {what}");
    ArtifactError::new(message, "build it again; `wasm-tools validate` reports the details")
}

/// Counts of the structures in an artifact, up to the first byte that cannot be parsed; the
/// compiler refuses the rest with a better message.
#[derive(Debug, Default)]
struct Counts {
    functions: u64,
    parts: usize,
    sections: usize,
}

impl Counts {
    /// Counts, and stops at the first structure that no real tool produces.
    fn of(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let mut counts = Self::default();
        let mut open = Vec::new();
        let refused = |what: String| Err(ArtifactError::new(what, "no known component tool produces such an artifact"));
        for payload in Parser::new(0).parse_all(bytes) {
            match payload {
                Ok(Payload::Version { encoding, .. }) => {
                    open.push(encoding);
                    counts.parts += 1;
                    if open.len() > MAX_NESTING {
                        return refused(format!("artifact nests components more than {MAX_NESTING} deep"));
                    }
                    if counts.parts > MAX_PARTS {
                        return refused(format!("artifact has more than {MAX_PARTS} modules and components"));
                    }
                }
                Ok(Payload::End(_)) => _ = open.pop(),
                Ok(Payload::CodeSectionStart { count, .. }) if open.last() == Some(&Encoding::Module) => {
                    counts.functions += u64::from(count);
                    counts.sections += 1;
                }
                // `max_functions` limits the bodies of functions.
                Ok(Payload::CodeSectionEntry(_)) => {}
                Ok(_) => {
                    counts.sections += 1;
                    if counts.sections > MAX_SECTIONS {
                        return refused(format!("artifact has more than {MAX_SECTIONS} sections"));
                    }
                }
                Err(_) => break,
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn compile(limits: ArtifactLimits, text: &str) -> Result<Component, ArtifactError> {
        let artifact = Artifact::new("test", wat::parse_str(text).unwrap(), Origin::Builtin);
        Compiler::new(limits).compile(&Tier::optimized(false, false).unwrap(), None, &artifact)
    }

    /// Two modules, one inside a nested component.
    const FOUR: &str = r"(component
        (core module (func) (func) (func))
        (component (core module (func))))";

    #[test]
    fn functions_of_all_modules_are_limited() {
        let limits = |max_functions| ArtifactLimits { max_functions, ..ArtifactLimits::default() };
        assert!(compile(limits(4), FOUR).is_ok());
        let error = compile(limits(3), FOUR).err().unwrap();
        assert_eq!(error.message, "artifact has 4 functions; at most 3 are allowed");
        assert!(error.hint.unwrap().contains("max_functions"));
    }

    /// Where unwinders look for these entries, a process with many functions takes long to start and to end.
    #[test]
    fn compiled_code_has_no_entries_for_unwinders() {
        let artifact = Artifact::new("test", wat::parse_str(FOUR).unwrap(), Origin::Builtin);
        let tiers = [Some(Tier::optimized(false, false).unwrap()), Tier::baseline().ok()];
        for tier in tiers.iter().flatten() {
            let component = Compiler::new(ArtifactLimits::default()).compile(tier, None, &artifact).unwrap();
            let code = component.serialize().unwrap();
            let has = |name: &str| code.windows(name.len()).any(|window| window == name.as_bytes());
            assert!(has(".text") && !has(".eh_frame"), "{:?}", tier.kind);
        }
    }

    #[test]
    fn a_broken_artifact_is_explained() {
        let whole = wat::parse_str(FOUR).unwrap();
        let compile = |bytes: &[u8]| {
            let artifact = Artifact::new("test", bytes.to_owned(), Origin::Builtin);
            let compiler = Compiler::new(ArtifactLimits::default());
            compiler.compile(&Tier::optimized(false, false).unwrap(), None, &artifact).err().unwrap()
        };
        let cut = compile(&whole[..12]);
        assert!(cut.message.starts_with("artifact is cut off: it ends"), "{cut}");
        assert_eq!(cut.hint.as_deref(), Some("copy or build the artifact again"));
        let mut damaged = whole;
        damaged.truncate(8);
        damaged.extend([0x7f, 1, 0]);
        let error = compile(&damaged);
        assert!(error.message.starts_with("artifact is not a valid WebAssembly component at byte "), "{error}");
        assert!(!error.message.contains("offset") && !error.message.contains("failed to parse"), "{error}");
    }

    #[test]
    fn size_is_limited() {
        let size = wat::parse_str(FOUR).unwrap().len() as u64;
        let limits = |max_bytes| ArtifactLimits { max_bytes, ..ArtifactLimits::default() };
        assert!(compile(limits(size), FOUR).is_ok());
        let error = compile(limits(size - 1), FOUR).err().unwrap();
        assert!(error.message.contains("bytes; at most"), "{error}");
        assert!(error.hint.unwrap().contains("max_size"));
    }

    #[test]
    fn an_artifact_that_takes_too_long_is_refused_until_its_compiler_ends() {
        // Takes any compiler far longer than a millisecond.
        let body = "(i64.mul (i64.add (local.get 0) (i64.const 7)) (i64.const 3)) (local.set 0)".repeat(20_000);
        let text = format!("(component (core module (func (param i64) {body})))");
        let artifact = Artifact::new("slow", wat::parse_str(&text).unwrap(), Origin::File("slow.wasm".into()));
        let limits = ArtifactLimits { max_compile_time: Duration::from_millis(1), ..ArtifactLimits::default() };
        let compiler = Compiler::new(limits);
        let tier = Tier::optimized(false, false).unwrap();
        let error = compiler.compile(&tier, None, &artifact).err().unwrap();
        assert_eq!(error.message, "artifact takes longer than 1ms to compile");
        assert!(error.hint.unwrap().contains("max_compile_time"));
        assert!(compiler.abandoned.lock().contains(&artifact.digest), "a second attempt starts no second compiler");
        let until = Instant::now() + Duration::from_mins(1);
        while compiler.abandoned.lock().contains(&artifact.digest) {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
        let mut own = artifact.clone();
        own.origin = Origin::Builtin;
        assert!(compiler.compile(&tier, None, &own).is_ok(), "a built-in artifact has no time limit");
        let patient = Compiler::new(ArtifactLimits::default());
        assert!(patient.compile(&tier, None, &artifact).is_ok());
    }

    #[test]
    fn truncated_bytes_are_refused_by_the_compiler() {
        let mut bytes = wat::parse_str(FOUR).unwrap();
        bytes.truncate(bytes.len() - 3);
        let artifact = Artifact::new("cut", bytes, Origin::Builtin);
        let error = Compiler::new(ArtifactLimits::default())
            .compile(&Tier::optimized(false, false).unwrap(), None, &artifact)
            .err()
            .unwrap();
        assert!(error.message.starts_with("artifact is "), "{error}");
    }

    /// A component that contains these bytes as a nested component.
    fn around(inner: &[u8]) -> Vec<u8> {
        let mut size = Vec::new();
        let mut rest = inner.len();
        loop {
            let low = u8::try_from(rest & 127).unwrap();
            rest >>= 7;
            size.push(if rest > 0 { low | 128 } else { low });
            if rest == 0 {
                break;
            }
        }
        [b"\0asm\x0d\0\x01\0\x04".as_slice(), &size, inner].concat()
    }

    #[test]
    fn nesting_is_refused_before_the_compiler_sees_it() {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for depth in 1..=2000 {
            let counted = Counts::of(&bytes);
            assert_eq!(counted.is_ok(), depth <= MAX_NESTING, "{depth}");
            bytes = around(&bytes);
        }
        let empty = b"\0asm\x0d\0\x01\0";
        let siblings = [&empty[..], &b"\x04\x08\0asm\x0d\0\x01\0".repeat(1000)].concat();
        let error = Counts::of(&siblings).unwrap_err();
        assert_eq!(error.message, "artifact has more than 1000 modules and components");
        // Custom sections with an empty name and no content.
        let sections = [&empty[..], &b"\x00\x01\x00".repeat(MAX_SECTIONS + 1)].concat();
        let error = Counts::of(&sections).unwrap_err();
        assert!(error.message.contains("sections"), "{error}");
    }
}
