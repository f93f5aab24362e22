//! The options of an `aws_s3` source, as written and as checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_aws::{AuthOptions, AwsOptions, SessionConfig, TlsOptions};
use wattle_options::{Flag, Number, OptionErrors, Period, Size};
use wattle_trail::PublicKeys;

use super::filter::Filter;
use crate::decompress::{Caps, Decompression};
use crate::frame::{DEFAULT_MAX_LINE_BYTES, Framing, LineFormat, Rules, check_csv, check_max_bytes, multiline};
use crate::transcode::Encoding;

/// SQS hides messages for at most this long.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// Below this, the heartbeat of a slow network comes too late.
const MIN_VISIBILITY: Duration = Duration::from_secs(10);

/// Maximum of `max_objects`: each object that is being read uses a thread.
const MAX_OBJECTS: usize = 256;

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Address of the SQS queue with the notifications of new objects: S3 events, alone or inside SNS envelopes,
    /// EventBridge `Object Created` events, and notifications of CloudTrail and Security Lake. Required, unless
    /// `listing` or `backfill` is set. Default: none.
    queue_url: Option<String>,
    /// Finds objects by listing a bucket instead of by a queue. Default: none.
    listing: Option<ListingOptions>,
    /// Reads the objects of a time range once, next to the queue and with lower priority. Default: none.
    backfill: Option<BackfillOptions>,
    /// The region, such as `eu-west-1`. Default: the variables `AWS_REGION` and `AWS_DEFAULT_REGION`, the profile,
    /// `queue_url`, and the instance metadata; with `endpoint`, `us-east-1` instead of the metadata.
    region: Option<String>,
    /// Address of a server with the protocols of S3 and SQS, such as `https://s3.example.com:9000`. Default: the
    /// variables `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_SQS` and `AWS_ENDPOINT_URL`, then the endpoint of the region.
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
    tls: TlsOptions,
    /// Credentials. Default: the first that is configured of the environment variables, the shared files (`AWS_PROFILE`),
    /// web identity (IRSA), the container (ECS, EKS Pod Identity), and the instance (IMDSv2).
    auth: AuthOptions,
    /// Checks log files of CloudTrail against the digests that AWS signs, as both are read. Default: none.
    integrity: Option<IntegrityOptions>,
    /// Time limit for a connection to S3 or SQS: name resolution, TCP, proxy and TLS. Default: `10s`.
    connect_timeout: Option<Period>,
    /// Time limit from a request to the first byte of its response; SQS may use `wait_time` in addition. Default: `30s`.
    first_byte_timeout: Option<Period>,
    /// How long an object may pause while it is read. After that, the source continues over a new connection. A slow
    /// object has no limit. Default: `30s`.
    idle_timeout: Option<Period>,
    /// Names of the buckets to read, as globs. Objects of other buckets are ignored and counted. Default: all buckets.
    buckets: Vec<String>,
    /// Globs of the keys to read, such as `AWSLogs/*/CloudTrail/**`; `*` stands for any characters except `/`, `**` also
    /// for `/`. Other objects are ignored and counted. Default: all keys.
    include: Vec<String>,
    /// Globs of the keys to ignore, such as `**/CloudTrail-Digest/**`. Default: none.
    exclude: Vec<String>,
    /// How long a received message stays hidden from other receivers, `10s` to `12h`. While its objects are in work, the
    /// source extends this time. After a crash, messages come again when it ends. Default: `1m`.
    visibility_timeout: Period,
    /// How long a request waits for messages while the queue is empty, `1s` to `20s`. A stop of the source takes up to this
    /// time, because the queue may still answer the last request. Longer waits cost fewer requests. Default: `5s`.
    wait_time: Period,
    /// What to do with a message whose object does not exist any more: `retry` (leave the message to the redrive policy of
    /// the queue) or `delete` (delete and count it). A bucket that does not exist is always tried again.
    /// Default: `retry`.
    on_missing: OnFailure,
    /// What to do with a message whose object is damaged, exceeds a limit, or has events that are too long: `retry` (leave
    /// the message to the redrive policy of the queue) or `delete` (delete and count it). The readable events are
    /// delivered once in both cases. Default: `retry`.
    on_broken: OnFailure,
    /// Maximum number of objects that are read at the same time: 1 to 256. The source reads fewer if more would only wait
    /// for each other. Default: 16.
    max_objects: Number<usize>,
    /// Maximum number of messages, or of listed objects, that are in work or wait for delivery. Default: 1000.
    max_in_flight: Number<usize>,
    /// Maximum bytes of events that wait for delivery. Reading pauses at this limit. Default: `128MiB`.
    max_in_flight_bytes: Size,
    /// How bytes become events. With `csv`, objects are always read from their start, where the names of the columns are.
    /// Default: `auto`.
    framing: Framing,
    /// Whether compressed objects (gzip, zstd) are recognised by their first bytes: `auto` or `none`. Default: `auto`.
    decompression: Decompression,
    /// Maximum length of a line in bytes. Longer lines are skipped, counted and logged. Default: `1MiB`.
    max_line_bytes: Size,
    /// Maximum length of an event in bytes, including JSON documents and events of several lines. With framing `document`
    /// a longer object fails; otherwise the event is skipped, counted and logged. Up to `max_objects` events of this
    /// length can be in memory. Default: `256MiB`.
    max_event_bytes: Size,
    /// Format of lines. Default: `auto`.
    line_format: LineFormat,
    /// Encoding of the text: `utf-8`, `utf-16le`, `utf-16be` or `windows-1252` (includes Latin-1). A byte order mark of
    /// UTF-16 or UTF-8 overrides the option and is removed. Default: `utf-8`.
    encoding: Encoding,
    /// Joins several lines to one event, such as a stack trace. Default: none.
    multiline: Option<multiline::Options>,
    /// Maximum decompressed size of a compressed object in bytes; a larger object fails. Default: `4GiB`.
    max_decompressed_bytes: Size,
    /// Maximum window of zstd objects in bytes, a power of two up to `2GiB`. Reading needs this much memory.
    /// Default: `128MiB`.
    max_zstd_window: Size,
    /// Maximum ratio of decompressed to compressed bytes; an object with a higher ratio fails. Default: `1000`.
    max_decompression_ratio: Number<u64>,
}

