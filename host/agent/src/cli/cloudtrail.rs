//! Options of `wattle cloudtrail`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands about CloudTrail.
#[derive(Subcommand)]
pub(crate) enum CloudtrailCommand {
    /// Check log files in a folder by the digests beside them
    Verify(VerifyOptions),
}

#[derive(Args)]
#[command(after_help = "The folder is a copy of the bucket, or of a part of it:\n  \
                  aws s3 sync s3://BUCKET/AWSLogs AWSLogs\n  \
                  aws cloudtrail list-public-keys --region REGION --start-time 2026-01-01 --end-time 2026-02-01 > keys.json\n  \
                  wattle cloudtrail verify AWSLogs --keys keys.json\n\n\
                  A copy lacks the signatures, which are metadata of the objects. The next digest repeats the one of each\n\
                  digest, so only the last digest of each region has none; write it to a file with the name of the digest\n\
                  and `.signature` to check this one, too.\n\n\
                  Exit codes: 0 all digests and files are as AWS delivered them, 1 something is altered or missing, or\n\
                  nothing can be verified. A digest without signature or public key is reported and is no failure as long\n\
                  as others of the folder are verified.")]
pub(crate) struct VerifyOptions {
    /// The folder
    pub(crate) folder: PathBuf,
    /// Public keys of AWS, as `aws cloudtrail list-public-keys` prints them; can be repeated, as each region has its own
    #[arg(short, long, value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
    /// Print all digests as JSON, one per line, and last the log files that none of them lists
    #[arg(long)]
    pub(crate) json: bool,
}
