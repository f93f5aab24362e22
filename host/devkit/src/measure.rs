//! Measures the cost of a node: time by size of batch, fuel, memory, size, start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_capability::LogTarget;
use wattle_plan::{Artifact, NodeLimits};
use wattle_runtime::{Compiled, Refused, Runtime, SingleInstance};

use wattle_mocks::Provided;

/// Sizes of the measured batches, in rows.
const ROWS: &[usize] = &[1, 10, 100, 1000, 10_000];
/// Time that each size is measured for.
const TIME: Duration = Duration::from_millis(300);
/// Minimum number of calls for each size, however long they take.
const CALLS: usize = 5;
/// Rows of the batch for measuring fuel and memory.
const FUEL_ROWS: usize = 1000;
/// Number of starts, of which the fastest counts.
const STARTS: usize = 20;

/// Cost of calls with batches of one size.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Rows of each batch.
    pub rows: usize,
    /// Bytes of each batch.
    pub bytes: usize,
    /// Median time of a call.
    pub median: Duration,
}

impl Measured {
    /// Nanoseconds per row.
    pub fn ns_per_row(&self) -> f64 {
        self.median.as_secs_f64() * 1e9 / self.rows as f64
    }

    /// Megabytes per second.
    pub fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.median.as_secs_f64()
    }
}

/// Cost of a node.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Bytes of the artifact.
    pub size: usize,
    /// Time to compile it.
    pub compile: Duration,
    /// Minimum time to create and configure an instance.
    pub start: Duration,
    /// Linear memory after the start, in bytes.
    pub memory_at_start: usize,
    /// Linear memory after calls with 1000 rows, in bytes.
    pub memory: usize,
    /// Instances that were replaced during the calls because they outgrew their memory.
    pub replaced: u64,
    /// Calls, by size of batch.
    pub calls: Vec<Measured>,
    /// Fuel per byte of a batch of 1000 rows: a measure of executed instructions that is the same
    /// on every machine.
    pub fuel_per_byte: Option<f64>,
}

/// Measures a component on batches that repeat these bodies. Without `fuel`, the component is not
/// compiled a second time.
///
/// # Errors
///
/// The component cannot run, refuses its options, or faults.
pub fn measure(
    artifact: &Artifact,
    options: &str,
    provided: &Provided,
    bodies: &[Vec<u8>],
    fuel: bool,
) -> Result<Figures, String> {
    let limits = wattle_plan::ArtifactLimits::default();
    let runtime = Runtime::new(None, limits.clone()).map_err(|e| e.to_string())?;
    let since = Instant::now();
    let compiled = runtime.compile(artifact).map_err(|e| e.message)?;
    let compile = since.elapsed();
    provided.check(&compiled.capabilities)?;
    let mut start = Duration::MAX;
    for _ in 0..STARTS {
        start = start.min(begin(&compiled, options, provided)?.started_in());
    }
    let mut instance = begin(&compiled, options, provided)?;
    let memory_at_start = instance.memory_bytes();
    let mut memory = memory_at_start;
    let mut calls = Vec::new();
    for &rows in ROWS {
        let batch = batch(bodies, rows)?;
        calls.push(time(&mut instance, &batch)?);
        if rows == FUEL_ROWS {
            memory = instance.memory_bytes();
        }
    }
    let replaced = instance.replaced();
    let fuel_per_byte = if fuel {
        let runtime = Runtime::metered(limits).map_err(|e| e.to_string())?;
        let compiled = runtime.compile(artifact).map_err(|e| e.message)?;
        let batch = batch(bodies, FUEL_ROWS)?;
        let mut instance = begin(&compiled, options, provided)?;
        // The first call includes one-time preparations of an SDK.
        for _ in 0..2 {
            instance.process(batch.share()).map_err(|fault| fault.to_string())?;
        }
        instance.fuel().map(|fuel| fuel as f64 / batch.byte_len().max(1) as f64)
    } else {
        None
    };
    let size = artifact.size();
    Ok(Figures { size, compile, start, memory_at_start, memory, replaced, calls, fuel_per_byte })
}

fn begin(compiled: &Arc<Compiled>, options: &str, provided: &Provided) -> Result<SingleInstance, String> {
    let services = provided.services(LogTarget::Nowhere)?;
    SingleInstance::new(compiled.clone(), "node", options, &NodeLimits::default(), Some(services)).map_err(|refused| {
        match refused {
            Refused::Fault(fault) => fault.to_string(),
            Refused::Options(all) => {
                let all: Vec<String> = all.iter().map(|e| format!("`{}`: {}", e.path, e.message)).collect();
                format!("options refused: {}; set others with --options", all.join("; "))
            }
        }
    })
}

fn batch(bodies: &[Vec<u8>], rows: usize) -> Result<Batch, String> {
    let origin = Origin { source: "bench".into(), resource: r#"{"source":{"name":"bench"}}"#.into(), observed: 0 };
    let bodies = Column::from_rows(bodies.iter().cycle().take(rows)).map_err(|e| e.to_string())?;
    if bodies.rows() == 0 {
        return Err("there is no input".into());
    }
    Ok(Batch::new(bodies, Arc::new(origin), Ack::none()))
}

fn time(instance: &mut SingleInstance, batch: &Batch) -> Result<Measured, String> {
    let mut times = Vec::new();
    let until = Instant::now() + TIME;
    while times.len() < CALLS || Instant::now() < until {
        let shared = batch.share();
        let since = Instant::now();
        let done = instance.process(shared);
        times.push(since.elapsed());
        done.map_err(|fault| fault.to_string())?;
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Measured { rows: batch.rows(), bytes: batch.byte_len(), median })
}
