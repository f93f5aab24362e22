//! Generates CloudTrail as it is found in the wild, from a seed: for the `demo` source, `wattle generate`, benchmarks
//! and tests.
//!
//! Records are made of templates whose slots are filled in with direct byte writing. The same options and the same
//! sequence of calls give the same bytes on every platform, and [`Truth`] says what they hold.

mod caller;
mod catalog;
mod document;
mod draft;
mod failure;
mod identity;
mod key;
mod kinds;
mod layout;
mod random;
mod scene;
mod size;
mod template;
mod truth;
mod world;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use catalog::Catalog;
use document::Wrapping;
use random::Random;
use scene::{Home, Scene};
use world::{REGIONS, World};

pub use key::object_key;
pub use size::DocumentSize;
pub use truth::Truth;

/// How the JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Without white space, as S3 delivers it.
    #[default]
    Compact,
    /// Two spaces per level, as `jq` prints it.
    Pretty,
}

/// What a document consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// `{"Records":[...]}`, as S3 delivers it.
    #[default]
    Records,
    /// `[...]`
    Array,
    /// One record to a line, with a line feed after each; always compact.
    Ndjson,
    /// A CloudWatch Logs subscription: each record is the string `logEvents[].message`, in the form asked for.
    CloudWatch,
}

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Decides every draw.
    pub seed: u64,
    /// How records and documents are laid out.
    pub form: Form,
    /// What documents consist of.
    pub shape: Shape,
    /// What [`Generator::document_size`] draws from.
    pub records_per_document: DocumentSize,
    /// The share of records with an `errorCode`, from 0 to 1.
    pub error_rate: f64,
    /// The share of records with a readable `accessKeyId`, from 0 to 1.
    /// The others hold no `assumedRoleId`, `sessionToken` or escaped secret either.
    pub secret_rate: f64,
    /// The share of records with free-form `requestParameters` of 4 to 100 KB, from 0 to 1.
    pub bulk_rate: f64,
    /// The time of the first record; later ones follow at about five a second.
    pub start: Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            form: Form::default(),
            shape: Shape::default(),
            records_per_document: DocumentSize::default(),
            error_rate: 0.1,
            secret_rate: 0.6,
            bulk_rate: 0.0005,
            start: Timestamp::constant(1_735_689_600, 0),
        }
    }
}

/// Shares in parts per million.
#[derive(Debug, Clone, Copy)]
struct Rates {
    access_key: u32,
    error: u32,
    bulk: u32,
}

/// A seeded stream of CloudTrail records and documents.
#[derive(Debug, Clone)]
pub struct Generator {
    catalog: Catalog,
    world: World,
    form: Form,
    shape: Shape,
    sizes: DocumentSize,
    rates: Rates,
    home: Home,
    /// The time of the latest record, in milliseconds since the epoch.
    millisecond: i64,
    records: Random,
    /// Sizes and keys have streams of their own, so that asking for them does not change the records.
    size_draws: Random,
    key_draws: Random,
    truth: Truth,
}

impl Generator {
    /// Prepares a generator. Rates outside of 0 to 1 are taken as the nearer end.
    pub fn new(options: Options) -> Self {
        let seed = options.seed;
        let mut generator = Self {
            catalog: Catalog::new(),
            world: World::new(Random::new(seed, 1)),
            form: options.form,
            shape: options.shape,
            sizes: options.records_per_document,
            rates: Rates {
                access_key: parts(options.secret_rate),
                error: parts(options.error_rate),
                bulk: parts(options.bulk_rate),
            },
            home: Home::default(),
            millisecond: options.start.as_millisecond(),
            records: Random::new(seed, 2),
            size_draws: Random::new(seed, 3),
            key_draws: Random::new(seed, 4),
            truth: Truth::default(),
        };
        generator.move_home();
        generator
    }

    /// Appends one record in the form asked for, without a line feed after it.
    pub fn next_record(&mut self, out: &mut Vec<u8>) {
        self.move_home();
        match self.form {
            Form::Compact => self.write_record(out),
            Form::Pretty => {
                let mut compact = Vec::new();
                self.write_record(&mut compact);
                layout::pretty(&compact, out);
            }
        }
    }

    /// Appends one document of `records` records, all of one account and region.
    pub fn next_document(&mut self, records: usize, out: &mut Vec<u8>) {
        self.move_home();
        self.truth.documents += 1;
        if self.form == Form::Pretty && self.shape != Shape::Ndjson {
            let mut compact = Vec::new();
            self.write_document(records, &mut compact);
            layout::pretty(&compact, out);
        } else {
            self.write_document(records, out);
        }
    }

    /// Draws a number of records for the next document.
    pub fn document_size(&mut self) -> usize {
        self.sizes.draw(&mut self.size_draws)
    }

    /// Makes the S3 key under which CloudTrail would have delivered the latest document.
    /// See [`object_key`] for `prefix` and `organization`.
    pub fn next_key(&mut self, prefix: &str, organization: Option<&str>) -> String {
        let unique = world::written(|out| self.key_draws.alphanumeric(16, out));
        let delay = i64::from(self.key_draws.between(120, 600));
        let delivered = draft::timestamp(self.millisecond.div_euclid(1_000) + delay);
        let Home { account, region } = &self.home;
        object_key(prefix, organization, account, region, delivered, &unique)
    }

    /// Returns what all records and documents so far hold.
    pub fn truth(&self) -> Truth {
        self.truth
    }

    /// Chooses the account and region of what comes next.
    fn move_home(&mut self) {
        let index = self.records.below(self.world.accounts.len() as u32);
        if let Some(account) = self.world.accounts.get(index as usize) {
            self.home.account.clone_from(account);
        }
        self.home.region = self.records.pick(&REGIONS);
    }

    /// Appends a compact document (whose messages, where they are strings, are in the form asked for).
    fn write_document(&mut self, records: usize, out: &mut Vec<u8>) {
        let wrapping = Wrapping::new(self.shape, &self.home.account, self.home.region);
        out.extend_from_slice(wrapping.open.as_bytes());
        let mut record = Vec::new();
        let mut message = Vec::new();
        for index in 0..records {
            if index > 0 {
                out.extend_from_slice(wrapping.separator.as_bytes());
            }
            match self.shape {
                Shape::Records | Shape::Array => self.write_record(out),
                Shape::Ndjson => {
                    self.write_record(out);
                    out.push(b'\n');
                }
                Shape::CloudWatch => {
                    record.clear();
                    self.write_record(&mut record);
                    if self.form == Form::Pretty {
                        message.clear();
                        layout::pretty(&record, &mut message);
                        std::mem::swap(&mut record, &mut message);
                    }
                    let start = document::message_start(self.truth.records, self.millisecond);
                    out.extend_from_slice(start.as_bytes());
                    layout::escape(&record, out);
                    out.extend_from_slice(b"\"}");
                }
            }
        }
        out.extend_from_slice(wrapping.close.as_bytes());
    }

    /// Appends one compact record.
    fn write_record(&mut self, out: &mut Vec<u8>) {
        self.millisecond += i64::from(self.records.below(400));
        let second = self.millisecond.div_euclid(1_000);
        let scene = Scene::draw(&self.world, &self.home, second, &mut self.records);
        draft::write_record(&self.catalog, scene, &self.rates, &mut self.records, &mut self.truth, out);
    }
}

/// Turns a share from 0 to 1 into parts per million.
fn parts(share: f64) -> u32 {
    // The cast takes a NaN for 0.
    (share.clamp(0.0, 1.0) * 1e6).round() as u32
}
