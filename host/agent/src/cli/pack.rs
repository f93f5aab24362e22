//! The command line of `wattle pack`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DiagnosticFormat;

#[derive(Subcommand)]
pub(crate) enum PackCommand {
    /// Create a folder with a working pack
    New(NewOptions),
    /// Build the nodes of a pack and write the digests of its artifacts
    Build(BuildOptions),
    /// Run the tests of a pack offline in the sandbox
    Test(TestOptions),
    /// Check a pack, and recommended files: tests, README, license, digests
    Lint(LintOptions),
    /// List all available packs
    List(ListOptions),
    /// Show the inputs, parameters, nodes and outputs of a pack
    Show(ShowOptions),
    /// Show the differences between two packs or versions
    Diff(DiffOptions),
    /// Install a pack into the library folder
    Install(InstallOptions),
    /// Show which newer versions a configuration allows, and pin them in its wattle.lock
    Upgrade(UpgradeOptions),
    /// Restore the previous pin of a pack
    Rollback(RollbackOptions),
    /// Remove a version from the library folder
    Remove(RemoveOptions),
    #[command(flatten)]
    Travel(super::registry::RegistryCommand),
}

/// Where to look for packs that are not built in.
#[derive(Args)]
pub(crate) struct LibraryOption {
    /// Library folder. The default is that of the configuration, or `packs` in the data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// Configuration; names the library folder; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  wattle pack new my-pack && cd my-pack && wattle pack test .\n  \
                        wattle pack new shop --from /var/log/shop.log")]
pub(crate) struct NewOptions {
    /// Name of the pack: lower-case letters, digits and `-`
    pub(crate) name: String,
    /// Folder to create. The default is the name of the pack
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Look at the lines of this file, and create a pack that parses them, with a test; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Builds each folder `nodes/NAME` with a `Cargo.toml` to `nodes/NAME.wasm`. Then sets the `digest` of \
                        each node in `pack.toml` whose artifact is a file of the pack, and leaves the rest of the file \
                        unchanged."
)]
pub(crate) struct BuildOptions {
    /// The folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Change nothing; fail if something would change
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args)]
#[command(after_help = "docs/PACKS.md describes how events are compared with the expectations.\n\n\
                        Exit codes: 0 all passed, 1 some failed, 78 the pack or its tests are invalid.")]
pub(crate) struct TestOptions {
    /// A pack: name, name@version, or a folder
    pub(crate) pack: String,
    /// Run only tests whose name contains this text
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Write the actual events to `expected.OUTPUT.ndjson` where they differ or the file is missing. Matching lines stay,
    /// and new lines have the keys of the old ones
    #[arg(long)]
    pub(crate) update: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 no findings, 1 warnings, 78 the pack is invalid.")]
pub(crate) struct LintOptions {
    /// A pack: name, name@version, or a folder
    #[arg(default_value = ".")]
    pub(crate) pack: String,
    /// Format of the diagnostics
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub(crate) format: DiagnosticFormat,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
pub(crate) struct ListOptions {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
pub(crate) struct ShowOptions {
    /// A pack: name, name@version, or a folder
    pub(crate) pack: String,
    /// Print JSON
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
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "The library stores a pack as NAME/VERSION. Installing the same pack again changes nothing; a \
                        different pack with the same version is refused.")]
pub(crate) struct InstallOptions {
    /// A folder, or the name@version of a built-in pack to change
    pub(crate) pack: String,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
}

#[derive(Args)]
#[command(after_help = "The lock is next to the configuration. A running agent reloads when it changes.\n\n\
                        Example:\n  wattle pack upgrade --config agent.toml cloudtrail")]
pub(crate) struct UpgradeOptions {
    /// Only this pack. The default is all packs
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The configuration; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE", default_value = "agent.toml")]
    pub(crate) config: Vec<PathBuf>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
#[command(after_help = "Each call goes back by one pin. The lock does not keep the version that it leaves; `upgrade` \
                        finds it again.")]
pub(crate) struct RollbackOptions {
    /// The pack
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The configuration; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE", default_value = "agent.toml")]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct RemoveOptions {
    /// The version, as name@version
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) pack: String,
    /// Library folder. The default is that of the configuration, or `packs` in the data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// Configuration that may use it; can be repeated. The default is `agent.toml` in the current folder, if it exists
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Remove it even if a configuration uses it
    #[arg(long)]
    pub(crate) force: bool,
}