/// Checks log files of CloudTrail against digests. The digests must be among the objects that are read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IntegrityOptions {
    /// Files with public keys of CloudTrail, as `aws cloudtrail list-public-keys` prints them. The source asks CloudTrail
    /// for keys that they lack, which needs the permission `cloudtrail:ListPublicKeys`. Default: none.
    public_keys: Vec<PathBuf>,
}

/// Finds objects by listing a bucket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListingOptions {
    /// Name of the bucket.
    bucket: String,
    /// Beginnings of the keys to list. The source keeps the last key of each prefix, so the keys below one prefix must
    /// grow with time, as those of one account and region of CloudTrail do. Default: `[""]`, the whole bucket.
    #[serde(default = "whole")]
    prefixes: Vec<String>,
    /// Ignores keys up to this one when a prefix is listed for the first time. Default: none.
    start_after: Option<String>,
    /// Interval between two listings. Default: `1m`.
    #[serde(default = "minute")]
    interval: Period,
}

/// Reads the objects of a time range once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackfillOptions {
    /// Name of the bucket.
    bucket: String,
    /// Beginnings of the keys to list. Default: `[""]`, the whole bucket.
    #[serde(default = "whole")]
    prefixes: Vec<String>,
    /// Reads objects that were written at or after this time, such as `2026-01-31T00:00:00Z`. Default: the beginning.
    from: Option<String>,
    /// Reads objects that were written before this time. Default: the time when the backfill starts first.
    to: Option<String>,
}

/// What to do with a message whose object cannot be read, now or ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// Leave the message to the redrive policy of the queue.
    #[default]
    Retry,
    /// Delete and count the message.
    Delete,
}

fn whole() -> Vec<String> {
    vec![String::new()]
}

fn minute() -> Period {
    Period(Duration::from_mins(1))
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_url: None,
            listing: None,
            backfill: None,
            region: None,
            endpoint: None,
            path_style: None,
            fips: None,
            dual_stack: None,
            tls: TlsOptions::default(),
            auth: AuthOptions::default(),
            integrity: None,
            connect_timeout: None,
            first_byte_timeout: None,
            idle_timeout: None,
            buckets: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            visibility_timeout: minute(),
            wait_time: Period(Duration::from_secs(5)),
            on_missing: OnFailure::default(),
            on_broken: OnFailure::default(),
            max_objects: Number(16),
            max_in_flight: Number(1000),
            max_in_flight_bytes: Size(128 << 20),
            framing: Framing::default(),
            decompression: Decompression::default(),
            max_line_bytes: Size(DEFAULT_MAX_LINE_BYTES),
            max_event_bytes: Size(256 << 20),
            line_format: LineFormat::default(),
            encoding: Encoding::default(),
            multiline: None,
            max_decompressed_bytes: Size(4 << 30),
            max_zstd_window: Size(128 << 20),
            max_decompression_ratio: Number(1000),
        }
    }
}

