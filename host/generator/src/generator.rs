//! The generator: draws scenes, writes records and documents, and counts their contents.

use crate::catalog::Catalog;
use crate::document::{self, Wrapping};
use crate::key::object_key;
use crate::options::{Form, Options, Rates, Shape};
use crate::random::Random;
use crate::scene::{Home, Scene};
use crate::size::DocumentSize;
use crate::truth::Truth;
use crate::world::{self, REGIONS, World};
use crate::{draft, layout};

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
    /// Sizes and keys have separate streams, so that drawing them does not change the records.
    size_draws: Random,
    key_draws: Random,
    truth: Truth,
}

impl Generator {
    /// Creates a generator. Rates are limited to the range from 0 to 1.
    pub fn new(options: Options) -> Self {
        let seed = options.seed;
        let mut generator = Self {
            catalog: Catalog::new(),
            world: World::new(Random::new(seed, 1)),
            rates: Rates::new(&options),
            form: options.form,
            shape: options.shape,
            sizes: options.records_per_document,
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

    /// Appends one record in the selected form, without a line feed after it.
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

    /// Returns the S3 key under which CloudTrail would have delivered the latest document.
    /// See [`object_key`] for `prefix` and `organization`.
    pub fn next_key(&mut self, prefix: &str, organization: Option<&str>) -> String {
        let unique = world::written(|out| self.key_draws.alphanumeric(16, out));
        let delay = i64::from(self.key_draws.between(120, 600));
        let delivered = draft::timestamp(self.millisecond.div_euclid(1_000) + delay);
        let Home { account, region } = &self.home;
        object_key(prefix, organization, account, region, delivered, &unique)
    }

    /// Lets this many milliseconds pass before the next record.
    pub fn skip(&mut self, milliseconds: i64) {
        self.millisecond = self.millisecond.saturating_add(milliseconds);
    }

    /// Returns the counts of all records and documents so far.
    pub fn truth(&self) -> Truth {
        self.truth
    }

    /// Draws the account and region of the next record or document.
    fn move_home(&mut self) {
        let index = self.records.below(self.world.accounts.len() as u32);
        if let Some(account) = self.world.accounts.get(index as usize) {
            self.home.account.clone_from(account);
        }
        self.home.region = self.records.pick(&REGIONS);
    }

    /// Appends a compact document. Messages that are strings have the selected form.
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
