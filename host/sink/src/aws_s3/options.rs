//! Options of the sink `aws_s3`: as written, and validated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_aws::{AuthOptions, AwsOptions, Encryption, PutObject, SessionConfig, TlsOptions, is_bucket};
use wattle_options::{Flag, Number, OptionError, OptionErrors, Period, Size};

use super::format::{CompressionOption, Format};
use crate::batcher::BatchLimits;
use crate::encode::{Codec, Encoding, EncodingOptions, schema_with_parquet};
use crate::path_template::Template;

/// Maximum number of tags of an object, as S3 has it.
const MAX_TAGS: usize = 10;

/// Defaults of `batch.max_bytes` and `max_in_flight_bytes`.
const EVENTS_BYTES: (u64, u64) = (10 << 20, 64 << 20);
/// With Parquet: queries read few large files faster, and files are a third as large as their events. One object is
/// collected while another one is written.
const PARQUET_BYTES: (u64, u64) = (64 << 20, 128 << 20);

/// Options of the sink `aws_s3`.
///
/// # Objects and their names
///
/// The sink collects events into objects, one or more for each prefix. The name of an object is `key_prefix`, the time of
/// its oldest event in UTC, a hash of its contents, and the extension:
/// `date=2026-01-31/20260131T235959Z-6f1e….ndjson.gz`. So an object that is sent again overwrites itself. Which events an
/// object has depends on when they arrive, so events that a source offers again, after a crash, can be in two objects. With
/// `object_per = "source_object"` they are not.
///
/// # When events are acknowledged
///
/// When S3 has confirmed the object. Until then the sink holds them in memory, within `max_in_flight_bytes`.
///
/// # Requests that are retried
///
/// The sink retries until a request succeeds, or until `request.retry_attempts` are used up, if there is no response, and
/// if S3 limits the rate or fails. It also retries while the credentials, the policy or the bucket are wrong; these are
/// logged as errors, because an operator must fix them. Objects larger than 8 MiB are uploaded in parts; a part that fails
/// is sent again alone, and the upload is aborted if the sink gives up.
///
/// # Requests that are rejected
///
/// If S3 rejects an object for good, such as one whose key is too long, its events go to `dead_letter` if it is set, and
/// count as rejected.
///
/// # Parquet
///
/// With `encoding.codec = "parquet"`, an object is a Parquet file, and the body of each event is a row of it. A body that
/// is not a JSON object, or that lacks a required column, counts as rejected too; the other events of its object are
/// written. A value that does not fit its column becomes null and is counted. A column of type `json` with the path `$`,
/// as the preset `cloudtrail` has one, keeps the whole body, so that nothing is lost.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct S3Options {
    /// Name of the bucket.
    bucket: String,
    /// Beginning of the keys. `{{ attributes.x }}`, `{{ resource.a.b }}` and `{{ body.awsRegion }}` are replaced by fields
    /// of the event, and `%Y-%m-%d` and similar directives by its time in UTC, as in
    /// `region={{ body.awsRegion }}/year=%Y/month=%m/day=%d/`. In a value, `/` and control characters become `_`, and so
    /// does a value that is empty, missing, or consists of dots. Values are cut to 80 bytes. Default: `date=%F/`.
    #[serde(default = "default_key_prefix")]
    key_prefix: String,
    /// Which events share an object. Default: `batch`.
    #[serde(default)]
    object_per: ObjectPer,
    /// Extension of the keys, without a dot at its start. Default: `ndjson`, with codec `text` `log`; followed by `.gz` or
    /// `.zst` if the objects are compressed. With codec `parquet`, `parquet`.
    filename_extension: Option<String>,
    /// How to write an event.
    #[serde(default)]
    encoding: EncodingOptions,
    /// Compression of the objects: `none`, `gzip` or `zstd`; with codec `parquet`, of the pages in the file: `zstd`,
    /// `snappy` or `none`. Default: `none`, with codec `parquet` `zstd`.
    compression: Option<CompressionOption>,
    /// When an object is complete.
    #[serde(default)]
    batch: BatchOptions,
    /// Maximum number of incomplete objects; beyond it, the oldest is written early. Default: 256.
    #[serde(default = "default_max_open_objects")]
    max_open_objects: Number<usize>,
    /// Maximum bytes of events in memory, in incomplete objects and in requests. Beyond it, the largest incomplete object is
    /// written early, and the sink takes no more events while all of them are being written. Objects that are being
    /// written need as much again, less if they are compressed. Default: `64MiB`, with codec `parquet` `128MiB`.
    max_in_flight_bytes: Option<Size>,
    /// Class of storage, such as `STANDARD_IA`, `INTELLIGENT_TIERING` or `GLACIER_IR`. Default: that of the bucket.
    storage_class: Option<String>,
    /// Encryption by the server: `AES256` (keys of S3), `aws:kms` (a key of KMS) or `aws:kms:dsse` (twice). Default: that of
    /// the bucket.
    server_side_encryption: Option<ServerSideEncryption>,
    /// Id, alias or ARN of the key of KMS. Requires `aws:kms` or `aws:kms:dsse`. Default: the key of the account for S3.
    ssekms_key_id: Option<String>,
    /// Tags of the objects. At most 10. Default: none.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Canned access control list, such as `bucket-owner-full-control`. Buckets with disabled lists, as new ones are, accept
    /// only this one. Default: none.
    acl: Option<Acl>,
    /// Content type of the objects. Default: `application/x-ndjson`, with codec `text` `text/x-log`, with codec `parquet`
    /// `application/vnd.apache.parquet`.
    content_type: Option<String>,
    /// Content encoding of the objects; empty for none. Default: `gzip` or `zstd` if they are compressed; none with codec
    /// `parquet`.
    content_encoding: Option<String>,
    /// The region, such as `eu-west-1`. Default: the variables `AWS_REGION` and `AWS_DEFAULT_REGION`, the profile, and
    /// the instance metadata; with `endpoint`, `us-east-1` instead of the metadata.
    region: Option<String>,
    /// Address of a server with the protocol of S3, such as `https://s3.example.com:9000`. Default: the variables
    /// `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`, then the endpoint of the region.
    endpoint: Option<String>,
    /// Whether the bucket is in the path of an address instead of the host name. Default: true with a custom endpoint,
    /// otherwise false.
    path_style: Option<Flag>,
    /// Whether to use the FIPS 140 endpoints of AWS. Default: the variable `AWS_USE_FIPS_ENDPOINT`, otherwise false.
    fips: Option<Flag>,
    /// Whether to use the endpoints of AWS that IPv6 reaches as well. Default: the variable
    /// `AWS_USE_DUALSTACK_ENDPOINT`, otherwise false.
    dual_stack: Option<Flag>,
    /// Trusted servers, and the client certificate, for servers with certificates of your own authority. A changed file
    /// takes effect with the next reload. Default: the authorities in the file that the variable `AWS_CA_BUNDLE` names,
    /// otherwise those of the system.
    #[serde(default)]
    tls: TlsOptions,
    /// Credentials. Default: the first that is configured of the environment variables, the shared files (`AWS_PROFILE`),
    /// web identity (IRSA), the container (ECS, EKS Pod Identity), and the instance (IMDSv2).
    #[serde(default)]
    auth: AuthOptions,
    /// Concurrency and retries.
    #[serde(default)]
    request: RequestOptions,
    /// File for rejected events, one JSON object per line: `time`, `sink`, `status`, `reason`, and the event as it was sent
    /// in `event`, or as base64 in `event_base64` if it is not UTF-8. Default: none; rejected events are counted and
    /// discarded.
    dead_letter: Option<PathBuf>,
}

