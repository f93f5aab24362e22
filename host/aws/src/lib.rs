//! Clients of AWS services and of servers with the same protocols: credentials, signatures, S3, SQS and STS.
//!
//! - [`AwsOptions`] are the options that sources and sinks share; [`AwsOptions::resolve`] makes a [`Session`] of them.
//! - A [`Session`] has one chain of credentials for all services. [`S3`], [`Sqs`] and [`CloudTrail`] are clients on top of it.
//! - Every response is bounded in bytes, and every wait in time ([`Limits`]). An [`Error`] has a kind, and
//!   [`Error::retry`] says what a caller can do about it. Clients do not retry by themselves, except once with new
//!   credentials after the service reported the previous ones as expired.
//! - [`notification`] reads the messages that announce objects.

mod client;
mod cloudtrail;
mod connect;
mod credentials;
mod endpoint;
mod error;
mod http;
pub mod notification;
mod options;
mod region;
mod s3;
mod session;
mod sqs;
mod sts;

pub use cloudtrail::CloudTrail;
pub use credentials::{Credentials, CredentialsError, CredentialsProblem};
pub use error::{Error, ErrorKind, Retry};
pub use http::{Body, Limits};
pub use options::{AuthOptions, AwsOptions, ImdsOptions, files};
pub use region::RegionError;
pub use reqsign_core::{Env, OsEnv, StaticEnv};
pub use s3::{
    Encryption, GetObject, ListObjects, Listed, ListedObject, ObjectHead, ObjectStream, Part, PutObject, PutResult, S3,
    is_bucket,
};
pub use session::{Session, SessionConfig, SessionError};
pub use sqs::{BatchFailure, Message, Receive, Sqs};
pub use wattle_tls::TlsOptions;
