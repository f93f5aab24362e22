//! Writes the messages of OTLP as Rust types for `prost`.
//!
//! Strings become bytes, because clients send strings that are not UTF-8, and a request must not fail for one of them. All
//! bytes are slices of the request.

use std::error::Error;

use protox::prost_reflect::prost_types::field_descriptor_proto::Type;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("usage: wattle-otlp-generate DIR")?;
    let services = ["logs/v1/logs", "metrics/v1/metrics", "trace/v1/trace"]
        .map(|name| format!("{root}/opentelemetry/proto/collector/{name}_service.proto"));
    let mut set = protox::compile(services, [&root])?;
    let mut messages: Vec<_> = set.file.iter_mut().flat_map(|file| &mut file.message_type).collect();
    while let Some(message) = messages.pop() {
        for field in message.field.iter_mut().filter(|field| field.r#type() == Type::String) {
            field.set_type(Type::Bytes);
        }
        messages.extend(&mut message.nested_type);
    }
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/messages");
    let mut config = prost_build::Config::new();
    config.out_dir(out).bytes(["."]).disable_comments(["."]);
    config.compile_fds(set)?;
    Ok(())
}
