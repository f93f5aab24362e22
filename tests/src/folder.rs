//! A folder of a test's own, and the commands that run in it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{binary, shared_data};
use crate::records::json_lines;
use crate::{Agent, Ended, finish};

/// A folder that goes when the test ends, with a data folder in it.
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
    /// Makes one, whose data folder shares its compiled nodes with all others.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("wattle-").tempdir().unwrap();
        // As the agent creates it.
        fs::DirBuilder::new().mode(0o700).create(root.path().join("data")).unwrap();
        std::os::unix::fs::symlink(shared_data().join("cache"), root.path().join("data/cache")).unwrap();
        Self { root }
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file, with the folders on the way to it.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Puts a file in place at once, as editors do: written beside it and renamed.
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

    /// The bytes of a file; none if it is not there yet.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    /// What a file of JSON lines holds by now: complete lines only.
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

    /// Takes what the sources of a configuration hold now.
    pub fn once(&self, config: &str) -> Ended {
        self.once_with_code(config, 0)
    }

    /// The same where an input cannot be read in full, which ends the run with 1.
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
