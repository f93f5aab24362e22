//! Modules written by hand, without any SDK.

use super::*;

/// A node that does nothing: it accepts any options and has the port `out`.
fn module(more: &str) -> String {
    format!(
        r#"(module
        {more}
        (memory (export "memory") 1)
        (data (i32.const 64) "quiet1.0.0Does nothing.{{}}out")
        (data (i32.const 128) "\40\00\00\00\05\00\00\00\45\00\00\00\05\00\00\00\4a\00\00\00\0d\00\00\00\57\00\00\00\02\00\00\00\00")
        (data (i32.const 192) "\00\00\00\00\d0\00\00\00\01\00\00\00")
        (data (i32.const 208) "\59\00\00\00\03\00\00\00")
        (func (export "wattle:node/node@0.2.0#describe") (result i32) i32.const 128)
        (func (export "wattle:node/node@0.2.0#configure") (param i32 i32) (result i32) i32.const 192)
        (func (export "wattle:node/node@0.2.0#process") (result i32) i32.const 256)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))"#
    )
}

fn refused(text: &str) -> String {
    let refused = wrap(&wat::parse_str(text).unwrap()).unwrap_err();
    format!("{refused}; {}", refused.hint.as_deref().unwrap_or_default())
}

#[test]
fn a_module_written_by_hand_becomes_a_component_of_the_contract() {
    let component = wrap(&wat::parse_str(module("")).unwrap()).unwrap();
    assert!(Parser::is_component(&component));
    assert_eq!(wrap(&component).unwrap(), component, "a component stays as it is");
}

#[test]
fn a_component_exports_the_optional_interfaces_of_its_module() {
    let state = r#"
        (func (export "wattle:node/state@0.2.0#version") (result i32) i32.const 1)
        (func (export "wattle:node/state@0.2.0#save") (result i32) i32.const 256)
        (func (export "wattle:node/state@0.2.0#restore") (param i32 i32) (result i32) i32.const 256)"#;
    let timer = r#"(func (export "wattle:node/timer@0.2.0#tick") (param i64 i32) (result i32) i32.const 256)"#;
    let both = format!("{state}{timer}");
    for (functions, expected) in [("", &[][..]), (state, &["state"]), (timer, &["timer"]), (&both, &["state", "timer"])]
    {
        let realloc = r#"(func (export "cabi_realloc")"#;
        let text = module("").replacen(realloc, &format!("{functions}{realloc}"), 1);
        let component = wrap(&wat::parse_str(text).unwrap()).unwrap();
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(&component) {
            if let Payload::ComponentExportSection(section) = payload.unwrap() {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
        }
        exports.retain(|name| name.starts_with(CONTRACT) && name != "wattle:node/node@0.2.0");
        exports.sort();
        assert_eq!(exports, expected.iter().map(|name| format!("wattle:node/{name}@0.2.0")).collect::<Vec<_>>());
    }
}

#[test]
fn a_module_of_another_version_of_the_contract_is_refused() {
    let old = module("").replace("node/node@0.2.0", "node/node@0.1.0");
    assert!(refused(&old).contains("uses `wattle:node/node@0.1.0`, but this version makes"), "{}", refused(&old));
    let mixed = module(r#"(import "wattle:node/clock@0.1.0" "now" (func (result i64)))"#);
    assert!(refused(&mixed).contains("uses `wattle:node/clock@0.1.0`"), "{}", refused(&mixed));
}

#[test]
fn every_file_of_the_contract_is_embedded() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let mut files: Vec<String> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.retain(|name| name.ends_with(".wit"));
    files.sort();
    assert_eq!(WIT.iter().map(|(name, _)| *name).collect::<Vec<_>>(), files);
    assert!(WIT.iter().all(|(_, text)| text.contains(&format!("package wattle:node@{VERSION};"))));
}

#[test]
fn a_component_imports_only_the_capabilities_of_its_module() {
    let text = module(
        r#"(import "wattle:node/log@0.2.0" "write" (func (param i32 i32 i32)))
        (import "wattle:node/clock@0.2.0" "now" (func (result i64)))"#,
    );
    let component = wrap(&wat::parse_str(text).unwrap()).unwrap();
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(&component) {
        if let Payload::ComponentImportSection(section) = payload.unwrap() {
            imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
        }
    }
    imports.retain(|name| name.starts_with(CONTRACT));
    assert_eq!(imports, ["wattle:node/clock@0.2.0", "wattle:node/log@0.2.0"]);
    let unknown = module(r#"(import "wattle:node/socket@0.2.0" "open" (func (param i32)))"#);
    assert!(
        refused(&unknown).contains("imports `wattle:node/socket@0.2.0`, which is not available to nodes"),
        "{}",
        refused(&unknown)
    );
}

#[test]
fn the_assembled_adapter_matches_its_source() {
    let assembled = wat::parse_str(include_str!("stub.wat")).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/stub.wasm"), &assembled).unwrap();
    }
    assert!(assembled == STUB, "run this test with UPDATE_EXPECT=1");
}

#[test]
fn wasi_is_stubbed_out() {
    let wants = r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
    let component = wrap(&wat::parse_str(module(wants)).unwrap()).unwrap();
    let mut imports = Vec::new();
    // A nested component has its own imports, which the outer one satisfies.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&component) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    assert!(imports.iter().all(|name| name.starts_with("wattle:node/")), "{imports:?}");
}

#[test]
fn a_missing_export_is_named() {
    assert!(refused("(module)").contains("exports no `wattle:node/node@"));
    let without = module("").replace("cabi_realloc", "realloc");
    assert!(refused(&without).contains("exports no `cabi_realloc`"));
    let foreign = module(r#"(import "env" "strlen" (func (param i32) (result i32)))"#);
    assert!(refused(&foreign).contains("imports `env.strlen`"));
    let wrong = module("").replace("(param i32 i32) (result i32) i32.const 192", "(result i32) i32.const 192");
    assert!(refused(&wrong).contains("does not fit the contract"), "{}", refused(&wrong));
    assert!(wrap(b"text").unwrap_err().message.contains("not WebAssembly"));
}
