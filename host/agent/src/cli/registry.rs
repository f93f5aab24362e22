//! The command line of archives, registries and signatures.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum RegistryCommand {
    /// Write a pack to an archive; the same pack gives the same bytes
    // `pack pack` was its name before, and scripts use it.
    #[command(alias = "pack")]
    Archive(ArchiveOptions),
    /// Create the key pair of a publisher
    Keygen(KeygenOptions),
    /// Sign a pack: write pack.sum and pack.sum.minisig
    Sign(SignOptions),
    /// Check the signature of a pack and the digest of each file
    Verify(VerifyOptions),
    /// Push a pack to a registry
    Push(PushOptions),
    /// Pull a pack from a registry into the library folder
    Pull(PullOptions),
}

#[derive(Args)]
#[command(
    after_help = "The archive is an OCI image layout in a tar file; `oras copy --from-oci-layout` and `skopeo copy \
                        oci-archive:` accept it."
)]
pub(crate) struct ArchiveOptions {
    /// Folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Archive to write. The default is NAME-VERSION.tar in the current folder
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Writes the secret key to FILE and the public key to FILE.pub. minisign accepts both, and this \
                        command line accepts keys of minisign without a password."
)]
pub(crate) struct KeygenOptions {
    /// File of the secret key
    #[arg(default_value = "wattle.key")]
    pub(crate) file: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example:\n  wattle pack keygen acme.key && wattle pack sign my-pack --key acme.key")]
pub(crate) struct SignOptions {
    /// Folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// File of the secret key. Without it, the variable WATTLE_SIGN_KEY holds the key
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// The publishers whose packs are trusted.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Trusted {
    /// Public key: the line that begins with RW, or a file with it
    #[arg(short, long, value_name = "KEY", conflicts_with = "config")]
    pub(crate) key: Vec<String>,
    /// Configuration with the trusted keys in `[packs.trust]`; can be repeated
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 signed with a trusted key, 78 not.")]
pub(crate) struct VerifyOptions {
    /// Folder or archive
    #[arg(default_value = ".")]
    pub(crate) pack: PathBuf,
    #[command(flatten)]
    pub(crate) trusted: Trusted,
}

#[derive(Args)]
#[command(
    after_help = "The user name and password come from `[packs.registries.\"HOST\"]` of the configuration, from \
                        WATTLE_REGISTRY_USERNAME and WATTLE_REGISTRY_PASSWORD for the host in WATTLE_REGISTRY, or from \
                        docker's config.json.\n\n\
                        Example:\n  wattle pack push my-pack oci://registry.example.com/packs/my-pack:1.0.0"
)]
pub(crate) struct PushOptions {
    /// Folder or archive
    pub(crate) pack: PathBuf,
    /// Destination: oci://HOST/REPOSITORY:TAG
    pub(crate) reference: String,
    /// Configuration with the options of registries; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "The command checks the pack against `[packs.trust]` of the configuration before it stores it. A \
                        running agent pulls the tags in its configuration by itself.\n\n\
                        Example:\n  wattle pack pull oci://registry.example.com/packs/my-pack:1.0.0"
)]
pub(crate) struct PullOptions {
    /// Image: oci://HOST/REPOSITORY:TAG, or @sha256:… in place of the tag
    pub(crate) reference: String,
    /// Configuration with the data folder, library folder, registries and trusted keys; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Library folder; overrides the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
}
