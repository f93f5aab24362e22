//! The command line of `wattle pack`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DiagnosticFormat;

#[derive(Subcommand)]
pub(crate) enum PackCommand {
    /// Makes a folder with a pack that works, to begin from
    New(NewOptions),
    /// Builds the nodes of a pack and writes the digests of its artifacts
    Build(BuildOptions),
    /// Runs the tests of a pack, offline, on the real sandbox
    Test(TestOptions),
    /// Checks a pack, and what is usual for packs: tests, README, licence, digests
    Lint(LintOptions),
    /// Lists the packs that can be used
    List(ListOptions),
    /// Shows what a pack takes, does and gives
    Show(ShowOptions),
    /// Shows what is different between two packs or versions
    Diff(DiffOptions),
    /// Puts a pack into the library folder, whole or not at all
    Install(InstallOptions),
    /// Pins the newest versions that a configuration allows in its wattle.lock, after showing what changes
    Upgrade(UpgradeOptions),
    /// Goes back to the version that was pinned before
    Rollback(RollbackOptions),
    /// Takes a version out of the library folder
    Remove(RemoveOptions),
    #[command(flatten)]
    Travel(super::registry::RegistryCommand),
}

/// Where packs are looked for besides the built-in ones.
#[derive(Args)]
pub(crate) struct LibraryOption {
    /// The library folder; without it that of the configuration, else `packs` in the data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// The configuration whose library folder is used
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  wattle pack new my-pack && cd my-pack && wattle pack test .")]
pub(crate) struct NewOptions {
    /// Name of the pack: small letters, digits and `-`
    pub(crate) name: String,
    /// The folder to make; without it the name, here
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "A folder `nodes/NAME` with a `Cargo.toml` is built to `nodes/NAME.wasm`. Then each node of \
                        `pack.toml` whose artifact is a file of the pack gets its `digest`; everything else in the \
                        file stays as it is.")]
pub(crate) struct BuildOptions {
    /// The folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Changes nothing, and fails if something would change
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args)]
#[command(after_help = "docs/PACKS.md says how events are compared with the expectations.\n\n\
                        Exit codes: 0 all passed, 1 some failed, 78 the pack or its tests are invalid.")]
pub(crate) struct TestOptions {
    /// A pack: name, name@version, or a folder
    pub(crate) pack: String,
    /// Runs only tests whose name holds this text
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Write what the tests give to their `expected.OUTPUT.ndjson`, where that differs or is missing. Lines that match
    /// stay as they are, and new lines have the keys of the old ones
    #[arg(long)]
    pub(crate) update: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 nothing to say, 1 something unusual, 78 the pack is invalid.")]
pub(crate) struct LintOptions {
    /// A pack: name, name@version, or a folder
    #[arg(default_value = ".")]
    pub(crate) pack: String,
    /// Form of the diagnostics
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub(crate) format: DiagnosticFormat,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
pub(crate) struct ListOptions {
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
pub(crate) struct ShowOptions {
    /// A pack: name, name@version, or a folder
    pub(crate) pack: String,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "Example:\n  wattle pack diff cloudtrail@1.0.0 cloudtrail@1.1.0")]
pub(crate) struct DiffOptions {
    /// The pack before: name@version, or a folder
    pub(crate) from: String,
    /// The pack after
    pub(crate) to: String,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "A pack lies in the library as NAME/VERSION. The same pack twice is nothing new; another pack \
                        under the same version is refused.")]
pub(crate) struct InstallOptions {
    /// A folder, or the name@version of a built-in pack to change
    pub(crate) pack: String,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "The lock lies beside the configuration. A running agent sees that it changed and swaps.\n\n\
                        Example:\n  wattle pack upgrade --config agent.toml cloudtrail")]
pub(crate) struct UpgradeOptions {
    /// Only this pack; without it all
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The configuration
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE", default_value = "agent.toml")]
    pub(crate) config: PathBuf,
    /// Does not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
#[command(after_help = "Each call goes one pin further back. The version that is left is not kept as a former one; \
                        `upgrade` finds it again.")]
pub(crate) struct RollbackOptions {
    /// The pack
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The configuration
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE", default_value = "agent.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct RemoveOptions {
    /// The version, as name@version
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) pack: String,
    /// The library folder; without it that of the configuration, else `packs` in the data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// A configuration that may use it; may be repeated. Without one, `agent.toml` here if there is one
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Removes it even if a configuration uses it
    #[arg(long)]
    pub(crate) force: bool,
}
