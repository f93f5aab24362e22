//! The short form of `cargo xtask swap`.

use wattle_swap::{Size, run};

#[test]
fn swaps_under_load_lose_double_and_misorder_nothing() {
    // Compile time is a measurement, and tests run in parallel.
    let figures = run(Size { swaps: 6, quiet_swaps: 1, cold_swaps: 0 });
    assert!(figures.events > 1000 && figures.effect_quiet_ms.len() == 1, "{figures:?}");
    assert_eq!(figures.wrong, Default::default(), "{figures:?}");
}
