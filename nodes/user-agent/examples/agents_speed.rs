//! Measures how long user agents take that an instance sees for the first time: `cargo run --release --example
//! agents_speed`. Prints the kind of agents, the number of different ones, and the microseconds of each.
#![allow(clippy::print_stdout, reason = "prints what it measures")]

use std::time::Instant;

use wattle_node::testing::run_bodies;
use wattle_node_user_agent::UserAgent;

const AGENTS: &str = include_str!("../tests/agents.tsv");
const NUMBER: usize = 10_000;

fn main() -> Result<(), String> {
    let known: Vec<&str> = AGENTS.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    let made = |make: &dyn Fn(usize) -> String| (0..NUMBER).map(make).collect::<Vec<_>>();
    let agent = |i: usize| known.get(i % known.len()).copied().unwrap_or_default();
    let kinds = [
        ("uap-core, with a number", made(&|i| format!("{} {i}", agent(i)))),
        (
            "chrome",
            made(&|i| {
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.{i}.0 Safari/537.36"
                )
            }),
        ),
        ("firefox", made(&|i| format!("Mozilla/5.0 (X11; Linux x86_64; rv:{i}.0) Gecko/20100101 Firefox/{i}.0"))),
        (
            "android",
            made(&|i| {
                format!(
                    "Mozilla/5.0 (Linux; Android 13; SM-S9{i}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.{i}.0 Mobile Safari/537.36"
                )
            }),
        ),
        (
            "iphone",
            made(&|i| {
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{i} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1"
                )
            }),
        ),
        ("bot", made(&|i| format!("Mozilla/5.0 (compatible; ExampleBot/{i}.1; +https://example.com/bot)"))),
        ("curl", made(&|i| format!("curl/8.{i}.0"))),
        ("line", made(&|i| format!("line {i}"))),
        (
            "random text",
            made(&|i| {
                (0..30)
                    .map(|word| format!("w{:x} ", (i * 31 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40))
                    .collect()
            }),
        ),
        ("long", made(&|i| format!("{i}{}", "; Build/a1 ".repeat(186)))),
    ];
    for (kind, bodies) in kinds {
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let began = Instant::now();
        run_bodies::<UserAgent>(&serde_json::json!({ "field": "body" }), &bodies)?;
        println!("{kind}: {NUMBER}, {:.1} us each", began.elapsed().as_secs_f64() * 1e6 / NUMBER as f64);
    }
    Ok(())
}
