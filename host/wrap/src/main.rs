//! `wattle-wrap FROM TO [FROM TO …]`: converts each core module FROM to a component and writes it
//! to TO.
//!
//! A separate program, so that `cargo xtask` starts without compiling the WIT libraries first.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    for pair in paths.chunks(2) {
        let [from, to] = pair else {
            eprintln!("usage: wattle-wrap FROM TO [FROM TO ...]");
            return ExitCode::from(64);
        };
        if let Err(error) = wrap(Path::new(from), Path::new(to)) {
            eprintln!("{}: {error}", from.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn wrap(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let component = wattle_wrap::wrap(&std::fs::read(from)?)?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // An unchanged artifact keeps its modification time, so that cargo does not link the agent
    // again.
    if std::fs::read(to).is_ok_and(|old| old == component) {
        return Ok(());
    }
    Ok(std::fs::write(to, component)?)
}
