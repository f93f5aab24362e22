//! `cargo xtask deny`: licences, sources, duplicates and known vulnerabilities of dependencies, by
//! `deny.toml`, and their audit trail in `supply-chain`.

use std::process::Command;

use crate::process::run;
use crate::tools::Tool;

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
const CARGO_VET: Tool = Tool { name: "cargo-vet", version: "0.10.3" };

pub(crate) fn deny() -> anyhow::Result<()> {
    // Locked, it does not ask the servers of others for their audits.
    run(Command::new(CARGO_VET.installed()?).args(["vet", "check", "--locked"]))?;
    let program = CARGO_DENY.installed()?;
    let deny = || {
        let mut command = Command::new(&program);
        command.args(["deny", "--log-level", "error", "--all-features", "--locked"]);
        command
    };
    run(deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    // The advisory database is a git repository that not every machine can reach. If it is
    // reachable, an advisory fails the check.
    if run(deny().args(["fetch", "db"])).is_ok() {
        return run(deny().args(["check", "advisories"]));
    }
    println!("NOT CHECKED: advisories, because their database (github.com/rustsec/advisory-db) cannot be fetched here");
    Ok(())
}