fn default_key_prefix() -> String {
    "date=%F/".to_owned()
}

fn default_max_open_objects() -> Number<usize> {
    Number(256)
}

/// Which events share an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ObjectPer {
    /// Those with the same prefix.
    #[default]
    Batch,
    /// Those that a source `aws_s3` read from the same part of an object. The names of these objects derive from that part,
    /// so objects that are read again, by this agent or another, overwrite theirs. A part is a batch, so the options of
    /// `batch` have no effect. Other events are collected as with `batch`.
    SourceObject,
}

/// When an object is complete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BatchOptions {
    /// Maximum bytes of encoded events before compression; with codec `parquet`, of their bodies, so the file is much
    /// smaller. A single event may be larger. Default: `10MiB`, with codec `parquet` `64MiB`.
    max_bytes: Option<Size>,
    /// Maximum number of events. Default: no limit.
    max_events: Option<Number<usize>>,
    /// Maximum time that an event waits for others. Sources hold unacknowledged events as long, up to their own limits.
    /// Default: `1m`.
    #[serde(alias = "timeout_secs")]
    timeout: Period,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_bytes: None, max_events: None, timeout: Period(Duration::from_mins(1)) }
    }
}

/// Encryption by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum ServerSideEncryption {
    /// With keys of S3.
    #[serde(rename = "AES256")]
    S3,
    /// With a key of KMS.
    #[serde(rename = "aws:kms")]
    Kms,
    /// Twice, with a key of KMS.
    #[serde(rename = "aws:kms:dsse")]
    KmsTwice,
}

