//! Opens the control socket of a running agent.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::SOCKET;

/// The control socket in a data folder.
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Connects to the agent of a data folder, with a path of any length.
///
/// # Errors
///
/// No agent runs there, or only another user may open its socket.
pub fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let stream = super::at(&socket(data_dir), |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
