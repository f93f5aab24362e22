//! Artifacts that try to exhaust the compiler.

use wattle_tests::{Folder, built};

use crate::{cold, config, run_within};

/// A component with these bytes in a section with this number: 1 for a module, 4 for a component.
fn around(section: u8, inner: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.push(section);
    let mut rest = inner.len();
    loop {
        let low = u8::try_from(rest & 127).unwrap();
        rest >>= 7;
        bytes.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(inner);
    bytes
}

/// A folder with the guest and without its compiled code.
fn capable() -> Folder {
    let folder = cold();
    folder.write("capable.wasm", std::fs::read(built("guests/capable.wasm")).unwrap());
    folder
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(b"\0asm\x0d\0\x01\0".to_vec(), |inner, _| around(4, &inner))
}

/// Nesting, whose cost grows with the square of the depth.
#[test]
fn deeply_nested_components_are_refused_in_little_memory() {
    let folder = cold();
    for depth in [40, 1000, 8000] {
        folder.write("n.wasm", nested(depth));
        let ended = run_within(&folder, 256, &["inspect", "n.wasm"]);
        assert_ne!(ended.code, 0, "{depth}");
        let said = format!("{}{}", ended.text(), ended.log);
        assert!(said.contains("nests components more than 32 deep"), "{depth}: {said}");
    }
}

/// Many parts side by side, and parts inside a core module's place.
#[test]
fn components_with_many_parts_are_refused_in_little_memory() {
    let folder = cold();
    let part = b"\x04\x08\0asm\x0d\0\x01\0".repeat(200_000);
    folder.write("n.wasm", [b"\0asm\x0d\0\x01\0".as_slice(), &part].concat());
    let ended = run_within(&folder, 256, &["inspect", "n.wasm"]);
    let said = format!("{}{}", ended.text(), ended.log);
    assert!(ended.code != 0 && said.contains("more than 1000 modules and components"), "{said}");
}

/// A function of 600,000 instructions, for which a compiler needs about 100 MB.
fn heavy() -> Vec<u8> {
    let mut body = vec![0];
    for _ in 0..100_000 {
        // local 0 = (local 0 + 7) * 3
        body.extend_from_slice(b"\x20\0\x42\x07\x7c\x42\x03\x7e\x21\0");
    }
    body.push(0x0b);
    let leb = |mut n: usize| {
        let mut out = Vec::new();
        loop {
            let low = u8::try_from(n & 127).unwrap();
            n >>= 7;
            out.push(if n > 0 { low | 128 } else { low });
            if n == 0 {
                return out;
            }
        }
    };
    let code = [&[1][..], &leb(body.len()), &body].concat();
    let module =
        [b"\0asm\x01\0\0\0\x01\x05\x01\x60\x01\x7e\0\x03\x02\x01\0\x0a".as_slice(), &leb(code.len()), &code].concat();
    around(1, &module)
}

/// The agent records what ended the compiler together with its limits, until the limits are higher
/// or the operator removes the record.
#[test]
fn an_artifact_that_exhausts_the_compiler_is_recorded_and_refused_at_once() {
    let folder = cold();
    folder.write("capable.wasm", heavy());
    folder.write("in.log", "");
    let validate = |memory: &str| {
        let artifacts = format!("artifacts.max_compile_memory = \"{memory}\"");
        folder.write("agent.toml", config(&artifacts, "mode = \"clock\"", ""));
        let ended = folder.run(&["validate", "agent.toml"]);
        assert_eq!(ended.code, 78, "{}", ended.log);
        format!("{}{}", ended.text(), ended.log)
    };
    let first = validate("96MiB");
    assert!(first.contains("compiling it needed more than 96 MiB of memory"), "{first}");
    assert!(first.contains("max_compile_memory") && !first.contains("remove `"), "{first}");
    let refusals = || {
        let files = std::fs::read_dir(folder.path("data/cache")).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == "refused")).collect::<Vec<_>>()
    };
    assert_eq!(refusals().len(), 1);
    let again = validate("96MiB");
    assert!(again.contains("needed more than 96 MiB") && again.contains("remove `"), "{again}");
    // A lower limit does not help; a higher one does, and then the artifact is simply not a node.
    assert!(validate("80MiB").contains("remove `"));
    let raised = validate("1GiB");
    assert!(raised.contains("does not export `wattle:node/node"), "{raised}");
    std::fs::remove_file(&refusals()[0]).unwrap();
    std::fs::remove_dir_all(folder.path("data/cache")).unwrap();
    let cleared = validate("96MiB");
    assert!(cleared.contains("needed more than 96 MiB") && !cleared.contains("remove `"), "{cleared}");
}

/// A start from the cache starts no compiler: with this little memory, none could start.
#[test]
fn code_from_the_cache_needs_no_compiler() {
    let folder = capable();
    folder.write("in.log", "one\n");
    let of = |memory: &str| config(&format!("artifacts.max_compile_memory = \"{memory}\""), "mode = \"clock\"", "");
    folder.write("agent.toml", of("64MiB"));
    let cold = folder.run(&["validate", "agent.toml"]);
    assert_eq!(cold.code, 78, "{}{}", cold.text(), cold.log);
    folder.write("agent.toml", of("1GiB"));
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
    folder.write("agent.toml", of("64MiB"));
    let warm = folder.run(&["validate", "agent.toml"]);
    assert_eq!(warm.code, 0, "{}{}", warm.text(), warm.log);
}

/// Both compilers run in the child: the agent starts on the baseline and changes to optimized code.
#[test]
fn a_long_running_agent_compiles_twice_in_child_processes() {
    let folder = capable();
    folder.write("in.log", "one\n");
    let mut agent = folder.start(&config("", "mode = \"clock\"", ""));
    if cfg!(target_arch = "x86_64") {
        agent.wait_for("optimized code is ready");
    }
    wattle_tests::wait_until("the event", || folder.events("all.ndjson").len() == 1);
    let code = std::fs::read_dir(folder.path("data/cache")).unwrap().map(|file| file.unwrap().path());
    assert!(code.into_iter().any(|path| path.extension().is_some_and(|e| e == "cwasm")));
    agent.stop();
}
