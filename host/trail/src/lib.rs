//! Integrity of CloudTrail log files: reads digests, and checks what they say.
//!
//! Once an hour, AWS delivers a digest for each region. It lists the log files of that hour with the
//! SHA-256 of their uncompressed bytes, and the digest before it with its SHA-256 and signature. AWS
//! signs it with RSA PKCS#1 v1.5 and SHA-256. So a file that was changed, removed or added
//! is noticed, even if this was done by a principal that may write to the bucket.
//!
//! The format: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>.

mod digest;
mod folder;
mod hash;
mod keys;
mod report;
mod write;

pub use digest::{Digest, DigestError, LogFile, SignatureProblem};
pub use folder::verify;
pub use hash::{Hash, Hasher};
pub use keys::{KeysError, PublicKeys};
pub use report::{DigestReport, Problem, Report, Verdict};
pub use write::{Chain, Signer, Written};
