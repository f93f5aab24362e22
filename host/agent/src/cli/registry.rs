//! The command line of packs that travel: archives, registries, signatures.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum RegistryCommand {
    /// Packs a folder to an archive, the same bytes everywhere
    Pack(PackOptions),
    /// Makes the key of a publisher
    Keygen(KeygenOptions),
    /// Signs a pack: writes pack.sum and pack.sum.minisig
    Sign(SignOptions),
    /// Checks who signed a pack, and that every file is the one that was signed
    Verify(VerifyOptions),
    /// Pushes a pack to a registry
    Push(PushOptions),
    /// Pulls a pack from a registry, and puts it into the library folder
    Pull(PullOptions),
}

#[derive(Args)]
#[command(after_help = "The archive is an OCI image layout in a tar; `oras copy --from-oci-layout` and `skopeo copy \
                        oci-archive:` take it.")]
pub(crate) struct PackOptions {
    /// The folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The archive; without it NAME-VERSION.tar, here
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Writes FILE, which is secret, and FILE.pub. minisign can use both, and its keys without a \
                        password can be used here.")]
pub(crate) struct KeygenOptions {
    /// The file of the secret key
    #[arg(default_value = "wattle.key")]
    pub(crate) file: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example:\n  wattle pack keygen acme.key && wattle pack sign my-pack --key acme.key")]
pub(crate) struct SignOptions {
    /// The folder of the pack
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The file of the secret key; without it the key is what WATTLE_SIGN_KEY holds
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// Whose packs are trusted.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Trusted {
    /// A public key: the line that begins with RW, or the file of it
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// A configuration, whose `[packs.trust]` counts
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 signed by somebody who is trusted, 78 not.")]
pub(crate) struct VerifyOptions {
    /// A folder, or an archive
    #[arg(default_value = ".")]
    pub(crate) pack: PathBuf,
    #[command(flatten)]
    pub(crate) trusted: Trusted,
}

#[derive(Args)]
#[command(after_help = "Name and password come from `[packs.registries.\"HOST\"]` of the configuration, from \
                        WATTLE_REGISTRY_USERNAME and WATTLE_REGISTRY_PASSWORD for the host in WATTLE_REGISTRY, or from \
                        docker's config.json.\n\n\
                        Example:\n  wattle pack push my-pack oci://registry.example.com/packs/my-pack:1.0.0")]
pub(crate) struct PushOptions {
    /// A folder, or an archive
    pub(crate) pack: PathBuf,
    /// Where to: oci://HOST/REPOSITORY:TAG
    pub(crate) reference: String,
    /// A configuration, for its registries
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "The pack is checked by the `[packs.trust]` of the configuration before it is kept. A running agent \
                        that names the tag in its configuration pulls by itself.\n\n\
                        Example:\n  wattle pack pull oci://registry.example.com/packs/my-pack:1.0.0"
)]
pub(crate) struct PullOptions {
    /// Where from: oci://HOST/REPOSITORY:TAG, or @sha256:… in place of the tag
    pub(crate) reference: String,
    /// A configuration, for its data folder, library folder, registries and trust
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The library folder, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
}
