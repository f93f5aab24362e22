//! `cargo xtask fuzz`: runs the fuzz targets, one after the other, starting with the corpus in `fuzz/corpus`.

use anyhow::{Context as _, ensure};

use crate::process::{cargo, run};
use crate::tools::Tool;

const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only this target
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn fuzz(options: &Options) -> anyhow::Result<()> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir("fuzz/fuzz_targets").context("fuzz/fuzz_targets")? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        if options.target.as_ref().is_none_or(|target| *target == name) {
            targets.push(name);
        }
    }
    targets.sort();
    ensure!(!targets.is_empty(), "no such target; fuzz/fuzz_targets has them all");
    let tools = CARGO_FUZZ.installed()?;
    for target in targets {
        println!("\n{target}, {} s", options.seconds);
        // New inputs go to a separate folder: the corpus in the repository stays small and is chosen by hand.
        let found = format!("fuzz/target/found/{target}");
        std::fs::create_dir_all(&found).with_context(|| found.clone())?;
        let mut command = cargo();
        let folders = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        let folders = tools.parent().map(ToOwned::to_owned).into_iter().chain(folders);
        command.env("PATH", std::env::join_paths(folders)?);
        // Stable compilers accept the flag for instrumentation only with this variable. The targets are safe code, so the
        // address sanitizer would find nothing and halve the speed.
        command.env("RUSTC_BOOTSTRAP", "1");
        // Assertions and overflow are checked as in a debug build.
        command.args(["fuzz", "run", "--release", "--debug-assertions", "--sanitizer", "none", &target, &found]);
        command.arg(format!("fuzz/corpus/{target}")).arg("--");
        command.args([format!("-max_total_time={}", options.seconds)]);
        command.args(["-max_len=4096", "-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
        run(&mut command)?;
    }
    Ok(())
}
