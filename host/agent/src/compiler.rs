//! The child process that compiles artifacts that are not built in: the same program with a hidden
//! command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use wattle_runtime::ChildCompiler;

/// The hidden command. Its arguments and pipes are those of [`wattle_runtime::serve_compiler`].
const COMMAND: &str = "__compile";

/// Runs the hidden command, if this process was started with it.
pub(crate) fn serve() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (command, rest) = arguments.split_first()?;
    (command == COMMAND).then(|| wattle_runtime::serve_compiler(rest))
}

/// Makes the runtime compile artifacts that are not built in with that command.
pub(crate) fn install() {
    // The running program, even if its file was replaced: code from another version would not load.
    let own = PathBuf::from("/proc/self/exe");
    let program = if own.exists() { Some(own) } else { std::env::current_exe().ok() };
    match program {
        Some(program) => ChildCompiler { program, arguments: vec![COMMAND.into()] }.install(),
        None => tracing::warn!("the path of this program is unknown; artifacts are compiled in this process"),
    }
}