/// A canned access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Acl {
    /// The owner only.
    Private,
    /// The owner, and everyone reads.
    PublicRead,
    /// Everyone reads and writes.
    PublicReadWrite,
    /// The owner, and EC2 reads images.
    AwsExecRead,
    /// The owner, and all users of AWS read.
    AuthenticatedRead,
    /// The owner, and the owner of the bucket reads.
    BucketOwnerRead,
    /// The owner and the owner of the bucket.
    BucketOwnerFullControl,
}

impl Acl {
    fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AwsExecRead => "aws-exec-read",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
        }
    }
}

/// Concurrency and retries. A request fails after 10 s without a connection, and after 30 s without progress.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RequestOptions {
    /// Maximum number of objects that are written at the same time. Default: 16.
    concurrency: Number<usize>,
    /// Upper bound of the wait before the first retry. It doubles with each retry; the wait is random below it.
    /// Default: `1s`.
    #[serde(alias = "retry_initial_backoff_secs")]
    retry_initial_backoff: Period,
    /// Maximum of that bound. Default: `30s`.
    #[serde(alias = "retry_max_duration_secs")]
    retry_max_backoff: Period,
    /// Maximum number of retries for an object. After them its events count as failed. Default: no limit.
    retry_attempts: Option<Number<usize>>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            concurrency: Number(16),
            retry_initial_backoff: Period(Duration::from_secs(1)),
            retry_max_backoff: Period(Duration::from_secs(30)),
            retry_attempts: None,
        }
    }
}

/// Validated options of the writing half.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) session: SessionConfig,
    /// Everything that is the same for all objects.
    pub(super) object: PutObject,
    /// What follows the hash in a key, with its dot.
    pub(super) extension: String,
    pub(super) format: Format,
    pub(super) limits: BatchLimits,
    pub(super) max_open_objects: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) concurrency: usize,
    pub(super) retry_initial_backoff: Duration,
    pub(super) retry_max_backoff: Duration,
    pub(super) retry_attempts: Option<usize>,
    pub(super) dead_letter: Option<PathBuf>,
}

/// Validated options of both halves.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) template: Template,
    pub(super) encoding: Encoding,
    pub(super) object_per: ObjectPer,
    pub(super) settings: Settings,
}

/// The JSON schema of the options.
pub(super) fn schema() -> Value {
    schema_with_parquet::<S3Options>()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(super) fn read(options: &Value) -> Result<Checked, Vec<OptionError>> {
    wattle_options::read(options, validate)
}

fn validate(options: S3Options, errors: &mut OptionErrors) -> Option<Checked> {
    let aws = AwsOptions {
        region: options.region.clone(),
        endpoint: options.endpoint.clone(),
        path_style: options.path_style,
        fips: options.fips,
        dual_stack: options.dual_stack,
        tls: options.tls.clone(),
        auth: options.auth.clone(),
        ..AwsOptions::default()
    };
    let session = aws.resolve(errors);
    if !is_bucket(&options.bucket) {
        errors.add("bucket", format!("`{}` is not the name of a bucket", options.bucket));
    }
    let template = errors.check("key_prefix", Template::parse_prefix(&options.key_prefix));
    if options.key_prefix.starts_with('/') {
        errors.add("key_prefix", "must not begin with `/`, which would be a part of the key; remove it");
    }
    let defaults = if options.encoding.codec == Codec::Parquet { PARQUET_BYTES } else { EVENTS_BYTES };
    let max_bytes = options.batch.max_bytes.map_or(defaults.0, |size| size.0);
    let max_in_flight = options.max_in_flight_bytes.map_or(defaults.1, |size| size.0);
    errors.at_least_one("batch.max_bytes", max_bytes);
    errors.at_least_one("batch.max_events", options.batch.max_events.map_or(1, |count| count.0 as u64));
    errors.not_zero("batch.timeout", options.batch.timeout);
    errors.at_least_one("max_open_objects", options.max_open_objects.0 as u64);
    errors.at_least_one("request.concurrency", options.request.concurrency.0 as u64);
    if max_in_flight < max_bytes {
        errors.add("max_in_flight_bytes", "must be at least `batch.max_bytes`, or no object would become as large");
    }
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        errors.add("dead_letter", "a path must not be empty");
    }
    let (format, encoding) = Format::check(&options.encoding, options.compression, errors);
    let extension = extension(&options, format.as_ref(), errors);
    let object = object(&options, format.as_ref(), errors);
    let in_memory = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let settings = Settings {
        session: session?,
        object,
        extension,
        format: format?,
        limits: BatchLimits {
            max_bytes: in_memory(max_bytes),
            max_events: options.batch.max_events.map_or(usize::MAX, |count| count.0),
            timeout: options.batch.timeout.0,
        },
        max_open_objects: options.max_open_objects.0,
        max_in_flight_bytes: in_memory(max_in_flight),
        concurrency: options.request.concurrency.0,
        retry_initial_backoff: options.request.retry_initial_backoff.0,
        retry_max_backoff: options.request.retry_max_backoff.0,
        retry_attempts: options.request.retry_attempts.map(|count| count.0),
        dead_letter: options.dead_letter,
    };
    Some(Checked { template: template?, encoding, object_per: options.object_per, settings })
}

