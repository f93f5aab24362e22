//! Measures the sink `file`: megabytes per second of CPU time for encoding and writing batches of
//! 250 KB.
//!
//! `cargo run --release -p wattle-sink --example file_speed -- /dev/null /tmp/out.log`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;
use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_buffer::Queue;
use wattle_sink::{SinkContext, SinkStats, build};

/// Number of batches per measurement.
const BATCHES: usize = 8000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for path in std::env::args().skip(1) {
        for (what, options) in [
            ("text", json!({"path": path, "encoding": {"codec": "text"}})),
            ("text, fsync never", json!({"path": path, "encoding": {"codec": "text"}, "fsync": "never"})),
            ("text, templated", json!({"path": format!("{path}{{{{ body.none }}}}%H"), "encoding": {"codec": "text"}})),
            ("text, zstd", json!({"path": path, "encoding": {"codec": "text"}, "compression": "zstd"})),
            ("text, gzip", json!({"path": path, "encoding": {"codec": "text"}, "compression": "gzip"})),
            ("json", json!({"path": path})),
        ] {
            let slow = what.contains("zip") || what.contains("zstd");
            runtime.block_on(measure(&path, what, options, if slow { BATCHES / 20 } else { BATCHES }))?;
        }
    }
    Ok(())
}

async fn measure(path: &str, what: &str, mut options: serde_json::Value, batches: usize) -> Result<(), Box<dyn Error>> {
    if path.starts_with("/dev/") && what.contains("templated") {
        return Ok(());
    }
    if let Some(options) = options.as_object_mut() {
        options.insert("mode".into(), "truncate".into());
    }
    let built = build("out", "file", &options)?;
    let input = Queue::new(4 << 20, None, None);
    let stats = Arc::new(SinkStats::default());
    let context = SinkContext {
        name: "out".into(),
        input: input.clone(),
        data_dir: std::env::temp_dir(),
        stats: stats.clone(),
        flush: wattle_sink::FlushSignal::new().1,
    };
    let task = tokio::spawn(built.sink.run(context));
    // 166 different records of 1.5 KB, so that compression has work to do.
    let rows: Vec<String> = (0..166_u64)
        .map(|row| {
            let fields: Vec<String> = (0..40)
                .map(|f| format!(r#""field{f}":"{:020}""#, (row * 40 + f).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect();
            format!("{{{}}}", fields.join(","))
        })
        .collect();
    let column = Column::from_rows(&rows)?;
    let bytes = column.byte_len() * batches;
    let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"source":{"name":"in"}}"#.into(), observed: 0 });
    let (cpu, wall) = (cpu_seconds()?, Instant::now());
    let mut encoding = 0.0;
    for _ in 0..batches {
        let batch = Batch::new(column.clone(), origin.clone(), Ack::none());
        let since = Instant::now();
        let payloads = built.encoder.encode(batch);
        encoding += since.elapsed().as_secs_f64();
        for payload in payloads {
            if input.push(payload).await.is_err() {
                return Err("the sink closed its queue".into());
            }
        }
    }
    input.close();
    task.await??;
    let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{path} {what}: {:.0} MB per second of CPU time ({:.0} MB/s of wall-clock time, encoding alone {:.0} MB/s), {} events",
        megabytes / cpu,
        megabytes / wall,
        megabytes / encoding,
        stats.delivered_events.load(Ordering::Relaxed)
    );
    Ok(())
}

/// CPU time of this process so far, user and system.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after) = stat.rsplit_once(')').ok_or("`/proc/self/stat` has no name in it")?;
    let ticks: Vec<f64> = after.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    // `/proc` counts in hundredths of a second, independent of the tick of the kernel.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
