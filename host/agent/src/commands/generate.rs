//! `wattle generate`: generates logs for the built-in packs; the same seed gives the same logs.

mod trail;

use std::io::{BufWriter, Write as _};

use wattle_generator::{DocumentSize, Form, Generator, LineKind, Lines, Options, Shape};

use crate::cli::{GenerateKind, GenerateOptions, GenerateShape};
use crate::exit::{Done, Failure, USAGE, say};

pub(crate) fn generate(options: &GenerateOptions) -> Done {
    match options.kind {
        GenerateKind::Cloudtrail => cloudtrail(options),
        GenerateKind::Nginx => lines(options, LineKind::Nginx),
        GenerateKind::SyslogAuth => lines(options, LineKind::SyslogAuth),
        GenerateKind::VpcFlow => lines(options, LineKind::VpcFlow),
        GenerateKind::Alb => lines(options, LineKind::Alb),
        GenerateKind::KubernetesContainers => lines(options, LineKind::KubernetesContainers),
    }
}

/// Writes log lines to standard output.
fn lines(options: &GenerateOptions, kind: LineKind) -> Done {
    if options.records.is_some() || options.pretty || options.out.is_some() || options.shape != GenerateShape::Records {
        let hint = "lines take only `--documents` and `--seed`";
        return Err(Failure::with(
            USAGE,
            format!("`--records`, `--shape`, `--pretty` and `--out` are for cloudtrail; {hint}"),
        ));
    }
    let mut lines = Lines::new(kind, options.seed);
    done(write_lines(&mut lines, options.documents))?;
    let outputs: Vec<String> = lines.outputs().iter().map(|(output, count)| format!("{count} {output}")).collect();
    say(&format!("{} lines: {}", options.documents, outputs.join(", ")));
    Ok(())
}

fn write_lines(lines: &mut Lines, count: u64) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut line = Vec::new();
    for _ in 0..count {
        line.clear();
        lines.next_line(&mut line);
        out.write_all(&line)?;
    }
    out.flush()
}

/// A closed pipe (`| head`) ends the program quietly.
fn done(result: std::io::Result<()>) -> Done {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::silent(0)),
        other => Ok(other?),
    }
}

fn cloudtrail(options: &GenerateOptions) -> Done {
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
    let digests = match &options.out {
        Some(folder) => trail::write(folder, options.documents, options.digests, &mut generator)?,
        None => done(write(options.documents, &mut generator)).map(|()| 0)?,
    };
    let truth = generator.truth();
    say(&format!(
        "{} documents, {} records, {} secrets to mask, {} of the names match ^(Get|List|Describe)",
        truth.documents,
        truth.records,
        truth.secrets(),
        truth.get_list_describe
    ));
    if let Some(folder) = options.out.as_ref().filter(|_| digests > 0) {
        let folder = folder.display();
        say(&format!("{digests} digests; verify: wattle cloudtrail verify {folder} --keys {folder}/public-keys.json"));
    }
    Ok(())
}

fn write(documents: u64, generator: &mut Generator) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut document = Vec::new();
    for _ in 0..documents {
        let records = generator.document_size();
        document.clear();
        generator.next_document(records, &mut document);
        out.write_all(&document)?;
        if !document.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}