/// Which objects a walk over a bucket reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) bucket: String,
    pub(crate) prefixes: Vec<String>,
    pub(crate) start_after: Option<String>,
    /// Objects that were written at or after the first time and before the second one.
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    /// Pause between two listings; `None` for a backfill, which lists once.
    pub(crate) interval: Option<Duration>,
}

/// How the bytes of objects become events.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) framing: Framing,
    pub(crate) decompression: Decompression,
    pub(crate) rules: Rules,
    pub(crate) max_window_log: u32,
    pub(crate) caps: Caps,
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) queue_url: Option<String>,
    pub(crate) listing: Option<Walk>,
    pub(crate) backfill: Option<Walk>,
    pub(crate) session: SessionConfig,
    /// The public keys from files, if digests are checked.
    pub(crate) integrity: Option<PublicKeys>,
    pub(crate) filter: Filter,
    pub(crate) visibility: Duration,
    pub(crate) wait: Duration,
    pub(crate) on_missing: OnFailure,
    pub(crate) on_broken: OnFailure,
    pub(crate) max_objects: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) max_in_flight_bytes: u64,
    pub(crate) format: Format,
}

impl Settings {
    /// Checks the options. `None` if they are not complete; all errors are in `errors`.
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let aws = AwsOptions {
            region: options.region.clone(),
            endpoint: options.endpoint.clone(),
            path_style: options.path_style,
            fips: options.fips,
            dual_stack: options.dual_stack,
            connect_timeout: options.connect_timeout,
            first_byte_timeout: options.first_byte_timeout,
            idle_timeout: options.idle_timeout,
            tls: options.tls.clone(),
            auth: options.auth.clone(),
        };
        let session = aws.resolve(errors);
        let session = session.map(|mut session| {
            session.queue_url.clone_from(&options.queue_url);
            session
        });
        check_origin(&options, errors);
        let filter = Filter::new(&options.buckets, &options.include, &options.exclude, errors);
        let visibility = options.visibility_timeout.0;
        if !(MIN_VISIBILITY..=MAX_VISIBILITY).contains(&visibility) {
            errors.add("visibility_timeout", "must be between `10s` and `12h`");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(20)).contains(&options.wait_time.0) {
            errors.add("wait_time", "must be between `1s` and `20s`");
        }
        if !(1..=MAX_OBJECTS).contains(&options.max_objects.0) {
            errors.add("max_objects", "must be at least 1 and at most 256");
        }
        if options.max_in_flight.0 < options.max_objects.0 {
            errors.add("max_in_flight", "must be at least `max_objects`, or some objects can never be read at once");
        }
        errors.at_least_one("max_in_flight_bytes", options.max_in_flight_bytes.0);
        let listing = options.listing.as_ref().and_then(|listing| listing.check(errors));
        let backfill = options.backfill.as_ref().and_then(|backfill| backfill.check(errors));
        let integrity = options.integrity.as_ref().map(|integrity| integrity.keys(errors));
        let format = format_of(&options, errors)?;
        Some(Self {
            queue_url: options.queue_url,
            listing,
            backfill,
            session: session?,
            integrity,
            filter,
            visibility,
            wait: options.wait_time.0,
            on_missing: options.on_missing,
            on_broken: options.on_broken,
            max_objects: options.max_objects.0,
            max_in_flight: options.max_in_flight.0,
            max_in_flight_bytes: options.max_in_flight_bytes.0,
            format,
        })
    }
}

fn check_origin(options: &Options, errors: &mut OptionErrors) {
    match &options.queue_url {
        Some(url) if !is_queue(url) => {
            let example = "https://sqs.eu-west-1.amazonaws.com/123456789012/logs";
            errors.add("queue_url", format!("is not the address of a queue; write it like `{example}`"));
        }
        Some(_) if options.listing.is_some() => {
            errors.add("listing", "reads the same objects as `queue_url` again; remove one of them, or use `backfill`");
        }
        None if options.listing.is_none() && options.backfill.is_none() => {
            errors.add("queue_url", "is missing; set `queue_url`, `listing` or `backfill`");
        }
        _ => {}
    }
}

/// Whether an address is that of a queue: with scheme, host, and the path `/ACCOUNT/NAME`.
fn is_queue(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let mut parts = rest.split('/');
    let has_parts = parts.by_ref().take(2).filter(|part| !part.is_empty()).count() == 2;
    has_parts && parts.next_back().is_some_and(|name| !name.is_empty()) && !rest.contains(['?', '#', '@', ' '])
}

fn is_bucket(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// The files that the options name, without checking them.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    let named = options.pointer("/integrity/public_keys").and_then(Value::as_array);
    let keys = named.into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
    keys.chain(wattle_aws::files(options)).collect()
}

