//! Other tools that collect the logs of a node, if they are on the PATH. Their configurations are in `tests/bench/peers/`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use wattle_tests::{Folder, workspace};

/// A tool that is on the PATH.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: PathBuf,
    args: &'static [&'static str],
    configuration: &'static str,
}

/// The tools that are on the PATH. Prints which are not.
pub(crate) fn found() -> Vec<Peer> {
    let args = &["-q", "-c"][..];
    let known = [
        ("Fluent Bit, set up for this load", "fluent-bit", args, "fluent-bit-kubernetes_logs.yaml"),
        ("Fluent Bit, with its usual times", "fluent-bit", args, "fluent-bit-kubernetes_logs-usual.yaml"),
    ];
    let found = known.into_iter().filter_map(|(name, program, args, configuration)| {
        let folders = std::env::var_os("PATH")?;
        let path = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
        if path.is_none() {
            println!("skipped: {name} is not on the PATH, so its losses are not measured");
        }
        Some(Peer { name, program: path?, args, configuration })
    });
    found.collect()
}

impl Peer {
    /// Starts it on the logs of a node. It writes the messages to `out.log`, each as a line.
    pub(crate) fn start(&self, folder: &Folder) -> Running {
        let text = std::fs::read_to_string(workspace().join("tests/bench/peers").join(self.configuration)).unwrap();
        let output = folder.path("out.log");
        let text = text
            .replace("{logs}", &folder.path("pods").display().to_string())
            .replace("{folder}", &output.parent().unwrap().display().to_string());
        let path = folder.path(self.configuration);
        std::fs::write(&path, text).unwrap();
        Running(Command::new(&self.program).args(self.args).arg(path).stdout(Stdio::null()).spawn().unwrap())
    }
}

/// A running tool. Dropping it ends it.
pub(crate) struct Running(Child);

impl Running {
    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
