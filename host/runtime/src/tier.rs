//! The two compilers. Cranelift produces fast code; Winch compiles six times as fast, and its code
//! is slower.
//!
//! A tiered runtime starts an artifact that is not in the cache on Winch's code, the baseline, so
//! that a swap waits for half a second and not for three; the [`optimizer`](crate::optimizer) then
//! compiles it with Cranelift while the pipelines run. wasmtime supports both compilers at tier 1
//! on x86-64; on other machines, and for artifacts that Winch cannot compile, there is no baseline
//! and Cranelift compiles at once.
//!
//! With the cargo feature `interpreter`, Cranelift compiles to the bytecode of Pulley, wasmtime's
//! interpreter, and there is no baseline: the process maps no executable memory.

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, Strategy};

use crate::bindings;
use crate::compile::Job;
use crate::memory;
use crate::state::State;

/// Whether guests are interpreted.
const IS_INTERPRETED: bool = cfg!(feature = "interpreter");

/// Stack of a guest. Nodes do not recurse on data, so a deep recursion is a fault.
const STACK_BYTES: usize = 512 << 10;

/// Winch keeps every local variable in the frame, so the same recursion takes more. Threads have 2
/// MiB.
const BASELINE_STACK_BYTES: usize = 1 << 20;

/// Time limits are meant for optimized code; baseline code gets this many times as long. The nodes
/// of the CloudTrail pack take up to 1.3 times as long on it, since the host does most of the work;
/// tight loops take two to three times.
const BASELINE_TIMES: u32 = 3;

/// The same for interpreted code: the nodes of the CloudTrail pack take about 20 times as long.
const INTERPRETER_TIMES: u32 = 20;

/// The compiler of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Winch.
    Baseline,
    /// Cranelift.
    Optimized,
}

/// A compiler, with the linker for its code.
pub(crate) struct Tier {
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    metered: bool,
    in_background: bool,
}

impl Tier {
    /// The optimizing compiler, which also counts fuel if it is metered. In the background it must
    /// not use all cores.
    pub(crate) fn optimized(metered: bool, in_background: bool) -> wasmtime::Result<Self> {
        Self::new(Kind::Optimized, metered, in_background)
    }

    /// The baseline compiler.
    ///
    /// # Errors
    ///
    /// This machine has none.
    pub(crate) fn baseline() -> wasmtime::Result<Self> {
        Self::new(Kind::Baseline, false, false)
    }

    fn new(kind: Kind, metered: bool, in_background: bool) -> wasmtime::Result<Self> {
        let engine = Engine::new(&kind.config(metered, in_background, memory::is_small())?)?;
        let linker = bindings::linker(&engine)?;
        Ok(Self { kind, engine, linker, metered, in_background })
    }

    /// What another process needs to compile for this tier.
    pub(crate) fn job(&self) -> Job {
        Job { kind: self.kind, metered: self.metered, in_background: self.in_background, is_small: memory::is_small() }
    }
}

impl Kind {
    /// Settings of a tier's engine, here and in the process that compiles for it.
    pub(crate) fn config(self, metered: bool, in_background: bool, is_small: bool) -> wasmtime::Result<Config> {
        let mut config = Config::new();
        match self {
            Self::Optimized => config
                .cranelift_opt_level(OptLevel::Speed)
                .parallel_compilation(!in_background)
                .consume_fuel(metered)
                .max_wasm_stack(STACK_BYTES),
            Self::Baseline if IS_INTERPRETED => return Err(wasmtime::Error::msg("Winch makes no bytecode")),
            // Tier 1 support only on x86-64.
            Self::Baseline if !cfg!(target_arch = "x86_64") => {
                return Err(wasmtime::Error::msg("not on this architecture"));
            }
            // Cranelift compiles only the trampolines here, one for each function whose address is
            // taken, and these are small: optimizing them took an eighth of the time, and good
            // register allocation another tenth.
            Self::Baseline => config
                .strategy(Strategy::Winch)
                .cranelift_opt_level(OptLevel::None)
                .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
                .max_wasm_stack(BASELINE_STACK_BYTES),
        };
        if IS_INTERPRETED {
            config.target("pulley64")?;
        }
        config.epoch_interruption(true).generate_address_map(false);
        // Only debuggers and profilers would unwind through guests. The libunwind of static binaries takes the entries of
        // each function out of a list that it searches from the start, 87 ms for the nodes of the CloudTrail pack.
        config.native_unwind_info(false);
        if is_small {
            memory::reserve_little(&mut config);
        }
        Ok(config)
    }

    /// Factor by which a call may take longer than on optimized code.
    pub(crate) fn times(self) -> u32 {
        match self {
            Self::Baseline => BASELINE_TIMES,
            Self::Optimized if IS_INTERPRETED => INTERPRETER_TIMES,
            Self::Optimized => 1,
        }
    }
}
