//! placeholder
use wattle_node::{Batch, Field, Form, Node, Setup, export_node};
#[derive(serde::Deserialize)]
pub struct Options { field: String }
pub struct X { field: Field }
impl Node for X {
    const NAME: &'static str = "x";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "x";
    const OPTIONS_SCHEMA: &'static str = "{}";
    type Options = Options;
    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { field: setup.read("field", &options.field)? })
    }
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.field, Form::Text);
        let empty: Vec<u32> = (0..).zip(column.rows()).filter(|(_, row)| row.is_empty()).map(|(i, _)| i).collect();
        batch.drop_rows(&empty, "empty");
        Ok(())
    }
}
export_node!(X);
