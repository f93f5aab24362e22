//! Where the times go.

use wattle_convert::time::{Output, Zone};
use wattle_node::{Batch, ColumnWriter, Field, Form, Setup, takes_any_value};

use crate::options::Options;
use crate::read::Found;

/// To the host, this time means "leave the timestamp unchanged".
const UNCHANGED: i64 = i64::MIN;

/// The field to set.
pub(crate) enum Target {
    Timestamp,
    Field { field: Field, form: Form, output: Output, zone: Zone },
}

impl Target {
    /// Prepares the target. Returns `None` after it reported errors to `setup`.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let root = options.into.split(['.', '[']).next().unwrap_or_default();
        let fits = match root {
            "body" | "timestamp" => options.into == root,
            "severity" | "trace_id" | "span_id" | "scope" | "attributes" | "resource" => takes_any_value(&options.into),
            // The host reports which roots exist.
            _ => true,
        };
        if !fits {
            setup.error(
                "into",
                "a time goes to `timestamp`, `attributes.<key>`, `resource.<key>`, `scope.attributes.<key>` or `body`",
            );
        }
        let field = if fits { setup.write("into", &options.into) } else { None };
        if options.into == "timestamp" {
            for (option, value) in [("output", &options.output), ("output_timezone", &options.output_timezone)] {
                if value.is_some() {
                    let problem = format!("`{option}` is for other fields than `timestamp`; set `into`, or remove it");
                    setup.error(option, problem);
                }
            }
            return field.map(|_| Self::Timestamp);
        }
        let output = Output::new(options.output.as_deref().unwrap_or("rfc3339"));
        if let Err(reason) = &output {
            setup.error("output", reason);
        }
        let zone = Zone::new(options.output_timezone.as_deref().unwrap_or("UTC"));
        if let Err(reason) = &zone {
            setup.error("output_timezone", reason);
        }
        let (field, output, zone) = (field?, output.ok()?, zone.ok()?);
        // A body is always text.
        let form = if output.is_number() && root != "body" { Form::Json } else { Form::Text };
        Some(Self::Field { field, form, output, zone })
    }

    /// The same, unless it is a time that the field cannot have.
    pub(crate) fn check(&self, found: Found) -> Found {
        match (self, found) {
            (Self::Timestamp, Found::Time(UNCHANGED)) => Found::NoTime,
            _ => found,
        }
    }

    /// Sets the field of every row that has a time.
    pub(crate) fn set(&self, batch: &mut Batch<'_>, times: &[Option<i64>]) {
        let any = times.iter().any(Option::is_some);
        match self {
            _ if !any => {}
            Self::Timestamp => {
                let times: Vec<i64> = times.iter().map(|time| time.unwrap_or(UNCHANGED)).collect();
                batch.set_timestamp(&times);
            }
            Self::Field { field, form, output, zone } => {
                let mut values = ColumnWriter::with_capacity(times.len() * 32, times.len());
                for time in times {
                    match time {
                        Some(time) => {
                            output.write(*time, zone, &mut values.bytes);
                            values.end_row();
                        }
                        None => values.push_none(),
                    }
                }
                batch.set(*field, *form, values);
            }
        }
    }
}
