//! Compiling artifacts within limits.
//!
//! Size and functions are counted before the compiler sees anything: the compiler's work is about linear in them. Time
//! is limited besides, for what that does not catch; a compiler cannot be interrupted, so one that takes too long is
//! left to its thread, and the artifact is refused for as long as that thread runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use parking_lot::Mutex;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wattle_pack::{Artifact, ArtifactLimits, Origin};

use crate::artifact::ArtifactError;

/// What all hints about limits say.
const RAISE: &str = "if it is what it should be, raise";

pub(crate) struct Compiler {
    limits: ArtifactLimits,
    /// Digests of what was given up but is still being compiled.
    abandoned: Arc<Mutex<HashSet<String>>>,
}

impl Compiler {
    pub(crate) fn new(limits: ArtifactLimits) -> Self {
        Self { limits, abandoned: Arc::default() }
    }

    /// Compiles an artifact.
    ///
    /// # Errors
    ///
    /// It is no component, or exceeds a limit.
    pub(crate) fn compile(&self, engine: &Engine, artifact: &Artifact) -> Result<Component, ArtifactError> {
        self.check(&artifact.bytes)?;
        let too_long = |what: &str| {
            let message = format!("artifact {what} longer than {:?} to compile", self.limits.max_compile_time);
            Err(ArtifactError::new(message, &format!("{RAISE} `max_compile_time` in [agent.artifacts]")))
        };
        if self.abandoned.lock().contains(&artifact.digest) {
            return too_long("is being compiled, and takes");
        }
        let (sender, answer) = channel();
        let (engine, bytes, digest) = (engine.clone(), artifact.bytes.clone(), artifact.digest.clone());
        let abandoned = self.abandoned.clone();
        let compiling = std::thread::Builder::new().name("wattle-compile".into()).spawn(move || {
            let compiled = Component::from_binary(&engine, &bytes);
            // Held while sending, so that nobody gives up on what has just arrived.
            let mut abandoned = abandoned.lock();
            abandoned.remove(&digest);
            let _ = sender.send(compiled);
        });
        if let Err(error) = compiling {
            return Err(ArtifactError::new(format!("no thread to compile on: {error}"), ""));
        }
        // What the agent carries is known to come to an end, and a machine that is busy must not keep it from starting.
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
        compiled.map_err(|error| {
            // The first line says what; the rest is for those who write compilers.
            let text = format!("{error:#}");
            let first = text.lines().next().unwrap_or_default();
            ArtifactError::new(format!("artifact is not a webassembly component: {first}"), "")
        })
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
            let message = format!("artifact has {} bytes; at most {} are taken", bytes.len(), self.limits.max_bytes);
            return Err(ArtifactError::new(message, &format!("{RAISE} `max_size` in [agent.artifacts]")));
        }
        let functions = count_functions(bytes);
        if functions > u64::from(self.limits.max_functions) {
            let message =
                format!("artifact has {functions} functions; at most {} are taken", self.limits.max_functions);
            return Err(ArtifactError::new(message, &format!("{RAISE} `max_functions` in [agent.artifacts]")));
        }
        Ok(())
    }
}

/// Functions of all core modules, as far as the bytes can be read; what cannot be is refused by the compiler, which
/// says more about it.
fn count_functions(bytes: &[u8]) -> u64 {
    let mut count = 0_u64;
    let mut modules = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::Version { encoding: Encoding::Module, .. }) => modules += 1,
            Ok(Payload::CodeSectionStart { count: functions, .. }) if modules > 0 => count += u64::from(functions),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn compile(limits: ArtifactLimits, text: &str) -> Result<Component, ArtifactError> {
        let artifact = Artifact::new("test", wat::parse_str(text).unwrap(), Origin::Builtin);
        Compiler::new(limits).compile(&Engine::default(), &artifact)
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
        assert_eq!(error.message, "artifact has 4 functions; at most 3 are taken");
        assert!(error.hint.unwrap().contains("max_functions"));
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
    fn an_artifact_that_takes_too_long_is_refused_until_its_compiler_has_ended() {
        // Far more than a millisecond of work for any compiler.
        let body = "(i64.mul (i64.add (local.get 0) (i64.const 7)) (i64.const 3)) (local.set 0)".repeat(20_000);
        let text = format!("(component (core module (func (param i64) {body})))");
        let artifact = Artifact::new("slow", wat::parse_str(&text).unwrap(), Origin::File("slow.wasm".into()));
        let limits = ArtifactLimits { max_compile_time: Duration::from_millis(1), ..ArtifactLimits::default() };
        let compiler = Compiler::new(limits);
        let engine = Engine::default();
        let error = compiler.compile(&engine, &artifact).err().unwrap();
        assert_eq!(error.message, "artifact takes longer than 1ms to compile");
        assert!(error.hint.unwrap().contains("max_compile_time"));
        assert!(compiler.abandoned.lock().contains(&artifact.digest), "a second attempt starts no second compiler");
        let until = Instant::now() + Duration::from_mins(1);
        while compiler.abandoned.lock().contains(&artifact.digest) {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
        let own = Artifact { origin: Origin::Builtin, ..artifact.clone() };
        assert!(compiler.compile(&engine, &own).is_ok(), "what the agent carries takes as long as it takes");
        let patient = Compiler::new(ArtifactLimits::default());
        assert!(patient.compile(&engine, &artifact).is_ok());
    }

    #[test]
    fn bytes_that_end_early_are_refused_by_the_compiler() {
        let mut bytes = wat::parse_str(FOUR).unwrap();
        bytes.truncate(bytes.len() - 3);
        let artifact = Artifact::new("cut", bytes, Origin::Builtin);
        let error = Compiler::new(ArtifactLimits::default()).compile(&Engine::default(), &artifact).err().unwrap();
        assert!(error.message.starts_with("artifact is not a webassembly component"), "{error}");
    }
}
