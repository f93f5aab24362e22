//! A temporary folder for each test, and the commands that run in it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{binary, shared_data};
use crate::records::json_lines;
use crate::{Agent, Ended, finish};

/// A folder with a data folder in it, removed when the test ends.
#[derive(Debug)]
pub struct Folder {
    root: tempfile::TempDir,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// Creates a folder whose data folder shares compiled nodes with all others.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("wattle-").tempdir().unwrap();
        // As the agent creates it.
        fs::DirBuilder::new().mode(0o700).create(root.path().join("data")).unwrap();
        std::os::unix::fs::symlink(shared_data().join("cache"), root.path().join("data/cache")).unwrap();
        Self { root }
    }

    /// Path of a file in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file, and creates its parent folders.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Replaces a file at once, like an editor: writes it beside the old one and renames it.
    pub fn replace(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let new = path.with_extension("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    /// Copies a folder of the workspace, such as a pack.
    pub fn copy(&self, from: &Path, to: &str) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{to}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                self.copy(&entry.path(), &name);
            } else {
                self.write(&name, fs::read(entry.path()).unwrap());
            }
        }
    }

    /// The bytes of a file; empty if it does not exist yet.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    /// The current content of a file of JSON lines: complete lines only.
    pub fn events(&self, name: &str) -> Vec<Value> {
        json_lines(&self.read(name))
    }

    /// The agent's program, run in this folder.
    pub fn wattle(&self) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.root.path()).env("WATTLE_DATA_DIR", self.path("data")).stdin(Stdio::null());
        for name in ["WATTLE_LOG", "WATTLE_CONFIG", "NO_COLOR"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.wattle().args(arguments), b"")
    }

    /// Processes the data that the sources of a configuration have now.
    pub fn once(&self, config: &str) -> Ended {
        self.once_with_code(config, 0)
    }

    /// The same if an input cannot be read completely, which ends the run with code 1.
    pub fn once_in_part(&self, config: &str) -> Ended {
        self.once_with_code(config, 1)
    }

    fn once_with_code(&self, config: &str, code: i32) -> Ended {
        self.write("agent.toml", config);
        let ended = self.run(&["run", "--once", "--config", "agent.toml"]);
        assert_eq!(ended.code, code, "{}", ended.log);
        ended
    }

    /// Starts the agent, and waits until it runs.
    pub fn start(&self, config: &str) -> Agent {
        self.write("agent.toml", config);
        let mut agent = Agent::start(self.wattle().args(["run", "--config", "agent.toml"]));
        agent.wait_for("running");
        agent
    }
}