/// What follows the hash in a key, with its dot.
fn extension(options: &S3Options, format: Option<&Format>, errors: &mut OptionErrors) -> String {
    let Some(extension) = &options.filename_extension else {
        return format.map(Format::extension).unwrap_or_default();
    };
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !extension.bytes().all(is_valid) || extension.starts_with('.') {
        errors.add("filename_extension", "must have letters, digits and `._-` only, and no dot at its start");
    }
    if extension.is_empty() { String::new() } else { format!(".{extension}") }
}

/// Everything that is the same for all objects.
fn object(options: &S3Options, format: Option<&Format>, errors: &mut OptionErrors) -> PutObject {
    let is_class = |class: &str| {
        !class.is_empty() && class.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    if options.storage_class.as_deref().is_some_and(|class| !is_class(class)) {
        errors.add("storage_class", "is not a class of storage; write it like `STANDARD_IA`");
    }
    let key = &options.ssekms_key_id;
    let encryption = match options.server_side_encryption {
        None | Some(ServerSideEncryption::S3) if key.is_some() => {
            errors.add("ssekms_key_id", "requires `server_side_encryption = \"aws:kms\"` or `\"aws:kms:dsse\"`");
            None
        }
        None => None,
        Some(ServerSideEncryption::S3) => Some(Encryption::S3),
        Some(ServerSideEncryption::Kms) => Some(Encryption::Kms(key.clone())),
        Some(ServerSideEncryption::KmsTwice) => Some(Encryption::KmsTwice(key.clone())),
    };
    if options.tags.len() > MAX_TAGS {
        errors.add("tags", format!("an object can have at most {MAX_TAGS} tags"));
    }
    for (name, value) in &options.tags {
        let (name_len, value_len) = (name.chars().count(), value.chars().count());
        if !(1..=128).contains(&name_len) || value_len > 256 {
            errors.add(&format!("tags.{name}"), "a tag has a name of 1 to 128 and a value of at most 256 characters");
        }
        // Of S3; it would refuse each object.
        let is_allowed = |char: char| char.is_alphanumeric() || char == ' ' || "+-=._:/@".contains(char);
        if let Some(char) = name.chars().chain(value.chars()).find(|char| !is_allowed(*char)) {
            let allowed = "letters, digits, spaces and `+ - = . _ : / @`";
            errors.add(&format!("tags.{name}"), format!("a tag has only {allowed}, not `{}`", char.escape_default()));
        }
    }
    let is_header = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    for (path, value) in [
        ("content_type", options.content_type.as_deref()),
        ("content_encoding", options.content_encoding.as_deref().filter(|encoding| !encoding.is_empty())),
        ("ssekms_key_id", key.as_deref()),
    ] {
        if value.is_some_and(|value| !is_header(value)) {
            errors.add(path, "is empty or has characters that are not printable ASCII");
        }
    }
    let default = |of: fn(&Format) -> Option<&'static str>| format.and_then(of).map(str::to_owned);
    let content_type = options.content_type.clone().or_else(|| default(|format| Some(format.content_type())));
    let content_encoding = options.content_encoding.clone().or_else(|| default(Format::content_encoding));
    PutObject {
        bucket: options.bucket.clone(),
        content_type,
        content_encoding: content_encoding.filter(|encoding| !encoding.is_empty()),
        storage_class: options.storage_class.clone(),
        encryption,
        acl: options.acl.map(|acl| acl.name().to_owned()),
        tags: options.tags.clone().into_iter().collect(),
        ..PutObject::default()
    }
}
