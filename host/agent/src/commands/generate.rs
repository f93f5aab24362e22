//! `wattle generate`: generates CloudTrail logs; the same seed gives the same logs.

use std::io::{BufWriter, Write as _};

use wattle_generator::{DocumentSize, Form, Generator, Options, Shape};

use crate::cli::{GenerateOptions, GenerateShape};
use crate::exit::{Done, Failure, say};

pub(crate) fn generate(options: &GenerateOptions) -> Done {
    let mut generator = Generator::new(Options {
        seed: options.seed,
        form: if options.pretty { Form::Pretty } else { Form::Compact },
        shape: match options.shape {
            GenerateShape::Records => Shape::Records,
            GenerateShape::Array => Shape::Array,
            GenerateShape::Ndjson => Shape::Ndjson,
            GenerateShape::Cloudwatch => Shape::CloudWatch,
        },
        records_per_document: options.records.map_or(DocumentSize::Natural, DocumentSize::Fixed),
        ..Options::default()
    });
    let done = write(options, &mut generator);
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err(Failure::new(error.to_string())),
        Ok(()) => {}
    }
    let truth = generator.truth();
    say(&format!(
        "{} documents, {} records, {} secrets to mask, {} of the names match ^(Get|List|Describe)",
        truth.documents,
        truth.records,
        truth.secrets(),
        truth.get_list_describe
    ));
    Ok(())
}

fn write(options: &GenerateOptions, generator: &mut Generator) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut document = Vec::new();
    for _ in 0..options.documents {
        let records = generator.document_size();
        document.clear();
        generator.next_document(records, &mut document);
        match &options.out {
            Some(folder) => {
                let path = folder.join(generator.next_key("", None).trim_start_matches('/'));
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                let mut gzip =
                    flate2::write::GzEncoder::new(std::fs::File::create(path)?, flate2::Compression::default());
                gzip.write_all(&document)?;
                gzip.finish()?;
            }
            None => {
                out.write_all(&document)?;
                if !document.ends_with(b"\n") {
                    out.write_all(b"\n")?;
                }
            }
        }
    }
    out.flush()
}
