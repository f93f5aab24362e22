//! The fictional company whose accounts, users and resources occur in the records.
//!
//! Everything is derived from the seed, so that names recur between records as in a real trail.

use crate::random::Random;

/// The number of accounts, of users, and so on.
const SIZE: usize = 64;

const FIRST_NAMES: [&str; 16] = [
    "jane", "omar", "li", "priya", "lukas", "sofia", "amara", "noah", "yuki", "ines", "tomas", "aisha", "erik",
    "marta", "ravi", "chloe",
];
const LAST_NAMES: [&str; 16] = [
    "doe", "haddad", "wei", "sharma", "meyer", "rossi", "okafor", "smith", "tanaka", "silva", "novak", "khan", "berg",
    "kowalska", "patel", "martin",
];
const WORDS: [&str; 16] = [
    "orders",
    "billing",
    "telemetry",
    "images",
    "search",
    "payments",
    "catalogue",
    "sessions",
    "reports",
    "inventory",
    "shipping",
    "audit",
    "mail",
    "users",
    "pricing",
    "archive",
];
const PARTS: [&str; 8] = ["api", "worker", "events", "ingest", "index", "export", "backup", "scheduler"];
const STAGES: [&str; 4] = ["prod", "staging", "dev", "shared"];
pub(crate) const REGIONS: [&str; 8] = [
    "us-east-1",
    "us-west-2",
    "eu-central-1",
    "eu-west-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
    "ca-central-1",
];

/// Object keys: the text before and after a hexadecimal number, as JSON string text.
pub(crate) const OBJECTS: [(&str, &str); 8] = [
    ("raw/year=2025/month=01/day=01/part-00000-", ".snappy.parquet"),
    ("AWSLogs/vpcflowlogs/2025/01/01/", ".log.gz"),
    ("assets/images/", ".webp"),
    ("backups/db-", ".dump.zst"),
    ("tmp/_temporary/0/attempt_", "/_SUCCESS"),
    ("caf\\u00e9/r\\u00e9sum\\u00e9 \\\"final\\\" ", ".pdf"),
    ("日本/報告書-", ".xlsx"),
    ("uploads/a+b=c&d%20/", ".json"),
];

/// The names that records draw from.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) accounts: Vec<String>,
    /// Names and IDs.
    pub(crate) users: Vec<(String, String)>,
    /// Names and IDs.
    pub(crate) roles: Vec<(String, String)>,
    pub(crate) sessions: Vec<String>,
    pub(crate) buckets: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) resources: Vec<String>,
}

impl World {
    /// Draws all names.
    pub(crate) fn new(mut random: Random) -> Self {
        let random = &mut random;
        Self {
            accounts: many(random, account),
            users: many(random, |random| {
                let first = random.pick(&FIRST_NAMES);
                let last = random.pick(&LAST_NAMES);
                (format!("{first}.{last}"), principal_id("AIDA", random))
            }),
            roles: many(random, |random| {
                let word = random.pick(&WORDS);
                let part = random.pick(&PARTS);
                (format!("{word}-{part}-role"), principal_id("AROA", random))
            }),
            sessions: many(random, session),
            buckets: many(random, |random| {
                let word = random.pick(&WORDS);
                let stage = random.pick(&STAGES);
                format!("acme-{word}-{stage}-{}", written(|out| random.hex(8, out)))
            }),
            keys: many(random, |random| written(|out| random.uuid(out))),
            resources: many(random, |random| {
                let word = random.pick(&WORDS);
                let part = random.pick(&PARTS);
                let stage = random.pick(&STAGES);
                format!("{word}-{part}-{stage}")
            }),
        }
    }
}

fn many<T>(random: &mut Random, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
    (0..SIZE).map(|_| make(random)).collect()
}

/// Returns the text that `write` appends; the writers of [`Random`] append only ASCII.
pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn account(random: &mut Random) -> String {
    let (high, low) = (random.between(100_000, 999_999), random.below(1_000_000));
    format!("{high}{low:06}")
}

fn principal_id(prefix: &str, random: &mut Random) -> String {
    format!("{prefix}{}", written(|out| random.base32(17, out)))
}

/// Draws a session name, which consists of letters, digits and `_+=,.@-`.
fn session(random: &mut Random) -> String {
    let first = random.pick(&FIRST_NAMES);
    let last = random.pick(&LAST_NAMES);
    let number = random.between(1_700_000_000, 1_735_000_000);
    match random.below(7) {
        0 => format!("botocore-session-{number}"),
        1 => format!("{first}.{last}@example.com"),
        2 => format!("i-{}", written(|out| random.hex(17, out))),
        3 => "GitHubActions".into(),
        4 => format!("{first}+{last}=ops,tier_1@{number}"),
        5 => format!("aws-go-sdk-{number}000000000"),
        _ => format!("{first}-{last}"),
    }
}
