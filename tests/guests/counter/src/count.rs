//! Counts rows over batches. The count is its state, in the version given at compile time.

use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup, Snapshot, Stateful};

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Field for the count.
    field: String,
}

/// The guest.
pub struct Counter<const VERSION: u32> {
    body: Field,
    field: Field,
    count: u64,
}

impl<const VERSION: u32> Node for Counter<VERSION> {
    const NAME: &'static str = "counter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Counts rows; panics where one holds `poison`.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { body: setup.read("", "body")?, field: setup.write("field", &options.field)?, count: 0 })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let mut counts = ColumnWriter::default();
        for row in batch.read(self.body, Form::Text).rows() {
            // After the counting, so the test detects a host that kept this instance or its state.
            self.count += 1;
            assert!(!row.windows(6).any(|w| w == b"poison"), "poison");
            counts.push(self.count.to_string().as_bytes());
        }
        batch.set(self.field, Form::Json, counts);
        Ok(())
    }
}

impl<const VERSION: u32> Stateful for Counter<VERSION> {
    const STATE_VERSION: u32 = VERSION;

    fn save(&self) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        for snapshot in snapshots {
            if snapshot.version != VERSION {
                return Err(format!("state of version {} is not of version {VERSION}", snapshot.version));
            }
            let bytes = snapshot.bytes.as_slice().try_into().map_err(|_| "a count has eight bytes".to_owned())?;
            self.count += u64::from_le_bytes(bytes);
        }
        Ok(())
    }
}