impl IntegrityOptions {
    /// Reads the files.
    fn keys(&self, errors: &mut OptionErrors) -> PublicKeys {
        let mut keys = PublicKeys::default();
        for (index, path) in self.public_keys.iter().enumerate() {
            let read = std::fs::read(path).map_err(|error| error.to_string());
            match read.and_then(|json| PublicKeys::parse(&json).map_err(|error| error.to_string())) {
                Ok(read) => keys.extend(read),
                Err(error) => {
                    let text = format!("cannot read public keys from `{}`: {error}", path.display());
                    errors.add(&format!("integrity.public_keys[{index}]"), text);
                }
            }
        }
        keys
    }
}

impl ListingOptions {
    fn check(&self, errors: &mut OptionErrors) -> Option<Walk> {
        check_place("listing", &self.bucket, &self.prefixes, errors);
        errors.not_zero("listing.interval", self.interval);
        Some(Walk {
            bucket: self.bucket.clone(),
            prefixes: self.prefixes.clone(),
            start_after: self.start_after.clone(),
            from: None,
            to: None,
            interval: Some(self.interval.0),
        })
    }
}

impl BackfillOptions {
    fn check(&self, errors: &mut OptionErrors) -> Option<Walk> {
        check_place("backfill", &self.bucket, &self.prefixes, errors);
        let mut time = |path: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Timestamp>).transpose();
            if parsed.is_err() {
                errors.add(path, "is not a time; write it like `2026-01-31T00:00:00Z`");
            }
            parsed.ok()
        };
        let (from, to) = (time("backfill.from", &self.from), time("backfill.to", &self.to));
        let (from, to) = (from?, to?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            errors.add("backfill.to", "must be after `backfill.from`");
        }
        let (bucket, prefixes) = (self.bucket.clone(), self.prefixes.clone());
        Some(Walk { bucket, prefixes, start_after: None, from, to, interval: None })
    }
}

fn check_place(table: &str, bucket: &str, prefixes: &[String], errors: &mut OptionErrors) {
    if !is_bucket(bucket) {
        errors.add(&format!("{table}.bucket"), format!("`{bucket}` is not the name of a bucket"));
    }
    if prefixes.is_empty() {
        errors.add(&format!("{table}.prefixes"), "names no prefix; remove the option to list the whole bucket");
    }
    for (index, prefix) in prefixes.iter().enumerate() {
        let mut others = prefixes.iter().take(index);
        if let Some(other) = others.find(|other| prefix.starts_with(*other) || other.starts_with(prefix)) {
            let path = format!("{table}.prefixes[{index}]");
            errors.add(&path, format!("`{prefix}` and `{other}` have keys in common, which would be read twice"));
        }
    }
}

fn format_of(options: &Options, errors: &mut OptionErrors) -> Option<Format> {
    let mut found: Vec<_> = check_max_bytes("max_event_bytes", options.max_event_bytes)
        .into_iter()
        .chain(check_max_bytes("max_line_bytes", options.max_line_bytes))
        .collect();
    let multiline = options.multiline.as_ref().and_then(|written| multiline::Multiline::new(written, &mut found));
    found.extend(check_csv(options.framing == Framing::Csv, options.multiline.is_some(), options.line_format));
    let is_valid = found.is_empty();
    errors.accept::<()>(Err(found));
    let window = options.max_zstd_window.0;
    if !window.is_power_of_two() || !(1 << 10..=1 << 31).contains(&window) {
        errors.add("max_zstd_window", "must be a power of two from `1KiB` to `2GiB`");
    }
    let rules = Rules {
        // With `multiline`, events are lines only.
        quotes: options.framing == Framing::Csv,
        documents: options.framing == Framing::Auto && multiline.is_none(),
        max_line_bytes: options.max_line_bytes.0.min(options.max_event_bytes.0),
        max_event_bytes: options.max_event_bytes.0,
        line_format: options.line_format,
        multiline: multiline.map(Arc::new),
        encoding: options.encoding,
    };
    is_valid.then(|| Format {
        framing: options.framing,
        decompression: options.decompression,
        rules,
        max_window_log: window.max(1).ilog2(),
        caps: Caps { max_bytes: options.max_decompressed_bytes.0, max_ratio: options.max_decompression_ratio.0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_queues_have_an_account_and_a_name() {
        for url in ["https://sqs.eu-west-1.amazonaws.com/123456789012/logs", "http://127.0.0.1:5555/1/q.fifo"] {
            assert!(is_queue(url), "{url}");
        }
        for url in
            ["logs", "https://", "https://host/logs", "arn:aws:sqs:eu-west-1:1:q", "https://h/1/", "https://h/1/q?a"]
        {
            assert!(!is_queue(url), "{url}");
        }
    }
}
