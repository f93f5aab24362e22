//! Values that a configuration takes from files: `${file:PATH}` and `${credential:NAME}`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use wattle_diagnostics::{Findings, Place, codes, in_words};

use crate::load::Env;

/// Maximum size of such a file; a key or a token is far smaller.
const MAX_BYTES: u64 = 64 << 10;

/// A form of reference to a file.
#[derive(Clone, Copy)]
pub(crate) enum Reference<'a> {
    /// A path, relative to the file of the configuration.
    File(&'a str),
    /// The name of a credential of systemd.
    Credential(&'a str),
}

impl<'a> Reference<'a> {
    /// Reads the text between `${` and `}`; `None` if it stands for something else.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        text.strip_prefix("file:").map(Self::File).or_else(|| text.strip_prefix("credential:").map(Self::Credential))
    }

    /// The content of the file without the line break at its end, or an error at `place`.
    pub(crate) fn value(self, place: Place, env: Env<'_>, findings: &mut Findings) -> Option<String> {
        let path = match self {
            Self::File("") => {
                let finding = codes::BAD_REFERENCE.at(place, "`${file:}` names no file");
                findings.report(finding.hint("write a path, such as `${file:/run/secrets/token}`"));
                return None;
            }
            Self::File(path) => findings.folder(place).join(path),
            Self::Credential(name) => {
                let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
                if !is_name {
                    let message = format!("bad name of a credential `{name}`");
                    findings
                        .report(codes::BAD_REFERENCE.at(place, message).hint("it is the name of a file, not a path"));
                    return None;
                }
                let Some(folder) = env("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()) else {
                    let message = format!("there is no credential `{name}`: the agent has no credentials of systemd");
                    let hint =
                        format!("add `LoadCredential={name}:/path/to/file` to the unit, or use `${{file:PATH}}`");
                    findings.report(codes::SECRET_FILE.at(place, message).hint(hint));
                    return None;
                };
                Path::new(&folder).join(name)
            }
        };
        findings.watch(&path);
        match read(&path) {
            Ok(Content { text, is_public }) => {
                findings.keep_secret(&text);
                if is_public {
                    let message = format!("every user of this machine can read `{}`", path.display());
                    let finding = codes::PUBLIC_SECRET.at(place, message);
                    findings.report(finding.hint(format!("`chmod o-r {}`", path.display())));
                }
                Some(text)
            }
            Err(problem) => {
                let message = format!("`{}` cannot be used as a value: {problem}", path.display());
                findings.report(codes::SECRET_FILE.at(place, message));
                None
            }
        }
    }
}

struct Content {
    text: String,
    /// Whether users other than owner and group may read it.
    is_public: bool,
}

fn read(path: &Path) -> Result<Content, String> {
    let in_words = |error: std::io::Error| in_words(&error);
    // Before it is opened: opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(in_words)?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(in_words)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_BYTES >> 10));
    }
    // The bytes must not be in the message.
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Content { text, is_public: is_public(&metadata) })
}

#[cfg(unix)]
fn is_public(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_public(_: &std::fs::Metadata) -> bool {
    false
}
