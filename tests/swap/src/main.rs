//! The program behind `cargo xtask swap`: a table on the terminal, and a JSON file. It ends with an
//! error if an event was lost, duplicated, out of order, or processed by both versions.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Parser;
use serde_json::json;
use wattle_swap::{Figures, Size, run};

/// Swaps a pack's version under full load. Called by `cargo xtask swap`, which builds what this needs.
#[derive(Parser)]
struct Cli {
    /// Where the figures go
    #[arg(long, default_value = "target/swap.json")]
    out: PathBuf,
    /// A hundred swaps instead of a thousand
    #[arg(long)]
    quick: bool,
    /// Number of swaps
    #[arg(long)]
    swaps: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let swaps = cli.swaps.unwrap_or(if cli.quick { 100 } else { 1000 });
    // A cold swap compiles five artifacts, which takes seconds.
    let (quiet_swaps, cold_swaps) = if cli.quick { (9, 3) } else { (25, 15) };
    let figures = run(Size { swaps, quiet_swaps, cold_swaps });
    let Figures { events, loaded, wrong, near_p99_ms, quiet_p99_ms, samples, .. } = figures;
    let median = |times: &[f64]| Figures::median(times);
    println!("{swaps} swaps under full load in {:.1} s, {events} events", loaded.as_secs_f64());
    for (name, value) in [
        ("lost", wrong.lost),
        ("doubled", wrong.doubled),
        ("misordered", wrong.misordered),
        ("misplaced", wrong.misplaced),
    ] {
        println!("  {name:<28} {value}");
    }
    for (name, value) in [
        ("added p99", figures.added_p99_ms()),
        ("p99 near swaps", near_p99_ms),
        ("p99 quiet", quiet_p99_ms),
        ("save to effect, full load", median(&figures.effect_loaded_ms)),
        ("the same, tests run first", median(&figures.effect_first_ms)),
        ("save to effect, little load", median(&figures.effect_quiet_ms)),
        ("the same, written in place", median(&figures.effect_in_place_ms)),
        ("save to effect, cold", median(&figures.effect_cold_ms)),
    ] {
        println!("  {name:<28} {value:.1} ms");
    }
    println!("  {:<28} {} near, {} quiet", "requests", samples.0, samples.1);
    let all = json!({
        "swaps": swaps,
        "lost": wrong.lost,
        "doubled": wrong.doubled,
        "misordered": wrong.misordered,
        "misplaced": wrong.misplaced,
        "added_p99_ms": figures.added_p99_ms(),
        "near_p99_ms": near_p99_ms,
        "quiet_p99_ms": quiet_p99_ms,
        "save_to_effect_warm_ms": median(&figures.effect_quiet_ms),
        "save_to_effect_loaded_ms": median(&figures.effect_loaded_ms),
        "save_to_effect_first_ms": median(&figures.effect_first_ms),
        "save_to_effect_in_place_ms": median(&figures.effect_in_place_ms),
        "save_to_effect_cold_ms": median(&figures.effect_cold_ms),
        "events": events,
        "loaded_seconds": loaded.as_secs_f64(),
        "requests_near": samples.0,
        "requests_quiet": samples.1,
    });
    std::fs::write(&cli.out, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\n  written to {}", cli.out.display());
    ensure!(wrong == Default::default(), "events went wrong: {wrong:?}");
    Ok(())
}
